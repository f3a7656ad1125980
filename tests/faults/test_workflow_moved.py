"""Results that are moved: what runs again, and what cannot be vouched for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .workflow import Faulty


def moved(few: tuple[Faulty, float], project: Faulty, tmp_path: Path, names: list[str]) -> Faulty:
    """Another checkout, into which these folders of finished jobs are moved."""
    copy = project.copy(tmp_path / "another path")
    for name in names:
        shutil.copytree(few[0].folder / name, copy.folder / name)
    return copy


def test_results_moved_with_their_records_rerun_nothing(few, project: Faulty, tmp_path: Path) -> None:
    copy = moved(few, project, tmp_path, ["results", ".snakemake"])
    assert copy.plan(*copy.few()) == set()


@pytest.mark.slow
def test_results_moved_without_their_records_are_taken_as_they_are(
    few, project: Faulty, tmp_path: Path
) -> None:
    copy = moved(few, project, tmp_path, ["results"])
    assert copy.plan(*copy.few()) == set()  # Snakemake goes by times and has nothing to compare code with


@pytest.mark.slow
def test_the_summary_says_what_it_cannot_vouch_for(whole, project: Faulty, tmp_path: Path) -> None:
    copy = moved(whole, project, tmp_path, ["results", "figures"])
    assert copy.plan() == set()
    shutil.rmtree(copy.folder / "results/tiny/receipts/tables")
    said = copy.stage("summary")
    assert "tables/haochen2021" in said.stdout + said.stderr
    assert said.returncode == 2
