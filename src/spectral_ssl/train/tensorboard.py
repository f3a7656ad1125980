"""Rows of history for TensorBoard, which is needed only where a run asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from spectral_ssl.errors import UserError

Write = Callable[[int, Mapping[str, float]], None]


@contextmanager
def writer(folder: Path, wanted: bool) -> Iterator[Write]:
    """A function that writes an epoch's row (epoch, row) as scalars under `folder`; it does nothing unless `wanted`.

    Each column but `epoch` is a scalar, at the step `epoch`, and is on disk when the function returns. A process that
    resumes goes on in a file of its own: its first row says that what earlier files hold from that epoch on is void,
    so that TensorBoard shows every epoch once.

    Raises UserError if tensorboard is not installed.
    """
    if not wanted:
        yield lambda epoch, row: None
        return
    summary_writer = _summary_writer()
    opened: list[Any] = []

    def write(epoch: int, row: Mapping[str, float]) -> None:
        if not opened:
            opened.append(summary_writer(str(folder), purge_step=epoch))
        for name, value in row.items():
            if name != "epoch":
                opened[0].add_scalar(name, value, epoch)
        opened[0].flush()

    try:
        yield write
    finally:
        for events in opened:
            events.close()


def _summary_writer() -> Any:
    try:
        return import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise UserError(
            f"engine.tensorboard is true, but tensorboard cannot be imported ({error}); "
            "pip install tensorboard, or set engine.tensorboard to false"
        ) from error
