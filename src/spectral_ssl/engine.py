"""How training uses the machine: the section of a tier that training itself needs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spectral_ssl.bounds import Count, Machine, Strict


class Engine(Strict):
    """How training uses the machine. None of it changes what is trained, beyond rounding."""

    processes: Machine = Field(
        default=1, ge=1, description="Processes that share each batch of a run, a device each (torchrun)."
    )
    together: Count = Field(
        default=1,
        description="Runs of a job that train together in one pass, where networks are equal.",
    )
    data: Literal["auto", "resident", "stream"] = Field(
        default="auto",
        description="Images on the device, or read as they are needed; auto: resident if half its memory holds them.",
    )
    readers: Machine = Field(default=2, ge=1, description="Threads that read images where they stream.")
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None = Field(
        default=None, description="Mode of torch.compile for encoder and head; null: not compiled."
    )
    checkpoint_seconds: float = Field(
        default=180.0, ge=0, le=1e9, description="Time between checkpoints of an unfinished run, seconds."
    )
    tensorboard: bool = Field(
        default=False, description="Write each epoch's row for TensorBoard too, under tensorboard/."
    )
