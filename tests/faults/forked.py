"""A process that has imported everything and runs stages in forked children, so that a stage begins at once.

It reads one request a line (JSON) from its standard input and answers with one line. A request has the `words` after
`python -m spectral_ssl` and the `folder` to run in. It may have: `stop`, with the `signal` to send `after` seconds, or
that long after the child's `event`-th change to a file below the folder is about to be made; `memory`, the bytes of
address space that the child may take more than it has; `user`, whose rights it has; `together`, more `words`, started
at the same time. The answer has for each child the `status` (negative: the signal that ended it), what it `said`, its
`seconds` and its number of `events`.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO, Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
MODULES = (
    "data",
    "views",
    "pretrain",
    "own",
    "theorems",
    "networks",
    "tables",
    "figures",
    "report",
    "summary",
)
LATE = ("torch._dynamo", "torch.fx.experimental.symbolic_shapes")  # which training imports when it begins
LIMIT = 500.0  # seconds that a stage may take


class Child:
    """A forked stage, and the pipe through which it says that the event has come."""

    def __init__(self, request: dict[str, Any], words: list[str]) -> None:
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, closed with the child's answer
        self.counts, child_counts = os.pipe()
        stop = request.get("stop") or {}
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                os.close(self.counts)
                os.setpgid(0, 0)  # a notebook's kernel belongs to it
                os.dup2(self.said.fileno(), 1)
                os.dup2(self.said.fileno(), 2)
                status = stage(request, words, stop.get("event"), child_counts)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        os.close(child_counts)

    def answer(self, stop: dict[str, Any]) -> dict[str, Any]:
        """Send the signal at its moment, wait for the end, and say how it was."""
        if stop.get("event"):
            ready, _, _ = select.select([self.counts], [], [], LIMIT)
            if ready and os.read(self.counts, 1) == b"!":
                self._signal(stop)
        elif stop:
            self._signal(stop)
        status = self._wait()
        seconds = time.monotonic() - self.began
        with os.fdopen(self.counts, "rb") as pipe:
            events = pipe.read().decode().strip("!")
        with self.said:
            self.said.seek(0)
            said = self.said.read().decode(errors="replace")
        return {"status": status, "said": said, "seconds": seconds, "events": int(events or -1)}

    def _signal(self, stop: dict[str, Any]) -> None:
        time.sleep(stop["after"])
        os.kill(self.pid, stop["signal"])  # it is not waited for yet, so the number is still its own

    def _wait(self) -> int:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return 124


def stage(request: dict[str, Any], words: list[str], event: int | None, pipe: int) -> int:
    """Run a stage here; its exit status. At its end the number of changes goes into the pipe."""
    from spectral_ssl.__main__ import main

    os.chdir(request["folder"])
    if request.get("user"):
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    if request.get("memory"):
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + request["memory"],) * 2)
    changes = watch(Path.cwd(), event, pipe)
    try:
        return main(words)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        os.write(pipe, str(len(changes)).encode())


def watch(folder: Path, event: int | None, pipe: int) -> list[str]:
    """The changes to files below the folder as they come, and a mark in the pipe before the `event`-th."""
    seen: list[str] = []

    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name == "open":
            path, mode, flags = args
            written = flags & (os.O_WRONLY | os.O_RDWR) if isinstance(flags, int) else 0
            if not written and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        elif name in CHANGES:
            path = args[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and folder in (folder / path).parents:
            seen.append(os.fspath(path))
            if len(seen) == event:
                os.write(pipe, b"!")
                time.sleep(0.001)

    sys.addaudithook(hook)
    return seen


def main() -> None:
    """Serve until the standard input ends."""
    import torch

    torch.set_num_threads(1)
    for name in (*LATE, *(f"spectral_ssl.stages.{name}" for name in MODULES)):
        import_module(name)
    for paper in ("haochen2021", "garrido2023", "balestriero2022"):
        import_module(f"spectral_ssl.papers.{paper}.tables")
        import_module(f"spectral_ssl.papers.{paper}.figures")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a stage prints by mistake is no answer
    for line in sys.stdin:
        request = json.loads(line)
        children = [Child(request, words) for words in (request["words"], *request.get("together", []))]
        found = [
            child.answer((request.get("stop") or {}) if child is children[0] else {}) for child in children
        ]
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
