"""The data command: every data set of a tier, or the one that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl.__main__ import main
from spectral_ssl.layout import DATA_FILES

SMALL = ("data.train_limit=20", "data.test_limit=20", "companions.factors.data.train_limit=16")


def ingest(root: Path, *words: str) -> int:
    overrides = [word for value in SMALL for word in ("--set", value)]
    return main(["data", "--tier", "smoke", "--root", str(root), *overrides, *words])


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ((), ["digits", "factors"]),
        (("--dataset", "digits"), ["digits"]),
        (("--dataset", "factors"), ["factors"]),
    ],
    ids=["all", "main", "companion"],
)
def test_it_writes_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], written: list[str]
) -> None:
    assert ingest(tmp_path, *words) == 0
    folder = tmp_path / "results" / "smoke" / "data"
    assert sorted(path.name for path in folder.iterdir()) == written
    for name in written:
        assert {path.name for path in (folder / name).iterdir()} == set(DATA_FILES)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == written
    assert all(line.endswith(f"in {folder / name}") for line, name in zip(said, written, strict=True))


def test_it_says_nothing_when_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(tmp_path, "--dataset", "digits", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_data_set_that_the_tier_lacks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(tmp_path, "--dataset", "factor") == 2
    said = "error: unknown data set of this tier 'factor'; did you mean 'factors'? known: digits, factors\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "results").exists()
