"""VICReg with the quadratic variance: its Dirichlet energy, its optimum, and the linear network's."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from spectral_ssl import closed_form as cf
from spectral_ssl.data.graph import laplacian
from spectral_ssl.theorems.balestriero2022.cases import graphs, linear, tied
from spectral_ssl.theorems.check import Outcome, check
from spectral_ssl.theorems.evidence import Optimum, Worst
from spectral_ssl.theorems.families import dimension
from spectral_ssl.theorems.instances import Array, orthogonal, relation_graph, separated
from spectral_ssl.theorems.optimise import Best, Objective, loss_gap, minimise


@check(
    paper="balestriero2022",
    statement="dirichlet",
    kind="identity",
    title="The invariance term is twice the Laplacian's quadratic form",
    control="an asymmetric G",
    tolerance=1e-12,
    instances=200,
)
def dirichlet(rng: np.random.Generator, instances: int) -> Outcome:
    """sum_ij G_ij ||z_i - z_j||^2 = 2 tr(Z^T L Z), L = diag(G 1) - G, G symmetric.

    Residual relative to the two sides' sum; the left side is summed pair by pair. Graphs of all families, those
    of real images among them; K below, at and above N. The control's G is asymmetric with row sums that are not
    its column sums.
    """
    worst, control = Worst(), np.inf
    for index, (family, G) in enumerate(graphs(rng, instances, (4, 20))):
        n = len(G)
        k = (int(rng.integers(1, 6)), n, n + 3)[index % 3]
        asymmetric = G * rng.uniform(0.2, 1.0, (n, 1))
        Z = rng.standard_normal((n, k))
        distances = np.array([[((one - two) ** 2).sum() for two in Z] for one in Z])
        residuals = []
        for graph in (G, asymmetric):
            left, right = float((graph * distances).sum()), 2 * float(np.trace(Z.T @ laplacian(graph) @ Z))
            residuals.append(abs(left - right) / (left + abs(right)))
        worst.see(family, residuals[0])
        control = min(control, residuals[1])
    return Outcome(worst.value, {"asymmetric G": control}, detail=worst.detail())


def objective(G: Array, gamma: float, scale: float, X: Array | None = None, alpha: float = 1.0) -> Objective:
    """VICReg's objective (n' = `scale`) and gradient, at Z or at W where Z = X W."""
    matrix, n = laplacian(G), G.shape[0]

    def at(point: Array) -> tuple[float, Array]:
        Z = point if X is None else X @ point
        centred = Z - Z.mean(axis=0)
        excess = centred.T @ centred / scale - np.eye(Z.shape[1])
        energy = matrix @ Z
        value = alpha * (excess**2).sum() + 2 * gamma / n * (Z * energy).sum()
        gradient = 4 * alpha / scale * centred @ excess + 4 * gamma / n * energy
        return float(value), gradient if X is None else X.T @ gradient

    return at


def survivors(rng: np.random.Generator, values: Array, k: int, per_unit: float) -> float:
    """An invariance weight for which some of the first k dimensions survive, halfway between two thresholds.

    values: all eigenvalues, ascending. `per_unit` is alpha N / n': dimension k survives while lambda_k is below
    per_unit / gamma. Only thresholds between eigenvalues that are apart are tried, and one at which all survive.
    """
    between = [
        np.sqrt(max(values[j - 1], values[j] / 16) * values[j])
        for j in range(1, min(k, values.size - 1) + 1)
        if separated(values, j)
    ]
    return float(per_unit / rng.choice([*between, 2 * values[min(k, values.size) - 1] + 0.1 * values[-1]]))


def _plain_eigenvectors_loss(G: Array, k: int, gamma: float, divisor: str) -> float:
    """Objective at eigenvectors 2..k+1 of `eigh(L)`, scaled as the optimum would be, for a G of several
    components.
    """
    n = G.shape[0]
    scale = n - 1 if divisor == "n-1" else n
    values, vectors = np.linalg.eigh(laplacian(G))
    chosen = slice(1, k + 1)
    variances = np.maximum(0, 1 - gamma * scale * values[chosen] / n)
    return cf.vicreg_objective(vectors[:, chosen] * np.sqrt(scale * variances), G, 1.0, gamma, divisor)


def _counted_once(Z: Array, rng: np.random.Generator) -> float:
    """How far a rotation changes the covariance term of Z, K > 1, if each pair of dimensions is counted once.

    With the quadratic variance sum_k (1 - Cov_kk)^2 beside it; counted twice, the two are rotation invariant.
    """

    def term(Z: Array) -> float:
        covariance = np.cov(Z, rowvar=False)
        return float(((1 - np.diag(covariance)) ** 2).sum() + (np.triu(covariance, 1) ** 2).sum())

    return abs(term(Z @ orthogonal(rng, Z.shape[1])) - term(Z)) / Z.shape[1]


@check(
    paper="balestriero2022",
    statement="vicreg-optimum",
    kind="optimum",
    title="VICReg's global minimiser: centred Laplacian eigenvectors with shrunken scales",
    control="eigenvectors 2..K+1 of the Laplacian of a graph with several components",
    tolerance=1e-6,
    instances=40,
)
def vicreg_optimum(rng: np.random.Generator, instances: int) -> Outcome:
    """alpha ||Cov(Z) - I||^2 + (gamma/N) sum G_ij ||z_i - z_j||^2 is least at Z* = [u_k sqrt(n' c_k)] Q + 1
    b^T.

    Quadratic variance, one weight alpha on variance and covariance; c_k = max(0, 1 - gamma n' lambda_k /
    (alpha N)), (lambda_k, u_k) the K smallest eigenpairs of L in the centred subspace, lambda_K = inf for K = N;
    n' is N - 1 or N, both tried. Proof: for Cov = sum c_k e_k e_k^T the energy is least on the smallest
    eigenvectors (von Neumann), and each c_k then has its own parabola.

    Measured: the larger of the relative loss gap and the largest principal angle between H Z* and the best of
    random restarts by three optimisers, on all families of graphs; where eigenvalues tie at the cut the span is
    not determined, and the loss alone is compared. One gamma in eight is 0, where every
    Cov = I is optimal (K = N then, which none can have), one is 1, which may leave no dimension or tie with a
    threshold. The objective is also evaluated at Z* itself, and at another
    minimiser Z* Q + 1 b^T. Control: columns 2..K+1 of an eigendecomposition of L. With several components its null
    vectors are not centred, and the loss is higher. `detail` has what a rotation does to the covariance's sum
    over one index only, as misprinted: both indices must run for Q to be free.
    """
    found, control, once = Optimum(), np.inf, 0.0
    for index, (family, G) in enumerate(graphs(rng, instances)):
        n, divisor, alpha = len(G), str(rng.choice(["n", "n-1"])), float(rng.choice([0.5, 1.0, 2.0]))
        k, scale = dimension(rng, n), float(n - 1 if divisor == "n-1" else n)
        values = cf.vicreg(G, n - 1).eigenvalues
        gamma = survivors(rng, values, k, alpha * n / scale)
        gamma = {1: 0.0, 2: 1.0}.get(index % 8, gamma)
        k = n if gamma == 0 else k
        result = cf.vicreg(G, k, alpha, gamma, divisor)
        best = minimise(objective(G, gamma, scale, alpha=alpha), (n, k), rng, restarts=2)
        other = result.embedding @ orthogonal(rng, k) + rng.standard_normal(k)
        ends = [cf.vicreg_objective(Z, G, alpha, gamma, divisor) for Z in (result.embedding, other)]
        itself = max(abs(end - result.loss) for end in ends) / (alpha * k)
        ties = gamma in (0.0, 1.0) or tied(-values, k, -alpha * n / (scale * gamma))
        found.see(family, result, best, alpha * k, centre=True, tied=ties, itself=itself)
        if k > 1:
            once = max(once, _counted_once(result.embedding, rng))

        parts = block_diag(*(relation_graph(rng, int(size)) for size in rng.integers(3, 7, size=3)))
        best_loss = Best(cf.vicreg(parts, 2, 1.0, 0.3, divisor).loss, np.zeros((0, 0)), 0.0)
        control = min(control, loss_gap(_plain_eigenvectors_loss(parts, 2, 0.3, divisor), best_loss, 2))
    detail = found.detail() | {"misprint: covariance over one index": once}
    return Outcome(found.value, {"uncentred eigenvectors": control}, detail=detail)


@check(
    paper="balestriero2022",
    statement="lpp",
    kind="optimum",
    title="VICReg with a linear network is locality preserving projections, constrained by X^T H X",
    control="X^T X for X^T H X, X uncentred",
    tolerance=1e-6,
    instances=20,
)
def lpp(rng: np.random.Generator, instances: int) -> Outcome:
    """For Z = X W the minimiser solves X^T L X w = lambda X^T H X w on range(H X), with the same shrinkage
    c_k.

    Setting of vicreg-optimum; X (N, D), D < N, some rank-deficient, none centred; pixels for the graphs of real
    images; K up to D. He & Niyogi's locality preserving projections constrain by X^T D X, the same only for
    regular G and centred X: `detail` has the largest angle between the two on irregular graphs, and what is
    measured includes their angle on the regular ones, X centred. Measured as in vicreg-optimum, the optimisers
    moving in an orthonormal basis of X's columns. Control: the loss of the solution with X^T X.
    """
    found, control, niyogi, regular = Optimum(), np.inf, 0.0, 0.0
    for family, G, X in linear(rng, instances):
        n, scale = len(G), float(len(G) - 1)
        features = cf.span(X, 1e-10) * np.sqrt(n)
        values = cf.vicreg(G, X.shape[1], X=X).eigenvalues
        values = values[np.isfinite(values)]
        k = int(rng.integers(1, min(X.shape[1], 5) + 1))
        gamma = survivors(rng, values, k, n / scale)
        result = cf.vicreg(G, k, 1.0, gamma, X=X)
        best = minimise(objective(G, gamma, scale, features), (features.shape[1], k), rng, restarts=2)
        best = Best(best.loss, features @ best.point, best.spread, best.losses)
        itself = abs(cf.vicreg_objective(result.embedding, G, 1.0, gamma) - result.loss) / k
        ties = tied(-values, k, -n / (scale * gamma))
        found.see(family, result, best, k, centre=True, tied=ties, itself=itself)

        k = min(k, 2)
        basis, degree = cf.span(X, 1e-10), G.sum(axis=1)
        if separated(values, k):
            angle = _angle_to_niyogi(G, X - X.mean(axis=0), k)
            if np.ptp(degree) < 1e-9 * degree.max():
                regular = max(regular, angle)
            else:
                niyogi = max(niyogi, angle)
        gamma = 0.3 / float(degree.mean())
        values, uncentred = cf.extremal_eigenpairs(basis.T @ laplacian(G) @ basis, k, "smallest")
        lengths = np.sqrt(scale * np.maximum(0, 1 - gamma * scale * values / n))
        claimed = cf.vicreg_objective(basis @ uncentred * lengths, G, 1.0, gamma)
        control = min(control, abs(claimed - cf.vicreg(G, k, 1.0, gamma, X=X).loss) / k)
    detail = found.detail() | {
        "angle to He & Niyogi's: regular": regular,
        "angle to He & Niyogi's: irregular": niyogi,
    }
    return Outcome(max(found.value, regular), {"X^T X": control}, detail=detail)


def _angle_to_niyogi(G: Array, X: Array, k: int) -> float:
    """Between the spans of VICReg's linear optimum and of He & Niyogi's, constrained by X^T D X; X centred."""
    basis, degree = cf.span(X, 1e-10), G.sum(axis=1)
    second = basis.T @ (degree[:, None] * basis)
    _, theirs = cf.extremal_eigenpairs(basis.T @ laplacian(G) @ basis, k, "smallest", second)
    return cf.largest_angle(basis @ theirs, cf.vicreg(G, k, invariance=0.0, X=X).embedding)
