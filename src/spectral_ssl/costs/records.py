"""Measured costs as rows: what training, probing and the other stages took, with the settings that decide it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from spectral_ssl.errors import UserError
from spectral_ssl.provenance import write_text

COMMITTED = Path(__file__).parents[3] / "benchmarks" / "results" / "costs.csv"
# How the machine was used, where it differs from the engine's defaults: what changes a run's speed.
ENGINE = {"together": 1, "processes": 1, "compile": None}
KEPT_FEATURES = 2000  # test images whose features a run keeps at most (`train.evaluation`)


@dataclass(frozen=True)
class Kind:
    """What a run's speed depends on: a measured rate is that of runs of equal kind."""

    method: str  # a loss's name, or that of the method that decides
    encoder: str
    projector: str
    embedding_dim: int
    side: int  # pixels
    channels: int
    batch_size: int
    precision: str
    augmentation: str
    engine: str  # e.g. "together=12"
    device: str  # cpu, or a GPU's name

    @classmethod
    def of(
        cls, settings: Mapping[str, Any], shape: tuple[int, int], engine: Mapping[str, Any], device: str
    ) -> Kind:
        """From a run's settings, its images' (side, channels), the tier's `engine` and a device."""
        own = settings["loss"] if settings["method"] == "joint_embedding" else settings["method"]
        used = {name: engine.get(name, default) for name, default in ENGINE.items()}
        return cls(
            method=str(own),
            side=shape[0],
            channels=shape[1],
            engine=" ".join(f"{k}={v}" for k, v in used.items() if v != ENGINE[k]),
            device=device,
            **{name: settings[name] for name in COPIED},
        )

    @property
    def on(self) -> str:
        """The sort of device."""
        return "cpu" if self.device == "cpu" else "cuda"

    @property
    def network(self) -> str:
        """Encoder, image size, precision and device, for messages."""
        where = "cpu" if self.device == "cpu" else f"cuda ({self.device})"
        return f"{self.encoder} at {self.side} px, {self.precision}, on {where}"


def probes_text(settings: Mapping[str, Any]) -> str:
    """All of a run's settings that say how it is probed, in one cell."""
    extra = [name for name in ("augmented_probe", "validation") if settings.get(name)]
    return " ".join([*settings["probes"], f"draws={settings['draws']}", *extra])


COPIED = ("encoder", "projector", "embedding_dim", "batch_size", "precision", "augmentation")


@dataclass(frozen=True)
class Rate:
    """What runs of one kind took.

    views_per_second: views trained on by whole epochs, the look at their end included, over the run's training seconds;
    of each core on a CPU, of each GPU else; the median over runs, `low` and `high` their smallest and largest.
    probing_seconds: a run's, after training. start_seconds: a job's, before its first run.
    flops: model FLOPs a view (`train.flops`); width: of representations; 0 where not counted.
    """

    kind: Kind
    runs: int
    views_per_second: float
    low: float
    high: float
    threads: int
    train: int  # images
    test: int
    probes: str  # names, draws and variants, see `probes_text`
    probing_seconds: float | None
    start_seconds: float | None
    weights_bytes: float
    features_bytes: float
    other_bytes: float
    width: int = 0
    flops: float = 0.0
    processor: str = ""  # and cores: of the machine; of this one where empty
    cores: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of one of the runs

    @property
    def machine(self) -> str:
        """Processor and cores; empty for runs of this checkout."""
        return f"{self.processor}, {self.cores} cores" if self.processor else ""


@dataclass(frozen=True)
class StageCost:
    """What a job that trains no run took: seconds, the bytes it left, and the amount of work it had (see `work`)."""

    stage: str
    job: str
    tier: str
    seconds: float
    bytes: float
    work: float  # images' bytes (data), runs (tables), seeds times steps (networks), 1 elsewhere; 0: unknown
    processor: str = ""
    cores: int = 0


@dataclass
class Costs:
    """Everything measured, and what could not be read."""

    rates: list[Rate] = field(default_factory=list)
    stages: list[StageCost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_KIND = [f.name for f in fields(Kind)]
_RATE = [f.name for f in fields(Rate) if f.name not in ("kind", "settings")]
_STAGE = [f.name for f in fields(StageCost)]
COLUMNS = list(dict.fromkeys(["stage", "processor", "cores", *_KIND, *_RATE, *_STAGE]))


def write_table(path: Path, costs: Costs) -> None:
    """Rates (stage `pretrain`) and the other stages' costs as one CSV; a column that a row has no use for is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for rate in costs.rates:
        row = {name: getattr(rate, name) for name in _RATE} | asdict(rate.kind)
        writer.writerow({"stage": "pretrain"} | {name: _text(value) for name, value in row.items()})
    for stage in costs.stages:
        writer.writerow({name: _text(value) for name, value in asdict(stage).items()})
    write_text(path, text.getvalue())


def read_table(path: Path) -> Costs:
    """A table that `write_table` wrote; nothing where there is none. UserError naming the line that cannot be."""
    if not path.is_file():
        return Costs()
    costs = Costs()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise _damaged(path, f"cannot be read as CSV ({error})") from None
    if not rows:
        raise _damaged(path, "has no row")
    for number, row in enumerate(rows, 2):
        try:
            if row["stage"] == "pretrain":
                kind = Kind(**_values(Kind, row, _KIND))
                costs.rates.append(Rate(kind, **_values(Rate, row, _RATE)))
            else:
                costs.stages.append(StageCost(**_values(StageCost, row, _STAGE)))
        except (KeyError, TypeError, ValueError) as error:
            why = f"line {number} is no measured cost ({type(error).__name__}: {error})"
            raise _damaged(path, why) from None
    return costs


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path}: {why}; make it again with benchmarks/costs.py")


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _values(of: type, row: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    """The cells of a row as the fields' types; an empty number is None, where that may be."""
    kinds = get_type_hints(of)
    found: dict[str, Any] = {}
    for name in names:
        text, kind = row[name], kinds[name]
        optional = kind == float | None
        if text == "" and optional:
            found[name] = None
        else:
            found[name] = (float if optional else kind)(text)
            if isinstance(found[name], int | float) and not 0 <= found[name] < float("inf"):
                raise ValueError(f"{name} is {text}")
    return found
