"""Heads: what a name means, layer by layer, and which names are refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from spectral_ssl.errors import UserError
from spectral_ssl.models.heads import Head, get_head, parameter_count
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
        ("byol", (64, 4096, 32)),
        ("byol:128", (64, 128, 32)),
        ("moco", (64, 2048, 32)),
        ("moco:128", (64, 128, 32)),
        ("nnclr", (64, 2048, 2048, 32)),
        ("nnclr:128", (64, 128, 128, 32)),
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


def test_byol_projector_is_a_chain_of_two() -> None:
    module = head("byol:16", 8, 4)
    assert layers(module) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert module[3].bias is None  # Grill et al.'s code; in lightly it has one
    assert [str(layer) for layer in module] == [str(layer) for layer in head("16-d", 8, 4)]


def test_moco_projector_has_no_batch_norm() -> None:
    module = head("moco:16", 8, 4)
    assert layers(module) == ["Linear", "ReLU", "Linear"]
    assert parameter_count(module) == (8 * 16 + 16) + (16 * 4 + 4)
    one = torch.randn(1, 8)
    torch.testing.assert_close(module(one.expand(3, 8)), module(one).expand(3, 4))


def test_nnclr_projector_ends_in_batch_norm() -> None:
    module = head("nnclr:16", 8, 4)
    assert layers(module) == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear", "BatchNorm1d"]
    assert module[7].affine
    assert (module(torch.randn(64, 8)) < 0).any()


@pytest.mark.parametrize(
    ("spec", "theirs", "input_dim", "extra"),
    [
        ("8192-8192-d", "BarlowTwinsProjectionHead", 2048, -8192 + 2 * 8192),
        ("byol", "BYOLProjectionHead", 2048, -256 + 4096),
        ("predictor:4096", "BYOLPredictionHead", 256, 0),
        ("moco", "MoCoProjectionHead", 2048, 0),
        ("nnclr", "NNCLRProjectionHead", 2048, 0),
        ("predictor:4096", "NNCLRPredictionHead", 256, 0),
        ("simsiam:2048", "SimSiamProjectionHead", 2048, 0),
    ],
)
def test_layers_are_lightlys(spec: str, theirs: str, input_dim: int, extra: int) -> None:
    """Layer by layer, without memory for weights; `extra` counts the biases that only one of the two has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heads = pytest.importorskip("lightly.models.modules.heads", exc_type=ImportError)
    with torch.device("meta"):
        other = getattr(heads, theirs)(input_dim=input_dim)
        dim = [layer for layer in other.modules() if isinstance(layer, nn.Linear)][-1].out_features
        ours = Head(parse_head(spec, input_dim, dim))
    assert layers(ours) == layers(other.layers)
    for mine, layer in zip(ours, other.layers, strict=True):
        if isinstance(mine, nn.Linear):
            assert mine.weight.shape == layer.weight.shape
        elif isinstance(mine, nn.BatchNorm1d):
            assert mine.affine == layer.affine
    assert parameter_count(ours) == parameter_count(other) + extra


@pytest.mark.parametrize(
    ("spec", "input_dim", "d", "expected"),
    [
        # Bardes et al. 2022 and Zbontar et al. 2021 on ImageNet; Garrido et al. 2023, Figure 1.
        ("8192-8192-d", 2048, 8192, 2048 * 8192 + 2 * 8192**2 + 6 * 8192),
        ("d-d-d", 2048, 8192, 2048 * 8192 + 2 * 8192**2 + 6 * 8192),
        ("8192-8192-d", 2048, 256, 2048 * 8192 + 8192**2 + 8192 * 256 + 6 * 8192),
        ("2048-d", 512, 256, 512 * 2048 + 2048 * 256 + 3 * 2048),
        ("spectral:8192", 2048, 1000, 2048 * 8192 + 8192 * 1000 + 3 * 8192 + 3 * 1000),
    ],
)
def test_the_papers_sizes_without_memory(spec: str, input_dim: int, d: int, expected: int) -> None:
    with torch.device("meta"):
        module = Head(parse_head(spec, input_dim, d))
    assert parameter_count(module) == expected
    assert module(torch.empty(2, input_dim, device="meta")).shape == (2, d)


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
        ("moco", 64, None, "needs an embedding dimension"),
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
