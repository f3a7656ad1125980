"""A results folder that may not be written, by the file system or by its rights: one line, and nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from . import trials
from .trials import Stages

NOBODY = 65534


@pytest.mark.parametrize("stage", ["data", "views", "pretrain", "own", "networks", "theorems"])
def test_a_disk_that_is_read_only_is_told_in_one_line(
    prepared: Stages, mount: Callable[[str], Path], stage: str
) -> None:
    work = prepared.works[stage]
    folder = prepared.copy(mount("size=200m") / "checkout")
    before = trials.contents(folder, work)
    mount("ro")
    answer = prepared.run(folder, work)
    (line,) = answer["said"].splitlines()
    assert (answer["status"], line.startswith("error: ")) == (2, True), answer
    assert "Read-only file system" in line
    assert trials.contents(folder, work) == before


@pytest.mark.parametrize("stage", ["data", "views", "pretrain", "own", "networks"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's rights")
def test_a_folder_of_another_user_is_told_in_one_line(
    prepared: Stages, mount: Callable[[str], Path], stage: str
) -> None:
    work = prepared.works[stage]
    folder = prepared.copy(mount("size=200m,mode=755") / "checkout")
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    answer = prepared.run(folder, work, user=NOBODY)
    (line,) = answer["said"].splitlines()
    assert (answer["status"], "Permission denied" in line) == (2, True), answer
