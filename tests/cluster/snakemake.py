"""A copy of the project whose snakemake sends jobs to the loopback's Slurm."""

from __future__ import annotations

import itertools
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..workflow.checkout import Checkout, plain_environment, snakemake_words
from .slurm import Job, Slurm

# What the loopback needs, and a user of a real cluster does not: no accounting, and nobody to be kind to.
HASTE = {
    "slurm": ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
}


@dataclass(frozen=True)
class Running:
    """A snakemake that has been started; its output is in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    slurm: Slurm

    @property
    def text(self) -> str:
        """What it has written so far, on both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float) -> int:
        """Exit status; fails with the output's end and the daemons' logs if it takes longer."""
        try:
            self.slurm.wait_for(
                lambda: self.process.poll() is not None,
                seconds,
                lambda: f"end of snakemake, which has written:\n{self.text[-3000:]}",
            )
        finally:
            self.process.kill()  # nothing, once it has ended
        return self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to snakemake alone, as `kill` does; Ctrl-C is SIGINT."""
        self.process.send_signal(number)


@dataclass(frozen=True)
class ClusterCheckout(Checkout):
    """A copy of the project, run by the interpreter that has the executor plugins."""

    python: Path
    slurm: Slurm

    def profile(self, name: str, section: str, **values: str) -> dict[str, str]:
        """A profile's section in this copy, after entries of it have been set."""
        path = self.folder / "profiles" / name / "config.yaml"
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        profile[section] |= values
        path.write_text(yaml.safe_dump(profile), encoding="utf-8")
        found: dict[str, str] = profile[section]
        return found

    def jobs(self) -> list[Job]:
        """Jobs sent from this copy, in the order of their numbers."""
        return [job for job in self.slurm.jobs() if job.folder == str(self.folder)]

    def start(
        self, *words: str, profile: str = "slurm", tier: str = "tiny.yaml", option: str = "--workflow-profile"
    ) -> Running:
        """Start snakemake with a profile of the project; `config:seeds=5` overrides an entry of the tier."""
        log = next(
            path for number in itertools.count() if not (path := self.folder / f"run{number}.txt").exists()
        )
        words = (option, f"profiles/{profile}", *HASTE.get(profile, ()), *words)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.python, *snakemake_words(words, tier)],
                cwd=self.folder,
                env=plain_environment() | self.slurm.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log, self.slurm)
