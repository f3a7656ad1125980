"""Snakemake and its jobs stopped at random moments, and results cut: the next invocation completes, with the same
bytes as an undisturbed one.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .workflow import Faulty, pasted

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def completed(copy: Faulty, targets: list[str], undisturbed: Faulty, what: str) -> None:
    """The next invocation, after unlocking as told where that is needed, leaves what an undisturbed one does."""
    done = copy.run(*targets)
    if done.status != 0 and "is locked by a snakemake that was killed" in done.text:
        (line,) = done.errors
        copy.start_command(pasted(line), {}).wait().succeeded()
        done = copy.run(*targets)
    assert done.status == 0, f"{what}\n{done.text[-4000:]}"
    assert copy.digests() == undisturbed.digests(), what
    assert copy.leftovers() == [], what


def stopped_at_random(
    name: str, seed: int, finished: tuple[Faulty, float], new: Faulty, targets: list[str]
) -> None:
    undisturbed, seconds = finished
    moment = random.Random(f"{name} {seed}").uniform(0, seconds)
    running = new.start(*targets)
    time.sleep(moment)
    running.signal_all(signal.Signals[name])
    running.wait()
    completed(new, targets, undisturbed, f"{name} after {moment:.2f} s of {seconds:.2f}, trial {seed}")


@pytest.mark.parametrize(
    "name", [SIGNALS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in SIGNALS[1:])]
)
def test_stopped_at_random(name: str, few, project: Faulty, tmp_path: Path, trials: Callable) -> None:
    for seed in trials(4):
        copy = project.copy(tmp_path / str(seed))
        stopped_at_random(name, seed, few, copy, copy.few())


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNALS)
def test_the_whole_graph_stopped_at_random(name: str, whole, new: Faulty) -> None:
    stopped_at_random(name, 0, whole, new, [])


def cut(copy: Faulty, seed: int) -> str:
    """Truncate a random result of at least two bytes; what was done, in words."""
    generator = random.Random(f"cut {seed}")
    name = generator.choice([name for name in copy.digests() if (copy.folder / name).stat().st_size > 1])
    data = (copy.folder / name).read_bytes()
    size = generator.randrange(len(data))
    (copy.folder / name).write_bytes(data[:size])
    return f"{name} cut to {size} of {len(data)} bytes, trial {seed}"


@pytest.mark.slow
def test_a_result_cut_at_random_is_made_again(few, tmp_path: Path, trials: Callable) -> None:
    for seed in trials(10):
        copy = few[0].copy(tmp_path / str(seed))
        completed(copy, copy.few(), few[0], cut(copy, seed))


@pytest.mark.slow
def test_a_result_of_the_whole_graph_cut_at_random_is_made_again(whole, tmp_path: Path) -> None:
    for seed in range(3):
        copy = whole[0].copy(tmp_path / str(seed))
        completed(copy, [], whole[0], cut(copy, seed))
