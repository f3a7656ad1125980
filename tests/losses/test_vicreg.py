from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.criteria import dimension_contrastive

ONES = {"invariance": 1.0, "variance": 1.0, "covariance": 1.0}


def cov(z: list[list[float]], k: int, l: int) -> float:  # noqa: E741
    n = len(z)
    mean_k, mean_l = sum(row[k] for row in z) / n, sum(row[l] for row in z) / n
    return sum((row[k] - mean_k) * (row[l] - mean_l) for row in z) / (n - 1)


def cosine(a: list[float], b: list[float]) -> float:
    inner = sum(x * y for x, y in zip(a, b, strict=True))
    return inner / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def c_exp(matrix: list[list[float]], tau: float) -> float:
    """Equation 11: (1/d) sum_i log sum_{j != i} exp(C_ij / tau)."""
    n = len(matrix)
    rows = (sum(math.exp(matrix[i][j] / tau) for j in range(n) if j != i) for i in range(n))
    return sum(map(math.log, rows)) / n


def covariance_rows(z: list[list[float]]) -> list[list[float]]:
    k = len(z[0])
    return [[cov(z, a, b) for b in range(k)] for a in range(k)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_vicreg_entry_by_entry(reduction, views):
    terms = get_loss("vicreg")(*views, **ONES, reduction=reduction)
    z1, z2 = (z.tolist() for z in views)
    n, k = len(z1), len(z1[0])
    squares = sum((a - b) ** 2 for r1, r2 in zip(z1, z2, strict=True) for a, b in zip(r1, r2, strict=True))
    hinges = [max(0.0, 1 - math.sqrt(cov(z, d, d) + 1e-4)) for z in (z1, z2) for d in range(k)]
    off = [cov(z, a, b) ** 2 for z in (z1, z2) for a in range(k) for b in range(k) if a != b]
    samples, dimensions = (n, k) if reduction == "mean" else (1, 1)
    assert any(h > 0 for h in hinges)
    assert terms["invariance"].item() == pytest.approx(squares / (samples * dimensions), rel=1e-12)
    assert terms["variance"].item() == pytest.approx(sum(hinges) / dimensions, rel=1e-12)
    assert terms["covariance"].item() == pytest.approx(sum(off) / dimensions, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_invariance_by_cosine(reduction, views):
    z1, z2 = views
    expected = [2 - 2 * cosine(a, b) for a, b in zip(z1.tolist(), z2.tolist(), strict=True)]
    value = get_loss("vicreg")(z1, z2, **ONES, reduction=reduction, invariance_kind="cosine")["invariance"]
    assert value.item() == pytest.approx(sum(expected) / (len(z1) if reduction == "mean" else 1), rel=1e-12)
    # On unit vectors it is the squared distance: K times the mean over samples and dimensions.
    u1, u2 = (torch.nn.functional.normalize(z, dim=1) for z in views)
    mse = get_loss("vicreg")(u1, u2, **ONES)["invariance"]
    on_units = get_loss("vicreg")(u1, u2, **ONES, invariance_kind="cosine")["invariance"]
    assert on_units.item() == pytest.approx(z1.shape[1] * mse.item(), rel=1e-12)


def test_quadratic_variance_completes_the_frobenius_norm(views):
    terms = get_loss("vicreg")(*views, **ONES, reduction="sum", variance_kind="quadratic")
    expected = sum((torch.cov(z.T) - torch.eye(4)).square().sum().item() for z in views)
    assert (terms["variance"] + terms["covariance"]).item() == pytest.approx(expected, rel=1e-12)


def test_covariance_is_the_criterion_only_centred_and_scaled(views):
    """Off-diagonal Cov^2 is L_nc of the CENTRED embeddings over (N - 1)^2, neither factor may be dropped."""
    z = views[0]
    value = get_loss("vicreg")(z, z, **ONES, reduction="sum")["covariance"].item() / 2
    exact = dimension_contrastive(z - z.mean(0)).item() / (len(z) - 1) ** 2
    assert value == pytest.approx(exact, rel=1e-12)
    assert abs(value - dimension_contrastive(z - z.mean(0)).item()) > 0.1 * value
    assert abs(value - dimension_contrastive(z).item() / (len(z) - 1) ** 2) > 0.05 * value


def test_vicreg_vanishes_on_white_embeddings_and_costs_one_per_view_at_collapse():
    white = torch.eye(5, dtype=torch.float64)
    white = torch.linalg.qr(white - 1 / 5)[0][:, :4]  # centred, orthonormal columns
    white = 2 * white  # sqrt(N - 1): unit unbiased variance
    terms = get_loss("vicreg")(white, white, **ONES)
    assert terms.total.item() == pytest.approx(0, abs=1e-28)
    collapsed = torch.ones(5, 4, dtype=torch.float64)
    assert get_loss("vicreg")(collapsed, collapsed, **ONES)["variance"].item() == pytest.approx(
        2 * (1 - 1e-2)
    )


def test_vicreg_exp_entry_by_entry(views):
    tau = 0.3
    terms = get_loss("vicreg_exp")(*views, **ONES, temperature=tau)
    expected = sum(c_exp(covariance_rows(z.tolist()), tau) for z in views)
    assert terms["covariance"].item() == pytest.approx(expected, rel=1e-12)
    reference = get_loss("vicreg")(*views, **ONES)
    assert terms["invariance"] == reference["invariance"]
    assert terms["variance"] == reference["variance"]
    summed = get_loss("vicreg_exp")(*views, **ONES, temperature=tau, reduction="sum")
    assert summed["covariance"] == terms["covariance"], (
        "equation 11 has its 1/d whatever the other reductions"
    )
    assert summed["variance"].item() == pytest.approx(4 * terms["variance"].item(), rel=1e-12)


def test_one_log_sum_exp_over_the_whole_matrix_is_another_loss(views):
    """Jensen: the mean over rows is at most log(sum over all entries) - log K, equal only for equal rows."""
    tau = 0.3
    z = views[0]
    per_row = get_loss("vicreg_exp")(z, z, **ONES, temperature=tau)["covariance"].item() / 2
    c = torch.cov(z.T)
    entries = c[~torch.eye(4, dtype=torch.bool)] / tau
    whole = torch.logsumexp(entries, dim=0).item()
    assert per_row < whole - math.log(4) - 0.01
    share = 1 / (4 * tau)  # of the gradient: what each row has, however large its entries
    assert _largest_gradient(z, tau, "row") < share < _largest_gradient(z, tau, "whole")


def _largest_gradient(z: Tensor, tau: float, kind: str) -> float:
    c = torch.cov(z.T).requires_grad_()
    masked = c.masked_fill(torch.eye(4, dtype=torch.bool), -math.inf) / tau
    value = masked.logsumexp(1).mean() if kind == "row" else masked.flatten().logsumexp(0)
    return torch.autograd.grad(value, c)[0].max().item()


@pytest.mark.parametrize("centering", ["dimension", "embedding", "none"])
@pytest.mark.parametrize("scaling", ["deviation", "norm"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_vicreg_ctr_entry_by_entry(centering, scaling, reduction, views):
    tau = 0.4
    views = tuple(0.5 * z for z in views)  # below the target norm of either scaling
    terms = get_loss("vicreg_ctr")(
        *views, **ONES, temperature=tau, centering=centering, scaling=scaling, reduction=reduction
    )
    spread = decorrelation = 0.0
    for z in views:
        rows = z.tolist()
        n, k = len(rows), len(rows[0])
        if centering == "dimension":
            means = [sum(row[d] for row in rows) / n for d in range(k)]
            rows = [[x - m for x, m in zip(row, means, strict=True)] for row in rows]
        if centering == "embedding":
            rows = [[x - sum(row) / k for x in row] for row in rows]
        divisor = 1 if scaling == "norm" else (k - 1 if centering == "embedding" else k)
        gram = [[sum(x * y for x, y in zip(a, b, strict=True)) / divisor for b in rows] for a in rows]
        hinges = [max(0.0, 1 - math.sqrt(gram[i][i] + 1e-4)) for i in range(n)]
        spread += sum(hinges) / (n if reduction == "mean" else 1)
        decorrelation += c_exp(gram, tau)
    assert spread > 0
    assert terms["variance"].item() == pytest.approx(spread, rel=1e-12)
    assert terms["covariance"].item() == pytest.approx(decorrelation, rel=1e-12)


def test_vicreg_ctr_centred_by_embedding_is_vicreg_exp_of_the_transpose(views):
    options = {**ONES, "temperature": 0.2}
    transposed = get_loss("vicreg_exp")(*(z.T for z in views), **options)
    ours = get_loss("vicreg_ctr")(*views, **options, centering="embedding")
    for key in ours:
        assert ours[key].item() == pytest.approx(transposed[key].item(), rel=1e-12)


def test_vicreg_ctr_of_unit_embeddings_is_the_repulsion_of_dcl(views):
    """Equations 11-13: c_exp of the transpose is DCL's repulsion from negatives of the same view."""
    u1, u2 = (torch.nn.functional.normalize(z, dim=1) for z in views)
    ours = get_loss("vicreg_ctr")(u1, u2, **ONES, temperature=0.2, centering="none", scaling="norm")
    repulsion = get_loss("dcl")(u1, u2, temperature=0.2, negatives="same_view")["repulsion"]
    assert ours["covariance"].item() == pytest.approx(2 * repulsion.item(), rel=1e-12)


def test_the_two_scalings_differ_by_a_factor_in_the_embeddings(views):
    """deviation(Z) looks at Z / sqrt(K) as norm does; only the invariance sees the difference."""
    deviation = get_loss("vicreg_ctr")(*views, **ONES)
    norm = get_loss("vicreg_ctr")(*(z / 2 for z in views), **ONES, scaling="norm")
    assert norm["variance"].item() == pytest.approx(deviation["variance"].item(), rel=1e-12)
    assert norm["covariance"].item() == pytest.approx(deviation["covariance"].item(), rel=1e-12)
    assert norm["invariance"].item() == pytest.approx(deviation["invariance"].item() / 4, rel=1e-12)
