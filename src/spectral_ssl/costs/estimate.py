"""What a run or a stage's job will take, from measured costs: the same kind of run, or the nearest one by arithmetic.

Every number that no equal run was measured for is an estimate, and the assumption behind it is kept to be told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spectral_ssl.costs.images import Shape
from spectral_ssl.costs.records import KEPT_FEATURES, Costs, Kind, Rate, StageCost, probes_text
from spectral_ssl.errors import UserError

if TYPE_CHECKING:
    from spectral_ssl.costs.arithmetic import Network
    from spectral_ssl.papers.manifest import RunSettings

# Of a GPU's peak, where none was measured. NVIDIA's DeepLearningExamples train ResNet-50 in mixed precision at 2,470
# images a second on an A100, 24.5 GFLOP each: 19 % of 312 TFLOP/s. Small images reach less, products of matrices more.
SHARE = {"low": 0.1, "middle": 0.2, "high": 0.3}
# Of the probe `linear`, which passes all training images through the encoder in each of them if augmented.
LINEAR_EPOCHS = 100
FORWARD = 1 / 3  # of a step's arithmetic
# What tells kinds with equal encoder and image size apart, as people call it.
SETTINGS = {
    "method": "method", "projector": "projector", "embedding_dim": "embedding dimension", "channels": "colours",
    "batch_size": "batch size", "precision": "precision", "augmentation": "augmentation", "engine": "engine's settings",
    "device": "device",
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Seconds, the least and the most by the spread of measured rates, and bytes left on disk.

    measured: how many of the seconds are those of equal runs or jobs.
    """

    seconds: float = 0.0
    low: float = 0.0
    high: float = 0.0
    bytes: float = 0.0
    measured: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.low + other.low,
            self.high + other.high,
            self.bytes + other.bytes,
            self.measured + other.measured,
        )


@dataclass(frozen=True)
class Speed:
    """Views a second of a core, or of a GPU; the row that it comes from, and why it is an estimate if it is one."""

    views: float
    low: float
    high: float
    row: Rate
    why: str = ""


class Estimator:
    """Predicts from `costs`, whose first rows count before later ones, for runs on a device (cpu, or a GPU's name).

    `why` counts the runs behind each assumption, `stages_why` has the stages behind each; `used` the measured runs of
    each machine.
    """

    def __init__(self, costs: Costs, device: str, threads: int = 1, processes: int = 1) -> None:
        self.costs = costs
        self.device = device
        self.threads = threads
        self.processes = processes
        self.why: Counter[str] = Counter()
        self.stages_why: dict[str, dict[str, None]] = {}
        self.used: dict[str, set[Rate]] = {}
        self._speeds: dict[Kind, Speed] = {}
        self._by_kind: dict[Kind, list[Rate]] = {}
        for rate in costs.rates:
            self._by_kind.setdefault(rate.kind, []).append(rate)

    def run(self, run: RunSettings, shape: Shape, fitted: int, engine: Mapping[str, Any]) -> Cost:
        """A run's training and probing; `fitted` training images have labels that probes fit."""
        train, test, side, channels = shape
        kind = Kind.of(vars(run), (side, channels), engine, self.device)
        speed = self._speed(kind, vars(run))
        row = speed.row
        if speed.why:
            self.why[speed.why] += 1
        if row.kind.on == kind.on:
            self.used.setdefault(row.machine, set()).add(row)
        views = 2 * run.epochs * (train // run.batch_size) * run.batch_size
        hands = (self.threads if kind.on == "cpu" else 1) * self.processes
        low, middle, high = (views / hands / rate for rate in (speed.high, speed.views, speed.low))
        same = not speed.why and (row.test, row.train) == (test, train)
        alike = kind.on != "cpu" or row.threads == self.threads
        if not alike:
            self.why[
                f"{self.threads} threads a job where {row.threads} were measured: taken as proportional"
            ] += 1
        probing, known = self._probing(run, row, speed.views * hands, (fitted, test, side, channels), same)
        size = self._bytes(vars(run), row, shape, same)
        measured = middle * (not speed.why and alike) + probing * known
        return Cost(middle + probing, low + probing, high + probing, size, measured)

    @cached_property
    def start(self) -> Cost:
        """A training job's seconds before its first run."""
        found = [row for row in self.costs.rates if row.start_seconds is not None]
        same = [row for row in found if row.kind.on == ("cpu" if self.device == "cpu" else "cuda")]
        if not found:
            self._stage_why("no history of a job's start: not counted", "pretrain")
            return Cost()
        if not same:
            here, there = ("cpu", "cuda") if self.device == "cpu" else ("cuda", "cpu")
            self._stage_why(f"no history of a job's start on {here}: as on {there}", "pretrain")
        seconds = (same or found)[0].start_seconds or 0.0
        return Cost(seconds, seconds, seconds, measured=seconds if same else 0.0)

    def stage(self, stage: str, job: str, tier: str, work: float) -> Cost:
        """A job of another stage: as measured in that tier with that work, else in proportion to the nearest's work."""
        rows = [row for row in self.costs.stages if row.stage == stage]
        if not rows:
            self._stage_why("no history, not counted", stage)
            return Cost()
        row = min(rows, key=lambda row: (row.job != job, row.tier != tier))
        known = row.work > 0 and work > 0
        times = work / row.work if known else 1.0
        if known and (row.job, row.tier) == (job, tier) and math.isclose(times, 1.0):
            return Cost(row.seconds, row.seconds, row.seconds, row.bytes, row.seconds)
        if row.tier == tier:
            share = "in proportion to" if times != 1 else "as long as"
            self._stage_why(f"no history of this work, {share} other work of this tier", stage)
        else:
            share = "in proportion to its work from" if times != 1 else "as long as at"
            self._stage_why(f"no history of this tier's, {share} tier {row.tier}", stage)
        least = min(other.seconds for other in self.costs.stages)  # to start a process, whatever its work
        scaled = least + (row.seconds - least) * times
        seconds = _line(rows, work) if stage == "data" and known else scaled
        return Cost(seconds, seconds, seconds, row.bytes)

    def _stage_why(self, why: str, stage: str) -> None:
        self.stages_why.setdefault(why, {})[stage] = None

    def _speed(self, kind: Kind, settings: Mapping[str, Any]) -> Speed:
        if kind not in self._speeds:
            self._speeds[kind] = self._exact(kind) or self._nearest(kind, settings)
        return self._speeds[kind]

    def _exact(self, kind: Kind) -> Speed | None:
        rows = self._by_kind.get(kind)
        if not rows:
            return None
        rows = [row for row in rows if row.machine == rows[0].machine]
        row = max(rows, key=lambda row: row.runs)
        return Speed(row.views_per_second, min(r.low for r in rows), max(r.high for r in rows), row)

    def _nearest(self, kind: Kind, settings: Mapping[str, Any]) -> Speed:
        """The nearest measured kind's rate, in proportion to the arithmetic of a view."""
        if not self.costs.rates:
            raise UserError(
                "found no measured run; expected some in results/ or benchmarks/results/costs.csv: run a tier first"
            )
        flops = _network(settings, kind.side, kind.channels).flops
        rows = [row for row in self.costs.rates if row.kind.on == kind.on]
        if not rows:
            return self._from_peak(kind, flops)
        least = min(_distance(row.kind, kind) for row in rows)
        rows = [row for row in rows if _distance(row.kind, kind) == least]
        row = min(rows, key=lambda row: abs(math.log(counted(row).flops / flops)))
        times = counted(row).flops / flops
        what = f"no history of {kind.network}"
        if (row.kind.encoder, row.kind.side) == (kind.encoder, kind.side):
            what += f" with this {_differences(row.kind, kind)}"
        why = f"{what}: scaled by multiplications and additions from the nearest, {row.kind.network}"
        return Speed(row.views_per_second * times, row.low * times, row.high * times, row, why)

    def _from_peak(self, kind: Kind, flops: float) -> Speed:
        from spectral_ssl.costs.arithmetic import peak

        most = peak(kind.device, kind.precision)
        low, middle, high = (share * most / flops for share in SHARE.values())
        why = (
            f"no history of {kind.network}, nor of any GPU: {SHARE['middle']:.0%} ({SHARE['low']:.0%} to "
            f"{SHARE['high']:.0%}) of its published peak, {most / 1e12:.0f} TFLOP/s"
        )
        row = min(self.costs.rates, key=lambda row: _distance(row.kind, kind))  # of probing and disk
        return Speed(middle, low, high, row, why)

    def _probing(
        self, run: RunSettings, row: Rate, views: float, shape: Shape, same: bool
    ) -> tuple[float, bool]:
        """Seconds to probe a run, and whether equal probing was measured."""
        if row.probing_seconds is None:
            probed = [other for other in self.costs.rates if other.probing_seconds is not None]
            if not probed:
                self.why["no history of probing: not counted"] += 1
                return 0.0, False
            wanted = row.kind
            row = min(probed, key=lambda other: _distance(other.kind, wanted))
            same = same and (row.kind, row.train, row.test) == (wanted, shape[0], shape[1])
        assert row.probing_seconds is not None
        if same:
            known = probes_text(vars(run)) == row.probes
            if not known:
                self.why[f"no history of probes as here: as long as measured ones ({row.probes})"] += 1
            return row.probing_seconds, known
        fitted, test, side, channels = shape
        values = (fitted + test) * _network(vars(run), side, channels).width
        seconds = row.probing_seconds * values / ((row.train + row.test) * counted(row).width)
        if run.augmented_probe and "linear" in run.probes:
            seconds += LINEAR_EPOCHS * fitted * FORWARD / views
        self.why[
            "no history of probing such images: in proportion to numbers of features, "
            f"from {row.kind.encoder} on {row.kind.on}"
        ] += 1
        return seconds, False

    def _bytes(self, settings: Mapping[str, Any], row: Rate, shape: Shape, same: bool) -> float:
        """What a run leaves: weights, features of some test images, and the small files."""
        if same:
            return row.weights_bytes + row.features_bytes + row.other_bytes
        _, test, side, channels = shape
        net, of_row = _network(settings, side, channels), counted(row)
        values = min(test, KEPT_FEATURES) * (net.width + settings["embedding_dim"])
        measured = min(row.test, KEPT_FEATURES) * (of_row.width + row.kind.embedding_dim)
        return net.weights_bytes + row.features_bytes * values / measured + row.other_bytes


def counted(row: Rate) -> Network:
    """A measured row's networks, as its table tells or counted anew."""
    from spectral_ssl.costs.arithmetic import Network

    if row.flops:
        return Network(row.flops, row.width, round(row.weights_bytes))
    return _network(row.settings, row.kind.side, row.kind.channels)


def _network(settings: Mapping[str, Any], side: int, channels: int) -> Network:
    from spectral_ssl.costs.arithmetic import network  # torch, which takes seconds to import

    return network(settings, side, channels)


def _distance(a: Kind, b: Kind) -> tuple[Any, ...]:
    """How far a measured kind is from a wanted one, what weighs most first."""
    return (
        a.device != b.device,
        a.encoder != b.encoder,
        (a.side, a.channels) != (b.side, b.channels),
        a.precision != b.precision,
        abs(math.log(a.batch_size / b.batch_size)),
        a.method != b.method,
        a.engine != b.engine,
    )


def _differences(a: Kind, b: Kind) -> str:
    """The words for the settings in which two kinds differ, e.g. "projector and batch size"."""
    *most, last = (words for name, words in SETTINGS.items() if getattr(a, name) != getattr(b, name))
    return f"{', '.join(most)} and {last}" if most else last


def _line(rows: Iterable[StageCost], work: float) -> float:
    """Seconds at this work on the line through measured jobs, which need a start too; never below the shortest."""
    points = [(row.work, row.seconds) for row in rows]
    mean_w, mean_s = (sum(column) / len(points) for column in zip(*points, strict=True))
    spread = sum((w - mean_w) ** 2 for w, _ in points)
    slope = sum((w - mean_w) * (s - mean_s) for w, s in points) / spread if spread else 0.0
    return max(mean_s + slope * (work - mean_w), min(s for _, s in points))
