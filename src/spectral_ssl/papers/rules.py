"""The kinds of claims, the rule of each in words, and what a claim must and may say.

`measure` names an experiment, a column, and the cells: `high` and `low` for pairs, `where` otherwise. A level is
given by value, or as `first`, `middle` or `last` of the tier's levels. Where several cells of a seed are left, `best`
takes their highest value and `mean` (the default) their mean. Both sides of a pair must be different runs: a tier
with one level of a factor says nothing about that factor. `family` names the claims that are corrected together, by
default what stands before the first "/" of the entry. `table` and `figure` say where the evidence is shown, if not
where the experiment says. `analogue` is a second `measure`, shown where a tier lacks the first one's runs, as for
printed values: it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spectral_ssl.errors import UserError, unknown
from spectral_ssl.papers import PAPERS, paper_statements, read

DIFFERENCE = "mean paired difference over seeds"
CORRECTED = "decided if p after Holm's correction in the family is below 5 %; interval not corrected"
RULES = {
    "order": f"{DIFFERENCE}, two-sided t test: above 0 holds, below 0 differs; 95 % interval; {CORRECTED}",
    "same": f"{DIFFERENCE}: two one-sided t tests within the margin hold, a two-sided t test beyond it differs; "
    f"90 % interval; {CORRECTED}",
    "noninferior": f"{DIFFERENCE}, two-sided t test: above minus the margin holds, below it differs; 95 % interval; "
    f"{CORRECTED}",
    "different": f"{DIFFERENCE}: two one-sided t tests within the margin differ, else a two-sided t test against 0 "
    f"holds; 95 % interval; {CORRECTED}",
    "range": "mean over seeds: one-sided t tests at 2.5 % within both bounds hold, one beyond a bound differs; "
    f"95 % interval; {CORRECTED}",
    "correlation": "Pearson's correlation over runs, t test of Fisher's z by a jackknife over configurations with all "
    f"their seeds: above the bound holds, below it differs; 95 % bootstrap interval; {CORRECTED}",
    "underspecified": "none: the paper does not say enough",
}
PAIRED = ("order", "same", "noninferior", "different")
TESTED = (*PAIRED, "range", "correlation")
COMPOSITE = ("figure", "keypoint")
NEEDED = {
    "same": {"margin"},
    "noninferior": {"margin"},
    "different": {"margin"},
    "range": {"bounds"},
    "correlation": {"bounds"},
    "underspecified": {"reason"},
    "figure": {"entries"},
    "keypoint": {"entries"},
}
WORDS = {"kind", "location", "statement", "printed"}
PLACES = {"table", "figure"}
MAY = PLACES | {"family"}
MEASURE = {"experiment", "column", "columns", "high", "low", "where", "over"}


def family(entry: str, claim: Mapping[str, Any]) -> str | None:
    """The claims that a claim is corrected with; None for kinds that no test decides."""
    return str(claim.get("family", entry.split("/")[0])) if claim["kind"] in TESTED else None


def experiments_of(measure: Mapping[str, Any]) -> list[str]:
    """The experiments or samples that a measure names, those of its sides too."""
    parts = [measure, *(measure[side] for side in ("high", "low", "where") if side in measure)]
    return [part["experiment"] for part in parts if "experiment" in part]


def check_claims(paper: str, claims: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse claims that cannot be decided: no claim is made that has no rule, or that names what is not there.

    Raises UserError for a kind that is not known, keys that are missing or not known, an experiment, table or figure
    that the paper's experiments.yaml has not, and a composite that names what no entry before it is called (a claim may
    stand anywhere).
    """
    named = {entry for entry, claim in claims.items() if claim.get("kind") not in COMPOSITE}
    named |= {f"statement/{name}" for name in paper_statements(paper)}
    arrows = read(f"{paper}/published.yaml").get("correspondences", {}).get("rows", {})
    named |= {f"figure1/{name}" for name in arrows}
    for entry, claim in claims.items():
        for problem in _problems(paper, claim):
            raise UserError(f"{PAPERS[paper]}: claim {entry}: {problem}")
        if strangers := sorted(set(claim.get("entries", ())) - named):
            raise UserError(
                f"{PAPERS[paper]}: claim {entry} names {strangers}, which no entry before it is called"
            )
        named.add(entry)


def _problems(paper: str, claim: Mapping[str, Any]) -> Iterator[str | UserError]:
    kind = claim.get("kind")
    if kind not in (*RULES, *COMPOSITE):
        yield unknown("kind", kind, (*RULES, *COMPOSITE))
        return
    needed = WORDS | NEEDED.get(kind, set())
    allowed = needed | MAY | (set() if kind in COMPOSITE else {"measure"})
    allowed |= {"analogue"} if kind in TESTED and "measure" in claim else set()
    if missing := sorted(needed - set(claim)):
        yield f"lacks {', '.join(missing)}; add it"
    spec = read(f"{paper}/experiments.yaml")
    experiments = {*spec["experiments"], *spec.get("samples", {})}
    yield from (unknown("key", key, allowed) for key in claim if key not in allowed)
    for place in ("measure", "analogue"):
        yield from _problems_of_measure(place, kind, claim.get(place, {}), experiments)
    for place in PLACES & set(claim):
        if claim[place] not in spec[f"{place}s"]:
            yield unknown(place, claim[place], spec[f"{place}s"])


def _problems_of_measure(
    place: str, kind: str, measure: Mapping[str, Any], experiments: set[str]
) -> Iterator[str | UserError]:
    sides = {"high", "low"} if kind in PAIRED else set()
    wanted = (sides | {"columns" if kind == "correlation" else "column"}) if measure else set()
    if missing := sorted(wanted - set(measure)):
        yield f"its {place} lacks {', '.join(missing)}; add it"
    yield from (unknown(f"key of its {place}", key, MEASURE) for key in measure if key not in MEASURE)
    for name in experiments_of(measure):
        if name not in experiments:
            yield unknown("experiment", name, experiments)
