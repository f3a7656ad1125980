"""What the own command refuses, in one line and leaving nothing, and a loss that turns NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from spectral_ssl.errors import UserError
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.provenance import read_json

Stage = Any  # conftest's OwnStage


@pytest.fixture
def encoder(stage: Stage) -> tuple[str, ...]:
    """The arguments of an encoder that fits."""
    network = get_encoder("conv_narrow", 8, 1, generator=torch.Generator().manual_seed(0))
    torch.save(network.state_dict(), stage.files / "e.pth")
    return ("--encoder", f"{stage.files}/e.pth", "--architecture", "conv_narrow")


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "a/b", "/tmp/x", "a\\b"])
def test_a_result_stays_in_its_folder(stage: Stage, encoder: tuple[str, ...], name: str) -> None:
    assert stage.refused(*encoder, "--name", name) == (
        f"--name '{name}': expected the name of one folder, without separators"
    )


def test_a_normalisation_that_is_unknown(stage: Stage, encoder: tuple[str, ...]) -> None:
    assert stage.refused(*encoder, "--normalisation", "imagnet").startswith(
        "unknown normalisation 'imagnet'; did you mean 'imagenet'? known: "
    )


def test_encoders_that_cannot_be(stage: Stage) -> None:
    assert stage.refused("--encoder", stage.files / "gone.pth") == (
        "no encoder file gone.pth; give a TorchScript archive or a state dict (.pth, .safetensors)"
    )
    torch.save(models.resnet18(weights=None).state_dict(), stage.files / "r18.pth")
    assert stage.refused("--encoder", stage.files / "r18.pth") == (
        "r18.pth holds a 'resnet18', which takes images of 64 px or more; found 8 px; choose a tier with a larger "
        "data.image_size"
    )


LOSSES = {
    "def my_loss(z1, z2:": "my_loss.py cannot be imported (SyntaxError: ",
    "def other(z1, z2): ...": "my_loss.py defines no function my_loss; expected my_loss(z1, z2, *, ...) like ",
    "def my_loss(z1, z2, *, mu): ...": "my_loss.py: my_loss(z1, z2) cannot be called (missing a required ",
    "def my_loss(z1, z2): return {'a': (z1 - z2).mean(dim=0)}": "my_loss.py returned {'a': (16,)}; expected a ",
    "def my_loss(z1, z2): return (z1 - z2).square().mean()": "my_loss.py returned Tensor; expected a dictionary ",
    "def my_loss(z1, z2): return z1 @ z2": "my_loss.py: my_loss failed (RuntimeError: ",
    "def my_loss(z1, z2): return {'a': z1.detach().mean()}": "my_loss.py returned terms without a gradient; ",
}


@pytest.mark.parametrize(
    "text", LOSSES, ids=["syntax", "no function", "no default", "vector", "tensor", "fails", "no gradient"]
)
def test_losses_that_cannot_be(stage: Stage, text: str) -> None:
    assert stage.refused("--loss", stage.loss(text)).startswith(LOSSES[text])


@pytest.mark.parametrize("name", ["gone.py", "vicreg"])
def test_a_loss_that_is_no_file(stage: Stage, name: str) -> None:
    assert stage.refused("--loss", name) == (
        f"no loss file {name}; give the path of a Python file that defines {Path(name).stem}(z1, z2, *, ...)"
    )


VALUE = "--hyperparameter '{}' of my_loss.py: expected a finite number, true, false or a text"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wieght=1", "unknown hyperparameter of my_loss.py 'wieght'; did you mean 'weight'? known: weight"),
        (
            "weight",
            "--hyperparameter 'weight' of my_loss.py: expected name=value, for example temperature=0.2",
        ),
        *((given, VALUE.format(given)) for given in ("weight=null", "weight=NaN", "weight=[1]")),
        ("weight=large", "my_loss.py: my_loss failed (TypeError: "),
    ],
)
def test_hyperparameters_that_cannot_be(stage: Stage, given: str, message: str) -> None:
    path = stage.loss(stage.my_loss)
    assert stage.refused("--loss", path, "--hyperparameter", given).startswith(message)


def test_a_loss_that_turns_nan_is_a_result(stage: Stage) -> None:
    path = stage.loss(stage.my_loss.replace("weight *", "float('nan') *"))
    assert stage("--loss", path) == (
        *(3, []),
        [f"error: 1 of 1 runs of {path} diverged; lower the learning rate"],
    )
    run = stage.only_run
    status = read_json(run / "status.json")
    assert (status["status"], status["term"], status["epoch"]) == ("diverged", "distance", 1)
    assert stage.written == sorted(f"{run.name}/{name}" for name in RUN_FILES)


def test_data_that_is_not_there_yet(stage: Stage, encoder: tuple[str, ...]) -> None:
    folder = stage.root / "results" / "smoke" / "data" / "digits"
    (folder / "meta.json").unlink()
    for arguments in (("--loss", stage.loss(stage.my_loss)), encoder):
        assert stage.refused(*arguments) == (
            f"{folder} is not there yet; run `python -m spectral_ssl data --tier smoke` first"
        )


def test_an_encoder_and_a_loss_at_once_and_neither(stage: Stage, encoder: tuple[str, ...]) -> None:
    for arguments in ((*encoder, "--loss", "my_loss.py"), ()):
        with pytest.raises(SystemExit) as caught:
            stage(*arguments)
        assert caught.value.code == 2
    assert stage.written == []


def test_debug_raises(stage: Stage) -> None:
    with pytest.raises(UserError, match=r"^no loss file gone\.py; "):
        stage("--loss", "gone.py", "--debug")


def test_several_processes(stage: Stage, encoder: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    assert stage.refused(*encoder) == (
        "own trains in one process, but 2 were started; start it without torchrun"
    )
