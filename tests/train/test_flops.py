"""FLOPs of a step by hand, by a real step that is counted, and the rates of devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spectral_ssl.methods import build_method
from spectral_ssl.methods.base import Method
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import flops
from spectral_ssl.train.flops import peak_flops, step_flops, utilisation

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def build(tiny_run: Callable[..., RunSettings]) -> Callable[..., Method]:
    optimiser = Optimiser(name="sgd", learning_rate=0.1, weight_decay=0.0, warmup_epochs=0)

    def make(size: int, channels: int, **changes: Any) -> Method:
        run = tiny_run(**({"batch_size": 6, "epochs": 1, "optimiser": optimiser} | changes))
        return build_method(run, size, channels, generator=torch.Generator().manual_seed(0))

    return make


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretends that device 0 has a name; measured rates are 1."""
    monkeypatch.setattr(flops, "_measured", lambda *arguments: 1.0)
    return lambda name: monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)


@pytest.fixture
def tf32() -> Iterator[Callable[[str], None]]:
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    yield lambda precision: setattr(convolutions, "fp32_precision", precision)
    convolutions.fp32_precision = before


def test_an_encoder_and_a_head_by_hand(build: Callable[..., Method]) -> None:
    method = build(8, 1, encoder="mlp", projector="16-d", embedding_dim=4)
    # 64 pixels, 256, 256; then 16, 4. Each product once forward and twice backward, but no gradient for the pixels.
    macs = 3 * (64 * 256 + 256 * 256 + 256 * 16 + 16 * 4) - 64 * 256
    assert step_flops(method, 6, (1, 8, 8)) == 2 * 2 * 6 * macs
    assert step_flops(method, 60, (1, 8, 8)) == 10 * step_flops(method, 6, (1, 8, 8))


def test_a_resnet_18_for_cifar(build: Callable[..., Method]) -> None:
    method = build(32, 3, encoder="resnet18_cifar", projector="none", embedding_dim=512)
    pixels = 32 * 32
    stem = pixels * 27 * 64
    # Four stages of four 3x3 convolutions, each stage with a quarter of the pixels and twice the channels of the last,
    # so with equal products; the first convolution of a stage that halves has half, and a 1x1 shortcut beside it.
    full = pixels * 9 * 64 * 64
    macs = stem + 4 * full + 3 * (3.5 * full + pixels // 4 * 64 * 128)
    assert macs == pytest.approx(0.555e9, rel=1e-3)
    each = step_flops(method, 2, (3, 32, 32)) / 4
    assert each == 2 * (3 * macs - stem)  # 3.33e9


METHODS = {
    "byol": {"loss": "negative_cosine", "options": {"predictor_width": 32}},
    "simsiam": {"loss": "negative_cosine", "projector": "simsiam:32"},
    "moco_v2": {"loss": "info_nce", "options": {"queue": 12}},
    "nnclr": {"loss": "info_nce", "options": {"queue": 12, "predictor_width": 32}},
}


@pytest.mark.parametrize("name", METHODS)
def test_against_a_real_step_less_its_loss(build: Callable[..., Method], name: str) -> None:
    method = build(8, 1, method=name, **METHODS[name])
    views = [torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    with FlopCounterMode(display=False) as counter:
        method.step(*views).terms.total.backward()
    # Queries with 12 keys in the queue, K = 8, forward and backward, twice; neighbours among them and batch with batch.
    most = {"moco_v2": 2 * 2 * (2 * 6 * 12 * 8), "nnclr": 2 * (2 * 6 * 12 * 8) + 2 * 2 * (2 * 6 * 6 * 8)}
    assert 0 <= counter.get_total_flops() - step_flops(method, 6, (1, 8, 8)) <= most.get(name, 0)


def test_a_target_costs_a_third_and_one_direction_half(build: Callable[..., Method]) -> None:
    both = step_flops(build(8, 1, method="moco_v2", **METHODS["moco_v2"]), 6, (1, 8, 8))
    options = {"queue": 12, "symmetric": 0}
    one = step_flops(build(8, 1, method="moco_v2", loss="info_nce", options=options), 6, (1, 8, 8))
    joint = step_flops(build(8, 1), 6, (1, 8, 8))
    assert one * 2 == both
    assert joint < both < joint * 1.4


def test_counting_leaves_the_method_as_it_was(build: Callable[..., Method]) -> None:
    method = build(8, 1, method="moco_v2", **METHODS["moco_v2"]).eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    gather = method.gather
    drawn = torch.random.get_rng_state()
    step_flops(method, 6, (1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())
    assert method.gather is gather
    assert not method.training
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_the_loss_is_not_run(build: Callable[..., Method], monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(8, 1)
    monkeypatch.setattr(method, "loss", lambda *views: pytest.fail("the loss was asked for"))
    assert step_flops(method, 6, (1, 8, 8)) > 0


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA A100 80GB PCIe", "bfloat16", 312),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5),
        ("NVIDIA H200", "bfloat16", 989.4),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165.2),
        ("NVIDIA RTX A6000", "bfloat16", 154.8),
        ("Tesla V100-SXM2-32GB", "float32", 15.7),
    ],
)
def test_published_rates(gpu: Callable[[str], None], name: str, precision: str, tera: float) -> None:
    gpu(name)
    assert peak_flops(CUDA, precision) == tera * 1e12


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "bfloat16"),  # a part of one
        ("NVIDIA GH200 480GB", "bfloat16"),
        ("NVIDIA L40", "bfloat16"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bfloat16"),
        ("Tesla V100-SXM2-32GB", "bfloat16"),  # for which nothing is published
    ],
)
def test_other_devices_are_measured(gpu: Callable[[str], None], name: str, precision: str) -> None:
    gpu(name)
    assert peak_flops(CUDA, precision) == 1


@pytest.mark.parametrize(("convolutions", "tera"), [("tf32", 156), ("ieee", 19.5)])
def test_float32_is_tf32_where_torch_may_use_it(
    gpu: Callable[[str], None], tf32: Callable[[str], None], convolutions: str, tera: float
) -> None:
    gpu("NVIDIA A100-SXM4-40GB")
    tf32(convolutions)
    assert peak_flops(CUDA, "float32") == tera * 1e12


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cpu_is_measured_once(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    found = peak_flops(CPU, precision)
    assert found > 1e8
    monkeypatch.setattr(flops, "time", SimpleNamespace())  # a second measurement would fail
    assert peak_flops(CPU, precision) == found


def test_utilisation_is_a_share_of_the_peak(gpu: Callable[[str], None]) -> None:
    gpu("NVIDIA L4")
    assert utilisation(242e12, 4.0, CUDA, "bfloat16") == pytest.approx(0.5)
