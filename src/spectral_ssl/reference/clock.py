"""A budget of time: what is at work when it ends is asked to stop, as by a cluster's warning."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spectral_ssl.errors import Interrupted, UserError

RESERVE = 10.0  # seconds to write a checkpoint in, and to end


class OutOfTime(UserError):
    """SIGTERM reached what cannot stop half-way; it is done anew."""

    exit_code = 128 + signal.SIGTERM


class Clock:
    """Counts from its making. Without a budget it never ends."""

    def __init__(self, budget: float | None) -> None:
        if budget is not None and not RESERVE < budget < math.inf:
            raise UserError(
                f"--budget is {budget:g} s: expected more than {RESERVE:g} s, which are kept for a last checkpoint"
            )
        self.end = math.inf if budget is None else time.monotonic() + budget - RESERVE

    @property
    def left(self) -> float:
        """Seconds left for work."""
        return max(self.end - time.monotonic(), 0.0)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Within, this process gets SIGTERM when the time is up. Training then stops with a checkpoint, Interrupted;
        other work with OutOfTime. Both pass silently, but for a SIGTERM of someone else's.
        """
        before = signal.signal(signal.SIGTERM, _stop)
        timer = threading.Timer(self.left, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        if self.end < math.inf:
            timer.start()
        try:
            yield
        except (Interrupted, OutOfTime):
            if self.left:
                raise
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one that was on its way comes too late
            timer.cancel()
            if timer.ident is not None:
                timer.join()
            signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise OutOfTime("stopped by SIGTERM; the same command goes on from the last checkpoint")
