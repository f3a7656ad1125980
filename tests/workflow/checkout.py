"""A copy of the checkout with a tiny tier, and snakemake's command line in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "src", "config", "profiles", "notebooks")

# One level a factor, so that experiments share most runs; SimSiam's learning rate is past what float32 bears.
TIER = """
name: tiny
description: digits, one epoch, to see that the graph works
seeds: 2
data: {name: digits, train_limit: 100, test_limit: 60}
training:
  encoder: conv_narrow
  projector: 16-d
  embedding_dim: 8
  augmentation: digits_affine
  batch_size: 50
  epochs: 1
  optimiser: {name: adamw, learning_rate: 2.0e-3, weight_decay: 1.0e-4, warmup_epochs: 0}
levels:
  {epochs: [1], mu: [3], embedding_dim: [8], projector: [16-d], invariance: [25], batch_size: [50],
  head: ["spectral:16"], encoder: [conv_narrow], optimiser: [adamw],
  relation: ["factor:shape", "factor:colour"], graph_invariance: [1, 25]}
views: {images: 12, views: 2}
probes: {names: [few1], draws: 2, metric: few1}
theorems: {instances: 3, seed: 0}
jobs: {threads: 1}
recipes:
  simsiam: {optimiser: {name: adamw, learning_rate: 1.0e+30, weight_decay: 0, warmup_epochs: 0}}
  moco_v2: {options: {queue: 100}}
  nnclr: {options: {queue: 100, predictor_width: 16}}
  byol: {options: {predictor_width: 16}}
companions:
  factors:
    data: {name: factors, image_size: 16, train_limit: 64, test_limit: 32}
    training: {augmentation: factors, batch_size: 32}
"""


@dataclass(frozen=True)
class Checkout:
    """A folder that holds a copy of the project, and its commands."""

    folder: Path

    def _call(
        self, *words: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=plain_environment() | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    def snakemake(self, *words: str, tier: str = "tiny.yaml") -> subprocess.CompletedProcess[str]:
        """Words of snakemake; `config:seeds=5` overrides an entry of the tier."""
        return self._call(*snakemake_words(("--cores", "2", *words), tier))

    def stage(self, name: str, *words: str, tier: str = "tiny.yaml") -> subprocess.CompletedProcess[str]:
        """A stage's command by hand."""
        source = {"PYTHONPATH": str(self.folder / "src")}
        return self._call("-m", "spectral_ssl", name, "--tier", tier, *words, environment=source)

    def plan(self, *words: str, tier: str = "tiny.yaml") -> set[str]:
        """The rules that a dry run would run, without `all`."""
        done = self.snakemake("--dry-run", *words, tier=tier)
        assert done.returncode == 0, done.stderr
        if "Nothing to be done" in done.stdout + done.stderr:
            return set()
        table = done.stdout.split("Job stats:")[1].split("total")[0].splitlines()
        names = {line.split()[0] for line in table if len(line.split()) == 2 and line.split()[1].isdigit()}
        assert names
        return names - {"all"}


def plain_environment() -> dict[str, str]:
    """This process's environment without what concerns its own Python, with one thread and no colours."""
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}
    return plain | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def snakemake_words(words: tuple[str, ...], tier: str) -> list[str]:
    """What follows `python`. Targets and options first, since `--config` swallows what follows."""
    before = [word for word in words if not word.startswith("config:")]
    config = [word.removeprefix("config:") for word in words if word.startswith("config:")]
    return ["-m", "snakemake", *before, "--config", f"tier={tier}", *config]


def copy_project(folder: Path) -> None:
    """Copy what the graph needs into a folder, with nothing run, and add the tier."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / "tiny.yaml").write_text(TIER, encoding="utf-8")
