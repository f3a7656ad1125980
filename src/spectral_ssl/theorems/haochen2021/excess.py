"""Learning from finitely many images: the population loss of the empirical minimiser (Theorem 4.1)."""

from __future__ import annotations

import numpy as np
import scipy.optimize

from spectral_ssl import closed_form as cf
from spectral_ssl.data.augmentation_graph import augmentation_graph
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Worst
from spectral_ssl.theorems.families import TASKS
from spectral_ssl.theorems.haochen2021.probe import REAL
from spectral_ssl.theorems.instances import Array, separated
from spectral_ssl.theorems.optimise import Objective
from spectral_ssl.theorems.rates import fit_samples

SIZES = (100, 600, 3600, 21600)
"""Numbers of images drawn, of which the excess loss's exponent is fitted."""

IMAGES, NODES, FEATURES, DIMENSION = 40, 12, 4, 3

ROOM = 2.0
"""Radius of the ball of W over the norm of the population's minimiser in the class."""

DRAWS, RANDOM_STARTS = 12, 2
"""Of each size, an instance; how many of a class's draws are also minimised from a random start."""

SLACK = 1e-9
"""What rounding may take from an excess loss of zero."""


def _population(rng: np.random.Generator) -> tuple[Array, Array]:
    """A kernel p (images, nodes) and its w, gamma_k apart from the next: near a tie small samples swap them."""
    while True:
        p = rng.dirichlet(np.full(NODES, 0.5), size=IMAGES)
        graph = augmentation_graph(p)
        gamma = cf.spectral(graph.w, DIMENSION + 1).eigenvalues
        if graph.kept.size == NODES and separated(gamma, DIMENSION, 0.05):
            return p, graph.w


def _features(rng: np.random.Generator, w: Array) -> Array:
    """phi (nodes, FEATURES) of norm at most 1, for which the class's own minimum is not near a tie."""
    root = np.sqrt(w.sum(axis=1))[:, None]
    while True:
        phi = rng.standard_normal((NODES, FEATURES))
        phi /= np.linalg.norm(phi, axis=1).max()
        basis = np.linalg.qr(root * phi)[0]
        inside = np.linalg.eigvalsh(basis.T @ (w / (root * root.T)) @ basis)[::-1]
        if separated(inside, DIMENSION, 0.05) and inside[DIMENSION - 1] > 0.05:
            return np.asarray(phi)


def empirical_loss(p: Array, counts: Array, *, negatives: str = "distinct") -> Objective:
    """-(2/n) sum_i ||E f(x_i)||^2 + 1/(n (n-1)) sum_{i != j} E (f(x_i)^T f(x_j))^2 and gradient, at f (nodes, k).

    Args:
        p: augmentation kernel (images, nodes).
        counts: how often each image was drawn (images,), n in all.
        negatives: "distinct" draws, or "positives": two augmentations of ONE draw.
    """
    n = counts.sum()
    pairs, singles = (1 / (n * (n - 1)), -1 / (n * (n - 1))) if negatives == "distinct" else (0.0, 1 / n)
    drawn = counts[:, None] * p

    def at(f: Array) -> tuple[float, Array]:
        means, second = p @ f, np.einsum("ix,xa,xb->iab", p, f, f)
        total = np.einsum("i,iab->ab", counts, second)
        repulsion = pairs * (total**2).sum() + singles * (counts @ (second**2).sum(axis=(1, 2)))
        value = -2 / n * (counts @ (means**2).sum(axis=1)) + repulsion
        own = np.einsum("ix,iab,xb->xa", drawn, second, f)
        gradient = -4 / n * drawn.T @ means + 4 * pairs * drawn.sum(axis=0)[:, None] * (f @ total)
        return float(value), gradient + 4 * singles * own

    return at


class FunctionClass:
    """f(x) = W^T phi(x) with ||W||_F <= b, phi (nodes, features) of norm at most 1 a node.

    best: W (features, k) of least population loss, b being ROOM times its norm. least: its loss. bound: of sqrt(n)
    times the mean excess loss.
    """

    def __init__(self, p: Array, w: Array, phi: Array) -> None:
        self.p, self.w, self.phi = p, w, phi
        weights = cf.spectral(w, DIMENSION, phi).weights
        assert weights is not None  # of a linear network
        self.best, self.b = weights, ROOM * float(np.linalg.norm(weights))
        self.least = self.loss(weights)
        means, second = p @ phi, np.einsum("ix,xa,xb->iab", p, phi, phi)
        products = np.einsum("ia,ib->iab", means, means)
        single = ((products - products.mean(axis=0)) ** 2).sum(axis=(1, 2)).mean()
        squares = (second**2).sum(axis=(1, 2)).mean() ** 2
        pairs = squares - (second.mean(axis=0) ** 2).sum() ** 2
        self.bound = 2 * (2 * self.b**2 * np.sqrt(single) + self.b**4 * np.sqrt(2 * pairs))

    def loss(self, W: Array) -> float:
        """The population's."""
        return cf.spectral_contrastive_loss(self.phi @ W, self.w)

    def excess(
        self, n: int, rng: np.random.Generator, *, restart: bool, negatives: str = "distinct"
    ) -> float:
        """Excess loss of the empirical minimiser over n images drawn, from the population's; from a random start
        too, if it is to `restart`, and then the better.
        """
        images = len(self.p)
        counts = np.bincount(rng.integers(images, size=n), minlength=images).astype(np.float64)
        objective = empirical_loss(self.p, counts, negatives=negatives)

        def flat(vector: Array) -> tuple[float, Array]:
            # V -> V / sqrt(1 + ||V||^2 / b^2) maps all matrices on the open ball.
            V = vector.reshape(self.best.shape)
            scale = 1 / np.sqrt(1 + (V**2).sum() / self.b**2)
            value, gradient = objective(self.phi @ (scale * V))
            inner = self.phi.T @ gradient
            return value, np.ravel(scale * inner - scale**3 / self.b**2 * (inner * V).sum() * V)

        starts = [self.best / np.sqrt(1 - ROOM**-2)]
        if restart:
            starts.append(rng.standard_normal(self.best.shape))
        options = {"ftol": 1e-13, "gtol": 1e-7}
        ends = [
            scipy.optimize.minimize(flat, one.ravel(), jac=True, method="L-BFGS-B", options=options)
            for one in starts
        ]
        V = min(ends, key=lambda end: end.fun).x.reshape(self.best.shape)
        return self.loss(V / np.sqrt(1 + (V**2).sum() / self.b**2)) - self.least


@check(
    paper="haochen2021",
    statement="theorem-4.1-excess",
    kind="rate",
    title="The empirical minimiser's population loss exceeds the least one by less than order n^-1/2",
    control="negatives drawn as positive pairs",
    expected=-1.0,
    tolerance=0.2,
    instances=4,
)
def theorem_4_1_excess(rng: np.random.Generator, instances: int) -> Outcome:
    """For f(x) = W^T phi(x), ||W||_F <= b, ||phi(x)|| <= 1: E L(f_hat) - min L <= 2 (2 b^2 s_1 + sqrt(2) b^4
    s_2) / sqrt(n).

    Theorem 4.1 in the excess loss, for two classes of bounded f, with constants: f_hat minimises the empirical
    loss over n images drawn independently, augmentations in expectation, L is the population's. s_1^2 is the
    variance of m m^T, m = E[phi | image], and s_2^2 that of S x S' (Kronecker), S = E[phi phi^T | image], S'
    that of another image; both at most 1, so that the bound knows no dimension (and is loose, by two orders of
    magnitude here). Proof: the excess is at most twice the largest |L_n - L|. With M = W W^T of norm at most
    b^2, L_n - L = -2 <mean m m^T - E m m^T, M> + <mean over i != j of S_i x S_j - E S x E S, M x M>, at most 2
    b^2 and b^4 times the norms of the two deviations; the first's mean square is s_1^2 / n, the second's, a
    U-statistic's of order 2, at most 2 s_2^2 / n (Hoeffding 1948).

    What happens is better: n^-1, as for any minimiser in finite dimension whose loss has a curvature in all
    directions but the rotations of f. The classes: every f on 12 nodes that 40 images share (phi one-hot), and
    functions linear in 4 random features; b is twice the norm of the class's minimiser. The bound alone is checked
    on real images too, in one draw of n = 100. Neither classes of unbounded complexity, such as networks', nor the
    paper's own constants are checked.

    Measured: the end farther from -1 of the bootstrap interval of the mean excess's exponent, n = 100 to 21600,
    over 12 draws a size and instance, the worse of both classes. NaN if an excess is negative; infinite if a mean
    excess exceeds its bound, or the smaller class's at n = 21600 is not the smaller. Control: the exponent where
    the repulsion is between two augmentations of one image: the excess stays.
    """
    p, w = _population(rng)
    classes = {
        "any function": FunctionClass(p, w, np.eye(NODES)),
        "linear functions": FunctionClass(p, w, _features(rng, w)),
    }
    tightness, lowest, rates, last = Worst(), np.inf, [], []
    detail: dict[str, float] = {}
    for name, one in classes.items():
        samples = [
            np.array([one.excess(n, rng, restart=i < RANDOM_STARTS) for i in range(DRAWS * instances)])
            for n in SIZES
        ]
        rates.append(fit_samples(SIZES, samples, rng))
        lowest = min(lowest, *(float(drawn.min()) for drawn in samples))
        last.append(float(samples[-1].mean()))
        for n, drawn in zip(SIZES, samples, strict=True):
            tightness.see(name, float(drawn.mean()) * np.sqrt(n) / one.bound)
        detail |= rates[-1].detail(f"exponent, {name}") | {f"mean excess, {name}, n = {SIZES[-1]}": last[-1]}
    for name in REAL:
        task = TASKS[name](rng)
        one = FunctionClass(task.p, task.w, np.eye(len(task.w)))
        excess = one.excess(SIZES[0], rng, restart=True)
        lowest = min(lowest, excess)
        tightness.see(name, excess * np.sqrt(SIZES[0]) / one.bound)
    measured = max((rate.farthest(-1.0) for rate in rates), key=lambda end: abs(end + 1))
    if tightness.value > 1 or last[1] > last[0]:
        measured = np.inf
    if lowest < -SLACK:
        measured = np.nan
    wide = classes["any function"]
    wrong = [np.array([wide.excess(n, rng, restart=False, negatives="positives")] * 2) for n in SIZES]
    controls = {"negatives as positives": fit_samples(SIZES, wrong, rng).exponent}
    return Outcome(measured, controls, detail=detail | {"tightness": tightness.value} | tightness.detail())
