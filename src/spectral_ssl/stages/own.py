"""Stage `own`: a user's own encoder, or own loss, measured with the tier's data, probes and diagnostics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spectral_ssl.codes import own_code
from spectral_ssl.data.sources import load
from spectral_ssl.data.views import get_augmentation
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.layout import DATA_FILES
from spectral_ssl.losses.own import is_setting, own_loss
from spectral_ssl.models.own import load_own
from spectral_ssl.papers.manifest import RunSettings, resolve
from spectral_ssl.provenance import environment, read_json, replacing, sha256_file, write_json
from spectral_ssl.stages import Context
from spectral_ssl.stages.pretrain import Progress, prepare_device
from spectral_ssl.stats import mean_interval
from spectral_ssl.train.distributed import World
from spectral_ssl.train.evaluation import Measures, evaluate_network
from spectral_ssl.train.images import Images
from spectral_ssl.train.job import Place, run_batch


def run(
    context: Context,
    encoder: Path | None = None,
    loss: str | None = None,
    hyperparameter: list[str] | None = None,
    architecture: str | None = None,
    normalisation: str | None = None,
    name: str | None = None,
    device: str | None = None,
) -> int:
    """Write results/<tier>/own/<name>/ for an encoder, or a folder a seed for a loss, and print the numbers."""
    if (size := World.current().size) > 1:
        raise UserError(f"own trains in one process, but {size} were started; start it without torchrun")
    folder = context.layout.data(context.tier.data.slug)
    if not all((folder / file).is_file() for file in DATA_FILES):
        raise UserError(
            f"{folder} is not there yet; run `python -m spectral_ssl data --tier {context.tier.name}` first"
        )
    where = prepare_device(context, World(), device)
    if encoder is not None:
        target = _folder(context, encoder.stem if name is None else name)
        return _encoder(context, encoder, architecture, normalisation, target, where)
    return _loss(context, str(loss), hyperparameter or [], where)


def _encoder(
    context: Context,
    path: Path,
    architecture: str | None,
    normalisation: str | None,
    target: Path,
    device: torch.device,
) -> int:
    tier = context.tier
    dataset = load(context.layout.data(tier.data.slug))
    images = Images.of(dataset, device, mode=tier.engine.data, workers=tier.engine.readers)
    _, channels, size, _ = images.shape
    network = load_own(path, size, channels, name=architecture).to(device)
    augmentation = tier.training.augmentation
    plain = get_augmentation(augmentation, size, channels, normalisation=normalisation).plain()
    measures = Measures(tier.probes.names, tier.probes.draws, tier.probes.augmented, augmentation)
    probe, features = evaluate_network(network, plain, images, measures)
    with replacing(target / "features.npz") as file:
        np.savez_compressed(file, **features)  # type: ignore[arg-type]
    provenance = {
        "encoder": str(path),
        "encoder_sha256": sha256_file(path),
        "architecture": architecture,
        "normalisation": normalisation or augmentation,
        "data_sha256": sha256_file(context.layout.data(tier.data.slug) / "meta.json"),
        **environment(),
    }
    write_json(target / "provenance.json", provenance)
    write_json(target / "probe.json", probe)
    _print({key: [value] for key, value in probe.items()}, tier.probes.metric, target)
    return 0


def _folder(context: Context, name: str) -> Path:
    """The result's folder, a child of results/<tier>/own and nothing else."""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise UserError(f"--name '{name}': expected the name of one folder, without separators")
    return context.layout.results / "own" / name


def _loss(context: Context, path: str, hyperparameters: list[str], device: torch.device) -> int:
    tier, layout = context.tier, context.layout
    known = own_loss(path).hyperparameters
    given = dict(_assignment(text, path) for text in hyperparameters)
    settings: dict[str, Any] = {"loss": path, "hyperparameters": {**known, **given}}
    runs = [_resolved(context, settings, seed) for seed in range(tier.seeds)]
    data = layout.data(tier.data.slug)
    place = Place(layout.results / "own", layout.scratch, own_code(runs[0]), sha256_file(data / "meta.json"))
    statuses = run_batch(
        runs,
        load(data),
        place,
        device=device,
        engine=tier.engine,
        progress=None if context.quiet else Progress(tuple(runs)),
    )
    finished = [run for run, status in zip(runs, statuses, strict=True) if status["status"] == "finished"]
    probes = [read_json(place.results / run.id / "probe.json") for run in finished]
    if probes:
        _print({key: [p[key] for p in probes] for key in probes[0]}, tier.probes.metric, place.results)
    if len(finished) < len(runs):
        raise Divergence(
            f"{len(runs) - len(finished)} of {len(runs)} runs of {path} diverged; lower the learning rate"
        )
    return 0


def _resolved(context: Context, settings: dict[str, Any], seed: int) -> RunSettings:
    """A run as the tier trains SimCLR, with another loss."""
    run = resolve(context.tier, "simclr", {}, seed)
    return RunSettings.model_validate(run.model_dump() | settings)


def _assignment(text: str, path: str) -> tuple[str, float | bool | str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UserError(
            f"--hyperparameter {text!r} of {path}: expected name=value, for example temperature=0.2"
        )
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    if not is_setting(parsed):
        raise UserError(
            f"--hyperparameter {text!r} of {path}: expected a finite number, true, false or a text"
        )
    return name, parsed


def _print(probe: dict[str, list[Any]], metric: str, folder: Path) -> None:
    """The metric and the other accuracies first, then the diagnostics, each with its interval over seeds."""
    shown = [metric, *(key for key in probe if key != metric)]
    for key in shown:
        values = [float(value) for value in probe.get(key, [])]
        if not values:
            continue
        interval = mean_interval(values)
        half = f" ± {(interval.high - interval.low) / 2:.4g}" if len(values) > 1 else ""
        print(f"{key:42s} {interval.mean:.4g}{half}")
    print(f"written to {folder}")
