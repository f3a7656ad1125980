"""Encoders: their shapes, their weights' distribution, and that the generator alone decides them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spectral_ssl.errors import UserError
from spectral_ssl.models.convolutional import channels_last
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.heads import parameter_count
from spectral_ssl.models.initialise import build
from spectral_ssl.models.table import encoder_names

WIDTHS = {
    "conv_narrow": 64,
    "conv_small": 128,
    "conv32": 128,
    "mlp": 256,
    "resnet18_cifar": 512,
    "resnet18_cifar_pad2": 512,
    "resnet50_cifar": 2048,
    "resnet18": 512,
    "resnet50": 2048,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_encoder_is_tested() -> None:
    assert set(encoder_names()) == set(WIDTHS)


SIZES = {
    "conv32": (16, 32),
    "resnet18_cifar_pad2": (32,),
    "resnet50_cifar": (8,),
    "resnet18": (64,),
    "resnet50": (64,),
}
CASES = [(name, size, 1 if size == 8 else 3) for name in WIDTHS for size in SIZES.get(name, (8, 32))]


@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_shapes_and_gradients(name: str, size: int, channels: int) -> None:
    encoder = get_encoder(name, size, channels, generator=generator())
    out = encoder(torch.rand(4, channels, size, size, generator=generator()))
    assert out.shape == (4, WIDTHS[name]) == (4, encoder.output_dim)
    out.square().sum().backward()
    for parameter in encoder.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_the_generator_decides_and_the_global_one_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        get_encoder("resnet18_cifar", 32, 3, generator=generator(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["trunk.conv1.weight"], other["trunk.conv1.weight"])


def test_weights_follow_the_stated_distributions() -> None:
    narrow = get_encoder("conv_small", 8, 1, generator=generator())
    last = [layer for layer in narrow.modules() if isinstance(layer, nn.Conv2d)][-1].weight
    bound = 1.0 / math.sqrt(64 * 9)
    assert last.abs().max() <= bound
    assert last.std().item() == pytest.approx(bound / math.sqrt(3.0), rel=0.01)
    resnet = get_encoder("resnet18_cifar", 32, 3, generator=generator())
    assert resnet.trunk.conv1.weight.std().item() == pytest.approx(math.sqrt(2.0 / (64 * 9)), rel=0.05)
    for layer in resnet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.min() == layer.weight.max() == 1.0
            assert layer.running_var.min() == layer.running_var.max() == 1.0
            assert layer.num_batches_tracked == 0


@pytest.mark.parametrize(("name", "maps"), [("resnet18_cifar", [32, 4]), ("resnet18_cifar_pad2", [34, 5])])
def test_resnet_is_the_cifar_variant(name: str, maps: list[int]) -> None:
    encoder = get_encoder(name, 32, 3, generator=generator())
    # ResNet-18 has 11,689,512 parameters; less its last layer (513,000), and a 3x3 stem for the 7x7 one.
    assert parameter_count(encoder) == 11_689_512 - 513_000 - 64 * 3 * (49 - 9)
    sizes = []
    encoder.trunk.layer1.register_forward_hook(lambda module, args, out: sizes.append(out.shape[-1]))
    encoder.trunk.layer4.register_forward_hook(lambda module, args, out: sizes.append(out.shape[-1]))
    encoder.eval()(torch.rand(1, 3, 32, 32))
    assert sizes == maps


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # torchvision's counts, less the last layer; with a 3x3 stem for the 7x7 one.
        ("resnet18", 11_689_512 - 513_000),
        ("resnet50", 25_557_032 - 2_049_000),
        ("resnet50_cifar", 25_557_032 - 2_049_000 - 64 * 3 * (49 - 9)),
    ],
)
def test_resnets_have_torchvisions_weights_less_the_last_layer(name: str, expected: int) -> None:
    assert parameter_count(get_encoder(name, 64, 3, generator=generator())) == expected


@pytest.mark.parametrize(
    ("name", "size", "maps"),
    [
        ("resnet18", 64, [16, 2]),
        ("resnet18", 224, [56, 7]),
        ("resnet50", 64, [16, 2]),
        ("resnet50", 224, [56, 7]),
        ("resnet50_cifar", 32, [32, 4]),
    ],
)
def test_what_the_stem_leaves_of_an_image(name: str, size: int, maps: list[int]) -> None:
    encoder = get_encoder(name, size, 3, generator=generator()).eval()
    sizes = []
    for layer in (encoder.trunk.layer1, encoder.trunk.layer4):
        layer.register_forward_hook(lambda module, args, out: sizes.append(out.shape[-1]))
    with torch.no_grad():
        out = encoder(torch.rand(1, 3, size, size, generator=generator()))
    assert sizes == maps
    assert out.shape == (1, WIDTHS[name])


def test_resnet18_is_torchvisions_network() -> None:
    from torchvision.models import resnet18

    ours = get_encoder("resnet18", 64, 3, generator=generator()).eval()
    theirs = resnet18(weights=None).eval()
    theirs.fc = nn.Identity()
    theirs.load_state_dict({key.removeprefix("trunk."): value for key, value in ours.state_dict().items()})
    images = torch.rand(2, 3, 64, 64, generator=generator())
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_parameter_count_by_hand() -> None:
    # 9 weights a pair of channels, and batch norm's two a channel.
    expected = 9 * (1 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    assert parameter_count(get_encoder("conv_narrow", 8, 1, generator=generator())) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_changes_layout_not_values(channels: int) -> None:
    images = torch.rand(5, channels, 6, 4)
    moved = channels_last(images)
    assert torch.equal(moved, images)
    assert moved.stride() == (6 * 4 * channels, 1, 4 * channels, channels)
    part = torch.rand(9, channels, 6, 4)[2:7]
    assert torch.equal(channels_last(part), part)


def test_convolutional_encoder_against_contiguous_layers() -> None:
    encoder = get_encoder("conv_narrow", 8, 1, generator=generator())
    images = torch.rand(6, 1, 8, 8)
    torch.testing.assert_close(encoder(images), encoder.layers(images).mean(dim=(2, 3)))


def test_unfit_requests_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"'conv32' takes images of 16 px or more; found 8 px; use conv_narrow"
    ):
        get_encoder("conv32", 8, 1, generator=generator())
    with pytest.raises(
        UserError, match=r"'resnet18' takes images of 64 px or more; found 32 px; use .*resnet18_cifar"
    ):
        get_encoder("resnet18", 32, 3, generator=generator())
    with pytest.raises(UserError, match=r"1 to 64 px; found 224 px"):
        get_encoder("mlp", 224, 3, generator=generator())
    with pytest.raises(UserError, match=r"did you mean 'resnet18_cifar'"):
        get_encoder("resnet18-cifar", 32, 3, generator=generator())
    with pytest.raises(UserError, match="1 channel or more; found 0"):
        get_encoder("mlp", 8, 0, generator=generator())


def test_a_layer_without_known_initialisation_is_refused() -> None:
    with pytest.raises(TypeError, match="LayerNorm"):
        build(lambda: nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), generator=generator())


def test_torchvision_is_imported_only_for_the_resnet() -> None:
    source = Path(__file__).parents[2] / "src"
    code = (
        "import sys, torch; from spectral_ssl.models.encoders import get_encoder as get;"
        "g = torch.Generator();"
        "get('conv_small', 8, 1, generator=g); assert 'torchvision' not in sys.modules;"
        "import spectral_ssl.models.heads; assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(source)})
