"""Checkpoints of unfinished runs: written whole or not at all, checked when read, loaded without running code.

A checkpoint is a folder `checkpoints/<step>/` (see `checkpoint_files`). It is written in a hidden sibling, then
renamed: a kill or a power cut at any moment leaves whole checkpoints only.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.train import checkpoint_files as files

SHOWN = 6  # differences that the refusal of another configuration lists

log = logging.getLogger(__name__)


class Checkpoints:
    """The newest checkpoints of one run.

    Args:
        folder: the run's scratch folder; checkpoints lie in its `checkpoints`. One process may save, after all
            that share the run have loaded.
        settings: what makes the run what it is, as JSON can say it. A checkpoint of other settings is refused.
        keep: checkpoints that stay; with 2 a damaged one costs the time since the one before.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, keep: int = 2) -> None:
        self.folder = folder / "checkpoints"
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.keep = keep
        self._damaged: set[Path] = set()
        self._said: set[str] = set()

    def save(self, weights: Mapping[str, Tensor], state: Mapping[str, Any], step: int) -> bool:
        """Write the checkpoint of a step, then remove all but the newest `keep`; False if the disk is full.

        A full disk is a warning on the log: earlier checkpoints stay and training can go on.

        Args:
            weights: tensors by name, of the types that safetensors has, on any device. Names that share memory
                are written apart.
            state: plain values and tensors in dicts, lists and tuples.
            step: steps done since the run began. An earlier checkpoint of this step is replaced.

        Raises:
            TypeError: `state` holds what could not be loaded again, a NumPy number for example.
            UserError: the folder cannot be written, and not because the disk is full.
        """
        contents = files.contents(weights, state, step, self.settings)
        part = self.folder / f".{step:012d}.{os.getpid()}.part"
        try:
            self._tidy()
            files.write(part, contents)
            self._put(part, self.folder / f"{step:012d}")
            self._prune(step)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise self._unusable("write", error) from error
            self._warn_full(error, sum(map(len, contents.values())))
            return False
        return True

    def load(self, device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The weights and the state of the newest whole checkpoint, or None if there is none.

        A damaged checkpoint is named on the log and the one before it is tried: it costs time, never a wrong
        number. Weights come to `device`, and so do the state's tensors, except those that were on the CPU when
        they were saved (generators' states and optimisers' counts of steps belong there).

        Raises:
            UserError: the checkpoint is of other settings (the differences are listed), or the folder cannot be
                read.
        """
        try:
            self._tidy()
            folders = self._folders()
        except OSError as error:
            raise self._unusable("read", error) from error
        for place, folder in enumerate(folders):
            try:
                self._compare(folder, files.settings_of(folder))
                weights, state = files.read(folder)
            except files.Damaged as damage:
                self._damaged.add(folder)
                before = [f"the one before, of step {int(f.name)}, is tried" for f in folders[place + 1 :]]
                log.warning("%s; %s", damage, before[0] if before else "the run starts from its beginning")
                continue
            on_device = {name: tensor.to(device) for name, tensor in weights.items()}
            return on_device, files.load_state(state, device)
        return None

    def _folders(self) -> list[Path]:
        """The checkpoints, newest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if re.fullmatch(r"\d{12,}", path.name)]
        return sorted(found, key=lambda path: int(path.name), reverse=True)

    def _tidy(self) -> None:
        """Finish what a killed process began: see `_put` for `.old`. Processes that load together all do."""
        for old in self.folder.glob(".*.old"):
            target = self.folder / old.name[1:-4]
            if target.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    old.rename(target)
        for part in self.folder.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def _put(self, part: Path, target: Path) -> None:
        """Rename; a folder cannot replace one that has files, so an earlier one steps aside for that moment."""
        old = target.with_name(f".{target.name}.old")
        replaces = target.exists()
        if replaces:
            target.rename(old)
        part.rename(target)
        files.sync(self.folder)
        self._damaged.discard(target)
        if replaces:
            shutil.rmtree(old)

    def _prune(self, step: int) -> None:
        """Remove old and damaged checkpoints, and those of later steps: the run was resumed before them."""
        folders = self._folders()
        whole = [folder for folder in folders if int(folder.name) <= step and folder not in self._damaged]
        for folder in set(folders) - set(whole[: self.keep]):
            part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
            folder.rename(part)  # at once, where removing its files one by one could be interrupted
            shutil.rmtree(part)

    def _compare(self, folder: Path, settings: dict[str, Any]) -> None:
        """Refuse the checkpoint of another configuration."""
        there, here = _flat(settings), _flat(self.settings)
        differences = [
            f"{name}: {there.get(name, 'absent')} in the checkpoint, {here.get(name, 'absent')} in this run"
            for name in sorted(there.keys() | here.keys())
            if name not in there or name not in here or there[name] != here[name]
        ]
        if differences:
            more = len(differences) - SHOWN
            listed = "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise UserError(
                f"{folder} is the checkpoint of another configuration ({listed}): set these back to go on from "
                f"it, or delete {self.folder} to train from the beginning"
            )

    def _unusable(self, what: str, error: OSError) -> UserError:
        return UserError(
            f"cannot {what} checkpoints in {self.folder}: {error.strerror or error}; make the folder writable or "
            "choose another one, then run again"
        )

    def _warn_full(self, error: OSError, size: int) -> None:
        """Say, once a message, that a checkpoint of `size` bytes was not written."""
        there = next(path for path in (self.folder, *self.folder.absolute().parents) if path.is_dir())
        text = (
            f"no checkpoint written in {self.folder}: {error.strerror or error}; {size / 2**20:.1f} MiB are needed "
            f"and {shutil.disk_usage(there).free / 2**20:.1f} MiB are free; training goes on without: make room "
            "there, or a stop costs the time since the last one"
        )
        if text not in self._said:
            self._said.add(text)
            log.warning(text)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings by dotted name, values as JSON."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        inner = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": json.dumps(value)}
    return flat
