"""Verdicts of claims that belong together, corrected by Holm's procedure.

A family is the claims that are read together: by default those of one figure, table or topic of one paper, at one
tier. Every claim of it that this tier runs takes part, with the smaller p of its two answers (hypotheses.py), or 1
where its runs allow no test, and is decided if Holm's adjusted p is below 5 %. Then the chance that any claim of the
family gets a wrong answer is at most 5 %. Holm (1979) proves that for true nulls (orders and differences where the
mean is 0), however the claims depend on one another; Shaffer (1980, "Control of directional errors with stagewise
multiple test procedures") for wrong directions too, where claims are independent. Claims that share runs are not, and
claims of several kinds are not Shaffer's case: for these the tests of this module simulate it, from no effect to
large ones. Nothing is corrected over families, papers or tiers, and intervals are not corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectral_ssl.hypotheses import LEVEL, Decision, holm
from spectral_ssl.papers.sources import Source


@dataclass(frozen=True)
class Judged:
    """What an entry's measurements say by themselves.

    found: ledger columns, among them the verdict that stands if nothing is decided. decision: what a test says, None
    where nothing can be tested. seeds_at: the seeds that a decision at a given level would need.
    """

    found: dict[str, Any]
    decision: Decision | None = None
    seeds_at: Callable[[float], int | None] | None = None
    source: Source = field(default_factory=Source)


def settle(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The ledger columns of the claims of one family, in the order given: p, p_holm, verdict, seeds_needed."""
    tested = [one.decision.p for one in judged if one.decision is not None]
    # A claim that the runs could not test counts all the same: which one that is, the runs themselves decide.
    silent = [one for one in judged if one.decision is None and one.found.get("verdict") == "inconclusive"]
    adjusted = iter(holm([*tested, *[1.0] * len(silent)]))
    claims = len(tested) + len(silent)
    return [
        dict(one.found) if one.decision is None else _settled(one, one.decision, next(adjusted), claims)
        for one in judged
    ]


def settle_families(families: Sequence[Hashable], judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """`settle` for entries of several families, in the order given; entries of the family None are left as they are."""
    found = [dict(one.found) for one in judged]
    for family in dict.fromkeys(name for name in families if name is not None):
        places = [place for place, name in enumerate(families) if name == family]
        for place, row in zip(places, settle([judged[place] for place in places]), strict=True):
            found[place] = row
    return found


def _settled(one: Judged, decision: Decision, p_holm: float, claims: int) -> dict[str, Any]:
    row = one.found | {"p": decision.p, "p_holm": p_holm}
    notes = [row["protocol"]] if row.get("protocol") else []
    if p_holm < LEVEL:
        row["verdict"] = decision.verdict
    elif decision.p < LEVEL:
        notes.append(f"not after Holm's correction over {claims} claims")
    if row["verdict"] == "inconclusive" and one.seeds_at and (needed := one.seeds_at(LEVEL / claims)):
        row["seeds_needed"] = needed
        notes.append(f"underpowered: about {needed} seeds would decide it with a chance of 80 %")
    return row | ({"protocol": "; ".join(notes)} if notes else {})
