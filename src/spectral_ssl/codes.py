"""Which code each stage's results depend on: the workflow reruns a job when its hash changes. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectral_ssl.data.sources import reader_module
from spectral_ssl.layout import COMMITTED, ENGINE_SPEED, INDUCTIVE_BIAS
from spectral_ssl.losses.graph.registry import get_graph_loss
from spectral_ssl.losses.registry import get_loss, loss_names
from spectral_ssl.methods.table import METHODS
from spectral_ssl.models.table import encoder_entry
from spectral_ssl.papers import PAPERS, claim_files
from spectral_ssl.provenance import PACKAGE, code_hash, import_closure, sha256_file, strings
from spectral_ssl.theorems.check import MODULES

if TYPE_CHECKING:
    from spectral_ssl.papers.manifest import Batch, RunSettings

# Graph losses whose name is not that of the networks that are trained with them.
GRAPH_LOSS = {"simclr": "gram", INDUCTIVE_BIAS: "spectral"}


def data_code(dataset: str) -> str:
    """The hash of the data stage's code for one reader."""
    return code_hash(["spectral_ssl.data.sources", reader_module(dataset)])


def views_code() -> str:
    """The hash of the views stage's code."""
    return code_hash(["spectral_ssl.stages.views"])


def batch_code(batch: Batch) -> str:
    """The hash of the loop's code plus the method, loss and encoder that the batch names."""
    run = batch.runs[0]
    loss, encoder = get_loss(run.loss), encoder_entry(run.encoder)
    modules = ["spectral_ssl.train.job", METHODS[run.method].split(":")[0], loss.module, encoder.module]
    return code_hash(modules, picked=[(loss.function, dict(loss.fixed)), encoder])


def own_code(run: RunSettings) -> str:
    """The hash of the loop's code and of the bytes of a loss file, which nothing in the project imports."""
    modules = ["spectral_ssl.train.job", "spectral_ssl.losses.own", METHODS[run.method].split(":")[0]]
    modules.append(encoder_entry(run.encoder).module)
    return code_hash(modules, picked=[sha256_file(Path(run.loss))])


def theorems_code(paper: str) -> str:
    """The hash of the code of a paper's checks, the losses that they name among it."""
    modules = [f"spectral_ssl.theorems.{name}" for name in MODULES if name.startswith(f"{paper}.")]
    ours = [module for module in import_closure(modules) if module.startswith("spectral_ssl.theorems.")]
    named = set(loss_names()) & set().union(*map(strings, ours))
    losses = {get_loss(name).module for name in named}
    return code_hash(["spectral_ssl.theorems.check", *modules, *losses])


def networks_code(name: str) -> str:
    """The hash of the code of networks trained on a finite graph, the graph loss among it."""
    loss = get_graph_loss(GRAPH_LOSS.get(name, name))
    return code_hash(
        ["spectral_ssl.stages.networks", loss.module], picked=[(loss.function, dict(loss.fixed))]
    )


def tables_code(paper: str) -> str:
    """The hash of the code and of the printed values and rules that a paper's tables and ledger rows come from."""
    texts = [f"papers/{paper}/{name}" for name in ("published.yaml", "experiments.yaml", *claim_files(paper))]
    return code_hash(
        ["spectral_ssl.stages.tables", f"spectral_ssl.papers.{paper}.tables"], [*texts, "papers/methods.yaml"]
    )


def figures_code(paper: str) -> str:
    """The hash of the code and captions of a paper's figures."""
    return code_hash(
        ["spectral_ssl.stages.figures", f"spectral_ssl.papers.{paper}.figures"],
        [f"papers/{paper}/experiments.yaml", f"papers/{paper}/published.yaml"],
    )


def notebook_code(paper: str) -> str:
    """The hash of a paper's notebook and of the code that runs it."""
    return code_hash(["spectral_ssl.stages.notebook"], [f"../../notebooks/{paper}.ipynb"])


def report_code() -> str:
    """The hash of the report's code, templates, texts of the statements, and of what is committed of long runs."""
    texts = [f"papers/{paper}/statements.yaml" for paper in PAPERS]
    templates = [f"report/templates/{file.name}" for file in (PACKAGE / "report" / "templates").glob("*.*")]
    texts += ["papers/misprints.yaml", "papers/speed.yaml", *templates]
    patterns = ("*.yaml", "tables/*/ledger.csv", "benchmarks/engine_cuda.csv")
    found = sorted(path for pattern in patterns for path in COMMITTED.glob(f"*/{pattern}"))
    found += [ENGINE_SPEED] if ENGINE_SPEED.is_file() else []
    return code_hash(["spectral_ssl.stages.report"], texts, picked=[sha256_file(path) for path in found])
