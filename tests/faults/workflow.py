"""A copy of the project in which snakemake runs under faults, and what its results are compared by."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spectral_ssl.targets import Targets

from ..workflow.checkout import ROOT, Checkout, copy_project, plain_environment, snakemake_words

PATIENCE = 1800  # seconds after which a run counts as hanging

sys.path.insert(0, str(ROOT / "benchmarks"))
import compare  # noqa: E402, a script beside the package


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    text: str

    @property
    def errors(self) -> list[str]:
        """The lines that begin `error: `."""
        return [line for line in self.text.splitlines() if line.startswith("error: ")]

    def succeeded(self) -> Ended:
        """Itself; fails with what was written otherwise."""
        assert self.status == 0, self.text[-4000:]
        return self


@dataclass(frozen=True)
class Running:
    """A command that has been started as the head of a process group, writing to a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> Ended:
        """Until it ends."""
        status = self.process.wait(PATIENCE)
        return Ended(status, self.log.read_text(encoding="utf-8", errors="replace"))

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to it and to all of its jobs, as a terminal, an init or a batch system does."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            assert self.process.poll() is not None

    def until(self, path: Path) -> None:
        """Until a file is there."""
        while not path.exists():
            assert self.process.poll() is None, self.wait().text[-4000:]
            time.sleep(0.02)


class Faulty(Checkout):
    """A copy of the project; commands may have a changed environment, in which None removes a name."""

    def start(
        self,
        *words: str,
        environment: Mapping[str, str | None] | None = None,
        before: Iterable[str] = (),
    ) -> Running:
        """Start snakemake, under a command `before` it."""
        return self.start_command(
            [*before, sys.executable, *snakemake_words(words, "tiny.yaml")], environment or {}
        )

    def start_command(self, command: Iterable[str], environment: Mapping[str, str | None]) -> Running:
        """Start any command in the folder."""
        changed = plain_environment() | dict(environment)
        log = self.folder.parent / f"{self.folder.name} {time.monotonic_ns()}.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                cwd=self.folder,
                env={name: value for name, value in changed.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log)

    def run(self, *words: str, environment: Mapping[str, str | None] | None = None) -> Ended:
        """Run snakemake to its end."""
        return self.start(*words, environment=environment).wait()

    def copy(self, folder: Path) -> Faulty:
        """A copy with results, records and times; Python's caches of modules stay valid, too."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Faulty(folder)

    def targets(self) -> Targets:
        """What the tier's jobs write."""
        return Targets({"tier": str(self.folder / "tiny.yaml")}, self.folder / "config")

    def few(self) -> list[str]:
        """Targets that take seconds: both data sets, and the runs of one method on the smaller."""
        targets = self.targets()
        batch = next(batch for name, batch in targets.manifest.batches.items() if name.startswith("factors-"))
        return [targets.data("digits")[0], targets.data("factors")[0], targets.batch(batch)[0]]

    def digests(self) -> dict[str, str]:
        """A digest of every result that two runs have in common, without what a clock or the machine writes."""
        return {
            name: hashlib.sha256(compare.without_exempt(name, (self.folder / name).read_bytes())).hexdigest()
            for name in sorted(compare.files(self.folder, "tiny"))
            if not compare.is_exempt(name)
        }

    def leftovers(self) -> list[Path]:
        """Parts of files that nobody is writing any more."""
        return list((self.folder / "results").rglob("*.part*"))


def make(folder: Path) -> Faulty:
    """A copy of the project with one seed a cell, nothing run."""
    folder.mkdir(parents=True)
    copy_project(folder)
    tier = folder / "tiny.yaml"
    tier.write_text(tier.read_text(encoding="utf-8").replace("seeds: 2", "seeds: 1"), encoding="utf-8")
    return Faulty(folder)


def pasted(line: str) -> list[str]:
    """The command that an error line ends with, run by a shell as if pasted."""
    return ["bash", "-c", line.partition("with: ")[2]]
