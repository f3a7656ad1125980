"""Signals are noticed between steps, insisting works, and nothing stays installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from spectral_ssl.train import signals
from spectral_ssl.train.signals import ASKING, Stop


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """Signals that reached the handlers from before."""
    numbers: list[int] = []
    before = {number: signal.getsignal(number) for number in ASKING}
    for number in ASKING:
        signal.signal(number, lambda number, _: numbers.append(number))
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in ASKING]


def test_both_signals_ask() -> None:
    assert set(ASKING) == {signal.SIGTERM, signal.SIGUSR1}


@pytest.mark.parametrize("number", ASKING)
def test_a_signal_is_noticed_and_a_later_one_goes_to_the_handler_before(
    heard: list[int], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = handlers()
    with Stop() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
        assert heard == []
        os.kill(os.getpid(), number)
        assert heard == []  # passed on by a launcher: the same request
        monkeypatch.setattr(signals, "ONE_REQUEST", 0.0)
        os.kill(os.getpid(), number)
        assert heard == [number]
    assert stop.signal == number
    assert handlers() == before


def test_the_first_of_two_kinds_is_kept(heard: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "ONE_REQUEST", 0.0)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGUSR1
        assert heard == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]


def test_handlers_return_after_an_error(heard: list[int]) -> None:
    before = handlers()
    with pytest.raises(ZeroDivisionError), Stop():
        raise ZeroDivisionError
    assert handlers() == before
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_another_thread_installs_nothing(heard: list[int]) -> None:
    before, seen = handlers(), []

    def enter() -> None:
        with Stop() as stop:
            seen.append((handlers() == before, stop.signal))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(True, None)]


SCRIPT = """
import os, signal, sys
from spectral_ssl.train import signals
from spectral_ssl.train.signals import Stop

signals.ONE_REQUEST = 0.0
with Stop() as stop:
    for _ in range(int(sys.argv[2])):
        os.kill(os.getpid(), int(sys.argv[1]))
        print("alive", flush=True)
sys.exit(128 + stop.signal)
"""


@pytest.mark.parametrize("number", ASKING)
@pytest.mark.parametrize("times", [1, 2])
def test_who_insists_ends_the_process(number: int, times: int) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(int(number)), str(times)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert run.stdout == "alive\n"
    assert run.returncode == (128 + number if times == 1 else -number)
