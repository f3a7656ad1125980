"""The job: whole runs or none, siblings unharmed, killed and resumed as if undisturbed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from spectral_ssl.data.sources import Dataset
from spectral_ssl.errors import UserError
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.provenance import read_json, sha256_file
from spectral_ssl.train import evaluation, group, job
from spectral_ssl.train.job import Place, run_batch

Settings = Callable[..., RunSettings]
Contents = Callable[[Place, RunSettings], dict[str, Any]]
Files = Callable[[Path], list[str]]
Whole = Callable[[Sequence[RunSettings]], list[str]]
CPU = torch.device("cpu")


def wild(settings: Settings, **changes: Any) -> RunSettings:
    """A run whose loss truly overflows: a learning rate of 1e30."""
    optimiser = settings().optimiser.model_copy(update={"learning_rate": 1e30, "name": "sgd"})
    return settings(optimiser=optimiser, **changes)


def test_a_batch_leaves_every_file_of_every_run(
    place: Place,
    settings: Settings,
    digits: Dataset,
    trained_runs: list[str],
    contents: Contents,
    files: Files,
    whole: Whole,
) -> None:
    runs = [settings(seed=seed, epochs=1) for seed in range(2)]
    seen: list[tuple[str, int]] = []
    statuses = run_batch(
        runs, digits, place, device=CPU, progress=lambda run, epoch, _: seen.append((run.id, epoch))
    )
    assert statuses == [{"run": run.id, "status": "finished", "epochs": 1} for run in runs]
    assert trained_runs == [run.id for run in runs]
    assert seen == [(run.id, 1) for run in runs]
    assert files(place.results) == whole(runs)
    assert files(place.scratch) == []
    assert contents(place, runs[0])["encoder"] != contents(place, runs[1])["encoder"]


def test_files_hold_what_they_promise(
    place: Place, settings: Settings, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "KEPT_FEATURES", 30)
    run = settings(probes=["knn", "few1"], seed=3)
    run_batch([run], digits, place, device=CPU)
    folder = place.results / run.id
    weights = load_file(folder / "encoder.safetensors")
    assert weights["layers.0.weight"].shape == (16, 1, 3, 3)
    assert not any(name.startswith("head") for name in weights)

    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    terms = history[["invariance", "variance", "covariance"]].sum(axis=1)
    np.testing.assert_allclose(history["loss"], terms, rtol=1e-5)

    text = (folder / "probe.json").read_text()
    probe = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in probe.values())
    assert probe["online"] == pytest.approx(history["online_accuracy"].iloc[-1], rel=1e-5)
    assert {"knn", "few1", "few1_std", "numerical_rank_embedding", "embedding_norm_mean"} <= probe.keys()
    assert {"separation_before", "separation_after", "head_parameters"} <= probe.keys()
    assert {"embedding_gram_dominance", "representation_dimension_concentration"} <= probe.keys()
    assert 1 <= probe["numerical_rank_embedding"] <= 8

    features = np.load(folder / "features.npz")
    shapes = {name: features[name].shape for name in features.files}
    assert shapes == {
        "representations": (30, 64),
        "embeddings": (30, 8),
        "labels": (30,),
        "agreement": (2, 2, 50),  # before and after training; positive and random pairs
    }
    kept = [k * 50 // 30 for k in range(30)]
    assert features["labels"].tolist() == digits.test_labels[kept].tolist()
    assert np.abs(features["agreement"]).max() <= 1 + 1e-6

    provenance = read_json(folder / "provenance.json")
    assert RunSettings(**provenance["settings"]) == run
    assert (provenance["code"], provenance["data_sha256"]) == ("c0de", "da7a" * 16)
    assert (provenance["device"], provenance["threads"]) == ("cpu", torch.get_num_threads())
    assert provenance["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert provenance["packages"]["numpy"] == np.__version__
    assert provenance["training_seconds"] == pytest.approx(history["seconds"].sum(), abs=2e-3)
    assert provenance["encoder_sha256"] == sha256_file(folder / "encoder.safetensors")


def test_status_is_written_and_moved_last(
    place: Place, settings: Settings, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(epochs=1)
    write = job.write_json
    at_writing: list[list[str]] = []

    def watched(path: Path, value: Any) -> None:
        if path.name == "status.json":
            at_writing.append(sorted(other.name for other in path.parent.iterdir()))
        write(path, value)

    monkeypatch.setattr(job, "write_json", watched)
    run_batch([run], digits, place, device=CPU)
    assert at_writing == [sorted({*RUN_FILES, job.WHOLE} - {"status.json"})]
    assert RUN_FILES[-1] == "status.json"


def test_divergence_is_a_result_and_stops_no_sibling(
    place: Place,
    settings: Settings,
    digits: Dataset,
    tmp_path: Path,
    contents: Contents,
    files: Files,
    whole: Whole,
) -> None:
    before, after = settings(epochs=1), settings(epochs=1, seed=1)
    lost = wild(settings)
    statuses = run_batch([before, lost, after], digits, place, device=CPU)
    assert [status["status"] for status in statuses] == ["finished", "diverged", "finished"]
    assert statuses[1]["run"] == lost.id
    assert statuses[1]["epochs"] == statuses[1]["epoch"] - 1
    assert statuses[1]["term"] in {"invariance", "variance", "covariance"}
    assert 1 <= statuses[1]["step"] <= 6
    assert files(place.results) == whole([before, lost, after])
    found = contents(place, lost)
    assert found["probe"] == {}
    assert found["status"] == statuses[1]
    assert sum(map(len, found["features"].values())) == 0
    assert len(pd.read_csv(place.results / lost.id / "history.csv")) == statuses[1]["epochs"]
    alone = Place(tmp_path / "alone", tmp_path / "scratch", "c0de", "da7a" * 16)
    run_batch([after], digits, alone, device=CPU)
    assert contents(place, after) == contents(alone, after)


@pytest.mark.parametrize("steps_survived", [1, 3, 4], ids=["first epoch", "end of epoch", "second epoch"])
def test_history_of_a_diverged_run_keeps_its_finished_epochs(
    place: Place,
    settings: Settings,
    digits: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    steps_survived: int,
) -> None:
    rates = [0.01] * (steps_survived - 1) + [math.nan] * 9  # weights are NaN after this step
    monkeypatch.setattr(group, "learning_rate", lambda _, step, *__: rates[step])
    run = settings()
    status = run_batch([run], digits, place, device=CPU)[0]
    finished = 0 if steps_survived <= 3 else 1
    assert (status["status"], status["epochs"], status["epoch"]) == ("diverged", finished, finished + 1)
    history = pd.read_csv(place.results / run.id / "history.csv")
    assert history["epoch"].tolist() == list(range(1, finished + 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 101},
            "batch_size is 101, but digits has 100 training images; set training.batch_size to at most 100",
        ),
        (
            {"hyperparameters": {"covarience": 1.0}},
            "unknown hyperparameter of vicreg 'covarience'; did you mean 'covariance'? known: ",
        ),
        ({"loss": "vicrag"}, "unknown loss 'vicrag'; did you mean 'vicreg'? known: "),
    ],
    ids=["batch size", "hyperparameter", "loss"],
)
def test_what_cannot_be_is_refused_before_anything_trains(
    place: Place,
    settings: Settings,
    digits: Dataset,
    trained_runs: list[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError) as caught:
        run_batch([settings(), settings(**changes)], digits, place, device=CPU)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert trained_runs == []
    assert not place.results.exists()
    assert not place.scratch.exists()


def test_a_batch_of_the_whole_data_set_trains(place: Place, settings: Settings, digits: Dataset) -> None:
    run = settings(batch_size=100, epochs=1)
    assert run_batch([run], digits, place, device=CPU)[0]["status"] == "finished"


def test_the_augmented_linear_probe_sees_new_crops_each_epoch_and_leaves_the_others_alone(
    digits: Dataset, settings: Callable[..., RunSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    original = evaluation.linear_sgd

    def watched(*data: Any, resampled: Callable[[], Any], **options: Any) -> Any:
        drawn.extend([resampled(), resampled()])
        return original(*data, resampled=resampled, **options)

    monkeypatch.setattr(evaluation, "linear_sgd", watched)
    found = {}
    for augmented in (False, True):
        run = settings(probes=["linear", "knn"], augmented_probe=augmented)
        where = Place(tmp_path / "runs", tmp_path / "scratch", "code", "0" * 64)
        run_batch([run], digits, where, device=torch.device("cpu"))
        found[augmented] = read_json(tmp_path / "runs" / run.id / "probe.json")
    assert len(drawn) == 2
    assert drawn[0].shape == (100, 64)
    assert not torch.equal(drawn[0], drawn[1])
    assert found[True]["knn"] == found[False]["knn"]
    assert found[True]["linear_train"] != found[False]["linear_train"]
    assert found[True].keys() == found[False].keys()
