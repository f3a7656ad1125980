"""The rank of an optimal representation: of optimisers' ends and of networks trained to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.barlow import objective as correlation_objective
from spectral_ssl.theorems.balestriero2022.barlow import pair_rows
from spectral_ssl.theorems.balestriero2022.cases import NEAR, ORDER, graphs
from spectral_ssl.theorems.balestriero2022.networks import NETWORKS, rank_of, trained
from spectral_ssl.theorems.balestriero2022.simclr import gram_objective
from spectral_ssl.theorems.balestriero2022.vicreg import objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import RELATIONS
from spectral_ssl.theorems.instances import Array
from spectral_ssl.theorems.optimise import minimise

TRAINED = 3
"""Instances, the first ones, that networks are trained on."""


def _thresholds(values: Array) -> Array:
    """One below the positive eigenvalues, one above, one between every two that are apart."""
    positive = values[values > 1e-9]
    edges = np.concatenate([[positive[0] / 3], positive, [4 * positive[-1]]])
    apart = edges[1:] > (1 + NEAR) * edges[:-1]
    return np.asarray(np.sqrt(edges[:-1] * edges[1:])[apart])


@check(
    paper="balestriero2022",
    statement="vicreg-rank",
    kind="identity",
    title="VICReg's rank is a staircase in the invariance weight",
    control="the threshold without the Dirichlet sum's factor 2",
    tolerance=0.0,
    instances=10,
)
def vicreg_rank(rng: np.random.Generator, instances: int) -> Outcome:
    """rank(H Z*) = #{k <= K : lambda_k < alpha N / (gamma n')}: full for small gamma, a staircase as gamma
    grows.

    Setting of vicreg-optimum. On each graph gamma takes one value between every two neighbouring thresholds
    that are apart, one below and one above all; tied dimensions vanish together, null ones (several components)
    never. The rank is that of the best point that optimisers find, over both divisors, K = 4 or N; and, at two
    thresholds of the first graphs, that of a linear network and of a small MLP trained on the library's graph
    loss (n' = N - 1), not of the closed form. Measured: 1 if an optimiser's rank is wrong, plus the networks'
    wrong ranks. Control: the count with 2 alpha N / (gamma n'), from forgetting that the sum over i and j meets
    each pair twice: the steps at which it is right (as at full rank) are not counted for it, only whether a
    graph has a wrong one.
    """
    wrong, control, steps, networks = Worst(), 0, 0, dict.fromkeys(NETWORKS, 0)
    for index, (family, G) in enumerate(graphs(rng, instances, (7, 11))):
        n, divisor = len(G), str(rng.choice(["n", "n-1"]))
        k = n if index % 5 == 4 else 4
        scale = float(n - 1 if divisor == "n-1" else n)
        values = cf.vicreg(G, n - 1).eigenvalues[:k]
        thresholds, misses = _thresholds(values), 0
        for threshold in thresholds:
            best = minimise(objective(G, n / (scale * threshold), scale), (n, k), rng, restarts=1)
            found = _centred_rank(best.point)
            wrong.see(family, int(found != (values < threshold).sum()))
            misses += int(found != (values < 2 * threshold).sum())
            steps += 1
        for threshold in rng.choice(thresholds, 2) if index < TRAINED else ():
            for kind in NETWORKS:
                gamma = n / ((n - 1) * threshold)
                Z = trained(kind, G, k, rng, "vicreg", variance_kind="quadratic", invariance=float(gamma))
                networks[kind] += int(_centred_rank(Z) != (values < threshold).sum())
        control += int(misses > 0)
    detail: dict[str, float] = {"steps tried": float(steps)} | {
        f"{kind}: wrong ranks": float(count) for kind, count in networks.items()
    }
    measured = sum(networks.values()) + wrong.value
    return Outcome(measured, {"without factor 2": control}, detail=detail | wrong.detail())


def _centred_rank(Z: Array) -> int:
    # What is left of a vanishing direction is far below 3e-3, a surviving one above 1e-2.
    return int((np.linalg.svd(Z - Z.mean(axis=0), compute_uv=False) > 3e-3).sum())


def _indefinite(rng: np.random.Generator, instances: int) -> Iterator[tuple[str, Array]]:
    """Graphs by family, eigenvalues either zero or above a thousandth of the largest in magnitude."""
    for index in range(instances):
        family = ORDER[index % len(ORDER)]
        while True:
            G = RELATIONS[family](rng, int(rng.integers(7, 11)))
            size = np.abs(np.linalg.eigvalsh(G))
            if not ((size > 1e-9) & (size < 1e-3 * size.max())).any():
                break
        yield family, G


@check(
    paper="balestriero2022",
    statement="rank",
    kind="identity",
    title="SimCLR's rank is G's positive eigenvalues, Barlow Twins' is K, VICReg's a matter of weights",
    control="the printed rank(Z) = rank(G)",
    known="differs",
    tolerance=0.0,
    instances=10,
)
def rank(rng: np.random.Generator, instances: int) -> Outcome:
    """SimCLR: min(K, #positive eigenvalues of G); Barlow Twins, whitened: K; VICReg: by its invariance
    weight.

    Printed: SimCLR and Barlow Twins force rank(Z) = rank(G). G has trace zero, so that G != 0 has a negative
    eigenvalue, which Z Z^T cannot reach: the printed form is wrong on EVERY graph. The smallest counterexample is
    one edge, G = [[0, 1], [1, 0]]: rank(G) = 2, eigenvalues 1 and -1, and Z* has rank 1; on 7 pairs it is 7
    against 14. Barlow Twins as it is trained, with columns normalised only, ends between 1 and K (`detail`).

    Measured: wrong ranks on the worst graph, of all families, at K = N and K = 3 for SimCLR (the best of three
    optimisers, Gram-matching form), at K = 3 for the whitened Barlow Twins (whitening forces it), at two
    invariance weights for VICReg; plus, on the first graphs, those of a linear network and a small MLP trained
    on the library's graph losses, SimCLR's Gram form and quadratic VICReg. Control, and printed form: the
    number of graphs on which SimCLR's rank is not rank(G).
    """
    wrong, printed, networks, loose = Worst(), 0, dict.fromkeys(NETWORKS, 0), []
    for index, (family, G) in enumerate(_indefinite(rng, instances)):
        n, values = len(G), np.linalg.eigvalsh(G)
        positive = int((values > 1e-9).sum())
        found = rank_of(minimise(gram_objective(G), (n, n), rng, restarts=1).point)
        few = rank_of(minimise(gram_objective(G), (n, 3), rng, restarts=1).point)
        printed += int(found != (np.abs(values) > 1e-9).sum())
        largest = cf.vicreg(G, n - 1).eigenvalues[-1]
        barlow = cf.barlow_twins(G, 3).embedding
        kept = cf.vicreg(G, 3, invariance=1e-6).embedding
        collapsed = cf.vicreg(G, n - 1, invariance=1.5 * n / ((n - 1) * largest)).embedding
        surviving = int((cf.vicreg(G, n - 1).eigenvalues < largest / 1.5).sum())
        wrong.see(
            family,
            int(found != positive)
            + int(few != min(3, positive))
            + int(rank_of(cf.simclr(G, n).embedding) != positive)
            + int(rank_of(barlow) != 3)
            + int(rank_of(kept) != 3)
            + int((np.linalg.svd(collapsed, compute_uv=False) > 1e-9).sum() != surviving),
        )
        left, right = pair_rows(G, np.eye(n))
        normalised = minimise(correlation_objective(left, right, 1.0, whiten=False), (n, 3), rng, restarts=1)
        loose.append(rank_of(normalised.point))
        for kind in NETWORKS if index < TRAINED else ():
            networks[kind] += int(rank_of(trained(kind, G, n, rng, "gram")) != positive)
            quadratic = trained(kind, G, 3, rng, "vicreg", variance_kind="quadratic", invariance=1e-3)
            networks[kind] += int(rank_of(quadratic - quadratic.mean(axis=0)) != 3)
    edge = np.array([[0.0, 1.0], [1.0, 0.0]])
    alone = rank_of(minimise(gram_objective(edge), (2, 2), rng, restarts=1).point)
    detail: dict[str, float] = {f"{kind}: wrong ranks": float(count) for kind, count in networks.items()} | {
        "graphs": instances,
        "counterexample of 2 nodes: rank(G)": int(np.linalg.matrix_rank(edge)),
        "counterexample of 2 nodes: rank(Z)": alone,
        "column-normalised Barlow Twins, K = 3: least rank": min(loose),
        "column-normalised Barlow Twins, K = 3: largest rank": max(loose),
    }
    measured = wrong.value + sum(networks.values())
    return Outcome(measured, {"rank(G)": printed}, printed=printed, detail=detail | wrong.detail())
