"""Why jobs of a workflow failed, read from its log and theirs: one line a job. Imports no torch."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

FAILED = re.compile(r"^Error in rule (\S+):\n(?:    .*\n)*?    log: (\S+) \(check log", re.M)
STATUS = re.compile(
    r"> (\S+) 2>&1[^\n]*?' (?:returned non-zero exit status (\d+)|died with <Signals\.\w+: (\d+)>)"
)
MEMORY = "perhaps for want of memory: see what `dmesg` says of it, and run fewer at once (--cores 1)"


def failures(log: str) -> list[str]:
    """A line for each job that failed in a workflow whose log is given: its rule, and what its own log says last.

    A job that failed at several tries counts once, one that succeeded at last not. Logs lie relative to the working
    directory.
    """
    statuses = {name: int(status or 0) or -int(number) for name, status, number in STATUS.findall(log)}
    rules = {found[2]: found[1] for found in FAILED.finditer(log) if not _done(found[1], log[found.end() :])}
    return [f"error: {rule}: {_cause(Path(name), statuses.get(name))}" for name, rule in rules.items()]


def _done(rule: str, after: str) -> bool:
    return re.search(rf"^Finished jobid: \d+ \(Rule: {re.escape(rule)}\)", after, re.M) is not None


def _cause(log: Path, status: int | None) -> str:
    killed = -status if status is not None and status < 0 else (status or 0) - 128
    if killed == signal.SIGKILL:
        return f"killed (SIGKILL), {MEMORY}; the next run makes it again"
    said = [line.removeprefix("error: ") for line in _lines(log) if line.startswith("error: ")]
    if said:
        return said[-1]
    if killed in set(signal.Signals):
        return f"stopped by {signal.Signals(killed).name}; the next run makes it again"
    how = "failed" if status is None else f"ended with status {status}"
    return f"{how} without saying why; see {log}, and the room on its disk"


def _lines(log: Path) -> Iterator[str]:
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file)
    except OSError:
        return
