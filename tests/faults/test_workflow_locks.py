"""Two invocations in one folder, and the lock of one that was killed: each told in one line, nothing harmed."""

from __future__ import annotations

import signal

from .workflow import Faulty, pasted


def test_a_second_invocation_is_refused_and_harms_nothing(new: Faulty) -> None:
    target = new.targets().data("digits")[0]
    first = new.start(target)
    first.until(new.folder / ".snakemake/locks/0.output.lock")
    second = new.run(target)
    assert first.process.poll() is None, "the first has ended too early for this test"
    (line,) = second.errors
    assert second.status == 1
    assert line == (
        f"error: {new.folder} is locked by another snakemake, which is running there; wait until it has ended"
    )
    first.wait().succeeded()
    assert new.plan(target) == set()


def test_a_lock_left_behind_is_kept_and_the_command_to_unlock_works(new: Faulty) -> None:
    words = (
        "--workflow-profile",
        "profiles/gpu",
        "--cores",
        "1",
        new.targets().data("digits")[0],
        "config:seeds=1",
    )
    running = new.start(*words)
    running.until(new.folder / ".snakemake/locks/0.output.lock")
    running.signal_all(signal.SIGKILL)
    running.wait()
    refused = new.run(*words)
    (line,) = refused.errors
    assert refused.status == 1
    assert "Traceback" not in refused.text
    assert f"error: {new.folder} is locked by a snakemake that was killed" in line
    assert "--unlock --workflow-profile profiles/gpu --cores 1" in line
    assert line.endswith("--config tier=tiny.yaml seeds=1")
    assert (new.folder / ".snakemake/locks/0.output.lock").exists()
    new.start_command(pasted(line), {}).wait().succeeded()
    new.run(*words).succeeded()
