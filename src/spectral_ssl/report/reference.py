"""Results of long runs on the page: what was run where, tables and figures, and what differences may come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spectral_ssl.layout import Layout
from spectral_ssl.papers import PAPERS, method_label
from spectral_ssl.reference.items import Asked, State, kept, states
from spectral_ssl.reference.place import list_of, tiers
from spectral_ssl.report import products
from spectral_ssl.report.words import anchor, beside
from spectral_ssl.shapes import MEASURED, META, PROVENANCE, STATUS, read_as
from spectral_ssl.stages import Context
from spectral_ssl.stats import paired_difference

MADE_BY = ("device", "driver", "cuda", "commit")
MEASURES = {
    "linear_last": "linear, last epoch",
    "linear_best": "linear, best",
    "knn": "kNN",
    "online": "online",
}


def prefix(layout: Layout) -> str:
    """What the ids of a tier's products begin with."""
    return anchor(layout.base, layout.tier)


def sections(root: Path, page: Path) -> list[dict[str, Any]]:
    """A section a tier of which something is there."""
    found = [(context, states(list_of(context), context)) for context in tiers(root)]
    return [_section(context, items, page) for context, items in found if any(one.done for one in items)]


def _section(context: Context, found: list[State], page: Path) -> dict[str, Any]:
    papers = [products.section(context, paper, page, prefix(context.layout)) for paper in PAPERS]
    for one in papers:
        one["tables"] = [table for table in one["tables"] if table["rows"]]
        one["figures"] = [figure for figure in one["figures"] if figure["source"]]
    return {
        "id": prefix(context.layout),
        "tier": context.tier,
        "items": [_item(context, state) for state in found],
        "changed": [line for state in found for line in _changed(context, state)],
        "runs": [_run(context, asked, page) for asked in _kept(context, found)],
        "measures": list(MEASURES.values()),
        "made_by": _made_by(context, found),
        "data": _data(context),
        "papers": [one for one in papers if one["tables"] or one["figures"]],
    }


def _item(context: Context, state: State) -> dict[str, str]:
    """An item's line: what is done, and the hours of training and evaluation."""
    seconds = sum(_seconds(_provenance(context, asked)) for asked in _kept(context, [state]))
    return {
        "title": state.item.title,
        "done": f"{state.done} of {state.asked}" if state.asked > 1 else ("yes" if state.done else "no"),
        "hours": _hours(seconds) if seconds else "",
    }


def _kept(context: Context, found: list[State]) -> list[Asked]:
    """The runs of items that are there, each once."""
    asked = {one.run.id: one for state in reversed(found) for one in reversed(state.runs)}
    return [one for one in reversed(asked.values()) if kept(context, one.run)]


def _run(context: Context, asked: Asked, page: Path) -> dict[str, Any]:
    """A run's line: what it is, its accuracies in percent, its hours and where its provenance lies."""
    run, values = asked.run, _accuracies(context, asked)
    made = _provenance(context, asked)
    return {
        "id": run.id,
        "at": beside(context.layout.runs / run.id / "provenance.json", page),
        "method": ", ".join(filter(None, (method_label(run.name), asked.changed))),
        "epochs": run.epochs,
        "seed": run.seed,
        "values": [f"{100 * values[name]:.2f}" if name in values else "" for name in MEASURES]
        if values
        else None,
        "hours": _hours(_seconds(made)),
        "code": made.get("code", ""),
    }


def _provenance(context: Context, asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = read_as(context.layout.runs / asked.run.id / "provenance.json", PROVENANCE)
    return found


def _seconds(made: dict[str, Any]) -> float:
    return float(made.get("training_seconds", 0.0) + made.get("evaluation_seconds", 0.0))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g}"


def _changed(context: Context, state: State) -> list[dict[str, str]]:
    """What was tried to explain a number: each changed run's accuracy beside that of the item's first run."""
    first = next((asked for asked in state.runs if asked.changed is None), None)
    if first is None or all(asked.changed is None for asked in state.runs):
        return []
    metric, what = context.tier.probes.metric, f"{method_label(first.run.name)}, nothing changed"
    seeds: dict[str, dict[int, float]] = {what: {}}
    if metric == "linear_last":
        seeds["the best test epoch of the probe instead of its last"] = best = {}
    for asked in state.runs:
        if (value := (values := _accuracies(context, asked)).get(metric)) is None:
            continue
        if asked.changed:
            seeds.setdefault(asked.changed, {})[asked.run.seed] = value
        elif asked.run.model_copy(update={"seed": first.run.seed}) == first.run:
            seeds[what][asked.run.seed] = value
            if metric == "linear_last" and "linear_best" in values:
                best[asked.run.seed] = values["linear_best"]
    return compared(seeds)


def compared(seeds: dict[str, dict[int, float]]) -> list[dict[str, str]]:
    """A line a change, with its accuracy in percent and its difference from the first line's, in percentage points:
    means over the seeds that both have, with the paired 95 % interval where they have several.

    seeds: accuracies by what was changed and seed; the first is what nothing was changed of. No line without it.
    """
    (what, base), *tried = seeds.items()
    found = [_line(what, [*base.values()])] if base else []
    for what, values in tried:
        if common := sorted(base.keys() & values.keys()):
            found.append(_line(what, [values[seed] for seed in common], [base[seed] for seed in common]))
    return found


def _line(what: str, values: list[float], base: list[float] | None = None) -> dict[str, str]:
    moved = ""
    if base is not None:
        interval = paired_difference([100 * v for v in values], [100 * v for v in base]).interval
        moved = f"{interval.mean:+.2f}"
        if interval.n > 1:
            moved += f" [{interval.low:+.2f}, {interval.high:+.2f}]"
    accuracy = f"{100 * sum(values) / len(values):.2f}"
    return {"what": what, "accuracy": accuracy, "difference": moved, "seeds": str(len(values))}


def _accuracies(context: Context, asked: Asked) -> dict[str, float]:
    """A kept and finished run's measurements; nothing of another."""
    folder = context.layout.runs / asked.run.id
    if not kept(context, asked.run) or read_as(folder / "status.json", STATUS)["status"] != "finished":
        return {}
    found: dict[str, float] = read_as(folder / "probe.json", MEASURED)
    return found


def _made_by(context: Context, found: list[State]) -> list[str]:
    """In words, the machines and the code that made the runs, each combination once."""
    lines: dict[str, None] = {}
    for made in (_provenance(context, asked) for asked in _kept(context, found)):
        words = [f"{name} {made[name]}" for name in MADE_BY if name in made]
        words += [f"torch {made['packages']['torch']}"] if "torch" in made.get("packages", {}) else []
        lines[", ".join(words)] = None
    return list(lines)


def _data(context: Context) -> list[str]:
    """Of each data set that is described, what it was read from and its checksum."""
    place = context.layout.data("")
    found = []
    for path in sorted(place.glob("*/meta.json")):
        meta = read_as(path, META)
        found.append(
            f"{path.parent.name}: {meta['source']}, sha256 {meta['source_sha256'] or 'of a folder: none'}"
        )
    return found
