"""Where everything lies on disk: one place that the stage commands, the workflow and the report share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESULTS, REFERENCE = "results", "reference"
FIGURE_FORMATS = ("pdf", "svg", "png")
TABLE_FORMATS = ("csv", "md", "tex")
DATA_FILES = (
    *(f"{split}_{what}.npy" for split in ("train", "test") for what in ("images", "labels", "factors")),
    "meta.json",
)
RUN_FILES = (
    "encoder.safetensors",
    "history.csv",
    "probe.json",
    "features.npz",
    "provenance.json",
    "status.json",
)
INDUCTIVE_BIAS = "inductive_bias"
NETWORKS = ("vicreg", "simclr", "barlow_twins", "spectral", INDUCTIVE_BIAS)  # trained on finite graphs
NETWORK_FILES = ("curves.csv", "ends.csv")
COMMITTED = Path(__file__).parents[2] / REFERENCE
ENGINE_SPEED = COMMITTED.parent / "benchmarks" / "results" / "engine_cuda.csv"  # committed
SHEET = "contact_sheet.png"
VIEW_FILES = ("views.npy", "index.npy", "G.npz", SHEET)


@dataclass(frozen=True)
class Layout:
    """Paths of one tier; `root` holds `results/` and `figures/`, and `reference/`, which is laid out alike."""

    tier: str
    root: Path = Path()
    base: str = RESULTS

    @property
    def results(self) -> Path:
        """The tier's results."""
        return self.root / self.base / self.tier

    @property
    def runs(self) -> Path:
        """A folder a run."""
        return self.results / "runs"

    @property
    def scratch(self) -> Path:
        """Unfinished runs; never an output, spared by `make clean`."""
        return self.root / RESULTS / ".scratch" / self.tier

    def data(self, dataset: str) -> Path:
        """The ingested data set."""
        return self.results / "data" / dataset

    def views(self, dataset: str, augmentation: str) -> Path:
        """Views of a subset, their relation graph and a contact sheet."""
        return self.results / "views" / f"{dataset}-{augmentation}"

    def networks(self, name: str) -> Path:
        """Networks trained on a finite graph: one of `NETWORKS`."""
        return self.results / "networks" / name

    def theorem(self, paper: str, statement: str) -> Path:
        """A theorem check's result."""
        return self.results / "theorems" / paper / f"{statement}.json"

    def tables(self, paper: str) -> Path:
        """A paper's tables, its tidy measurements and its ledger rows."""
        return self.results / "tables" / paper

    def figures(self, paper: str) -> Path:
        """A paper's figures; those of reference results lie among these."""
        fresh = self.root / "figures" / self.tier
        return (fresh if self.base == RESULTS else self.results / "figures") / paper

    def report(self, paper: str) -> Path:
        """A paper's executed notebook, without its ending."""
        return self.results / "reports" / paper
