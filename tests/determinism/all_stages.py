"""Every stage but notebooks and report, small, in one process: `python all_stages.py ROOT forwards|backwards`.

Some batches are trained, some networks and some statements measured, and a third of the figures are drawn. Tables and
figures need every run and every statement: the others get numbers drawn for each by its name, so that nothing depends
on the order of the jobs.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS, paper_statements
from spectral_ssl.plotting import save
from spectral_ssl.provenance import write_json
from spectral_ssl.stages import Context, data, figures, networks, pretrain, tables, theorems, views

CONFIG = Path(__file__).parents[2] / "config"
SMALL = (
    *("data.train_limit=60", "data.test_limit=40", "training.batch_size=30", "training.epochs=2"),
    *("levels.epochs=[1, 2]", "levels.batch_size=[15, 30]", "views.images=20", "views.views=2"),
    *("companions.factors.data.train_limit=64", "companions.factors.data.test_limit=32"),
    *("probes.draws=2", "theorems.instances=1", "networks.steps=4", "networks.nodes=30"),
)
TRAINED = ("digits-nnclr", "digits-byol", "factors-barlow_twins")  # beginnings of batches' names
MEASURED = ("lda", "simclr-graph-step", "theorem-4.1", "table-1")
NETWORK = "barlow_twins"
EVERY = 3  # of how many figures one is saved: three formats take a second
PROBES = ("online", "lbfgs", "knn", "few1", "few5", "separation_before", "separation_after")
SIDES = ("embedding", "representation")
STATISTICS = (
    *("effective_rank_centred", "gram_variance_relative", "dimension_concentration"),
    *("gram_dominance", "covariance_dominance"),
)


def main(root: Path, step: int) -> None:
    """Run the stages, the jobs of each in their order (step 1) or from the last to the first (step -1)."""
    context = Context(load_tier("smoke", SMALL, CONFIG), root, quiet=True)
    torch.set_num_threads(1)
    data.run(context)
    views.run(context)
    trained = [name for name in context.manifest.batches if name.startswith(TRAINED)]
    for batch in trained[::step]:
        pretrain.run(context, batch, "cpu")
    networks.run(context, NETWORK)
    theorems.run(context, only=MEASURED, quiet=True)
    draw_the_rest(context)
    for paper in list(PAPERS)[::step]:
        tables.run(context, paper)
    for paper in list(PAPERS)[::-step]:
        for index, (name, figure) in enumerate(figures.drawn(context, paper)):
            if index % EVERY == 0:
                save(figure, context.layout.figures(paper) / name)
            plt.close(figure)


def draw_the_rest(context: Context) -> None:
    """Numbers for the runs that were not trained and the statements that were not measured."""
    for run in context.manifest.runs:
        folder = context.layout.runs / run
        if not folder.exists():
            rng = np.random.default_rng(zlib.crc32(run.encode()))
            write_json(folder / "status.json", {"run": run, "status": "finished"})
            write_json(folder / "probe.json", numbers(rng, PROBES, SIDES))
            arrays = {"embeddings": rng.normal(size=(40, 8)), "agreement": rng.uniform(-1, 1, (2, 2, 25))}
            np.savez(folder / "features.npz", **{k: v.astype(np.float32) for k, v in arrays.items()})  # type: ignore[arg-type]
    for paper in PAPERS:
        for name in paper_statements(paper):
            path = context.layout.theorem(paper, name)
            if not path.exists():
                write_json(path, statement())


def numbers(rng: np.random.Generator, probes: Iterable[str], sides: Iterable[str]) -> dict[str, float]:
    """A run's probe values."""
    drawn = {name: rng.uniform(0.5, 0.9) for name in probes} | {"head_parameters": 1000.0}
    return drawn | {f"{side}_{name}": rng.uniform(1, 5) for side in sides for name in STATISTICS}


def statement() -> dict[str, Any]:
    """A check's file."""
    words = {"title": "A statement", "statement": "In full.", "control": "Its control"}
    measured = {"measured": 0.25, "expected": 0.0, "tolerance": 0.5, "instances": 7}
    verdicts = {"verdict": "holds", "control_verdict": "fails"}
    return {"kind": "identity", **measured, **verdicts, "text": words}


if __name__ == "__main__":
    main(Path(sys.argv[1]), {"forwards": 1, "backwards": -1}[sys.argv[2]])
