"""What `make docs` takes from a run: counts and comparisons of a ledger, and pictures."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spectral_ssl.papers import claims

ROOT = Path(__file__).parents[1]
COLUMNS = ("paper", "entry", "kind", "printed", "measured", "ci_low", "ci_high", "seeds", "tier", "verdict")
ROWS = [
    ("haochen2021", "table1/a", "value", "90", "80", "79", "81", "4", "laptop", "not run at this tier"),
    ("haochen2021", "table2/a", "order", "A > B (2 > 1)", "1.23456", "0.5", "2", "4.0", "laptop", "holds"),
    ("haochen2021", "table2/b", "same", "A | B", "3", "2", "4", "4", "laptop", "differs"),
    (
        "garrido2023",
        "text/simclr-abs-on-par",
        "same",
        "On par.",
        "-1",
        "-3",
        "1",
        "4",
        "laptop",
        "inconclusive",
    ),
    ("garrido2023", "figure1", "figure", "Both.", "", "", "", "", "laptop", "differs"),
    ("garrido2023", "statement/x", "statement", "X", "1e-9", "", "", "", "laptop", "differs"),
    ("garrido2023", "other", "novel", "Y", "", "", "", "", "laptop", "holds"),
    ("garrido2023", "text/simclr-abs-on-par", "same", "On par.", "9", "8", "9", "2", "smoke", "holds"),
]


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    return pd.DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in ROWS if row[-2] == "laptop"])


@pytest.fixture
def names() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "findings.py"))


@pytest.fixture
def pictures() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "pictures.py"))


def test_counts(names: dict[str, Any], ledger: pd.DataFrame) -> None:
    lines = names["counts"](ledger).splitlines()
    assert lines[0] == "| entries | holds | differs | inconclusive | not run at this tier | underspecified |"
    assert lines[2:] == [
        "| printed values | 0 | 0 | 0 | 1 | 0 |",
        "| orders, samenesses, ranges, correlations | 1 | 1 | 1 | 0 | 0 |",
        "| statements and arrows of the map | 0 | 1 | 0 | 0 | 0 |",
        "| figures and keypoints, by the worst of their parts | 0 | 1 | 0 | 0 | 0 |",
        "| novel | 1 | 0 | 0 | 0 | 0 |",
    ]


def test_the_page_sorts_entries_by_what_was_found(names: dict[str, Any], ledger: pd.DataFrame) -> None:
    differs, decided, undecided = names["document"](ledger).split("\n## ")[2:]
    assert re.findall(r"^\| `\w+` `(\S+)`", differs, flags=re.M) == ["table2/b", "statement/x"]
    assert "| `garrido2023` `statement/x` | X | | | differs |" in differs
    assert "| `haochen2021` `table2/b` | A \\| B | 3 [2, 4] | 4 | differs |" in differs
    assert "| `haochen2021` `table2/a` | A > B (2 > 1) | 1.23 [0.5, 2] | 4 | holds |" in decided
    assert re.findall(r"^\| `\w+` `(\S+)`", undecided, flags=re.M) == ["text/simclr-abs-on-par"]


def test_the_choice_names_entries_that_are_there(names: dict[str, Any], ledger: pd.DataFrame) -> None:
    for paper, entry in names["CHOICE"]:
        assert claims(paper)[entry]["kind"] in names["COMPARED"]
    assert names["choice"](ledger) == (
        "- **inconclusive**: On par. Measured -1 [-3, 1], 4 seeds: `text/simclr-abs-on-par`"
    )


def test_both_files_are_written_and_other_text_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any]
) -> None:
    main = names["main"]
    monkeypatch.setitem(main.__globals__, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    csv = tmp_path / "ledger.csv"
    monkeypatch.setattr("sys.argv", ["findings.py", "--ledger", str(csv)])
    with pytest.raises(SystemExit, match=r"error: .*ledger.csv is not there; run `make reproduce` first"):
        main()
    frame = pd.DataFrame(ROWS, columns=list(COLUMNS))
    frame[frame["tier"] == "smoke"].to_csv(csv, index=False)
    with pytest.raises(SystemExit, match="has no entry of the laptop tier"):
        main()
    frame.to_csv(csv, index=False)
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- verdicts -->\nold\n<!-- /verdicts -->\nb\n")
    with pytest.raises(SystemExit, match=r"README\.md has 0 places between the marks 'choice' and '/choice'"):
        main()
    readme.write_text(
        "a\n<!-- verdicts -->\nold\n<!-- /verdicts -->\nb\n<!-- choice -->\n<!-- /choice -->\nc\n"
    )
    main()
    once = readme.read_text()
    main()
    assert readme.read_text() == once
    assert once.startswith("a\n<!-- verdicts -->\n\n| entries |")
    assert "\nold\n" not in once
    assert once.endswith("`text/simclr-abs-on-par`\n\n<!-- /choice -->\nc\n")
    assert "9 [8, 9]" not in once  # the smoke tier's
    assert (tmp_path / "docs" / "findings.md").read_text().startswith("# What the laptop tier finds\n")


def test_readme_and_page_are_of_one_ledger() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- verdicts -->\n\n(.*?)\n\n<!-- /verdicts -->", readme, flags=re.S)
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert f"## Verdicts\n\n{table}\n\n## What differs" in page
    for line in re.findall(r"^- \*\*(\w+)\*\*: .*`(\S+)`$", readme, flags=re.M):
        assert re.search(rf"`{re.escape(line[1])}` .* {line[0]} \|$", page, flags=re.M)


def test_pictures_are_copied_all_or_none(tmp_path: Path, pictures: dict[str, Any]) -> None:
    text = "![a](docs/img/haochen2021-table1.png)\n![b](docs/img/rulegraph.svg) ![c](docs/img/garrido2023-figure1.png)"
    assert pictures["wanted"](text) == [("haochen2021", "table1"), ("garrido2023", "figure1")]
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "docs" / "img").mkdir(parents=True)
    drawn = tmp_path / "figures" / "laptop"
    for paper, figure in pictures["wanted"](text)[:1]:
        (drawn / paper).mkdir(parents=True)
        (drawn / paper / f"{figure}.png").write_bytes(b"1")
    with pytest.raises(SystemExit, match=r"error: figures/laptop/garrido2023/figure1.png is not there"):
        pictures["copy"](tmp_path)
    assert list((tmp_path / "docs" / "img").iterdir()) == []
    (drawn / "garrido2023").mkdir()
    (drawn / "garrido2023" / "figure1.png").write_bytes(b"2")
    pictures["copy"](tmp_path)
    assert (tmp_path / "docs" / "img" / "garrido2023-figure1.png").read_bytes() == b"2"
    assert (tmp_path / "docs" / "img" / "haochen2021-table1.png").read_bytes() == b"1"
