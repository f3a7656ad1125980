"""The first steps of the tiers that no small machine finishes, on tiny data sets of exactly the official layout.

What is cut: sides of images, widths, sizes of batches, lengths, the probe's augmentation. All else is as the tiers say.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from spectral_ssl.config import load_tier
from spectral_ssl.data import official
from spectral_ssl.data.sources import Dataset, ingest, load
from spectral_ssl.errors import Interrupted
from spectral_ssl.papers.manifest import RunSettings, build
from spectral_ssl.sections import Tier
from spectral_ssl.train.images import Resident
from spectral_ssl.train.job import Place, run_batch

from ..data import fake_cifar, fake_imagenet, fake_tiny_imagenet

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

ROOT = Path(__file__).parents[2]
SIDE = {"imagenet": 64, "cluster": 16, "gpu": 16}
WIDTHS = ("projector", "embedding_dim", "head", "queue")
PER_CLASS = 13  # ten labels a class, once a fifth of the images is put aside


def narrower(value: Any, key: str = "") -> Any:
    """A section with its widths divided by 32 and small batches."""
    if isinstance(value, dict):
        return {name: narrower(inner, name) for name, inner in value.items()}
    if key in WIDTHS and isinstance(value, list):
        return [narrower(inner, key) for inner in value]
    if key in WIDTHS:
        text = re.sub(r"\d+", lambda found: str(max(int(found[0]) // 32, 2)), str(value))
        return int(text) if isinstance(value, int) else text
    return 8 if key == "batch_size" and isinstance(value, int) else value


def write_first_steps(tier: str, folder: Path, **changes: Any) -> Path:
    """The tier's file, cut."""
    values = yaml.safe_load((ROOT / "config" / f"{tier}.yaml").read_text(encoding="utf-8"))
    for section in ("training", "levels", "recipes"):
        values[section] = narrower(values[section])
    values["data"]["image_size"] = SIDE[tier]
    values["training"]["epochs"] = 1
    values["levels"] |= {"epochs": [1], "batch_size": [2, 4, 8]}
    values["probes"] |= {"augmented": False, "draws": 2}
    values["views"]["images"] = 8
    values["jobs"]["threads"] = 1
    values["seeds"] = 1
    values |= changes
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def archives() -> dict[str, bytes]:
    """Every official archive that these tiers read."""
    tiny = fake_tiny_imagenet.archive(fake_tiny_imagenet.contents(per_class=PER_CLASS))
    return {
        **fake_imagenet.archives(per_class=PER_CLASS),
        fake_tiny_imagenet.NAME: tiny,
        **fake_cifar.archives(per_class=3),
    }


@dataclass(frozen=True)
class Prepared:
    """A cut tier and four images a class of its own data set, for two steps an epoch."""

    tier: Tier
    dataset: Dataset
    folder: Path

    def kinds(self) -> dict[str, RunSettings]:
        """A run of each method, loss, encoder, form of head, optimiser and augmentation on the tier's own data set."""
        found: dict[str, RunSettings] = {}
        for run in build(self.tier).runs.values():
            if run.dataset == self.tier.data.slug:
                form = re.sub(r"\d+", "#", run.projector)
                kind = " ".join((run.name, run.encoder, form, run.optimiser.name, run.augmentation))
                short = {"probes": ["linear", "few1"], "validation": None}  # others need more images
                found.setdefault(kind, run.model_copy(update=short))
        return found

    def place(self, name: str) -> Place:
        root = self.folder / name
        return Place(root / "results", root / "scratch", "c0de", "da7a" * 16)

    def train(self, run: RunSettings, place: Place, **options: Any) -> dict[str, Any]:
        (status,) = run_batch(
            [run], self.dataset, place, device=torch.device("cpu"), engine=self.tier.engine, **options
        )
        return status


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Prepared]]:
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        for name, md5 in fake_imagenet.write(folder / "data", archives()).items():
            patch.setitem(official.FILES, name, official.FILES[name]._replace(md5=md5))

        def prepared(name: str) -> Prepared:
            tier = load_tier(str(write_first_steps(name, folder)))
            out = folder / name
            if not out.exists():
                limits = {"train_limit": 16, "test_limit": 8, "image_size": tier.data.image_size}
                ingest(tier.data.name, out, path=folder / "data", **limits)
            return Prepared(tier, load(out), folder / f"{name}-runs")

        yield prepared


@pytest.mark.parametrize(("name", "least"), [("imagenet", 12), ("cluster", 18)])
def test_the_first_steps_of_every_kind_of_run(
    prepare: Callable[[str], Prepared], monkeypatch: pytest.MonkeyPatch, name: str, least: int
) -> None:
    prepared = prepare(name)
    if name == "imagenet":
        monkeypatch.setattr(Resident, "copied", None)  # it streams
    kinds = prepared.kinds()
    if name == "imagenet":  # one of each method and loss: ResNet-50 takes long
        kinds = {kind.split()[0]: run for kind, run in reversed(kinds.items())}
    assert len(kinds) >= least, kinds
    for kind, run in kinds.items():
        place = prepared.place("kinds")
        assert prepared.train(run, place)["status"] == "finished", kind
        history = pd.read_csv(place.results / run.id / "history.csv")
        assert np.isfinite(history["loss"]).all(), kind
        assert (history["gradient_norm"] > 0).all(), kind
        assert (history["lr"] > 0).all(), kind
        shutil.rmtree(place.results)


@pytest.mark.parametrize("kind", ["vicreg resnet50 #-#-d lars byol", "moco_v2 resnet50 moco:# sgd haochen"])
def test_stopped_at_a_step_and_gone_on(prepare: Callable[[str], Prepared], kind: str) -> None:
    """The same bits as a run that nobody stopped, streaming."""
    prepared = prepare("imagenet")
    run = prepared.kinds()[kind].model_copy(update={"epochs": 2})
    whole, stopped = prepared.place("whole"), prepared.place("stopped")
    prepared.train(run, whole)

    def stop(_: RunSettings, epoch: int, __: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):  # at the next step
        prepared.train(run, stopped, progress=stop)
    assert not stopped.results.exists()
    epochs: list[int] = []
    prepared.train(run, stopped, progress=lambda _, epoch, __: epochs.append(epoch))
    assert epochs == [2]
    ours, theirs = (place.results / run.id for place in (whole, stopped))
    weights, others = (load_file(folder / "encoder.safetensors") for folder in (ours, theirs))
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
    assert json.loads((ours / "probe.json").read_text()) == json.loads((theirs / "probe.json").read_text())
    shutil.rmtree(prepared.folder)


@pytest.fixture(scope="module")
def large(checkout: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A copy of the checkout with the archives in data/, whose official checksums are the tiny archives'."""
    folder = tmp_path_factory.mktemp("large") / "copy"
    shutil.copytree(
        checkout.folder, folder, ignore=shutil.ignore_patterns("results", "figures", ".snakemake")
    )
    module = folder / "src" / "spectral_ssl" / "data" / "official.py"
    text = module.read_text(encoding="utf-8")
    for name, md5 in fake_imagenet.write(folder / "data", archives()).items():
        text, count = re.subn(rf'("{re.escape(name)}": Published\(\s*)"\w{{32}}"', rf'\g<1>"{md5}"', text)
        assert count == 1
    module.write_text(text, encoding="utf-8")
    return type(checkout)(folder)


@pytest.mark.parametrize("name", ["imagenet", "cluster", "gpu"])
def test_a_dry_run_plans_every_job(checkout: Any, name: str) -> None:
    rules = checkout.plan(tier=name)
    tier = load_tier(name, folder=ROOT / "config")
    pretraining = {f"pretrain_{batch.replace('-', '_')}" for batch in build(tier).batches}
    assert {rule for rule in rules if rule.startswith("pretrain_")} == pretraining
    assert {rule for rule in rules if rule.startswith("data_")} == {f"data_{slug}" for slug in tier.datasets}


@pytest.mark.parametrize("name", ["imagenet", "cluster", "gpu"])
def test_a_job_of_each_tier_through_the_graph(large: Any, name: str) -> None:
    file = write_first_steps(name, large.folder)
    tier = load_tier(str(file))
    run = next(run for run in build(tier).runs.values() if run.dataset == tier.data.slug)
    target = f"results/{name}/runs/{run.id}/status.json"
    done = large.snakemake(target, "views", tier=file.name)
    logs = "".join(path.read_text() for path in large.folder.glob(f"results/{name}/logs/**/*.log"))
    assert done.returncode == 0, done.stderr[-2000:] + logs
    assert json.loads((large.folder / target).read_text())["status"] == "finished"
    probe = json.loads((large.folder / target).with_name("probe.json").read_text())
    assert {"linear_last", "knn", "few1", "few5", "few10", "online", "validation"} <= set(probe)
    results = large.folder / "results" / name
    views = np.load(results / "views" / f"{tier.data.slug}-haochen" / "views.npy", mmap_mode="r")
    assert views.shape == (32, 3, SIDE[name], SIDE[name])
    again = large.snakemake("--dry-run", target, tier=file.name)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_truncated_archive_stops_the_graph_in_one_line(large: Any) -> None:
    file = write_first_steps("imagenet", large.folder, name="broken")
    place = large.folder / "data" / fake_imagenet.VAL
    whole = place.read_bytes()
    place.write_bytes(whole[:-5000])
    try:
        done = large.snakemake("data", tier=file.name)
    finally:
        place.write_bytes(whole)
    assert done.returncode == 1
    (line,) = (large.folder / "results/broken/logs/data/imagenet.log").read_text().splitlines()
    assert re.match(rf"error: {fake_imagenet.VAL} has MD5 \w+ \({len(whole) - 5000} bytes\), expected", line)
    left = large.folder / "results/broken/data"
    assert not list(left.rglob("*.npy"))


def test_a_missing_archive_says_where_to_get_and_to_put_it(large: Any) -> None:
    place = large.folder / "data" / fake_imagenet.TRAIN
    away = place.rename(large.folder / "away.tar")
    try:
        done = large.stage("data", tier="imagenet")
    finally:
        away.rename(place)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: imagenet needs {place.name} (147,897 MB), found no {place}: register at "
        "https://image-net.org/download.php, download it and put it there\n"
    )
