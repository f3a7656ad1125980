"""What each loss determines of an embedding's singular vectors: the left subspace, and how free the right
ones are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.losses import get_loss
from spectral_ssl.theorems.balestriero2022.linear import regular_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.instances import Array, orthogonal, relation_graph, separated

Group = Callable[[np.random.Generator, int], Array]

FLOOR = 1e-6
"""A transformation outside a loss's group must change it by more than this share."""


def _permutation(rng: np.random.Generator, k: int) -> Array:
    return np.asarray(np.roll(np.eye(k), 1, axis=0)[:, rng.permutation(k)])


def _signed_permutation(rng: np.random.Generator, k: int) -> Array:
    signs = rng.choice([-1.0, 1.0], k)
    signs[0] = -signs[1]
    return _permutation(rng, k) * signs


def _fixing_ones(rng: np.random.Generator, k: int) -> Array:
    basis = np.linalg.qr(np.column_stack([np.ones(k), rng.standard_normal((k, k - 1))]))[0]
    turned = np.eye(k)
    turned[1:, 1:] = orthogonal(rng, k - 1)
    return np.asarray(basis @ turned @ basis.T)


def _scaling(rng: np.random.Generator, k: int) -> Array:
    return np.diag(rng.uniform(0.3, 3.0, k))


SUMS: dict[str, object] = {"reduction": "sum", "epsilon": 0.0}
EQUAL: dict[str, object] = {"variance": 1.0, "covariance": 1.0, "variance_kind": "quadratic"}
CENTRED: dict[str, object] = {"centering": "embedding"}
UNCENTRED: dict[str, object] = {"centering": "none"}

LOSSES: tuple[tuple[str, dict[str, object], tuple[Group, ...], tuple[Group, ...]], ...] = (
    ("vicreg", SUMS | EQUAL, (orthogonal,), (_scaling,)),
    ("simclr", {}, (orthogonal,), (_scaling,)),
    ("tcr", {}, (orthogonal,), (_scaling,)),
    ("spectral", {"projection": "none"}, (orthogonal,), (_scaling,)),
    ("vicreg_ctr", UNCENTRED, (orthogonal,), (_scaling,)),
    ("vicreg_ctr", CENTRED, (_fixing_ones,), (orthogonal,)),
    ("vicreg", {}, (_signed_permutation,), (orthogonal, _scaling)),
    ("vicreg_exp", {}, (_permutation,), (orthogonal, _signed_permutation)),
    ("barlow_twins", {}, (_signed_permutation, _scaling), (orthogonal,)),
)
"""Loss, its hyperparameters, the groups of right multiplications that leave it unchanged, and those that do
not.
"""


def _change(loss: str, options: dict[str, object], group: Group, rng: np.random.Generator) -> float:
    """Relative change of a loss when both views are multiplied by one element of the group."""
    n, k = 12, 5
    z1 = rng.standard_normal((n, k)) @ rng.standard_normal((k, k)) * 0.3
    z2 = z1 + 0.3 * rng.standard_normal((n, k))
    element = group(rng, k)
    compute = get_loss(loss)
    before = float(compute(torch.from_numpy(z1), torch.from_numpy(z2), **options).total)
    after = float(compute(torch.from_numpy(z1 @ element), torch.from_numpy(z2 @ element), **options).total)
    return abs(after - before) / abs(before)


def _regular_angles(rng: np.random.Generator) -> tuple[float, float]:
    """Angles on a regular graph: VICReg to the top of H G H, and SimCLR's span to the constant vector."""
    while True:
        n, k = int(rng.integers(9, 14)), 2 * int(rng.integers(1, 3))
        G = regular_graph(rng, n)
        if separated(cf.vicreg(G, n - 1).eigenvalues, k):
            break
    contrastive = cf.span(cf.simclr(G, 1).embedding)
    return _angle_to_centred_top(G, k), cf.largest_angle(contrastive, np.ones((n, 1)))


def _angle_to_centred_top(G: Array, k: int) -> float:
    centring, degree = np.eye(len(G)) - 1 / len(G), float(G.sum(axis=1).max())
    # H G H has eigenvalue 0 at the constant vector, ahead of its negative ones: moved to the bottom.
    _, top = cf.extremal_eigenpairs(centring @ G @ centring - 2 * degree / len(G), k, "largest")
    gamma = 0.1 / degree
    return cf.largest_angle(top, cf.vicreg(G, k, invariance=gamma).embedding)


@check(
    paper="balestriero2022",
    statement="left-singular-vectors",
    kind="identity",
    title="Left singular subspaces are the graph's; the right ones are free for some losses only",
    control="an irregular graph for VICReg's left subspace",
    tolerance=1e-7,
    instances=20,
)
def left_singular_vectors(rng: np.random.Generator, instances: int) -> Outcome:
    """Left: VICReg's optimum spans the top of H G H (regular G), SimCLR's Gram form the top of G with the
    constant vector.

    The top of H G H is meant within the centred subspace. Right: the multiplications Z -> Z Q that leave each
    loss unchanged. All of O(K): quadratic VICReg with equal weights, SimCLR, TCR, the spectral loss,
    uncentred VICReg-ctr. O(K) fixing the vector 1: VICReg-ctr that subtracts each embedding's mean. Signed
    permutations: VICReg with the hinge. Permutations: VICReg-exp. Signed permutations and column scalings:
    Barlow Twins. Printed: no method constrains the right singular vectors; false for VICReg as printed and
    Barlow Twins. Measured: the largest angle on the left, or relative change of a loss under its group;
    infinite if some transformation OUTSIDE a loss's group leaves it unchanged.
    """
    worst, printed, control, least = 0.0, np.inf, np.inf, np.inf
    for _ in range(instances):
        for loss, options, inside, outside in LOSSES:
            worst = max(worst, *(_change(loss, options, group, rng) for group in inside))
            least = min(least, *(_change(loss, options, group, rng) for group in outside))
        for loss in ("vicreg", "barlow_twins"):
            printed = min(printed, _change(loss, {}, orthogonal, rng))
        worst = max(worst, *_regular_angles(rng))
        control = min(control, _angle_to_centred_top(relation_graph(rng, 10), 2))
    detail = {"least change outside a loss's group": least}
    measured = worst if least > FLOOR else np.inf
    return Outcome(measured, {"irregular graph": control}, printed=printed, detail=detail)
