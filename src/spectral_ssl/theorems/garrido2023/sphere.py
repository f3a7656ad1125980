"""The distribution of similarities at the optimum (Proposition 3.1)."""

from __future__ import annotations

import numpy as np

from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.garrido2023 import trained
from spectral_ssl.theorems.garrido2023.trained import moment_errors
from spectral_ssl.theorems.instances import Array, harmonic_frame, unit_columns

PAIRS = 1000
"""Of vectors on the sphere, an instance."""

ERRORS = 4.0
"""Standard errors allowed."""

TRAINED = 1e-3
"""Relative error allowed to the moments of trained embeddings, where an optimiser's last digits are lost."""

EXACT = 1e-10
"""The same for harmonic frames, which are written down."""


def _deviation(first: Array, second: Array, m: int) -> float:
    """Standard errors by which products of paired unit columns miss mean 0 and variance 1/m, the larger."""
    products = (first * second).sum(axis=0)
    squares = products**2
    root = np.sqrt(products.size)
    mean = abs(products.mean()) / (products.std(ddof=1) / root)
    variance = abs(squares.mean() - 1 / m) / (squares.std(ddof=1) / root)
    return float(max(mean, variance))


def _as_errors(relative: float, allowed: float) -> float:
    """A relative error in the unit of `measured`: as many standard errors as are allowed where it is just allowed."""
    return ERRORS * relative / allowed


def _trained_vectors(rng: np.random.Generator) -> Worst:
    """Errors of the moments of trained free vectors, by loss and size."""
    worst = Worst()
    for n, m in trained.SIZES:
        for loss in ("dcl", "simclr"):
            z = trained.vectors(rng, n, m, loss=loss)
            worst.see(f"{loss}, N = {n}, M = {m}", *moment_errors(z, z))
    return worst


def _trained_networks(rng: np.random.Generator) -> tuple[Worst, float]:
    """Errors of the moments of trained networks, by size, and the least of untrained ones."""
    worst, untrained = Worst(), np.inf
    for n, m in trained.NETWORK_SIZES:
        embed = trained.network(rng, n, m)
        first, second = embed(True)
        pairs = ((first, first), (second, second), (first, second))
        worst.see(f"network, N = {n}, M = {m}", *(error for pair in pairs for error in moment_errors(*pair)))
        untrained = min(untrained, max(moment_errors(*embed(False))))
    return worst, untrained


def _sphere(rng: np.random.Generator, pairs: int) -> tuple[float, float, float]:
    """Standard errors missed by uniform vectors, by those of a subsphere and by collapsed ones, over M = 4, 16, 64."""
    worst, half, collapsed = 0.0, np.inf, np.inf
    for m in (4, 16, 64):
        first, second = (unit_columns(rng.standard_normal((m, pairs))) for _ in range(2))
        worst = max(worst, _deviation(first, second, m))
        first, second = (unit_columns(rng.standard_normal((m // 2, pairs))) for _ in range(2))
        half = min(half, _deviation(first, second, m))
        shift = 10.0 * np.eye(m)[:, :1]
        first, second = (unit_columns(rng.standard_normal((m, pairs)) + shift) for _ in range(2))
        collapsed = min(collapsed, _deviation(first, second, m))
    return worst, half, collapsed


@check(
    paper="garrido2023",
    statement="proposition-3.1",
    kind="monte-carlo",
    title="At the optimum similarities of negatives have mean 0 and variance 1/M",
    control="vectors on a subsphere of half the dimensions; a collapsed embedding; an untrained network",
    tolerance=ERRORS,
    instances=20,
)
def proposition_3_1(rng: np.random.Generator, instances: int) -> Outcome:
    """Unit vectors at the optimum with unlimited negatives, uniform on the sphere: E[x^T x-] = 0, Var[x^T x-]
    = 1/M.

    Measured: the larger deviation, in standard errors, over 1000 pairs an instance in each of M = 4, 16, 64. A
    centred tight frame of N > M vectors has mean exactly -1/(N - 1) and second moment (N/M - 1)/(N - 1), and is
    the optimum in the sizes tried; not in all: for odd N = M + 2, such as N = 5, M = 3, none exists (its
    complement in the sum-zero vectors would be one vector of entries +-1/sqrt N, an odd number of which do not
    sum to 0). That is checked on harmonic frames (an error of 1e-10 counts as 4 standard errors), and on
    embeddings trained at temperature 1 (1e-3 does): free unit vectors by DCL's and SimCLR's repulsion, several
    N and M, the best of three starts; and two views by a network with one hidden layer, SimCLR's whole loss.

    Further hypotheses that the finite form needs, seen in `detail`: that the loss centres, which the spectral loss's
    repulsion does not (its optimum is any tight frame: the second moment is exact, the mean anything); and a
    temperature that is not low, as for N = 12, M = 8 at 1/2 the optimum of the exponential repulsion is no tight
    frame.

    Controls: uniform vectors on M/2 of the dimensions (variance 2/M), and vectors trained there; one direction with
    a little noise; the network before training.
    """
    worst, half, collapsed = _sphere(rng, PAIRS * instances)
    frames = [harmonic_frame(m, n).T for m in (4, 16, 64) for n in (m + 1, 2 * m, 5 * m)]
    exact = max(error for z in frames for error in moment_errors(z, z))
    free, (networks, untrained) = _trained_vectors(rng), _trained_networks(rng)
    learnt = max(free.value, networks.value)

    flat = trained.vectors(rng, 8, 4, kept=2)
    spectral = trained.vectors(rng, 12, 3, loss="spectral")
    low = trained.vectors(rng, 12, 8, temperature=0.5)
    controls = {
        "subsphere": half,
        "collapsed": collapsed,
        "trained in half the dimensions": _as_errors(max(moment_errors(flat, flat)), TRAINED),
        "untrained network": _as_errors(untrained, TRAINED),
    }
    detail = {
        "standard errors, uniform vectors": worst,
        "harmonic frames": exact,
        "trained embeddings": learnt,
        "spectral repulsion: error of the mean": moment_errors(spectral, spectral)[0],
        "spectral repulsion: error of the second moment": moment_errors(spectral, spectral)[1],
        "temperature 1/2, N = 12, M = 8: error of the second moment": moment_errors(low, low)[1],
    }
    detail |= {
        f"trained: {name}": error for found in (free, networks) for name, error in found.by_family.items()
    }
    measured = max(worst, _as_errors(exact, EXACT), _as_errors(learnt, TRAINED))
    return Outcome(measured, controls, detail=detail)
