from __future__ import annotations

import math

import pytest
import torch

from spectral_ssl.losses import get_loss
from spectral_ssl.losses.tcr import coding_rate


def determinant(matrix: list[list[float]]) -> float:
    """By expansion along the first row."""
    if not matrix:
        return 1.0
    minors = ([row[:j] + row[j + 1 :] for row in matrix[1:]] for j in range(len(matrix)))
    return sum((-1) ** j * matrix[0][j] * determinant(minor) for j, minor in enumerate(minors))


def rate(rows: list[list[float]], distortion: float) -> float:
    n, k = len(rows), len(rows[0])
    scale = k / (n * distortion)
    return 0.5 * math.log(determinant(
        [[(a == b) + scale * sum(r[a] * r[b] for r in rows) for b in range(k)] for a in range(k)]
    ))  # fmt: skip


def test_the_printed_equation_entry_by_entry(views):
    units = [torch.nn.functional.normalize(z, dim=1) for z in views]
    cosine = (units[0] * units[1]).sum(1).mean().item()
    terms = get_loss("tcr")(*views, invariance=2.0, distortion=0.5)
    assert terms["invariance"].item() == pytest.approx(-2 * cosine, rel=1e-12)
    expected = -sum(rate(u.tolist(), 0.5) for u in units) / 2
    assert terms["coding_rate"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_both_sides_of_the_determinant_agree(shape):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = rate(z.tolist(), 0.2)
    assert coding_rate(z, 0.2).item() == pytest.approx(expected, rel=1e-12)


def test_known_values():
    n, k, distortion = 6, 3, 0.2
    collapsed = torch.zeros(n, k, dtype=torch.float64)
    collapsed[:, 0] = 1
    tight = torch.eye(k, dtype=torch.float64).repeat(
        n // k, 1
    )  # Z^T Z = N/K I: the largest rate of unit rows
    assert coding_rate(collapsed, distortion).item() == pytest.approx(0.5 * math.log(1 + k / distortion))
    assert coding_rate(tight, distortion).item() == pytest.approx(0.5 * k * math.log(1 + 1 / distortion))
    assert coding_rate(torch.zeros(n, k), distortion) == 0
