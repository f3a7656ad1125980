"""A tiny tier whose stages can be disturbed at a random moment and made again, and what they must leave."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from spectral_ssl.config import load_tier
from spectral_ssl.layout import Layout
from spectral_ssl.papers.manifest import build

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
CLOCK = ("seconds", "views_per_second", "utilisation")
PAPER = "haochen2021"

# Two epochs with a checkpoint after every step, and networks on the smallest graphs that their section allows.
CHANGES: dict[str, Any] = {
    "engine": {"checkpoint_seconds": 0},
    "theorems": {"instances": 1, "seed": 0},
    "networks": {
        **{"seeds": 1, "nodes": 20, "features": 12, "images": 10, "dimension": 9, "width": 16, "steps": 3},
        **{"pairs": 60, "pair_dimension": 9, "pair_steps": 2},
    },
}


@dataclass(frozen=True)
class Work:
    """A stage's command, and where under the folder its files lie."""

    stage: str
    words: tuple[str, ...]
    places: tuple[str, ...]


@dataclass
class Stages:
    """The process that forks stages, in a folder with the tier's file."""

    folder: Path
    process: subprocess.Popen[str]
    batch: str
    undisturbed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, folder: Path, work: Work, **request: Any) -> dict[str, Any]:
        """Run a stage's command in a folder; see `forked` for the request and the answer."""
        (answer,) = self.ask(folder, [list(self.words(work))], **request)
        return answer

    def ask(self, folder: Path, commands: list[list[str]], **request: Any) -> list[dict[str, Any]]:
        """Run several commands at once."""
        assert self.process.stdin
        assert self.process.stdout
        value = {"words": commands[0], "together": commands[1:], "folder": str(folder), **request}
        print(json.dumps(value), file=self.process.stdin, flush=True)
        found: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return found

    def words(self, work: Work) -> tuple[str, ...]:
        """The command line after `python -m spectral_ssl`."""
        return (work.stage, "--tier", "tiny.yaml", "--quiet", *work.words)

    @cached_property
    def works(self) -> dict[str, Work]:
        """What is disturbed, by stage: those that need no whole tier first."""
        runs = tuple(f"results/tiny/runs/{run.id}" for run in build(self.tier).batch(self.batch).runs)
        (self.folder / "my_loss.py").write_text(
            "def my_loss(z1, z2, *, scale=1.0):\n    return {'invariance': scale * ((z1 - z2) ** 2).mean()}\n"
        )
        tables, results = f"results/tiny/tables/{PAPER}", "results/tiny"
        works = [
            Work("data", (), ("results/tiny/data",)),
            Work("views", (), ("results/tiny/views",)),
            Work("pretrain", ("--batch", self.batch, "--device", "cpu"), runs),
            Work("own", ("--loss", "my_loss.py", "--device", "cpu"), ("results/tiny/own",)),
            Work("networks", ("--only", "inductive_bias"), (f"{results}/networks/inductive_bias",)),
            Work("theorems", ("--paper", PAPER), (f"results/tiny/theorems/{PAPER}",)),
            Work("tables", ("--paper", PAPER), (tables,)),
            Work("figures", ("--paper", PAPER), (f"figures/tiny/{PAPER}",)),
            Work("notebook", ("--paper", PAPER), (f"{results}/reports",)),
            Work("report", (), ("results/report.html", "results/ledger.csv", "results/theorems.csv")),
        ]
        return {work.stage: work for work in works}

    @cached_property
    def tier(self) -> Any:
        """The tier as it is read."""
        return load_tier(str(self.folder / "tiny.yaml"), [])

    def prepare(self, stage: str) -> dict[str, Any]:
        """Run a stage undisturbed, once, and keep its answer and its contents."""
        if stage not in self.undisturbed:
            work = self.works[stage]
            answer = self.run(self.folder, work)
            assert answer["status"] == 0, answer["said"]
            self.undisturbed[stage] = answer | {"contents": contents(self.folder, work)}
        return self.undisturbed[stage]

    def prepare_all(self) -> None:
        """What the last stages need: everything before them, undisturbed."""
        self.prepare("data")
        for batch in build(self.tier).batches:
            answer = self.run(self.folder, Work("pretrain", ("--batch", batch, "--device", "cpu"), ()))
            assert answer["status"] in (0, 3), answer["said"]  # a run diverges at this tier, on purpose
        works = [Work("networks", (), ()), Work("views", (), ())]
        for paper in ("haochen2021", "garrido2023", "balestriero2022"):
            works += [Work(stage, ("--paper", paper), ()) for stage in ("theorems", "tables")]
        for work in works:
            answer = self.run(self.folder, work)
            assert answer["status"] in (0, 3), answer["said"]

    def copy(self, target: Path, *, without: Work | None = None) -> Path:
        """A copy of the folder; without the files of a stage."""
        shutil.copytree(self.folder, target)
        for place in without.places if without else ():
            path = target / place
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return target


@contextmanager
def stages(folder: Path, tier: dict[str, Any]) -> Iterator[Stages]:
    """The process, with the tier's file written and no result."""
    import yaml

    (folder / "tiny.yaml").write_text(yaml.safe_dump(tier | CHANGES), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, HERE / "forked.py"],
        env=environment | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        batches = build(load_tier(str(folder / "tiny.yaml"), [])).batches
        (batch,) = (name for name in batches if name.startswith("digits-byol"))
        yield Stages(folder, process, batch)
        assert process.stdin
        process.stdin.close()


def files(folder: Path, work: Work) -> list[Path]:
    """The files of a stage that have their final names, sorted."""
    found = [
        p
        for place in work.places
        for p in ((folder / place).rglob("*") if (folder / place).is_dir() else [folder / place])
    ]
    return sorted(
        p
        for p in found
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )


def contents(folder: Path, work: Work) -> dict[str, Any]:
    """What a stage's files hold, by path, without what a clock decides; a file that is cut short raises."""
    return {str(path.relative_to(folder)): content(path) for path in files(folder, work)}


def content(path: Path) -> Any:
    """Bytes, or where a clock has written, what else there is."""
    if path.name == "history.csv":
        return pd.read_csv(io.BytesIO(path.read_bytes()), dtype=str).drop(columns=list(CLOCK)).to_csv()
    if path.name == "provenance.json":
        value = json.loads(path.read_text())
        return sorted(value), value["settings"], value["encoder_sha256"]
    if path.parent.parent.name == "theorems":
        value = json.loads(path.read_text())
        del value["seconds"]
        return value
    if path.suffix == ".ipynb":
        return [cell["source"] for cell in json.loads(path.read_text())["cells"]]
    return path.read_bytes()


def litter(folder: Path) -> list[str]:
    """What only an unfinished job may have: temporary names, locks, scratch folders of the stage's runs."""
    scratch = folder / "results/.scratch"
    found = [path for path in folder.rglob(".*") if path != scratch]
    return sorted(
        str(path.relative_to(folder)) for path in found + [p for p in scratch.rglob("*") if p.is_file()]
    )


def cut(path: Path, draw: random.Random) -> int:
    """Cut a file at a random byte, one time in four at its first; the bytes that are left."""
    size = path.stat().st_size
    left = 0 if draw.random() < 0.25 else draw.randrange(size)
    os.truncate(path, left)
    return left


def layout(folder: Path) -> Layout:
    """The tier's paths in a copy."""
    return Layout("tiny", folder)


def stop(draw: random.Random, alone: dict[str, Any]) -> dict[str, Any]:
    """A signal at a moment drawn from the undisturbed stage's time, or from its changes to files."""
    number = draw.choice([signal.SIGKILL, signal.SIGTERM])
    if alone["events"] > 0 and draw.random() < 0.5:
        return {
            "signal": number,
            "event": draw.randint(1, alone["events"]),
            "after": draw.choice([0.0, draw.uniform(0, 0.01)]),
        }
    return {"signal": number, "after": draw.uniform(0, alone["seconds"])}
