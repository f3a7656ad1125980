"""One pretraining job that lasts long enough to be disturbed, and what it leaves when nobody disturbs it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from spectral_ssl.targets import Targets

from .slurm import Job, Slurm
from .snakemake import ClusterCheckout, Running

CLOCK = ("seconds", "views_per_second", "utilisation")
TIER = "long.yaml"
EPOCHS = 500


@dataclass(frozen=True)
class LongJob:
    """A batch of two runs, with its data set ingested, in a checkout of its own."""

    checkout: ClusterCheckout

    @classmethod
    def prepare(cls, checkout: ClusterCheckout, epochs: int = EPOCHS) -> LongJob:
        """Write the tier and ingest its data set, without a cluster."""
        tier = yaml.safe_load((checkout.folder / "tiny.yaml").read_text(encoding="utf-8"))
        tier |= {"name": "long", "engine": {"checkpoint_seconds": 1}}
        tier["training"]["epochs"] = epochs
        (checkout.folder / TIER).write_text(yaml.safe_dump(tier), encoding="utf-8")
        done = checkout.snakemake("data_digits", tier=TIER)
        assert done.returncode == 0, done.stderr[-3000:]
        return cls(checkout)

    def copy(self, folder: Path) -> LongJob:
        """The same job in another folder, not begun."""
        shutil.copytree(self.checkout.folder, folder, dirs_exist_ok=True)
        return LongJob(ClusterCheckout(folder, self.checkout.python, self.checkout.slurm))

    @cached_property
    def _targets(self) -> Targets:
        folder = self.checkout.folder
        return Targets({"tier": str(folder / TIER)}, folder / "config")

    @property
    def batch(self) -> str:
        """The batch's id: Simclr's variant with the absolute value, which few experiments ask for."""
        return next(name for name in self._targets.manifest.batches if name.startswith("digits-simclr_abs-"))

    @property
    def rule(self) -> str:
        """The name of its rule, by which Slurm's comment knows it too."""
        return f"pretrain_{self.batch.replace('-', '_')}"

    @property
    def log(self) -> str:
        """What the last try of the stage has told."""
        path = self.checkout.folder / f"results/long/logs/pretrain/{self.batch}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def start(self, *words: str, profile: str = "slurm", option: str = "--workflow-profile") -> Running:
        """Have snakemake submit it, with a profile by either of two options."""
        return self.checkout.start(self.rule, *words, profile=profile, tier=TIER, option=option)

    def alone(self) -> LongJob:
        """Run it here, without snakemake and undisturbed."""
        done = self.checkout.stage("pretrain", "--batch", self.batch, tier=TIER)
        assert done.returncode == 0, done.stderr
        return self

    def submitted(self) -> list[Job]:
        """Its jobs in the queue's memory, one a try."""
        return self.checkout.jobs()

    def until_checkpoint(self) -> Job:
        """Its one job, once it runs and has saved a checkpoint."""
        slurm: Slurm = self.checkout.slurm
        scratch = self.checkout.folder / "results/.scratch/long"
        slurm.wait_for(lambda: any(scratch.glob("**/checkpoints/*")), 120, "first checkpoint")
        (job,) = self.submitted()
        assert job.state == "RUNNING"
        return job

    def folders(self) -> list[Path]:
        """The results of its runs."""
        runs = self._targets.manifest.batches[self.batch].runs
        return [self.checkout.folder / "results/long/runs" / run.id for run in runs]

    def results(self) -> dict[str, str]:
        """Weights, measurements and history of every run, without what a clock decides."""
        found = {}
        for folder in self.folders():
            run = folder.name
            found[f"{run} weights"] = digest((folder / "encoder.safetensors").read_bytes())
            found[f"{run} probe"] = json.dumps(
                json.loads((folder / "probe.json").read_text()), sort_keys=True
            )
            history = pd.read_csv(folder / "history.csv", dtype=str).drop(columns=list(CLOCK))
            found[f"{run} history"] = digest(history.to_csv(index=False).encode())
        return found


def digest(content: bytes) -> str:
    """sha256 of bytes."""
    return hashlib.sha256(content).hexdigest()
