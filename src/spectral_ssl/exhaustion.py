"""What errors say when memory is exhausted. Imports no torch."""

from __future__ import annotations

import re

# What torch (CUDA, MPS, CPU; the latter's text differs between systems), CUDA's libraries, oneDNN and threads say.
# oneDNN finds whether it can do an operation when it describes it; what fails later is room for its code. The last two
# are Python's, about an extension that failed and said nothing, as some do where an allocation failed.
EXHAUSTED = re.compile(
    r"out of memory|can't allocate memory|not enough memory|_ALLOC_FAILED|bad_alloc|can't start new thread|"
    r"cannot allocate memory|failed to map segment|could not create a primitive(?! descriptor)|"
    r"error return without exception set|without setting an exception",
    re.IGNORECASE,
)


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted, on the CPU or another device."""
    told = isinstance(error, (RuntimeError, OSError, ImportError, SystemError)) and EXHAUSTED.search(
        str(error)
    )
    return isinstance(error, MemoryError) or bool(told)


def exhaustion_line(error: BaseException, stage: str) -> str | None:
    """The one line for a stage that ran out of memory, where nothing more is known; None for other errors."""
    if not is_exhaustion(error):
        return None
    text = " ".join(str(error).split())[:200] or "no more is known"
    return (
        f"out of memory in the stage {stage} ({text}); end other processes, run fewer jobs at once (--cores) or raise "
        "the limit (ulimit -v, the job's memory), then run again: what is finished stays"
    )
