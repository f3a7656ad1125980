"""The merged report: every tier present, nothing from the network, nothing that a value can smuggle in."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.jobs import products
from spectral_ssl.papers import PAPERS, paper_statements, statements
from spectral_ssl.papers.evidence import COLUMNS
from spectral_ssl.papers.statements import misprints
from spectral_ssl.provenance import read_json, write_json, write_text
from spectral_ssl.report.theorems import evidence
from spectral_ssl.stages import Context, report

CONFIG = Path(__file__).parents[2] / "config"
SMUGGLED = "<script>alert('x')</script>"
THEOREM_COLUMNS = (
    "tier,paper,statement,kind,measured,expected,tolerance,instances,verdict,control_verdict,seconds"
)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.image.imsave(path, np.zeros((2, 2, 3)))


def tree(root: Path, tier: str, **changed: Any) -> Context:
    """What the report reads of one tier: a row a paper in the ledger, every check, tables and pictures."""
    context = Context(load_tier(tier, folder=CONFIG), root, quiet=True)
    layout = context.layout
    for paper in PAPERS:
        row = dict.fromkeys(COLUMNS, "") | {"paper": paper, "entry": "table1/cell", "tier": tier}
        row |= {"printed": "88.66", "measured": "87.123456", "verdict": "holds", "rule": "a rule"} | changed
        write_text(layout.tables(paper) / "ledger.csv", pd.DataFrame([row]).to_csv(index=False))
        for name in products(paper, "tables"):
            write_text(layout.tables(paper) / f"{name}.md", f"**Caption**\n\n| a |\n|:--|\n| {SMUGGLED} |\n")
        for name in products(paper, "figures"):
            picture(layout.figures(paper) / f"{name}.png")
        write_text(layout.report(paper).with_suffix(".html"), "<p>A notebook</p>")
        for name in paper_statements(paper):
            check = {
                "paper": paper,
                "statement": name,
                "kind": "identity",
                "measured": 1e-16,
                "expected": 0.0,
            }
            check |= {"tolerance": 1e-9, "instances": 3, "verdict": "holds", "control_verdict": "fails"}
            check |= {
                "seconds": 0.1,
                "text": {"title": "A < B & C", "control": "dropped", "statement": "A proof."},
            }
            check |= {"detail": {"misprint: no square": 0.25, "control: wrong": 0.5, "loss gap": 3e-16}}
            write_json(layout.theorem(paper, name), check)
    picture(layout.views(context.tier.data.slug, context.tier.training.augmentation) / "contact_sheet.png")
    return context


class Page(HTMLParser):
    """Every address that a page asks for, and every tag that it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]


def page(context: Context) -> str:
    assert report.run(context) == 0
    return (context.root / "results" / "report.html").read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke"))
    for address in Page(text).addresses:
        assert address.startswith(("#", "?", "data:", "smoke/", "../figures/smoke/")), address[:80]
    assert not re.search(r"https?:|//cdn|@import|url\(", text.replace("http://www.w3.org/2000/svg", ""))


def test_notebooks_are_linked_relative_to_the_page(tmp_path: Path) -> None:
    addresses = Page(page(tree(tmp_path, "smoke"))).addresses
    assert {f"smoke/reports/{paper}.html" for paper in PAPERS} <= set(addresses)
    assert {f"#{paper}" for paper in PAPERS} <= set(addresses)


@pytest.mark.parametrize("column", ["entry", "printed", "measured", "protocol", "location", "rule"])
def test_values_are_escaped(tmp_path: Path, column: str) -> None:
    plain = Page(page(tree(tmp_path / "plain", "smoke"))).tags.count("script")
    text = page(tree(tmp_path / "smuggled", "smoke", **{column: SMUGGLED}))
    assert "&lt;script&gt;alert(" in text
    assert SMUGGLED not in text
    assert Page(text).tags.count("script") == plain


def test_a_value_cannot_leave_its_attribute(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke", verdict='holds" onclick="alert(1)'))
    assert 'onclick="alert' not in text


def test_ids_are_unique_and_every_picture_is_described(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke"))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert all('alt="' in tag for tag in re.findall(r"<img [^>]*>", text))
    assert '<html lang="en">' in text


def test_every_tier_present_is_merged_this_one_first(tmp_path: Path) -> None:
    tree(tmp_path, "gpu")
    tree(tmp_path, "laptop")
    context = tree(tmp_path, "smoke")
    report.run(context)
    ledger = pd.read_csv(tmp_path / "results" / "ledger.csv")
    assert list(ledger.columns) == COLUMNS
    assert list(dict.fromkeys(ledger["tier"])) == ["smoke", "gpu", "laptop", "engine"]
    assert len(ledger) == 3 * len(PAPERS) + 3  # and the engine's aims
    theorems = pd.read_csv(tmp_path / "results" / "theorems.csv")
    assert ",".join(theorems.columns) == THEOREM_COLUMNS
    assert len(theorems) == 3 * sum(len(paper_statements(paper)) for paper in PAPERS)


def test_reference_results_are_merged_last_and_named_so(tmp_path: Path) -> None:
    tree(tmp_path, "gpu")
    (tmp_path / "reference").mkdir()
    (tmp_path / "results" / "gpu").rename(tmp_path / "reference" / "gpu")
    report.run(tree(tmp_path, "smoke"))
    ledger = pd.read_csv(tmp_path / "results" / "ledger.csv")
    assert list(dict.fromkeys(ledger["tier"])) == ["smoke", "gpu (reference)", "engine"]
    theorems = pd.read_csv(tmp_path / "results" / "theorems.csv")
    assert list(dict.fromkeys(theorems["tier"])) == ["smoke", "gpu (reference)"]


def test_a_tier_that_is_not_finished_is_left_out(tmp_path: Path) -> None:
    unfinished = tree(tmp_path, "gpu")
    (unfinished.layout.tables("garrido2023") / "ledger.csv").unlink()
    context = tree(tmp_path, "smoke")
    assert [layout.tier for layout in report.present(context)] == ["smoke"]


def test_the_ledgers_numbers_are_kept_in_the_csv_and_rounded_on_the_page(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke"))
    assert "<div>87.12</div>" in text
    assert "<div>87.123456" not in text
    assert "87.123456" in (tmp_path / "results" / "ledger.csv").read_text(encoding="utf-8")


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    context = tree(tmp_path, "smoke")
    assert page(context) == page(context)


def test_a_statement_without_a_finite_number_is_shown_as_it_is(tmp_path: Path) -> None:
    context = tree(tmp_path, "smoke")
    path = context.layout.theorem("haochen2021", "cheeger")
    write_json(path, read_json(path) | {"measured": "nan", "verdict": "fails"})
    assert page(context)
    row = pd.read_csv(tmp_path / "results" / "theorems.csv").set_index("statement").loc["cheeger"]
    assert row["verdict"] == "fails"


def change(context: Context, name: str, **changed: Any) -> None:
    """Change the fields of one check's result."""
    path = context.layout.theorem(*name.split("/"))
    write_json(path, read_json(path) | changed)


def folded(text: str, name: str) -> str:
    """What the page shows of one statement."""
    return text.split(f'<details class="statement" id="{name.replace("/", "-")}">')[1].split(
        '<details class="statement"'
    )[0]


def test_every_statement_is_linked_and_shown_in_formulas(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke"))
    for paper in PAPERS:
        for name in paper_statements(paper):
            shown = folded(text, f"{paper}/{name}")
            assert f'<a href="#{paper}-{name}">{name}</a>' in text
            assert '<math display="block">' in shown
            for expected in (
                "<dd>1e-16</dd>",
                "<dd>0 ± 1e-09</dd>",
                "failed, as it must",
                "A proof.",
                "<dd>3e-16</dd>",
            ):
                assert expected in shown, (name, expected)
    count = sum(len(paper_statements(paper)) for paper in PAPERS)
    assert f"All checks together took {0.1 * count:.1f} s." in text


def test_a_printed_form_that_is_wrong_stands_beside_the_corrected_one(tmp_path: Path) -> None:
    text = page(tree(tmp_path, "smoke"))
    shown = folded(text, "garrido2023/double-normalisation")
    assert shown.index("as printed") < shown.index("corrected")
    assert "as printed" not in folded(text, "garrido2023/theorem-3.3")


def test_a_broken_check_and_a_failure_are_told(tmp_path: Path) -> None:
    context = tree(tmp_path, "smoke")
    change(context, "garrido2023/welch", control_verdict="holds")
    change(context, "garrido2023/theorem-3.3", verdict="fails", measured="nan")
    context.layout.theorem("garrido2023", "lemma-3.4").unlink()
    text = page(context)
    assert "PASSED: the check is broken" in folded(text, "garrido2023/welch")
    assert '<span class="v fails">fails</span>' in folded(text, "garrido2023/theorem-3.3")
    assert "<dd>nan</dd>" in folded(text, "garrido2023/theorem-3.3")
    assert '<span class="v">not run</span>' in folded(text, "garrido2023/lemma-3.4")


def test_the_words_of_a_check_are_escaped(tmp_path: Path) -> None:
    context = tree(tmp_path, "smoke")
    words = {"title": SMUGGLED, "control": SMUGGLED, "statement": SMUGGLED}
    change(context, "garrido2023/equation-8", detail={SMUGGLED: SMUGGLED}, text=words)
    text = page(context)
    assert SMUGGLED not in text
    assert folded(text, "garrido2023/equation-8").count("&lt;script&gt;") == 5


def test_a_misprint_shows_its_number_from_the_check_or_that_it_has_none(tmp_path: Path) -> None:
    context = tree(tmp_path, "smoke")
    change(context, "garrido2023/double-normalisation", detail={"misprint: N - M": 0.0123456})
    text = page(context).split('<h2 id="misprints">')[1]
    assert "<b>0.01235</b>: least relative residual of the printed form" in text
    assert "<b>0.25</b>: least relative residual of Lemma 3.2 without the square" in text
    numbers = [number for misprint in misprints().values() for number in misprint.numbers]
    assert text.count("not measured") == len(numbers) - 2


def test_a_detail_is_grouped_by_what_its_keys_begin_with() -> None:
    detail = {"control: b": 2, "family regular": 1e-9, "simclr: N": 2.0, "simclr: K": 1.0, "alone: x": "none"}
    assert evidence(detail | {"misprint: N - M": -0.98765}) == {
        "evidence": [("alone: x", "none")],
        "negative control": [("b", "2")],
        "worst by family": [("regular", "1e-09")],
        "simclr": [("N", "2"), ("K", "1")],
        "misprints": [("N - M", "-0.9877")],
    }
    assert evidence({}) == {}


def test_an_interval_stands_beside_its_number() -> None:
    detail = {
        "rate": -1.01,
        "rate: high": -0.9,
        "rate: low": -1.1,
        "interval low": 1,
        "interval high": 20000.0,
        "a low": 0,
    }
    assert evidence(detail) == {
        "evidence": [("rate", "-1.01 (-1.1 to -0.9)"), ("a low", "0"), ("interval", "1 to 20000")]
    }


def test_a_statement_without_a_text_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tree(tmp_path, "smoke")
    monkeypatch.setattr(statements, "paper_statements", lambda paper: ["lemma-9"])
    with pytest.raises(
        UserError, match=r"^papers/haochen2021/statements.yaml has no lemma-9: expected an entry"
    ):
        report.run(context)
    assert not (tmp_path / "results" / "theorems.csv").exists()
