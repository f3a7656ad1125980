"""What the report says of a difference's causes: one thing changed at a time, over seeds, on another data set too."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest

from spectral_ssl.report import reference

from .made import Bench

WHY = """
why:
  title: causes
  runs:
    - {experiment: haochen2021/table1, methods: [spectral], where: {epochs: 2}, seeds: [0, 1]}
    - {method: spectral, settings: {dataset: again}, seeds: [0, 1], changed: other files}
    - {method: spectral, settings: {hyperparameters.projection: sphere}, seeds: [1], changed: on the sphere}
"""


def test_differences_are_paired_by_seed() -> None:
    lines = reference.compared(
        {
            "as listed": {0: 0.50, 1: 0.52, 2: 0.60},
            "moved": {0: 0.51, 1: 0.54},
            "one seed": {2: 0.55},
            "of other seeds": {7: 0.9},
        }
    )
    half = (
        12.7062 * sqrt(0.5) / sqrt(2)
    )  # Student's t of one degree of freedom; deviations of 1 and 2 are +-0.5
    assert lines == [
        {"what": "as listed", "accuracy": "54.00", "difference": "", "seeds": "3"},
        {
            "what": "moved",
            "accuracy": "52.50",
            "difference": f"+1.50 [{1.5 - half:+.2f}, {1.5 + half:+.2f}]",
            "seeds": "2",
        },
        {"what": "one seed", "accuracy": "55.00", "difference": "-5.00", "seeds": "1"},
    ]
    assert reference.compared({"as listed": {}, "moved": {0: 0.5}}) == []


@pytest.mark.usefixtures("capsys")
def test_an_item_with_seeds_and_another_data_set(bench: Callable[[str], Bench], tmp_path: Path) -> None:
    made = bench(WHY)
    again = {"data": {"name": "folder", "label": "again", "path": str(made.archive)}, "recipes": True}
    assert made.run(companions=json.dumps({"other": again})) == 0
    assert len(made.runs) == 5
    assert sorted(path.name for path in made.reference.layout.data("").iterdir()) == ["again", "jpeg"]
    (section,) = reference.sections(tmp_path, tmp_path / "report.html")
    first, best, other, sphere = section["changed"]
    assert (first["seeds"], best["seeds"], other["seeds"], sphere["seeds"]) == ("2", "2", "2", "1")
    # The same images under another name: the same runs but for that name.
    assert other["difference"] == "+0.00 [+0.00, +0.00]"
    assert other["accuracy"] == first["accuracy"]
    assert best["what"] == "the best test epoch of the probe instead of its last"
    assert float(best["difference"].split()[0]) >= 0
