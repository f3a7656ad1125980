"""Every figure of every paper: what its axes are, of which tier and data it is, and no text cut or over another."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from spectral_ssl.jobs import products
from spectral_ssl.papers import PAPERS
from spectral_ssl.plotting import new_figure, titled
from spectral_ssl.stages import Context, tables
from spectral_ssl.stages.figures import drawn

Fill = Callable[..., Context]
ROOM = 1.0  # pixels that boxes may share: they are wider than the ink
UNITS = {
    "accuracy": "%",
    "angle": "rad",
    "share of pairs": "share",
    "time": "s",
    "seconds": "s",
    "seeds agree": "%",
}


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, tuple[Context, dict[str, Figure]]]]:
    """Figures by paper, drawn once for all tests of this module."""
    found: dict[str, tuple[Context, dict[str, Figure]]] = {}
    yield found
    plt.close("all")


@pytest.fixture
def look(
    fill: Fill, known: dict[str, tuple[Context, dict[str, Figure]]]
) -> Callable[[str], tuple[Context, dict[str, Figure]]]:
    def figures(paper: str) -> tuple[Context, dict[str, Figure]]:
        if paper not in known:
            context = fill()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                tables.run(context, paper)
                known[paper] = context, dict(drawn(context, paper))
            for figure in known[paper][1].values():
                figure.draw_without_rendering()  # as before saving
                figure.canvas.draw()
        return known[paper]

    return figures


def boxes(figure: Figure) -> list[tuple[Text, Bbox]]:
    """The texts that are drawn and where: a tick's only if the tick is in view and its axes are shown."""
    unseen: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high or not axes.axison:
                    unseen.add(tick.label1)
            if not axes.axison:
                unseen |= {axis.label, axis.offsetText}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent()) for text in texts if text not in unseen]


def cut(figure: Figure) -> list[str]:
    """Texts that leave the figure."""
    whole = figure.bbox.padded(0.5)
    return [
        text.get_text()
        for text, box in boxes(figure)
        if not (whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1)
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Texts one over the other. Of slanted ones, whose boxes are wider than they are, neighbours are not looked at."""
    found = []
    for (one, here), (other, there) in combinations(boxes(figure), 2):
        wide = min(here.x1, there.x1) - max(here.x0, there.x0)
        high = min(here.y1, there.y1) - max(here.y0, there.y0)
        slanted = one.get_rotation() % 90 and other.get_rotation() % 90
        if wide > ROOM and high > ROOM and not slanted:
            found.append((one.get_text(), other.get_text()))
    return found


def nameless(figure: Figure) -> list[str]:
    """Axes that do not say what they are, nor does a panel that shares the axis or its limits in a row or column."""
    panels = [
        axes for axes in figure.axes if axes.axison and axes.get_subplotspec()
    ]  # a colour bar has its label
    found = []
    for axes in panels:
        for side in ("x", "y"):
            group = getattr(axes, f"get_shared_{side}_axes")().get_siblings(axes)
            if not any(named(each, side) for each in (*group, *beside(axes, panels, side))):
                found.append(f"{side} of panel '{axes.get_title()}'")
    return found


def named(axes: Axes, side: str) -> bool:
    """Whether an axis has a label, or words at its ticks."""
    texts = [label.get_text() for label in getattr(axes, f"get_{side}ticklabels")()]
    words = any(re.search(r"[A-Za-z]{3}", re.sub(r"\\\w+", "", text)) for text in texts)
    return words or bool(getattr(axes, f"get_{side}label")())


def beside(axes: Axes, panels: list[Axes], side: str) -> list[Axes]:
    """The panels of the same column (for x) or row (for y) whose limits are the same."""
    part = "colspan" if side == "x" else "rowspan"
    return [
        other
        for other in panels
        if getattr(other.get_subplotspec(), part) == getattr(axes.get_subplotspec(), part)
        and getattr(other, f"get_{side}lim")() == getattr(axes, f"get_{side}lim")()
    ]


def doubled(figure: Figure) -> list[set[str]]:
    """Names in one panel's lines that are drawn alike."""
    found = []
    for axes in figure.axes:
        styles: dict[tuple[str, ...], set[str]] = {}
        for line in axes.get_lines():
            name = str(line.get_label())
            if not name.startswith("_"):
                style = (
                    line.get_color(),
                    line.get_marker(),
                    line.get_linestyle(),
                    line.get_markerfacecolor(),
                )
                styles.setdefault(tuple(map(str, style)), set()).add(name)
        found += [names for names in styles.values() if len(names) > 1]
    return found


FAULTS = {"cut": cut, "overlapping": overlapping, "nameless": nameless, "drawn alike": doubled}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("paper", PAPERS)
def test_no_figure_has(
    look: Callable[..., tuple[Context, dict[str, Figure]]], paper: str, fault: str
) -> None:
    _, figures = look(paper)
    assert list(figures) == list(products(paper, "figures"))
    found = {name: FAULTS[fault](figure) for name, figure in figures.items()}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("paper", PAPERS)
def test_each_title_names_the_tier_and_the_data(
    look: Callable[..., tuple[Context, dict[str, Figure]]], paper: str
) -> None:
    context, figures = look(paper)
    for name, words in products(paper, "figures").items():
        title, tier = figures[name].get_suptitle().split("\n")
        assert title == words["title"]
        assert tier == f"smoke tier: {words.get('data', context.tier.description)}"


@pytest.mark.parametrize("paper", PAPERS)
def test_what_has_a_unit_says_it(look: Callable[..., tuple[Context, dict[str, Figure]]], paper: str) -> None:
    for name, figure in look(paper)[1].items():
        for axes in figure.axes:
            for label in (axes.get_xlabel(), axes.get_ylabel()):
                for quantity, unit in UNITS.items():
                    assert quantity not in label.lower().split("(")[0] or unit in label, (name, label)


def faulty(change: str) -> Figure:
    """A figure with one fault."""
    figure, (left, right) = new_figure(1, 2)
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], "o-", color="red", label="one")
        axes.set(xlabel="time (s)", ylabel="accuracy (%)")
    titled(figure, "A title", "smoke tier: data")
    if change == "cut":
        figure.text(-0.02, 0.95, "half outside")
    elif change == "overlapping":
        left.set_xticks([0.5, 0.52], ["first", "second"])
    elif change == "nameless":
        right.set(ylabel="", ylim=(0, 2))
    elif change == "drawn alike":
        left.plot([0, 1], [1, 0], "o-", color="red", label="other")
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen_and_no_other(fault: str) -> None:
    for name, check in FAULTS.items():
        assert bool(check(faulty(fault))) == (name == fault), name
    assert not FAULTS[fault](faulty("none"))
    plt.close("all")
