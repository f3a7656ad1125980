"""Garrido et al. 2023's point is tuning: every method tuned alike, by validation images, compared on test images."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import NOT_THERE, summarise, text, without

MEASURED = ("validation_accuracy", "accuracy")
GROUPS = ["method", "label", "candidate"]
SAMPLE = ["method", "label", "seed", "run", "status", "accuracy"]


def tuning(inputs: Inputs) -> Table:
    """Validation and test accuracy in percent by method and candidate, and which candidate is chosen.

    Chosen is the best mean validation accuracy over seeds among the candidates that finished in most seeds, the first
    of equals; none where the tier keeps no validation images, every run diverged, or some were not run. `recipe` marks
    the candidate that is the tier's recipe for the method. Methods that are not tuned have one row, their recipe,
    candidate -1.

    Samples: an experiment `tuned`, the runs at each method's chosen candidate.
    """
    recipes, tried = inputs.experiment("recipes"), inputs.experiment("tuning")
    rest = recipes[~recipes["method"].isin(tried["method"])].assign(candidate=-1)
    frame = pd.concat([tried, rest], ignore_index=True).astype({"candidate": int})
    measured = [column for column in MEASURED if column in frame]
    tidy = summarise(frame, GROUPS, measured)
    runs = {keys: list(group["run"]) for keys, group in frame.groupby(GROUPS, sort=False)}
    keys = list(tidy[GROUPS].itertuples(index=False, name=None))
    tidy.insert(len(GROUPS), "hyperparameters", _words(inputs, runs, keys))
    own = {method: set(group["run"]) for method, group in recipes.groupby("method")}
    tidy["recipe"] = [set(runs[key]) == own[key[0]] for key in keys]
    run = tried[~tried["method"].isin(tried.loc[tried["status"] == NOT_THERE, "method"])]
    best = {
        method: _best(group) for method, group in tidy[tidy["method"].isin(run["method"])].groupby("method")
    }
    tidy["chosen"] = [best.get(method) == candidate for method, _, candidate in keys]
    cells = summarise(recipes, ["method"], ["accuracy"]).set_index("method").to_dict("index")
    shown = [_shown(group, cells[method]) for method, group in tidy.groupby("method", sort=False)]
    return Table(tidy, pd.DataFrame(shown), _samples(inputs, run, best))


def _words(inputs: Inputs, runs: dict[Any, list[str]], keys: list[tuple[Hashable, ...]]) -> list[str]:
    """What sets a candidate apart: the hyperparameters that the method's candidates do not share; all of a lone one."""
    found = {key: dict(inputs.context.manifest.runs[runs[key][0]].hyperparameters) for key in keys}
    words = []
    for key in keys:
        siblings = [values for other, values in found.items() if other[0] == key[0]]
        named = {name: value for name, value in found[key].items() if not isinstance(value, str)}
        kept = {n: v for n, v in named.items() if len({s.get(n) for s in siblings}) > 1} or named
        words.append(", ".join(f"{name} {value:g}" for name, value in kept.items()))
    return words


def _best(group: pd.DataFrame) -> int | None:
    """The chosen candidate of a method's rows."""
    if "validation_accuracy_mean" not in group:
        return None
    whole = group[(group["n"] > 0) & (group["n"] == group["n"].max())]
    means = whole["validation_accuracy_mean"].dropna()
    return None if means.empty else int(whole.loc[means.idxmax(), "candidate"])


def _shown(group: pd.DataFrame, recipe: dict[Hashable, Any]) -> dict[str, str]:
    """A method's line: its budget and its chosen candidate, or why there is none, beside the tier's recipe."""
    first = group.iloc[0]
    tuned, chosen = first["candidate"] >= 0, group[group["chosen"]].to_dict("records")
    none = "not chosen" if "validation_accuracy_mean" in group else "no validation images"
    if not group["n"].any():
        none = without(group["diverged"].sum())
    elif not tuned:
        none = ""
    found = {"chosen": none, "validation": "", "test": "", "recipe is chosen": ""}
    for row in chosen:
        found = {
            "chosen": row["hyperparameters"],
            "validation": text(row, "validation_accuracy"),
            "test": text(row, "accuracy"),
            "recipe is chosen": "yes" if row["recipe"] else "no",
        }
    budget = str(len(group)) if tuned else "not tuned"
    line = {"method": first["label"], "candidates": budget} | found
    same = line.pop("recipe is chosen")
    return line | {"test of the tier's recipe": text(recipe, "accuracy"), "recipe is chosen": same}


def _samples(inputs: Inputs, tried: pd.DataFrame, best: dict[Any, int | None]) -> pd.DataFrame:
    """The runs at the chosen candidates, as an experiment of its own; where every run diverged, those that did."""
    if tried.empty or ("validation_accuracy" not in tried and (tried["status"] == "finished").any()):
        return pd.DataFrame(columns=["experiment", *SAMPLE, "dataset", "source"])
    chosen = pd.concat(
        [
            group[group["candidate"] == (best[method] or 0)]
            for method, group in tried.groupby("method", sort=False)
        ]
    )
    settings = [inputs.context.manifest.runs[run] for run in chosen["run"]]
    return chosen[SAMPLE].assign(
        experiment="tuned",
        dataset=[run.dataset for run in settings],
        source=[f"{run.encoder}, tuned on validation images" for run in settings],
    )
