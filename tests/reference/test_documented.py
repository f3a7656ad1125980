"""The numbers that docs/reference.md quotes are those of the committed results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean

import pytest

from spectral_ssl.report import reference

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs" / "reference.md").read_text(encoding="utf-8").split())


def tenths(difference: str) -> str:
    """A difference and its interval to one decimal, as the page quotes it."""
    return re.sub(r"[+-]\d+\.\d+", lambda found: f"{float(found[0]):+.1f}", difference)


def test_what_a_difference_may_come_from() -> None:
    (section,) = (
        one for one in reference.sections(ROOT, ROOT / "report.html") if one["tier"].name == "cpu-5k"
    )
    first, *changed = section["changed"]
    assert f"Last-epoch accuracy is {float(first['accuracy']):.1f} %" in TEXT
    assert len(changed) == 5
    for line in changed:
        assert tenths(line["difference"]) in TEXT, line


@pytest.mark.parametrize(
    ("method", "words"), [("simclr", "SimCLR"), ("spectral", "the spectral loss"), ("simsiam", "SimSiam")]
)
def test_table_1_in_small(method: str, words: str) -> None:
    runs = (ROOT / "reference" / "cpu-jpeg75" / "runs").glob(f"cifar10-jpeg75-{method}-*/probe.json")
    found = [json.loads(path.read_text(encoding="utf-8"))["linear_last"] for path in runs]
    assert len(found) == 2
    assert f"{words} {100 * fmean(found):.1f} %" in TEXT
