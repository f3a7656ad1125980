"""Encoders from users' files: exactly the features of the network that was saved, or one line that says why not."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from spectral_ssl.errors import UserError
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.own import OwnNetwork, load_own


def randomised(network: nn.Module) -> nn.Module:
    """The network with running statistics that differ from their start, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(generator=generator)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def resnet18() -> models.ResNet:
    network = randomised(models.resnet18(weights=None))
    assert isinstance(network, models.ResNet)
    return network


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def features(network: models.ResNet, pixels: Tensor) -> Tensor:
    """What goes into torchvision's last layer, caught there; of pixels laid out as the project lays them out, since
    the layout decides in which order products are summed.
    """
    caught: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    network(pixels.contiguous(memory_format=torch.channels_last))
    hook.remove()
    return caught[0]


def scripted(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.12's, of TorchScript
        torch.jit.save(torch.jit.script(network.eval()), path)
    return path


def refusal(path: Path, size: int = 64, channels: int = 3, name: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_own(path, size, channels, name=name)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{path.parent}/", "")


Wrap = Callable[[dict[str, Tensor]], Any]


def under(*prefixes: str) -> Wrap:
    return lambda weights: {f"{''.join(prefixes)}{key}": value for key, value in weights.items()}


def moco(weights: dict[str, Tensor]) -> Any:
    """As MoCo's published checkpoints: two encoders and a queue, a head of two layers instead of fc."""
    bare = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    head = {"fc.0.weight": torch.ones(4, 4), "fc.2.weight": torch.ones(2, 4)}
    both = {
        f"module.{which}.{key}": value + (which == "encoder_k")
        for which in ("encoder_k", "encoder_q")
        for key, value in (bare | head).items()
    }
    return {"epoch": 200, "arch": "resnet18", "state_dict": both | {"module.queue": torch.ones(4, 8)}}


WRAPS: dict[str, Wrap] = {
    "plain": lambda weights: weights,
    "DataParallel": under("module."),
    "backbone": under("backbone."),
    "nested prefixes": under("module.", "encoder_q."),
    "container": lambda weights: {"epoch": 3, "state_dict": weights},
    "container and prefix": lambda weights: {"model": under("module.")(weights)},
    "projector beside": lambda weights: (
        under("backbone.")(weights) | {"projector.0.weight": torch.ones(2, 2)}
    ),
    "MoCo": moco,
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_torchvision_resnet18_gives_exactly_its_features(
    tmp_path: Path, resnet18: models.ResNet, pixels: Tensor, wrap: Wrap
) -> None:
    torch.save(wrap(resnet18.state_dict()), tmp_path / "r18.pth")
    network = load_own(tmp_path / "r18.pth", 64, 3)
    assert torch.equal(network.represent(pixels), features(resnet18, pixels))
    assert torch.equal(network.embed(pixels), network.represent(pixels))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_torchvision_resnet50_gives_exactly_its_features(tmp_path: Path, pixels: Tensor) -> None:
    resnet = randomised(models.resnet50(weights=None))
    assert isinstance(resnet, models.ResNet)
    torch.save(resnet.state_dict(), tmp_path / "r50.pth")
    found = load_own(tmp_path / "r50.pth", 64, 3).represent(pixels)
    assert found.shape == (3, 2048)
    assert torch.equal(found, features(resnet, pixels))


def test_safetensors_and_torchscript_of_one_network_give_its_features(
    tmp_path: Path, resnet18: models.ResNet, pixels: Tensor
) -> None:
    save_file(resnet18.state_dict(), tmp_path / "r18.safetensors")
    assert torch.equal(
        load_own(tmp_path / "r18.safetensors", 64, 3).represent(pixels), features(resnet18, pixels)
    )
    headless = models.resnet18(weights=None)
    headless.load_state_dict(resnet18.state_dict())
    headless.fc = nn.Identity()
    network = load_own(scripted(headless, tmp_path / "r18.pt"), 64, 3)
    torch.testing.assert_close(network.represent(pixels), features(resnet18, pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "channels"), [("conv_narrow", 1), ("conv32", 3), ("mlp", 1), ("resnet18_cifar", 3)]
)
def test_this_projects_own_encoders(tmp_path: Path, name: str, channels: int) -> None:
    encoder = randomised(get_encoder(name, 16, channels, generator=torch.Generator().manual_seed(3)))
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, tmp_path / "e.safetensors")
    given = None if name.startswith("resnet") else name  # a 3x3 stem is taken for the CIFAR variant
    network = load_own(tmp_path / "e.safetensors", 16, channels, name=given)
    pixels = torch.randn(4, channels, 16, 16, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        assert torch.equal(network.represent(pixels), encoder(pixels))


def test_a_grey_image_is_repeated_for_an_encoder_of_colours(
    tmp_path: Path, resnet18: models.ResNet, pixels: Tensor
) -> None:
    torch.save(resnet18.state_dict(), tmp_path / "r18.pth")
    grey = pixels[:, :1]
    expected = features(resnet18, torch.cat([grey, grey, grey], dim=1))
    assert torch.equal(load_own(tmp_path / "r18.pth", 64, 1).represent(grey), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_torchscript_encoder_gets_as_many_channels_as_it_takes(tmp_path: Path, channels: int) -> None:
    path = scripted(nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU()), tmp_path / "c.pt")
    grey = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    network = load_own(path, 8, 1)
    found = network.represent(grey)
    assert torch.equal(found, network.encoder(grey.expand(-1, channels, -1, -1)).mean(dim=(2, 3)))
    assert found.shape == (4, 2)


def test_half_precision_comes_out_as_float32() -> None:
    network = OwnNetwork(nn.Flatten(), 3)
    assert network.represent(torch.ones(2, 3, 4, 4, dtype=torch.float16)).dtype == torch.float32


class Runs:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, save: Callable[[Any, Path], Any]) -> None:
    save({"conv1.weight": Runs(tmp_path / "ran")}, tmp_path / "evil.pth")
    assert refusal(tmp_path / "evil.pth") == (
        "evil.pth is no TorchScript archive and no state dict of tensors only (UnpicklingError); save one with "
        "torch.save(encoder.state_dict(), ...)"
    )
    assert not (tmp_path / "ran").exists()


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    expected = "no encoder file {}; give a TorchScript archive or a state dict (.pth, .safetensors)"
    assert refusal(tmp_path / "gone.pth") == expected.format("gone.pth")
    (tmp_path / "folder.pth").mkdir()
    assert refusal(tmp_path / "folder.pth") == expected.format("folder.pth")


def test_damaged_files(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(1000)}, tmp_path / "whole.pth")
    part = (tmp_path / "whole.pth").read_bytes()[:2000]
    for name, content in {"cut.pth": part, "empty.pth": b"", "text.pth": b"no weights"}.items():
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).startswith(
            f"{name} is no TorchScript archive and no state dict of tensors only ("
        )
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 20)
    assert refusal(tmp_path / "cut.safetensors").startswith("cut.safetensors is damaged (")
    whole = scripted(nn.Linear(2, 2), tmp_path / "whole.pt")
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for name in archive.namelist():
            if not name.endswith("/data.pkl"):
                cut.writestr(name, archive.read(name))
    assert refusal(tmp_path / "cut.pt").startswith("cut.pt is a damaged TorchScript archive (")


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    assert refusal(tmp_path / "list.pth") == (
        "list.pth holds list, expected a dictionary of tensors: save its state_dict()"
    )
    torch.save({"a": 1.0}, tmp_path / "number.pth")
    assert refusal(tmp_path / "number.pth") == (
        "number.pth holds dict, expected a dictionary of tensors: save its state_dict()"
    )


def test_another_network_is_told_from_the_two_resnets(tmp_path: Path) -> None:
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "r34.pth")
    expected = "{} is no ResNet-18 or ResNet-50 of torchvision's naming; give the encoder's name"
    assert refusal(tmp_path / "r34.pth") == expected.format("r34.pth")
    torch.save({"weight": torch.ones(2, 2)}, tmp_path / "linear.pth")
    assert refusal(tmp_path / "linear.pth") == expected.format("linear.pth")


def test_a_name_that_is_unknown_or_not_the_files(tmp_path: Path, resnet18: models.ResNet) -> None:
    path = tmp_path / "r18.pth"
    torch.save(resnet18.state_dict(), path)
    assert refusal(path, name="resnet81").startswith(
        "unknown encoder 'resnet81'; did you mean 'resnet18'? known"
    )
    message = refusal(path, name="conv_narrow")
    assert message.startswith("r18.pth does not fit the encoder 'conv_narrow': ")
    assert message.endswith("are unknown (first: conv1.weight); give the encoder's name")
    assert refusal(path, name="resnet18_cifar").startswith(
        "r18.pth does not fit the encoder 'resnet18_cifar': Error(s) in loading state_dict for ResNet: size "
        "mismatch for conv1.weight"
    )


def test_images_too_small(tmp_path: Path, resnet18: models.ResNet) -> None:
    torch.save(resnet18.state_dict(), tmp_path / "r18.pth")
    assert refusal(tmp_path / "r18.pth", size=8) == (
        "r18.pth holds a 'resnet18', which takes images of 64 px or more; found 8 px; choose a tier with a larger "
        "data.image_size"
    )
    network = load_own(scripted(nn.Sequential(nn.Conv2d(3, 2, 9)), tmp_path / "wide.pt"), 8, 3)
    with pytest.raises(
        UserError, match=r"^the encoder cannot take images of shape \(3, 8, 8\) \(.*\); choose a"
    ):
        network.represent(torch.ones(2, 3, 8, 8))


class Two(nn.Module):
    """An encoder that returns a pair."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


@pytest.mark.parametrize(
    ("encoder", "found"),
    [
        (Two(), "tuple"),
        (nn.Flatten(start_dim=0), "(96,)"),
        (nn.Flatten(start_dim=2), "(2, 3, 16)"),
        (nn.Unflatten(0, (1, 2)), "(1, 2, 3, 4, 4)"),
        (nn.Flatten(0, 2), "(24, 4)"),
    ],
    ids=["pair", "vector", "tokens", "five axes", "images lost"],
)
def test_an_encoder_that_gives_something_else(tmp_path: Path, encoder: nn.Module, found: str) -> None:
    network = load_own(scripted(encoder, tmp_path / "e.pt"), 4, 3)
    with pytest.raises(UserError) as caught:
        network.represent(torch.ones(2, 3, 4, 4))
    assert str(caught.value) == f"the encoder gave {found} for 2 images; expected features (B, D)"
