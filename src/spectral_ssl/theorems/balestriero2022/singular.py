"""What each loss determines of an embedding's singular vectors: the left subspace, and how free the right
ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import views_graph
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.theorems.balestriero2022.cases import graphs, tied
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import complete, regular
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


GRAM = "gram"
"""SimCLR's Gram-matching form, a loss on a graph."""

SUMS: dict[str, object] = {"reduction": "sum", "epsilon": 0.0}
EQUAL: dict[str, object] = {"variance": 1.0, "covariance": 1.0, "variance_kind": "quadratic"}
CENTRED: dict[str, object] = {"centering": "embedding"}
UNCENTRED: dict[str, object] = {"centering": "none"}

LOSSES: tuple[tuple[str, dict[str, object], tuple[Group, ...], tuple[Group, ...]], ...] = (
    ("vicreg", SUMS | EQUAL, (orthogonal,), (_scaling,)),
    ("simclr", {}, (orthogonal,), (_scaling,)),
    ("tcr", {}, (orthogonal,), (_scaling,)),
    ("spectral", {"projection": "none"}, (orthogonal,), (_scaling,)),
    (GRAM, {}, (orthogonal,), (_scaling,)),
    ("vicreg_ctr", UNCENTRED, (orthogonal,), (_scaling,)),
    ("vicreg_ctr", CENTRED, (_fixing_ones,), (orthogonal,)),
    ("vicreg", {}, (_signed_permutation,), (orthogonal, _scaling)),
    ("vicreg_exp", {}, (_permutation,), (orthogonal, _signed_permutation)),
    ("barlow_twins", {}, (_signed_permutation, _scaling), (orthogonal,)),
)
"""Loss, its hyperparameters, the groups of right multiplications that leave it unchanged, and those that do
not.
"""


SHAPES = ((12, 5), (6, 6), (5, 8))
"""N and K: N above, at and below K."""


def _change(
    loss: str, options: dict[str, object], group: Group, rng: np.random.Generator, shape: tuple[int, int]
) -> float:
    """Relative change of a loss when both views, or a graph's embedding, are multiplied by one element of the group."""
    n, k = shape
    z1 = rng.standard_normal((n, k)) @ rng.standard_normal((k, k)) * 0.3
    z2 = z1 + 0.3 * rng.standard_normal((n, k))
    element = group(rng, k)

    def total(one: Array, two: Array) -> float:
        if loss == GRAM:
            views = torch.from_numpy(np.vstack([one, two]))
            return float(get_graph_loss(loss)(views, views_graph(n, 2), **options).total)
        return float(get_loss(loss)(torch.from_numpy(one), torch.from_numpy(two), **options).total)

    before, after = total(z1, z2), total(z1 @ element, z2 @ element)
    return abs(after - before) / abs(before)


def _turned_pair() -> tuple[float, float]:
    """Changes of printed VICReg and Barlow Twins, alpha = 1, by an eighth of a turn, N = K = 2, G one edge."""
    G, turn = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    changes = []
    for loss, Z, options in (
        ("vicreg", np.array([[1.0, 0.0], [-1.0, 0.0]]), {}),
        ("barlow_twins", np.diag([1.0, 2.0]), {"lambda_": 1.0}),
    ):
        compute = get_graph_loss(loss)
        before, after = (float(compute(torch.from_numpy(z), G, **options).total) for z in (Z, Z @ turn))
        changes.append(abs(after - before))
    return changes[0], changes[1]


def _regular_graphs(rng: np.random.Generator) -> Iterator[tuple[str, Array, int]]:
    """Graphs of equal degrees with a K whose cut does not tie: a complete one (all dimensions), circulants, pairs."""
    n = int(rng.integers(9, 14))
    yield "complete", complete(rng, n), n - 1
    yield "views", np.asarray(views_graph(n // 2, 2).toarray()), n // 2 - 1
    while True:
        G, k = regular(rng, n), 2 * int(rng.integers(1, 3))
        if separated(cf.vicreg(G, n - 1).eigenvalues, k):
            break
    yield "regular", G, k


def _angle_to_centred_top(G: Array, k: int) -> float:
    centring, degree = np.eye(len(G)) - 1 / len(G), float(G.sum(axis=1).max())
    # H G H has eigenvalue 0 at the constant vector, ahead of its negative ones: moved to the bottom.
    _, top = cf.extremal_eigenpairs(centring @ G @ centring - 2 * degree / len(G), k, "largest")
    gamma = 0.1 / degree
    return cf.largest_angle(top, cf.vicreg(G, k, invariance=gamma).embedding)


def _angle_of_gram_factor(G: Array) -> float:
    """Angle between SimCLR's optimum and the top of G by a full eigendecomposition; 0 where no cut is clear."""
    values, vectors = np.linalg.eigh(G)
    clear = [k for k in range(1, int((values > 0).sum()) + 1) if not tied(values[::-1], k, 0.0)]
    if not clear:
        return 0.0
    return cf.largest_angle(cf.simclr(G, clear[-1]).embedding, vectors[:, : -clear[-1] - 1 : -1])


@check(
    paper="balestriero2022",
    statement="left-singular-vectors",
    kind="identity",
    title="Left singular subspaces are the graph's; the right ones are free for some losses only",
    control="an irregular graph for VICReg's left subspace",
    known="differs",
    tolerance=1e-7,
    instances=20,
)
def left_singular_vectors(rng: np.random.Generator, instances: int) -> Outcome:
    """Left: VICReg's optimum spans the top of H G H (regular G), SimCLR's Gram form the top of G with the
    constant vector.

    The top of H G H is meant within the centred subspace. Right: the multiplications Z -> Z Q that leave each
    loss unchanged. All of O(K): quadratic VICReg with equal weights, SimCLR, TCR, the spectral loss,
    SimCLR's Gram form, uncentred VICReg-ctr. O(K) fixing the vector 1: VICReg-ctr that subtracts each
    embedding's mean. Signed permutations: VICReg with the hinge. Permutations: VICReg-exp. Signed permutations and
    column scalings: Barlow Twins. Printed: no method constrains the right singular vectors; false for VICReg as
    printed and Barlow Twins. The smallest counterexample has N = K = 2, G one edge, an eighth of a turn (with K = 1
    there is only the sign): Z = [[1, 0], [-1, 0]] for VICReg, whose correlation of the turned dimensions costs 2 and
    whose dead dimension no longer costs 1, and Z = diag(1, 2) for Barlow Twins, whose columns are orthogonal until
    turned, when their cosine is 3/5: 2 alpha 9/25 = 0.72 alpha. `detail` has both changes.

    Left, on regular graphs (complete with K = N - 1, circulant, pairs of views, several components): H G H's top; and
    on them all the constant vector is in SimCLR's span, on connected ones as its first direction. On all families
    SimCLR's span is the top of G by a full eigendecomposition, at the largest K with a clear cut. Right: N above, at
    and below K; SimCLR's Gram form on the graph of the two views.

    Measured: the largest angle on the left, or relative change of a loss under its group; infinite if some
    transformation OUTSIDE a loss's group leaves it unchanged.
    """
    left, right, printed, control, least = Worst(), Worst(), np.inf, np.inf, np.inf
    for index, (family, G) in enumerate(graphs(rng, instances)):
        shape = SHAPES[index % len(SHAPES)]
        for loss, options, inside, outside in LOSSES:
            right.see(loss, *(_change(loss, options, group, rng, shape) for group in inside))
            least = min(least, *(_change(loss, options, group, rng, shape) for group in outside))
        for loss in ("vicreg", "barlow_twins"):
            printed = min(printed, _change(loss, {}, orthogonal, rng, shape))
        left.see(family, _angle_of_gram_factor(G))
        for name, one, k in _regular_graphs(rng):
            first = 1 if name != "views" else len(one) // 2
            ones = np.ones((len(one), 1))
            span = cf.span(cf.simclr(one, first).embedding)
            left.see(
                name, _angle_to_centred_top(one, k), float(np.linalg.norm(ones - span @ (span.T @ ones)))
            )
        control = min(control, _angle_to_centred_top(relation_graph(rng, 10), 2))
    vicreg, barlow = _turned_pair()
    detail = {
        "least change outside a loss's group": least,
        "counterexample N = K = 2: change of VICReg": vicreg,
        "counterexample N = K = 2: change of Barlow Twins": barlow,
    }
    detail |= left.detail() | {f"right, {loss}": value for loss, value in right.by_family.items()}
    measured = max(left.value, right.value) if least > FLOOR else np.inf
    return Outcome(measured, {"irregular graph": control}, printed=printed, detail=detail)
