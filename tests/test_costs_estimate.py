"""Predictions from made rows whose answer is known, arithmetic against networks that are built, and what is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from spectral_ssl.costs.arithmetic import network, peak
from spectral_ssl.costs.estimate import LINEAR_EPOCHS, SHARE, Cost, Estimator
from spectral_ssl.costs.images import LABELLED, WHOLE, labelled, shape
from spectral_ssl.costs.records import Costs, Kind, Rate, StageCost
from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.probe import linear_sgd
from spectral_ssl.methods import build_method
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Data, Optimiser
from spectral_ssl.train.flops import step_flops

OPTIMISER = Optimiser(name="adamw", learning_rate=1e-3, weight_decay=0.0, warmup_epochs=0)
SHAPE = (100, 40, 8, 1)
VIEWS = 2 * 10 * 96  # ten epochs of three batches of 32


@pytest.fixture
def settings(tiny_run: Callable[..., RunSettings]) -> Callable[..., RunSettings]:
    return lambda **changes: tiny_run(**({"epochs": 10, "batch_size": 32, "optimiser": OPTIMISER} | changes))


def row(run: RunSettings, device: str = "cpu", **changes: Any) -> Rate:
    """Runs as this one trained at 480 (320 to 640) views a second, were probed in 0.5 s and started in 3 s."""
    kind = Kind.of(vars(run), SHAPE[2:], {}, device)
    made = Rate(
        kind=kind, runs=4, views_per_second=480.0, low=320.0, high=640.0, threads=1, train=100, test=40,
        probes="knn draws=2", probing_seconds=0.5, start_seconds=3.0, weights_bytes=1000.0, features_bytes=600.0,
        other_bytes=50.0, settings=vars(run),
    )  # fmt: skip
    return replace(made, **changes)


def predict(costs: Costs, run: RunSettings, device: str = "cpu", **changes: Any) -> tuple[Cost, Estimator]:
    estimator = Estimator(costs, device, **changes)
    return estimator.run(run, SHAPE, SHAPE[0], {}), estimator


def test_a_run_of_a_measured_kind(settings: Callable[..., RunSettings]) -> None:
    found, estimator = predict(Costs([row(settings())]), settings(seed=3))
    assert found == Cost(VIEWS / 480 + 0.5, VIEWS / 640 + 0.5, VIEWS / 320 + 0.5, 1650.0, VIEWS / 480 + 0.5)
    assert not estimator.why
    assert estimator.start == Cost(3.0, 3.0, 3.0, 0.0, 3.0)


def test_runs_here_count_before_committed_ones(settings: Callable[..., RunSettings]) -> None:
    committed = row(settings(), views_per_second=100.0, low=90.0, processor="another", runs=99)
    found, estimator = predict(Costs([row(settings()), committed]), settings())
    assert (found.seconds, found.high) == (VIEWS / 480 + 0.5, VIEWS / 320 + 0.5)
    assert list(estimator.used) == [""]


def test_rows_of_one_machine_join_their_spread(settings: Callable[..., RunSettings]) -> None:
    found, _ = predict(Costs([row(settings()), row(settings(), runs=1, low=100.0, high=700.0)]), settings())
    assert (found.low, found.high) == (VIEWS / 700 + 0.5, VIEWS / 100 + 0.5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"embedding_dim": 16}, " with this embedding dimension:"),
        ({"loss": "simclr"}, " with this method:"),
        ({"batch_size": 20}, " with this batch size:"),
        (
            {"batch_size": 20, "projector": "linear", "loss": "simclr"},
            " with this method, projector and batch size:",
        ),
        ({"encoder": "mlp"}, ":"),
        ({"precision": "bfloat16"}, " with this precision:"),
    ],
)
def test_a_run_of_another_kind_is_scaled_by_its_arithmetic_and_never_measured(
    settings: Callable[..., RunSettings], change: dict[str, Any], told: str
) -> None:
    run = settings(**change)
    found, estimator = predict(Costs([row(settings())]), run)

    def flops(of: RunSettings) -> float:
        method = build_method(of, 8, 1, generator=torch.Generator().manual_seed(0))
        return step_flops(method, 2, (1, 8, 8)) / 4

    views = 2 * 10 * (100 // run.batch_size) * run.batch_size
    probing = found.seconds - views / (480 * flops(settings()) / flops(run))
    assert found.measured == 0.0
    width = {"mlp": 256 / 64}.get(run.encoder, 1.0)
    assert probing == pytest.approx(0.5 * width)
    (why,) = [text for text in estimator.why if text.startswith("no history of " + run.encoder)]
    assert f"px, {run.precision}, on cpu{told} scaled by " in why
    assert (
        "scaled by multiplications and additions from the nearest, conv_narrow at 8 px, float32, on cpu"
        in why
    )


def test_the_nearest_has_the_same_encoder_before_the_same_method(
    settings: Callable[..., RunSettings],
) -> None:
    same_encoder = row(settings(loss="simclr"), views_per_second=200.0)
    same_method = row(settings(encoder="mlp"), views_per_second=9000.0)
    found, _ = predict(Costs([same_method, same_encoder]), settings())
    assert found.seconds == pytest.approx(VIEWS / 200 + 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"projector": "d-d-d"}, {"projector": "64-32-d", "embedding_dim": 24}, {"projector": "linear"},
        {"projector": "none", "embedding_dim": 64}, {"projector": "spectral:48", "loss": "spectral"},
        {"projector": "byol:32", "method": "byol", "loss": "negative_cosine"}, {"projector": "moco:32"},
        {"projector": "simsiam:32", "method": "simsiam", "loss": "negative_cosine"}, {"encoder": "mlp"},
    ],
)  # fmt: skip
def test_counted_networks_are_those_that_train(
    settings: Callable[..., RunSettings], change: dict[str, Any]
) -> None:
    run = settings(**change)
    method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(0))
    found = network(vars(run), 8, 1)
    assert found.flops == step_flops(method, 32, (1, 8, 8)) / 64
    assert found.width == method.representation_dim
    stored = sum(tensor.numel() * tensor.element_size() for tensor in method.encoder.state_dict().values())
    assert found.weights_bytes == stored


def test_a_gpu_that_nobody_measured_has_a_share_of_its_peak(settings: Callable[..., RunSettings]) -> None:
    run = settings(precision="bfloat16")
    found, estimator = predict(Costs([row(settings())]), run, "NVIDIA A100")
    seconds = VIEWS * network(vars(run), 8, 1).flops / 312e12
    assert found.low - 0.5 == pytest.approx(seconds / SHARE["high"])
    assert found.high - 0.5 == pytest.approx(seconds / SHARE["low"])
    assert found.measured == 0.0
    assert (
        "no history of conv_narrow at 8 px, bfloat16, on cuda (NVIDIA A100), nor of any GPU: 20% (10% to 30%) of its "
        "published peak, 312 TFLOP/s"
    ) in estimator.why
    assert estimator.start.measured == 0.0


def test_a_measured_gpu_counts_before_a_peak(settings: Callable[..., RunSettings]) -> None:
    costs = Costs(
        [row(settings()), row(settings(), "NVIDIA L4", views_per_second=960.0, probing_seconds=0.25)]
    )
    found, _ = predict(costs, settings(), "NVIDIA L4")
    assert (found.seconds, found.measured) == (VIEWS / 960 + 0.25, VIEWS / 960 + 0.25)
    other, estimator = predict(costs, settings(), "NVIDIA A100")
    assert (other.seconds, other.measured) == (VIEWS / 960 + 0.25, 0.0)
    assert "from the nearest, conv_narrow at 8 px, float32, on cuda (NVIDIA L4)" in next(iter(estimator.why))


def test_peaks_by_name() -> None:
    assert peak("NVIDIA A100-SXM4-80GB", "bfloat16") == 312e12
    assert peak("NVIDIA A100", "float32") == 156e12  # TF32
    with pytest.raises(
        UserError, match=r"^unknown device 'NVIDIA A10'; did you mean 'NVIDIA A100'\? known: "
    ):
        peak("NVIDIA A10", "bfloat16")
    with pytest.raises(
        UserError, match=r"^unknown precision of Tesla V100-SXM2 'bfloat16'; .*known: float32, tf32$"
    ):
        peak("Tesla V100-SXM2", "bfloat16")


def test_threads_and_processes_share_the_work(settings: Callable[..., RunSettings]) -> None:
    found, estimator = predict(Costs([row(settings(threads=2), threads=2)]), settings(threads=2), threads=2)
    assert (found.seconds, found.measured) == (VIEWS / 960 + 0.5, VIEWS / 960 + 0.5)
    found, estimator = predict(Costs([row(settings())]), settings(threads=4), threads=4)
    assert (found.seconds, found.measured) == (VIEWS / 1920 + 0.5, 0.5)
    assert list(estimator.why) == ["4 threads a job where 1 were measured: taken as proportional"]


def test_probes_that_nobody_measured_are_no_measurement(settings: Callable[..., RunSettings]) -> None:
    found, estimator = predict(Costs([row(settings())]), settings(draws=9))
    assert (found.seconds, found.measured) == (VIEWS / 480 + 0.5, VIEWS / 480)
    assert list(estimator.why) == ["no history of probes as here: as long as measured ones (knn draws=2)"]
    estimator = Estimator(Costs([row(settings())]), "cpu")
    run = settings(probes=["linear"], augmented_probe=True)
    more = estimator.run(run, (200, 80, 8, 1), 200, {}).seconds - 2 * 10 * 192 / 480
    assert more == pytest.approx(2 * 0.5 + LINEAR_EPOCHS * 200 / 3 / 480)
    assert inspect.signature(linear_sgd).parameters["epochs"].default == LINEAR_EPOCHS


def test_probing_that_was_not_timed_here_is_that_of_another_row(settings: Callable[..., RunSettings]) -> None:
    here = row(settings(), probing_seconds=None, start_seconds=None)
    found, _ = predict(Costs([here, row(settings(), processor="another")]), settings())
    assert found.seconds == VIEWS / 480 + 0.5
    found, estimator = predict(Costs([here]), settings())
    assert (found.seconds, list(estimator.why)) == (VIEWS / 480, ["no history of probing: not counted"])
    assert estimator.start == Cost()
    assert estimator.stages_why == {"no history of a job's start: not counted": {"pretrain": None}}


def test_disk_of_more_images_is_in_proportion_up_to_those_kept(settings: Callable[..., RunSettings]) -> None:
    estimator = Estimator(Costs([row(settings())]), "cpu")
    weights = network(vars(settings()), 8, 1).weights_bytes
    assert estimator.run(settings(), (100, 80, 8, 1), 100, {}).bytes == weights + 2 * 600 + 50
    assert estimator.run(settings(), (100, 9000, 8, 1), 100, {}).bytes == weights + 50 * 600 + 50


def test_nothing_measured_at_all_is_told(settings: Callable[..., RunSettings]) -> None:
    with pytest.raises(
        UserError, match=r"^found no measured run; expected some in results/ or .*: run a tier first$"
    ):
        predict(Costs(), settings())


def test_other_stages_are_measured_only_with_their_tier_and_work() -> None:
    made = [
        StageCost("tables", "a", "here", 6.0, 100.0, 300.0),
        StageCost("tables", "b", "here", 9.0, 100.0, 300.0),
        StageCost("data", "x", "here", 2.0, 10.0, 1000.0),
        StageCost("data", "y", "here", 5.0, 10.0, 4000.0),
        StageCost("networks", "z", "here", 5.0, 10.0, 0.0),
    ]
    estimator = Estimator(Costs([], made), "cpu")
    assert estimator.stage("tables", "a", "here", 300.0) == Cost(6.0, 6.0, 6.0, 100.0, 6.0)
    assert estimator.stages_why == {}
    assert estimator.stage("tables", "b", "there", 300.0) == Cost(9.0, 9.0, 9.0, 100.0, 0.0)
    # Beyond the shortest job's 2 s, which it takes to start.
    assert estimator.stage("tables", "a", "here", 150.0) == Cost(4.0, 4.0, 4.0, 100.0, 0.0)
    assert estimator.stage("tables", "a", "here", 600.0).seconds == 10.0
    assert estimator.stage("data", "w", "there", 9000.0).seconds == pytest.approx(
        10.0
    )  # on the line through both
    assert estimator.stage("data", "w", "there", 1.0).seconds == 2.0
    assert estimator.stage("networks", "z", "here", 2400.0) == Cost(
        5.0, 5.0, 5.0, 10.0, 0.0
    )  # its work is not known
    assert estimator.stage("views", "", "here", 1.0) == Cost()
    assert {why: list(stages) for why, stages in estimator.stages_why.items()} == {
        "no history of this tier's, as long as at tier here": ["tables"],
        "no history of this work, in proportion to other work of this tier": ["tables"],
        "no history of this tier's, in proportion to its work from tier here": ["data"],
        "no history of this work, as long as other work of this tier": ["networks"],
        "no history, not counted": ["views"],
    }


def test_images_before_they_are_ingested(tmp_path: Any) -> None:
    assert shape(Data(name="digits"), tmp_path) == WHOLE["digits"]
    assert shape(Data(name="factors", image_size=16, train_limit=1024, test_limit=512), tmp_path) == (
        1024,
        512,
        16,
        3,
    )
    assert shape(Data(name="imagenet"), tmp_path) is None  # its images have no one side
    assert shape(Data(name="folder", path="x"), tmp_path) is None
    (tmp_path / "meta.json").write_text('{"image_shape": [9, 9, 3], "counts": {"train": 7, "test": 5}}')
    assert shape(Data(name="folder", path="x"), tmp_path) == (7, 5, 9, 3)
    unlabelled = Data(name="stl10")
    assert labelled(unlabelled, WHOLE["stl10"]) == LABELLED["stl10"] == 5000


@pytest.mark.parametrize("name", ["digits", "factors"])
def test_known_numbers_of_images_are_those_ingested(name: str, tmp_path: Any) -> None:
    from spectral_ssl.data.sources import ingest

    meta = ingest(name, tmp_path / name)
    assert (*meta["counts"].values(), meta["image_shape"][0], meta["image_shape"][2]) == WHOLE[name]
