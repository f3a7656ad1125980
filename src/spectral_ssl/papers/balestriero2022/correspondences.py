"""The table of Figure 1's arrows: what each loss recovers, and how far its optimum is from that in the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from spectral_ssl.papers import method_label, read
from spectral_ssl.papers.inputs import Inputs, Table

FAMILIES = {
    "vicreg": "non-contrastive",
    "barlow_twins": "non-contrastive",
    "simclr": "contrastive",
    "nnclr": "contrastive",
}
TARGETS = {
    "vicreg-laplacian-eigenmaps": "Laplacian eigenmaps",
    "vicreg-lpp": "locality preserving projections (LPP)",
    "vicreg-kernel-lpp": "kernel LPP",
    "vicreg-lda": "linear discriminant analysis (LDA)",
    "barlow-twins-lda": "linear discriminant analysis (LDA)",
    "barlow-twins-kernel-cca": "kernel CCA",
    "barlow-twins-cca": "canonical correlation analysis (CCA)",
    "simclr-kernel-pca": "kernel PCA, linear MDS",
    "simclr-mds": "multidimensional scaling (MDS, ISOMAP) of G",
    "nnclr-mds": "multidimensional scaling (MDS, ISOMAP) of G",
}
"""An arrow's spectral method as the map names it, in an order in which no two arrows cross."""

ANGLE = "largest principal angle"
GAP = "loss gap, relative"
OTHER = "what the check compares"
PURE = "dimensionless"

_FOUND = "principal angle"  # to where optimisers of the loss end
_THEIRS = "principal angle to scikit-learn's"
_ALONE = "share of instances compared by loss alone"


class Measured(NamedTuple):
    """What a check measured of an arrow, in its own unit: nothing is converted.

    value: the worst of the instances. compared: instances of which it is the worst.
    """

    quantity: str
    unit: str
    value: float
    compared: int


def measured(check: Mapping[str, Any]) -> Measured:
    """The largest principal angle (rad) between the loss's optimum and the spectral method's solution.

    Of where optimisers of the loss end and, where the check asks one, of an independent solver. The relative loss gap
    where the spans of no instance are determined; what the check compares where it has neither.
    """
    detail = check.get("detail", {})
    if _FOUND not in detail:
        return Measured(OTHER, PURE, float(check["measured"]), int(check["instances"]))
    compared = round(check["instances"] * (1 - float(detail.get(_ALONE, 0.0))))
    if not compared:
        return Measured(GAP, PURE, float(detail["loss gap"]), int(check["instances"]))
    angle = max(float(detail[name]) for name in (_FOUND, _THEIRS) if name in detail)
    return Measured(ANGLE, "rad", angle, compared)


def correspondences(inputs: Inputs) -> Table:
    """Figure 1's arrows with the checks that decide them: a row an arrow, in the map's order from its top.

    `printed_form` is the smallest angle of what the paper prints where that fails; `verdict` is inconclusive where the
    check's negative control passes.
    """
    arrows = read("balestriero2022/published.yaml")["correspondences"]["rows"]
    tidy = pd.DataFrame([_row(inputs, name, arrows[name]) for name in TARGETS])
    shown = pd.DataFrame(
        [
            {
                "method": row["label"],
                "recovers": f"{row['recovers']} ({row['scope']})",
                "when": row["when"],
                "check": row["check"],
                "largest angle (rad)": _text(row),
                "instances": f"{row['compared']} of {row['instances']}",
                "verdict": row["verdict"],
            }
            for row in tidy.to_dict("records")
        ]
    )
    return Table(tidy, shown)


def _row(inputs: Inputs, name: str, arrow: Mapping[str, Any]) -> dict[str, Any]:
    check = inputs.theorems[arrow["checks"][0]]
    detail = check.get("detail", {})
    decided = check["control_verdict"] == "fails"
    found = measured(check)
    return {
        "arrow": name,
        "method": arrow["method"],
        "label": method_label(arrow["method"]),
        "family": FAMILIES[arrow["method"]],
        "target": TARGETS[name],
        "recovers": arrow["recovers"],
        "scope": arrow["scope"],
        "when": arrow["when"],
        "check": ", ".join(arrow["checks"]),
        **found._asdict(),
        "instances": int(check["instances"]),
        "printed_form": float(detail.get("principal angle of the printed form", float("nan"))),
        "loss_gap": float(detail.get("loss gap", float("nan"))),
        "tolerance": float(check["tolerance"]),
        "verdict": check["verdict"] if decided else "inconclusive",
        "control": check["control_verdict"],
    }


def _text(row: Mapping[Any, Any]) -> str:
    """An angle's number alone, as the heading names it; another quantity with its name."""
    printed = row["printed_form"]
    wrong = f"; as printed at least {printed:.2g}" if printed == printed else ""
    named = "" if row["quantity"] == ANGLE else f"{row['quantity']} "
    return f"{named}{row['value']:.2g}{wrong}"
