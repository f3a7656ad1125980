"""The own command: an encoder or loss of the user's own gives the very numbers of the built-in that it copies."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torchvision import models

from spectral_ssl.config import load_tier
from spectral_ssl.data.sources import load
from spectral_ssl.engine import Engine
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.papers.manifest import RunSettings, resolve
from spectral_ssl.provenance import module_file, read_json, sha256_file
from spectral_ssl.train import group, job, loop

Stage = Any  # conftest's OwnStage


def measured(folder: Path) -> dict[str, Any]:
    """What a run says of itself, clocks left out."""
    history = pd.read_csv(folder / "history.csv").drop(columns=["views_per_second", "utilisation", "seconds"])
    return {
        "encoder": sha256_file(folder / "encoder.safetensors"),
        "probe": read_json(folder / "probe.json"),
        "history": history.to_dict("list"),
        **np.load(folder / "features.npz"),
    }


def built_in(stage: Stage, loss: str, hyperparameters: dict[str, Any]) -> Path:
    """The folder of a run of a built-in loss, as the tier trains SimCLR, by way of the job itself."""
    tier = load_tier("smoke", stage.small)
    values = resolve(tier, "simclr", {}, 0).model_dump() | {"loss": loss, "hyperparameters": hyperparameters}
    run = RunSettings.model_validate(values)
    place = job.Place(stage.root / "runs", stage.root / "scratch", "c0de", "da7a" * 16)
    data = load(stage.root / "results" / "smoke" / "data" / "digits")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    job.run_batch([run], data, place, device=torch.device("cpu"))
    torch.set_num_threads(threads)
    return place.results / run.id


def test_a_copied_vicreg_trains_the_very_same_weights(stage: Stage) -> None:
    source = module_file("spectral_ssl.losses.vicreg").read_text(encoding="utf-8")
    status, out, err = stage("--loss", stage.loss(source, "vicreg.py"), "--hyperparameter", "covariance=4")
    assert (status, err) == (0, [])
    found = stage.only_run
    assert stage.written == sorted(f"{found.name}/{name}" for name in RUN_FILES)
    assert read_json(found / "provenance.json")["settings"]["hyperparameters"]["covariance"] == 4
    np.testing.assert_equal(measured(found), measured(built_in(stage, "vicreg", {"covariance": 4.0})))
    probe = read_json(found / "probe.json")
    assert out[0].split() == ["few1", f"{probe['few1']:.4g}"]  # the tier's metric first
    assert {line.split()[0] for line in out[:-1]} == set(probe)
    assert out[-1] == f"written to {stage.results}"


def test_seeds_make_a_folder_each_and_an_interval(stage: Stage) -> None:
    status, out, _ = stage("--loss", stage.loss(stage.my_loss), extra=("seeds=2", "training.epochs=1"))
    assert status == 0
    first, second = (read_json(run / "probe.json")["few1"] for run in stage.results.iterdir())
    half = 12.7062 * abs(first - second) / 2  # Student's t with one degree of freedom
    assert out[0].split() == ["few1", f"{(first + second) / 2:.4g}", "±", f"{half:.4g}"]


def test_an_edited_file_trains_anew(stage: Stage) -> None:
    codes, weights = [], []
    for text in (stage.my_loss, stage.my_loss.replace("weight *", "9 * weight *"), stage.my_loss):
        assert stage("--loss", stage.loss(text))[0] == 0
        run = stage.only_run  # equal settings: the new result takes the old one's place
        codes.append(read_json(run / "provenance.json")["code"])
        weights.append(sha256_file(run / "encoder.safetensors"))
    assert codes[0] == codes[2] != codes[1]
    assert weights[0] == weights[2] != weights[1]


def interrupted(options: object, step: int, *rest: object) -> float:
    """Instead of the learning rate: one epoch of two steps, then Ctrl-C."""
    if step == 2:
        raise KeyboardInterrupt
    return loop_rate(options, step, *rest)


loop_rate: Any = group.learning_rate


def test_an_interrupted_run_resumes_and_that_of_an_edited_loss_starts_anew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage.loss(stage.my_loss)
    assert stage("--loss", path)[0] == 0
    undisturbed = measured(stage.only_run)
    shutil.rmtree(stage.results)
    often = Engine(checkpoint_seconds=0.0)
    monkeypatch.setattr(
        job, "train_together", lambda *a, **k: loop.train_together(*a, **(k | {"engine": often}))
    )
    with monkeypatch.context() as patch:
        patch.setattr(group, "learning_rate", interrupted)
        assert stage("--loss", path) == (130, [], ["error: interrupted; the next run resumes"])
    assert stage.written == []
    steps: list[int] = []

    def counted(options: object, step: int, *rest: object) -> Any:
        steps.append(step)
        return loop_rate(options, step, *rest)

    monkeypatch.setattr(group, "learning_rate", counted)
    stage.loss(stage.my_loss.replace("max=1", "max=2"))
    assert stage("--loss", path)[0] == 0
    assert steps == [0, 1, 2, 3]
    steps.clear()
    shutil.rmtree(stage.results)
    stage.loss(stage.my_loss)
    assert stage("--loss", path)[0] == 0
    assert steps == [2, 3]
    np.testing.assert_equal(measured(stage.only_run), undisturbed)
    assert not any((stage.root / "results" / ".scratch").rglob("*.*"))


def test_a_runs_encoder_measures_as_the_run_did(stage: Stage) -> None:
    run = built_in(stage, "simclr", {})
    weights = run / "encoder.safetensors"
    status, out, err = stage("--encoder", weights, "--architecture", "conv_narrow", "--name", "mine")
    assert (status, err) == (0, [])
    assert stage.written == ["mine/features.npz", "mine/probe.json", "mine/provenance.json"]
    target = stage.only_run
    assert out[-1] == f"written to {target}"
    found, expected = read_json(target / "probe.json"), read_json(run / "probe.json")
    same = {
        "lbfgs",
        "knn",
        "few1",
        "few1_std",
        *(key for key in expected if key.startswith("representation_")),
    }
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert len(same) > 8
    features, trained = np.load(target / "features.npz"), np.load(run / "features.npz")
    np.testing.assert_array_equal(features["representations"], trained["representations"])
    np.testing.assert_array_equal(features["embeddings"], trained["representations"])  # there is no head
    provenance = read_json(target / "provenance.json")
    assert provenance["encoder_sha256"] == sha256_file(weights)
    assert (provenance["architecture"], provenance["normalisation"]) == ("conv_narrow", "digits_affine")


def test_torchscript_and_state_dict_of_one_network_give_the_same_numbers(stage: Stage) -> None:
    network = models.resnet18(weights=None)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = network.fc = nn.Identity()
    torch.save({"state_dict": network.eval().state_dict()}, stage.files / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.12's, of TorchScript
        torch.jit.save(torch.jit.script(network), stage.files / "program.pt")
    for name in ("weights.pth", "program.pt"):  # the digits are grey
        assert stage("--encoder", stage.files / name)[::2] == (0, [])
    one, other = (read_json(stage.results / name / "probe.json") for name in ("weights", "program"))
    assert one.keys() == other.keys()
    assert one == pytest.approx(other, rel=1e-3, abs=1e-4)
    assert one["representation_norm_mean"] > 0


def test_normalisation_is_the_users_to_choose(stage: Stage) -> None:
    encoder = get_encoder("conv_narrow", 8, 1, generator=torch.Generator().manual_seed(0)).eval()
    torch.save(encoder.state_dict(), stage.files / "e.pth")
    shared = ("--encoder", stage.files / "e.pth", "--architecture", "conv_narrow")
    assert stage(*shared, "--name", "plain")[0] == 0
    assert stage(*shared, "--name", "scaled", "--normalisation", "imagenet")[0] == 0
    images = load(stage.root / "results" / "smoke" / "data" / "digits").test_images
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255
    mean, std = (
        (0.485 + 0.456 + 0.406) / 3,
        (0.229 + 0.224 + 0.225) / 3,
    )  # ImageNet's, averaged over the channels
    for name, given in {"plain": pixels, "scaled": (pixels - mean) / std}.items():
        found = np.load(stage.results / name / "features.npz")["representations"]
        with torch.no_grad():
            np.testing.assert_allclose(found, encoder(given).numpy(), rtol=1e-4, atol=1e-5)
