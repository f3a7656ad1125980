"""Heads: what a name means, layer by layer, and which names are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spectral_ssl.errors import UserError
from spectral_ssl.models.heads import get_head, parameter_count
from spectral_ssl.models.specification import parse_head


def head(spec: str, input_dim: int, embedding_dim: int | None, seed: int = 0) -> nn.Sequential:
    return get_head(spec, input_dim, embedding_dim, generator=torch.Generator().manual_seed(seed))


def layers(module: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in module]


@pytest.mark.parametrize(
    ("spec", "widths"),
    [
        ("d", (64, 32)),
        ("d-d-d", (64, 32, 32, 32)),
        ("2048-d", (64, 2048, 32)),
        ("256-256-d", (64, 256, 256, 32)),
        ("linear", (64, 32)),
        ("spectral", (64, 2048, 32)),
        ("spectral:100", (64, 100, 32)),
        ("simsiam", (64, 32, 32, 32)),
        ("simsiam:128", (64, 128, 128, 32)),
    ],
)
def test_widths(spec: str, widths: tuple[int, ...]) -> None:
    assert parse_head(spec, 64, 32).widths == widths
    module = head(spec, 64, 32)
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    assert tuple(layer.in_features for layer in linear) == widths[:-1]
    assert tuple(layer.out_features for layer in linear) == widths[1:]
    assert module.output_dim == 32
    assert module(torch.randn(8, 64)).shape == (8, 32)


def test_vicreg_projector_layer_by_layer() -> None:
    module = head("d-d-d", 512, 64)
    assert layers(module) == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
    assert module[6].bias is None
    hidden = (512 * 64 + 64) + (64 * 64 + 64) + 2 * (64 + 64)
    assert parameter_count(module) == hidden + 64 * 64


def test_spectral_projector_of_the_authors_code() -> None:
    module = head("spectral:2048", 512, 1000)
    assert layers(module) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert module[4].affine
    expected = (512 * 2048 + 2048) + 2 * 2048 + (2048 * 1000 + 1000) + 2 * 1000
    assert parameter_count(module) == expected


def test_simsiam_projector_ends_in_batch_norm_without_scale() -> None:
    module = head("simsiam", 16, 8)
    assert layers(module)[-2:] == ["Linear", "BatchNorm1d"]
    assert not module[7].affine
    out = module(torch.randn(64, 16))
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(out.var(dim=0, correction=0), torch.ones(8), atol=1e-2, rtol=0.0)


def test_predictor_is_a_bottleneck_without_batch_norm_at_its_end() -> None:
    module = head("predictor", 64, 64)
    assert layers(module) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert module[0].out_features == 16
    assert module[3].bias is not None
    assert head("predictor:4096", 64, 64)[0].out_features == 4096


def test_none_is_the_identity() -> None:
    x = torch.randn(3, 7)
    for embedding_dim in (None, 7):
        module = head("none", 7, embedding_dim)
        assert torch.equal(module(x), x)
        assert module.output_dim == 7
        assert parameter_count(module) == 0


def test_seeds() -> None:
    before = torch.random.get_rng_state()
    same = head("d-d", 4, 4, 1)[0].weight, head("d-d", 4, 4, 1)[0].weight
    assert torch.equal(*same)
    assert not torch.equal(same[0], head("d-d", 4, 4, 2)[0].weight)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "spec", ["d--d", "0-d", "d-0-d", "-d", "d-", "", "2048", "d-2048", "D-d", "d-d-d\n", "mlp", "spectral:0"]
)
def test_names_outside_the_grammar(spec: str) -> None:
    with pytest.raises(UserError, match=r"is not understood; accepted: widths joined by '-' and ending in d"):
        parse_head(spec, 64, 32)


@pytest.mark.parametrize(
    ("spec", "input_dim", "embedding_dim", "message"),
    [
        ("none", 64, 32, "leaves the encoder's 64 dimensions as they are; found embedding dimension 32"),
        ("d-d", 64, None, "needs an embedding dimension"),
        ("d-d", 64, 0, "expected positive integers"),
        ("linear:3", 64, 32, "'linear' takes no width"),
        ("none:64", 64, 64, "'none' takes no width"),
        ("predictor", 64, 32, "found 64 in, 32 out"),
        ("predictor", 3, 3, "expected 4 or more, found 3"),
    ],
)
def test_impossible_sizes(spec: str, input_dim: int, embedding_dim: int | None, message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_head(spec, input_dim, embedding_dim)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_specification_is_read_without_torch() -> None:
    source = Path(__file__).parents[2] / "src"
    code = (
        "import sys; from spectral_ssl.models.specification import parse_head;"
        "assert parse_head('d-d', 4, 2).output_dim == 2; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(source)})
