"""Results that were cut, or left by a command that was killed: named and made again, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

AFTER = {"tables_garrido2023", "figures_garrido2023", "notebook_garrido2023", "report"}


@contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """A file with other bytes for a while; its time stays, as after a power cut."""
    before, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def one(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize(
    ("pattern", "rules"),
    [
        ("figures/tiny/garrido2023/*.png", AFTER - {"tables_garrido2023"}),
        ("results/tiny/tables/garrido2023/*.csv", AFTER),
        ("results/tiny/reports/haochen2021.html", {"notebook_haochen2021", "report"}),
        ("results/report.html", {"report"}),
    ],
)
def test_what_was_cut_is_named_and_made_again(finished: Any, pattern: str, rules: set[str]) -> None:
    file = one(finished.folder, pattern)
    name, size = file.relative_to(finished.folder).as_posix(), file.stat().st_size
    with replaced(file, file.read_bytes()[:10]):
        assert finished.plan() == rules
        said = finished.snakemake("--dry-run").stderr
    assert f"{name}: it has 10 bytes and had {size} when it was written; a run makes it again" in said
    assert finished.plan() == set()


def test_a_batch_with_one_file_cut_is_trained_again(finished: Any) -> None:
    file = one(finished.folder, "results/tiny/runs/digits-vicreg-*/history.csv")
    lines = file.read_bytes().splitlines(keepends=True)
    with replaced(file, b"".join(lines[:-1])):  # a whole line is lost: no reader would find anything wrong
        planned = finished.plan()
    assert len({rule for rule in planned if rule.startswith("pretrain_digits_vicreg_")}) == 1
    assert len([rule for rule in planned if rule.startswith("pretrain_")]) == 1
    assert planned >= AFTER


def test_what_a_killed_command_left_is_made_again(finished: Any) -> None:
    file = finished.folder / "results/tiny/receipts/figures/garrido2023.json"
    receipt = json.loads(file.read_text(encoding="utf-8"))
    with replaced(file, json.dumps(receipt | {"begun": True}).encode()):
        assert finished.plan() == AFTER - {"tables_garrido2023"}


def test_the_repair_has_the_bytes_of_before(finished: Any) -> None:
    file = one(finished.folder, "figures/tiny/garrido2023/*.pdf")
    before = file.read_bytes()
    file.write_bytes(before[: len(before) // 2])
    done = finished.snakemake()
    assert done.returncode == 0, done.stderr[-3000:]
    assert file.read_bytes() == before
    assert finished.plan() == set()
