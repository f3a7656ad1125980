"""Laplacian eigenmaps by VICReg with the quadratic variance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.manifold import SpectralEmbedding, spectral_embedding

from spectral_ssl import closed_form as cf
from spectral_ssl.theorems.balestriero2022.cases import ORDER, graphs, tied
from spectral_ssl.theorems.balestriero2022.vicreg import objective
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.instances import Array, separated
from spectral_ssl.theorems.optimise import minimise
from spectral_ssl.theorems.rates import fit

SHARES = (1e-9, 0.03, 0.3, 0.6, 0.95)
"""Of the largest gamma at which c_K > 0: the span must be the same at all."""

RATE = (0.3, 0.1, 0.03, 0.01)
"""The same, for the rate at which Cov tends to I."""


def connected_instances(
    rng: np.random.Generator, instances: int, sizes: tuple[int, int], ks: tuple[int, int]
) -> Iterator[tuple[str, Array, int, Array]]:
    """Family, connected graph, K, and all N - 1 centred eigenvalues; K in `ks`, upper end excluded, with lambda_K apart
    from lambda_{K+1}.

    All families but the complete and the disconnected graph. The near-degenerate one's eigenvalues are distinct
    but not apart: its span is too ill-conditioned for an optimiser.
    """
    names = [name for name in ORDER if name not in ("complete", "disconnected")]
    for index in range(instances):
        family = names[index % len(names)]
        others = tuple(name for name in ORDER if name != family)
        cuts: list[int] = []
        while not cuts:
            _, G = next(graphs(rng, 1, sizes, others, connected=True))
            values = cf.vicreg(G, len(G) - 1).eigenvalues
            apart = [k for k in range(*ks) if separated(values, k)]
            cuts = [2] if family == "near-degenerate" else apart
        yield family, G, int(rng.choice(cuts)), values


@check(
    paper="balestriero2022",
    statement="laplacian-eigenmaps",
    kind="optimum",
    title="VICReg spans what Laplacian eigenmaps embed",
    control="irregular degrees against the normalised Laplacian",
    tolerance=1e-6,
    instances=16,
)
def laplacian_eigenmaps(rng: np.random.Generator, instances: int) -> Outcome:
    """Connected G, lambda_K < lambda_{K+1}: span(H Z*) is span(u_1 .. u_K) for every gamma with c_K > 0; Cov
    -> I as gamma -> 0.

    Quadratic variance. At the optimum Cov has the eigenvalues c_k = 1 - gamma n' lambda_k / (alpha N), so that
    |Cov - I| = gamma n' lambda_K / (alpha N) to the first power of gamma. Families: all but the disconnected graph,
    which violates the hypothesis, and the complete one, all of whose eigenvalues tie; other graphs are drawn until
    they are in one piece.

    Measured: the largest principal angle of the closed form, at five gamma from 1e-9 to 0.95 of the largest, to
    scikit-learn's SpectralEmbedding on regular graphs and to its spectral_embedding(norm_laplacian=False) on
    irregular ones; loss gap and angle to random restarts of three optimisers at a random gamma; |Cov - I| at
    the smallest of these gamma; and how far the exponent of |Cov - I| in gamma is from 1, at the far end of its
    interval, as fitted from optimisers' ends on the first graph. Control: irregular graphs meet the normalised
    Laplacian, which is another problem there.
    """
    found, worst, covariance, control, exponent = Optimum(), Worst(), 0.0, np.inf, fit(RATE, RATE)
    for index, (family, G, k, values) in enumerate(connected_instances(rng, instances, (9, 14), (1, 5))):
        n, threshold = len(G), len(G) / ((len(G) - 1) * values[k - 1])
        is_regular = np.ptp(G.sum(axis=1)) < 1e-9
        if is_regular:
            theirs = SpectralEmbedding(k, affinity="precomputed", random_state=0).fit_transform(G)
        else:
            theirs = spectral_embedding(G, n_components=k, norm_laplacian=False, random_state=0)
        for share in SHARES:
            embedding = cf.vicreg(G, k, invariance=share * threshold).embedding
            worst.see(family, cf.largest_angle(theirs, embedding, 1e-9))
        free = cf.vicreg(G, k, invariance=SHARES[0] * threshold).embedding
        covariance = max(covariance, float(np.abs(free.T @ free / (n - 1) - np.eye(k)).max()))

        gamma = float(rng.uniform(0.05, 0.9)) * threshold
        best = minimise(objective(G, gamma, n - 1.0), (n, k), rng, restarts=1)
        ties = tied(-values, k)
        found.see(family, cf.vicreg(G, k, invariance=gamma), best, k, centre=True, tied=ties)
        if index == 0:
            distances = [_distance_from_identity(G, k, share * threshold, rng) for share in RATE]
            exponent = fit([share * threshold for share in RATE], distances)
        if family in ("weighted", "power-law"):
            normalised = spectral_embedding(G, n_components=k, random_state=0)
            control = min(control, cf.largest_angle(normalised, embedding))
    detail = found.detail() | exponent.detail("exponent of |Cov - I| in gamma")
    detail |= {f"scikit-learn, {name}": value for name, value in worst.detail().items()}
    detail |= {"principal angle to scikit-learn's": worst.value}
    detail |= {"distance of Cov from I at small gamma": covariance}
    measured = max(found.value, worst.value, covariance, abs(exponent.farthest(1.0) - 1))
    return Outcome(measured, {"normalised Laplacian": control}, detail=detail)


def _distance_from_identity(G: Array, k: int, gamma: float, rng: np.random.Generator) -> float:
    """Spectral norm of Cov - I at the best point that optimisers find."""
    Z = minimise(objective(G, gamma, len(G) - 1.0), (len(G), k), rng, restarts=1).point
    return float(np.linalg.norm(np.cov(Z, rowvar=False) - np.eye(k), 2))
