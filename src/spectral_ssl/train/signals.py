"""Signals that ask a run to stop, noticed between steps."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

ASKING = (signal.SIGTERM, signal.SIGUSR1)
ONE_REQUEST = 5.0


class Stop:
    """Notices SIGTERM and SIGUSR1 without interrupting a step.

    Both ask for the same: Slurm sends either before a time limit or a preemption, as it is told to
    (`--signal=USR1@120`), container systems send SIGTERM. The first one is kept in `signal`, for the training loop
    to look at between steps. One of the same kind that comes `ONE_REQUEST` seconds later goes to the handler that was
    there before, as a rule the end of the process: who asks twice does not want to wait. Until then it is the same
    request, since torchrun passes on to its processes what Slurm has sent to all of them.

    A context manager: handlers are installed on entry and put back on exit. Python lets the main thread alone
    install them; in another thread entering does nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}
        self._noticed: dict[int, float] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in ASKING:
                # None stands for a handler that is not Python's, which Python cannot put back.
                self._before[number] = signal.getsignal(number) or signal.SIG_DFL
                signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        moment = time.monotonic()
        self.signal = self.signal or number
        if number not in self._noticed:
            self._noticed[number] = moment
        elif moment - self._noticed[number] >= ONE_REQUEST:
            signal.signal(number, self._before[number])
            os.kill(os.getpid(), number)
