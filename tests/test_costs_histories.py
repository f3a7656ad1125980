"""Finished runs read as costs: folders whose costs are known, damaged ones, and the table there and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectral_ssl.costs.histories import Finished, costs_of, finished_runs, fit_outside, read_results, timings
from spectral_ssl.costs.records import COMMITTED, Costs, read_table, write_table
from spectral_ssl.errors import UserError
from spectral_ssl.layout import Layout
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser

OPTIMISER = Optimiser(name="adamw", learning_rate=1e-3, weight_decay=0.0, warmup_epochs=0)
TRAIN, TEST, SIDE = 100, 40, 8


class Made:
    """A tier's results folder, written run by run and job by job."""

    def __init__(self, root: Path, settings: Callable[..., RunSettings]) -> None:
        self.layout = Layout("made", root)
        self.settings = settings
        meta = {"image_shape": [SIDE, SIDE, 1], "counts": {"train": TRAIN, "test": TEST}}
        self.layout.data("digits").mkdir(parents=True)
        (self.layout.data("digits") / "meta.json").write_text(json.dumps(meta))

    def run(self, seconds: float, batch: str, told: dict[str, Any] | None = None, **changes: Any) -> Path:
        """A run of ten epochs of 96 images that trained for so long."""
        run = self.settings(**({"epochs": 10, "batch_size": 32, "optimiser": OPTIMISER} | changes))
        folder = self.layout.runs / run.id
        folder.mkdir(parents=True)
        provenance = {
            "settings": run.model_dump(mode="json"), "device": "cpu", "threads": run.threads,
            "training_seconds": seconds, "command": ["__main__.py", "pretrain", "--batch", batch],
        }  # fmt: skip
        (folder / "provenance.json").write_text(json.dumps(provenance | (told or {})))
        (folder / "status.json").write_text(json.dumps({"status": "finished", "epochs": run.epochs}))
        for name, size in (("encoder.safetensors", 1000), ("features.npz", 600)):
            (folder / name).write_bytes(bytes(size))
        return folder

    def timed(self, path: str, seconds: object) -> None:
        """The workflow's timing of a job."""
        file = self.layout.results / "benchmarks" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")


@pytest.fixture
def made(tmp_path: Path, tiny_run: Callable[..., RunSettings]) -> Made:
    return Made(tmp_path, tiny_run)


def test_a_rate_is_views_of_whole_epochs_over_seconds(made: Made) -> None:
    made.run(4.0, "a", seed=0)
    made.run(5.0, "a", seed=1)
    made.run(8.0, "a", seed=2)
    (rate,) = costs_of(made.layout).rates
    views = 2 * 10 * 96  # 100 images give three batches of 32
    assert (rate.views_per_second, rate.low, rate.high) == (views / 5, views / 8, views / 4)
    assert (rate.runs, rate.threads, rate.train, rate.test) == (3, 1, TRAIN, TEST)
    assert (rate.weights_bytes, rate.features_bytes) == (1000, 600)
    folder = next(made.layout.runs.iterdir())
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert rate.other_bytes == pytest.approx(total - 1600, abs=2)


def test_threads_of_a_cpu_share_a_rate_and_those_beside_a_gpu_do_not(made: Made) -> None:
    made.run(1.0, "a", seed=0, threads=4)
    made.run(1.0, "a", {"device": "NVIDIA L4"}, seed=1, threads=4)
    made.run(1.0, "a", {"device": "NVIDIA L4", "engine": {"processes": 2}}, seed=2, threads=4)
    rates = {
        (rate.kind.device, rate.kind.engine): rate.views_per_second for rate in costs_of(made.layout).rates
    }
    assert rates == {("cpu", ""): 480.0, ("NVIDIA L4", ""): 1920.0, ("NVIDIA L4", "processes=2"): 960.0}


def test_what_a_rate_depends_on_tells_kinds_apart(made: Made) -> None:
    for seed, change in enumerate(
        [{"embedding_dim": 4}, {"batch_size": 16}, {"loss": "simclr"}, {"encoder": "mlp"}]
    ):
        made.run(1.0, "a", seed=seed, **change)
    made.run(1.0, "a", {"engine": {"together": 12, "readers": 4}}, seed=7)
    kinds = [rate.kind for rate in costs_of(made.layout).rates]
    assert len(set(kinds)) == 5
    assert sorted(kind.engine for kind in kinds) == ["", "", "", "", "together=12"]


def test_start_and_probing_are_told_apart_by_jobs_of_several_sizes(made: Made) -> None:
    for batch, size in (("a", 1), ("b", 3), ("c", 6)):
        for seed in range(size):
            made.run(2.0, batch, seed=seed, embedding_dim=ord(batch))
        made.timed(f"pretrain/{batch}.tsv", 5.0 + size * (2.0 + 0.25))
    rates = costs_of(made.layout).rates
    assert [rate.start_seconds for rate in rates] == pytest.approx([5.0] * 3)
    assert [rate.probing_seconds for rate in rates] == pytest.approx([0.25] * 3)


def _job(size: int, outside: float) -> tuple[float, list[Finished]]:
    run = object.__new__(Finished)
    object.__setattr__(run, "seconds", 1.0)
    return size + outside, [run] * size


def test_the_fit_is_least_squares_and_never_negative() -> None:
    points = [(1, 6.0), (3, 6.4), (8, 7.1), (12, 8.3)]
    columns = np.array([[1.0, n] for n, _ in points])
    expected = np.linalg.lstsq(columns, np.array([t for _, t in points]), rcond=None)[0]
    assert fit_outside([_job(*point) for point in points]) == pytest.approx(tuple(expected))
    assert fit_outside([_job(2, 3.0), _job(2, 5.0)]) == pytest.approx((0.0, 2.0))  # one size: all is probing
    assert fit_outside([_job(1, 5.0), _job(9, 4.0)]) == pytest.approx((4.5, 0.0))
    assert fit_outside([_job(1, 0.1), _job(9, 9.0)])[0] == 0.0
    assert fit_outside([_job(4, -1.0)]) == (None, None)  # resumed: its timing is of the last part only


def test_other_stages_have_seconds_bytes_and_work(made: Made) -> None:
    made.run(2.0, "a")
    made.timed("data/digits.tsv", 1.5)
    made.timed("tables/haochen2021.tsv", 3.0)
    made.timed("notebooks/haochen2021.tsv", 2.0)
    made.timed("networks/simclr.tsv", 9.0)
    made.timed("networks/vicreg.tsv", 9.0)
    made.timed("views.tsv", 4.0)
    place = made.layout.networks("simclr")
    place.mkdir(parents=True)
    (place / "ends.csv").write_text("seed,step\n0,800\n1,800\n0,200\n")
    found = {(row.stage, row.job): (row.seconds, row.work) for row in costs_of(made.layout).stages}
    assert found == {
        ("data", "digits"): (1.5, (TRAIN + TEST) * SIDE * SIDE),
        ("tables", "haochen2021"): (3.0, 1.0),
        ("notebook", "haochen2021"): (2.0, 1.0),
        ("networks", "simclr"): (9.0, 1600.0),
        ("networks", "vicreg"): (9.0, 0.0),  # nothing tells its steps
        ("views", ""): (4.0, 1.0),
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("provenance.json", '{"settings": ', "JSONDecodeError"),
        ("provenance.json", "[]", "TypeError"),
        (
            "provenance.json",
            '{"settings": {}, "training_seconds": 1}',
            "ValidationError: ",
        ),
        ("provenance.json", '{"settings": {}, "training_seconds": 0}', "ValueError: training_seconds is 0.0"),
        (
            "provenance.json",
            '{"settings": {}, "training_seconds": NaN}',
            "ValueError: training_seconds is nan",
        ),
        ("status.json", '{"epochs": "many"}', "ValueError"),
    ],
)
def test_a_damaged_run_is_skipped_with_a_note(made: Made, name: str, text: str, said: str) -> None:
    made.run(2.0, "a", seed=0)
    bad = made.run(2.0, "a", seed=1)
    (bad / name).write_text(text)
    runs, (note,) = finished_runs(made.layout)
    assert len(runs) == 1
    assert note.startswith("skipped 1 runs of ")
    assert f"the first {bad.name} ({said}" in note


def test_a_run_of_a_version_without_some_settings_is_read_with_their_defaults(made: Made) -> None:
    old = made.run(2.0, "a", seed=0)
    made.run(2.0, "a", seed=1)
    told = json.loads((old / "provenance.json").read_text())
    for name in ("options", "relation"):
        del told["settings"][name]
    (old / "provenance.json").write_text(json.dumps(told))
    runs, notes = finished_runs(made.layout)
    assert (len(runs), notes) == (2, [])
    assert runs[0].kind == runs[1].kind
    assert all((run.settings["options"], run.settings["relation"]) == ({}, "views") for run in runs)


def test_a_run_of_settings_that_nobody_knows_is_skipped_with_a_note(made: Made) -> None:
    made.run(2.0, "a", seed=0)
    strange = made.run(2.0, "a", seed=1)
    told = json.loads((strange / "provenance.json").read_text())
    told["settings"]["surprise"] = 1
    (strange / "provenance.json").write_text(json.dumps(told))
    runs, (note,) = finished_runs(made.layout)
    assert len(runs) == 1
    assert f"the first {strange.name} (ValidationError: 1 validation error for RunSettings surprise" in note


def test_a_run_without_an_epoch_counts_for_nothing(made: Made) -> None:
    folder = made.run(2.0, "a")
    (folder / "status.json").write_text(json.dumps({"status": "diverged", "epochs": 0}))
    assert finished_runs(made.layout) == ([], [])


def test_a_damaged_timing_is_skipped_with_a_note(made: Made) -> None:
    made.timed("views.tsv", "soon")
    made.timed("report.tsv", 3.0)
    notes: list[str] = []
    assert dict(timings(made.layout.results / "benchmarks", notes)) == {("report", ""): 3.0}
    assert notes == [f"skipped {made.layout.results}/benchmarks/views.tsv, which is no timing (ValueError)"]


def test_nothing_finished_costs_nothing(tmp_path: Path) -> None:
    assert read_results(tmp_path) == Costs()
    assert read_table(tmp_path / "costs.csv") == Costs()


def test_the_table_comes_back_as_it_was(made: Made, tmp_path: Path) -> None:
    made.run(4.0, "a", seed=0)
    made.run(5.0, "b", {"engine": {"together": 12}}, seed=1)
    made.timed("pretrain/a.tsv", 6.5)
    made.timed("theorems/haochen2021.tsv", 3.0)
    costs = read_results(tmp_path, machine=("a processor", 2))
    write_table(tmp_path / "costs.csv", costs)
    again = read_table(tmp_path / "costs.csv")
    assert again == costs
    assert again.rates[0].machine == "a processor, 2 cores"
    write_table(tmp_path / "again.csv", again)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "costs.csv").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            ",480,",
            ",fast,",
            "line 2 is no measured cost (ValueError: could not convert string to float: 'fast')",
        ),
        (",480,", ",-480,", "line 2 is no measured cost (ValueError: views_per_second is -480)"),
        ("views_per_second", "speed", "line 2 is no measured cost (KeyError: 'views_per_second')"),
    ],
)
def test_a_damaged_table_is_told_in_one_line(
    made: Made, tmp_path: Path, old: str, new: str, said: str
) -> None:
    made.run(4.0, "a")
    path = tmp_path / "costs.csv"
    write_table(path, costs_of(made.layout))
    text = path.read_text().replace("480.0", "480", 1)
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_table(path)
    assert said in str(error.value)
    assert str(error.value).endswith("make it again with benchmarks/costs.py")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"stage\n\xff\xfe\n", "cannot be read as CSV ('utf-8' codec can't decode byte 0xff"),
        (b"", "has no row"),
        (b"stage,processor\n", "has no row"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: {said}")
    assert str(error.value).endswith("; make it again with benchmarks/costs.py")


def test_the_committed_table_names_machines_but_no_host() -> None:
    costs = read_table(COMMITTED)
    assert costs.rates
    assert all(rate.processor and rate.cores and rate.flops and rate.width for rate in costs.rates)
    assert all(rate.low <= rate.views_per_second <= rate.high for rate in costs.rates)
    assert {row.stage for row in costs.stages} >= {
        "data",
        "views",
        "theorems",
        "tables",
        "figures",
        "notebook",
    }
