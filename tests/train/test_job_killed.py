"""The job killed at any point: no half run in the results, and the next call ends as if undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_ssl.data.sources import Dataset
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train import job
from spectral_ssl.train.job import Place, run_batch
from spectral_ssl.train.loop import Row

Settings = Callable[..., RunSettings]
Contents = Callable[[Place, RunSettings], dict[str, Any]]
Files = Callable[[Path], list[str]]
Whole = Callable[[Sequence[RunSettings]], list[str]]
Undisturbed = tuple[list[RunSettings], list[Any]]
CPU = torch.device("cpu")


class Killed(BaseException):
    """Like a signal: nothing catches it."""


def kill_in(run: RunSettings, epoch: int = 1) -> Callable[[RunSettings, int, Row], None]:
    def progress(current: RunSettings, done: int, row: Row) -> None:
        if current.id == run.id and done == epoch:
            raise Killed

    return progress


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, digits: Dataset, contents: Contents
) -> Undisturbed:
    """Three runs and what an undisturbed job says of them."""
    runs = [settings(seed=seed) for seed in range(3)]
    root = tmp_path_factory.mktemp("undisturbed")
    place = Place(root / "results", root / "scratch", "c0de", "da7a" * 16)
    run_batch(runs, digits, place, device=CPU)
    return runs, [contents(place, run) for run in runs]


def test_killed_between_runs_publishes_nothing_and_resumes(
    place: Place,
    digits: Dataset,
    undisturbed: Undisturbed,
    trained_runs: list[str],
    contents: Contents,
    files: Files,
    whole: Whole,
) -> None:
    runs, expected = undisturbed
    with pytest.raises(Killed):
        run_batch(runs, digits, place, device=CPU, progress=kill_in(runs[1]))
    assert not place.results.exists()
    assert trained_runs == [runs[0].id, runs[1].id]
    trained_runs.clear()
    statuses = run_batch(runs, digits, place, device=CPU)
    assert trained_runs == [runs[1].id, runs[2].id]  # the finished one is not trained again
    assert [status["run"] for status in statuses] == [run.id for run in runs]
    assert [contents(place, run) for run in runs] == expected
    assert files(place.results) == whole(runs)
    assert files(place.scratch) == []


def test_killed_while_writing_a_runs_files_trains_it_again(
    place: Place,
    digits: Dataset,
    undisturbed: Undisturbed,
    trained_runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    contents: Contents,
) -> None:
    runs, expected = undisturbed

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(job.np, "savez_compressed", kill)
        with pytest.raises(Killed):
            run_batch(runs, digits, place, device=CPU)
    trained_runs.clear()
    run_batch(runs, digits, place, device=CPU)
    assert trained_runs == [run.id for run in runs]
    assert [contents(place, run) for run in runs] == expected


@pytest.mark.parametrize("moved", [0, 1, 4, 5, 6, 9, 17])
def test_killed_while_publishing_resumes(
    place: Place,
    digits: Dataset,
    undisturbed: Undisturbed,
    trained_runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    moved: int,
    contents: Contents,
    files: Files,
    whole: Whole,
) -> None:
    runs, expected = undisturbed
    done: list[str] = []

    def killed_at(real: Callable[..., Any]) -> Callable[..., Any]:
        def move(source: Path, target: Path, **options: Any) -> Any:
            if len(done) == moved:
                raise Killed
            done.append(str(source))
            return real(source, target, **options)

        return move

    with monkeypatch.context() as patch:
        for name in ("move", "copyfile"):
            patch.setattr(shutil, name, killed_at(getattr(shutil, name)))
        with pytest.raises(Killed):
            run_batch(runs, digits, place, device=CPU)
    for status in place.results.rglob("status.json"):  # its presence says that the run is whole
        assert {path.name for path in status.parent.iterdir()} == set(RUN_FILES)
    trained_runs.clear()
    run_batch(runs, digits, place, device=CPU)
    assert trained_runs == []
    assert [contents(place, run) for run in runs] == expected
    assert files(place.results) == whole(runs)
    assert files(place.scratch) == []


def test_an_earlier_result_is_replaced(
    place: Place, settings: Settings, digits: Dataset, contents: Contents, files: Files, whole: Whole
) -> None:
    run = settings(epochs=1)
    folder = place.results / run.id
    folder.mkdir(parents=True)
    for name in RUN_FILES:
        (folder / name).write_text("from another machine")
    run_batch([run], digits, place, device=CPU)
    assert contents(place, run)["status"]["status"] == "finished"
    assert files(place.results) == whole([run])


def test_other_code_or_data_shares_no_unfinished_run(
    place: Place, settings: Settings, digits: Dataset, trained_runs: list[str]
) -> None:
    runs = [settings(seed=seed, epochs=1) for seed in range(2)]
    with pytest.raises(Killed):
        run_batch(runs, digits, place, device=CPU, progress=kill_in(runs[1]))
    for other in (
        Place(place.results, place.scratch, "0ther", place.data_hash),
        Place(place.results, place.scratch, place.code, "ffff" * 16),
    ):
        trained_runs.clear()
        run_batch(runs, digits, other, device=CPU)
        assert trained_runs == [run.id for run in runs]


@pytest.mark.parametrize("copied", [0, 1, 5])
def test_killed_over_an_earlier_result_leaves_none_that_looks_whole(
    place: Place, settings: Settings, digits: Dataset, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    run = settings(epochs=1)
    folder = place.results / run.id
    folder.mkdir(parents=True)
    for name in RUN_FILES:
        (folder / name).write_text("earlier")
    done: list[str] = []

    def killed_at(real: Callable[..., Any]) -> Callable[..., Any]:
        def move(source: Path, target: Path, **options: Any) -> Any:
            if len(done) == copied:
                raise Killed
            done.append(str(source))
            return real(source, target, **options)

        return move

    for name in ("move", "copyfile"):
        monkeypatch.setattr(shutil, name, killed_at(getattr(shutil, name)))
    with pytest.raises(Killed):
        run_batch([run], digits, place, device=CPU)
    assert not (folder / "status.json").exists()


def test_killed_while_clearing_up_ends_as_undisturbed(
    place: Place,
    digits: Dataset,
    undisturbed: Undisturbed,
    contents: Contents,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs, expected = undisturbed

    def half(folder: Path, **_: Any) -> None:
        (folder / "encoder.safetensors").unlink(missing_ok=True)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(Killed):
            run_batch(runs, digits, place, device=CPU)
    run_batch(runs, digits, place, device=CPU)
    assert [contents(place, run) for run in runs] == expected
    assert files(place.scratch) == []
