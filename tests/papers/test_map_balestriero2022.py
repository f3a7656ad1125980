"""The map of correspondences: numbers from made-up checks, in their own units, and a figure without overlaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from spectral_ssl.papers import read
from spectral_ssl.papers.balestriero2022 import correspondences as module
from spectral_ssl.papers.balestriero2022 import figures, tables
from spectral_ssl.papers.balestriero2022.map_figure import _power
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.stages import Context
from spectral_ssl.theorems.check import run

Fill = Callable[..., Context]
ARROWS = read("balestriero2022/published.yaml")["correspondences"]["rows"]


def check(angle: float = 2e-8, **changed: Any) -> dict[str, Any]:
    """A finished check of an arrow; `changed` overrides its fields, `detail` whole."""
    detail = {"principal angle": angle, "loss gap": 1e-15, module._ALONE: 0.25}
    fields = {"measured": 0.5, "instances": 20, "tolerance": 1e-6, "verdict": "holds"}
    return {**fields, "control_verdict": "fails", "detail": detail} | changed


def made(checks: Mapping[str, dict[str, Any]]) -> Table:
    names = (name for arrow in ARROWS.values() for name in arrow["checks"])
    theorems = {name: checks.get(name, check()) for name in names}
    return tables.correspondences(SimpleNamespace(theorems=theorems))  # type: ignore[arg-type]


MIXED = {
    "laplacian-eigenmaps": check(control_verdict="holds"),
    "lpp": check(verdict="fails", detail={}),
    "barlow-lda": check(
        verdict="differs", detail=check()["detail"] | {"principal angle of the printed form": 3.2e-3}
    ),
}


def test_an_angle_is_the_largest_and_counts_what_it_is_of() -> None:
    assert module.measured(check()) == ("largest principal angle", "rad", 2e-8, 15)
    theirs = check()["detail"] | {"principal angle to scikit-learn's": 5e-8}
    assert module.measured(check(detail=theirs)).value == 5e-8


def test_what_is_no_angle_is_called_none() -> None:
    assert module.measured(check(detail={})) == ("what the check compares", "dimensionless", 0.5, 20)
    tied = check()["detail"] | {module._ALONE: 1.0, "principal angle": 0.0}
    assert module.measured(check(detail=tied)) == ("loss gap, relative", "dimensionless", 1e-15, 20)


def test_every_arrow_is_on_the_map_once() -> None:
    assert set(module.TARGETS) == set(ARROWS)
    tidy = made({}).tidy
    assert tidy["arrow"].tolist() == list(module.TARGETS)
    assert set(tidy["family"]) == {"contrastive", "non-contrastive"}
    assert tidy.query("label == 'NNCLR'")["when"].item() == "free representation, G from nearest neighbours"


def test_verdicts_and_printed_forms() -> None:
    table = made(MIXED)
    tidy, shown = table.tidy.set_index("arrow"), table.shown
    assert tidy.loc["vicreg-laplacian-eigenmaps", "verdict"] == "inconclusive"  # its control passes
    assert tidy.loc["vicreg-lpp", "verdict"] == "fails"
    assert tidy.loc["barlow-twins-lda", "printed_form"] == 3.2e-3
    assert tidy["printed_form"].notna().sum() == 1
    angles = shown["largest angle (rad)"].tolist()
    assert angles[4] == "2e-08; as printed at least 0.0032"
    assert angles[1] == "what the check compares 0.5"  # no angle: its cell says so
    assert shown["recovers"].tolist()[0] == "Laplacian eigenmaps (local)"
    assert shown["instances"].tolist()[:2] == ["15 of 20", "20 of 20"]


@pytest.mark.parametrize("name", ["barlow-lda", "laplacian-eigenmaps"])
def test_the_checks_keep_the_angles_that_the_map_shows(name: str) -> None:
    result = run(f"balestriero2022/{name}", instances=3, seed=2)
    found = module.measured(vars(result))
    assert found.unit == "rad"
    assert 0 < found.value < 1e-6
    printed = result.detail.get("principal angle of the printed form")
    assert (printed == result.detail["printed form"]) if name == "barlow-lda" else printed is None


def drawn(tidy: pd.DataFrame, folder: Path) -> Figure:
    """As the stage draws it: from the CSV, with a title of two lines."""
    tidy.to_csv(folder / "tidy.csv", index=False, float_format="%.6g")
    figure = figures.map({"correspondences": pd.read_csv(folder / "tidy.csv")})
    figure.suptitle("Figure 1: the map of correspondences\nlaptop tier: graphs", fontsize=9)
    figure.canvas.draw()
    return figure


def test_no_word_overlaps_another_nor_leaves_the_figure(tmp_path: Path) -> None:
    figure = drawn(made(MIXED).tidy, tmp_path)
    assert figure.get_figwidth() == 6.75
    words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [text.get_window_extent() for text in words]
    assert len(boxes) >= 20 + 4 + 8
    for index, box in enumerate(boxes):
        name = words[index].get_text()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, name
        for other, place in zip(words[index + 1 :], boxes[index + 1 :], strict=True):
            assert not box.overlaps(place), (name, other.get_text())


def test_an_arrow_says_condition_number_and_unit(tmp_path: Path) -> None:
    texts = [text.get_text() for text in drawn(made(MIXED).tidy, tmp_path).axes[0].texts]
    assert texts.count("linear network") == 3
    assert "largest angle $2.0 \\times 10^{-8}$ rad" in texts
    assert "largest angle $2.0 \\times 10^{-8}$ rad (as printed $\\geq$ $3.2 \\times 10^{-3}$)" in texts
    assert "what the check compares $5.0 \\times 10^{-1}$" in texts


def test_verdicts_differ_by_dash_and_mark_too(tmp_path: Path) -> None:
    figure = drawn(made(MIXED).tidy, tmp_path)
    marks = [
        line for line in figure.axes[0].get_children() if isinstance(line, Line2D) and len(line.get_xdata())
    ]
    assert len(marks) == len(ARROWS)
    looks = {(str(line.get_marker()), str(line.get_linestyle())) for line in marks}
    assert len(looks) == 4
    assert len({mark for mark, _ in looks}) == 3
    assert len({dash for _, dash in looks}) == 4
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 4
    assert [text.get_text() for text in drawn(made({}).tidy, tmp_path).legends[0].get_texts()] == ["holds"]


def test_arrows_do_not_cross() -> None:
    """From top to bottom losses and spectral methods come in one order."""
    tidy = made({}).tidy
    for column in ("label", "target"):
        places = tidy.groupby(column, sort=False).groups.values()
        assert all(np.ptp(list(rows)) == len(rows) - 1 for rows in places)


def test_checks_without_details_are_shown_all_the_same(fill: Fill, tmp_path: Path) -> None:
    tidy = tables.correspondences(Inputs(fill(), "balestriero2022")).tidy
    assert tidy["quantity"].eq("what the check compares").all()
    assert tidy["value"].eq(0.25).all()
    assert len(drawn(tidy, tmp_path).axes) == 1


def test_a_number_that_is_none_is_written_out() -> None:
    assert (_power(float("inf")), _power(float("nan")), _power(0.0)) == ("inf", "nan", "0")
