"""The pretraining job: train and probe a batch's runs, then put all their files in place at once.

A run's files are written in a scratch folder keyed by the hashes of its settings, its code and its data.
A finished run waits there for its siblings, unfinished ones keep their checkpoints beside it; so a killed job
resumes, and the results folder never holds half a run. Of several processes the first one writes. A run that another
job trains is refused: the two would write one folder.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from spectral_ssl.data.views import get_augmentation
from spectral_ssl.engine import Engine
from spectral_ssl.errors import UserError, unknown
from spectral_ssl.layout import RUN_FILES
from spectral_ssl.locks import one_process
from spectral_ssl.losses import get_loss
from spectral_ssl.methods import build_method
from spectral_ssl.provenance import environment, nvidia_driver, read_json, replacing, sha256_file, write_json
from spectral_ssl.train import memory
from spectral_ssl.train.distributed import World
from spectral_ssl.train.evaluation import evaluate_run
from spectral_ssl.train.group import Row
from spectral_ssl.train.images import Images
from spectral_ssl.train.loop import Progress, Trained, train_together
from spectral_ssl.train.partners import partners
from spectral_ssl.train.stacked import stackable
from spectral_ssl.train.tensorboard import writer

if TYPE_CHECKING:
    from spectral_ssl.data.sources import Dataset
    from spectral_ssl.papers.manifest import RunSettings

WHOLE = "whole.json"  # in scratch: the sha256 of a finished run's files, of which status.json is written last
DESCRIBED = [name for name in RUN_FILES if name != "status.json"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a job reads and writes, and the code it runs."""

    results: Path
    scratch: Path
    code: str
    data_hash: str

    def scratch_of(self, run: RunSettings) -> Path:
        """The folder of an unfinished run: another setting, code or data is another folder."""
        return self.scratch / f"{run.id}-{self.code}-{self.data_hash[:8]}"

    def scratch_of_group(self, runs: Sequence[RunSettings]) -> Path:
        """The folder of the checkpoints of runs that train together: in the first one's, and removed with it."""
        names = hashlib.sha256(" ".join(run.id for run in runs).encode()).hexdigest()
        return self.scratch_of(runs[0]) / f"together-{names[:8]}"


def run_batch(
    runs: Sequence[RunSettings],
    dataset: Dataset,
    place: Place,
    *,
    device: torch.device,
    engine: Engine | None = None,
    world: World | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train and probe every run and return their statuses; a run that diverges does not stop the others."""
    engine, world = engine or Engine(), world or World()
    images = Images.of(dataset, device, mode=engine.data, workers=engine.readers)
    for run in runs:
        check_run(run, images)
    with _alone(runs, place, world):
        for group in stackable(runs, engine.together if world.size == 1 else 1):
            # Agreed on, since a shared file system may show a file to one process before another.
            if world.agree(not all(_finished(place.scratch_of(run)) for run in group)):
                _train_group(group, images, place, engine, world, progress)
        world.barrier()
        statuses = [read_json(place.scratch_of(run) / "status.json") for run in runs]
        world.barrier()
        if world.first:
            with _writing(place.results):
                for run in runs:
                    _publish(place.scratch_of(run), place.results / run.id)
                for run in runs:
                    _discard(place.scratch_of(run))
    return statuses


@contextmanager
def _alone(runs: Sequence[RunSettings], place: Place, world: World) -> Iterator[None]:
    """Hold the locks of the runs, in the first process for all; UserError in each if another job holds one."""
    refusal = None
    with ExitStack() as stack:
        if world.first:
            try:
                for run in runs:
                    folder = place.scratch_of(run)
                    lock = folder.with_name(f".{folder.name}.lock")
                    with _writing(place.scratch):
                        folder.mkdir(parents=True, exist_ok=True)
                        stack.enter_context(one_process(lock, f"training of {run.id}"))
            except UserError as error:
                refusal = error
        if world.agree(refusal is not None):
            raise refusal or UserError("the first process may not train these runs; its own message says why")
        yield


def _finished(folder: Path) -> bool:
    """Whether a scratch folder holds a run's files as they were written; damaged ones are told and written again."""
    if not (folder / "status.json").is_file():
        return False
    try:
        read_json(folder / "status.json")
        digests = read_json(folder / WHOLE)
        damaged = [name for name in DESCRIBED if sha256_file(folder / name) != digests[name]]
    except (UserError, OSError, KeyError, TypeError):
        damaged = [WHOLE]
    if damaged:
        log.warning("%s is not as it was written; its run is trained again", folder / damaged[0])
        (folder / "status.json").unlink(missing_ok=True)
    return not damaged


def _train_group(
    group: Sequence[RunSettings],
    images: Images,
    place: Place,
    engine: Engine,
    world: World,
    progress: Progress | None,
) -> None:
    """Train runs that can train together, and write the files of each."""
    scratch = place.scratch_of_group(group)
    with _writing(place.scratch):
        for run in group:
            place.scratch_of(run).mkdir(parents=True, exist_ok=True)
    wanted = engine.tensorboard and world.first
    try:
        with ExitStack() as stack:
            writers = {
                run.id: stack.enter_context(writer(place.results.parent / "tensorboard" / run.id, wanted))
                for run in group
            }

            def told(run: RunSettings, epoch: int, row: Row) -> None:
                writers[run.id](epoch, row)
                if progress:
                    progress(run, epoch, row)

            trained = train_together(group, images, scratch, engine=engine, world=world, progress=told)
        if world.first:
            for run, end in zip(group, trained, strict=True):
                if not _finished(place.scratch_of(run)):  # files that are whole are not touched again
                    with _writing(place.scratch):
                        _write(run, end, images, place, engine, world.size)
            shutil.rmtree(scratch, ignore_errors=True)
    except Exception as error:
        if explained := memory.explain(error, group[0], images, members=len(group), processes=world.size):
            raise explained from error
        raise


def check_run(run: RunSettings, images: Images) -> None:
    """Refuse, before anything trains, what cannot be: a batch larger than the data set, a hyperparameter that
    the loss lacks, networks that do not fit the images or each other, an augmentation or a relation that the data
    set cannot give.
    """
    n, channels, size, _ = images.shape
    if run.batch_size > n:
        raise UserError(
            f"batch_size is {run.batch_size}, but {run.dataset} has {n} training images; "
            f"set training.batch_size to at most {n}"
        )
    known = get_loss(run.loss).hyperparameters
    for name in run.hyperparameters:
        if name not in known:
            raise unknown(f"hyperparameter of {run.loss}", name, known)
    first = torch.zeros(1, dtype=torch.long, device=images.device)
    views = get_augmentation(run.augmentation, size, channels)
    generator = torch.Generator(images.device)
    views(images.get("train", first), generator=generator, factors=images.factors("train", first))
    partners(run.relation, images)
    build_method(run, size, channels, generator=torch.Generator().manual_seed(0))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A full disk or a folder that cannot be written is for the user to repair: UserError in one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        place, reason = getattr(error, "filename", None) or folder, getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot write {place}: {reason}; make room or make the folder writable, then run again"
        ) from error


def _publish(folder: Path, target: Path) -> None:
    """Copy a finished run's files into the results, `status.json` last: a job killed here can copy again."""
    (target / "status.json").unlink(missing_ok=True)
    for name in RUN_FILES:
        with replacing(target / name) as file:
            shutil.copyfile(folder / name, file.name)


def _discard(folder: Path) -> None:
    """Remove a published run's scratch folder; first the file that says that the others are whole."""
    (folder / "status.json").unlink()
    shutil.rmtree(folder)


def _device(device: torch.device) -> dict[str, str]:
    """What trained: the CPU, or a GPU with its driver and CUDA's version."""
    if device.type != "cuda":
        return {"device": device.type}
    return {
        "device": torch.cuda.get_device_name(device),
        "driver": nvidia_driver(),
        "cuda": str(torch.version.cuda),
    }


def _write(
    run: RunSettings, trained: Trained, images: Images, place: Place, engine: Engine, processes: int
) -> None:
    """A run's files, `status.json` last: its presence says that the others are whole."""
    folder, device = place.scratch_of(run), images.device
    weights = folder / "encoder.safetensors"
    save_file({k: v.contiguous().cpu() for k, v in trained.method.encoder.state_dict().items()}, weights)
    columns = list(trained.history[0]) if trained.history else ["epoch", "loss"]
    history = pd.DataFrame(trained.history, columns=columns)
    history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
    status: dict[str, Any] = {"run": run.id, "status": "finished", "epochs": len(trained.history)}
    probe: dict[str, Any] = {}
    names = ("representations", "embeddings", "labels", "agreement")
    features = {name: np.empty((0, 0), np.float32) for name in names}
    begun = time.perf_counter()
    if trained.diverged:
        status |= {"status": "diverged", **trained.diverged}
    else:
        probe, features = evaluate_run(run, trained, images)
    evaluated = time.perf_counter() - begun
    write_json(folder / "probe.json", probe)
    np.savez_compressed(folder / "features.npz", **features)  # type: ignore[arg-type]
    provenance = {
        "settings": run.model_dump(mode="json"),
        "code": place.code,
        "data_sha256": place.data_hash,
        **_device(device),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "engine": engine.model_dump(mode="json"),
        "training_seconds": round(sum(row["seconds"] for row in trained.history), 3),
        "evaluation_seconds": round(evaluated, 3),
        "encoder_sha256": sha256_file(weights),
        **environment(),
    }
    write_json(folder / "provenance.json", provenance)
    write_json(folder / WHOLE, {name: sha256_file(folder / name) for name in DESCRIBED})
    write_json(folder / "status.json", status)
