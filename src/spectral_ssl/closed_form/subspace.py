"""Comparing column spans: what an optimum determines is a subspace."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from spectral_ssl.closed_form.result import Array

RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest count as zero."""


def span(matrix: Array, tolerance: float = RANK_TOLERANCE) -> Array:
    """Orthonormal basis (N, r) of the numerical column span of `matrix` (N, k)."""
    left, singular, _ = scipy.linalg.svd(np.asarray(matrix, dtype=np.float64), full_matrices=False)
    if singular.size == 0 or singular[0] == 0:
        return left[:, :0]
    return left[:, singular > tolerance * singular[0]]


def principal_angles(first: Array, second: Array, tolerance: float = RANK_TOLERANCE) -> Array:
    """Principal angles in radians, ascending, between two column spans ((N, k) and (N, l)).

    There are min(rank, rank) of them. Accurate for small angles too (Knyazev & Argentati 2002).
    """
    one, two = span(first, tolerance), span(second, tolerance)
    if one.shape[1] == 0 or two.shape[1] == 0:
        return np.zeros(0)
    return np.sort(scipy.linalg.subspace_angles(one, two))


def largest_angle(first: Array, second: Array, tolerance: float = RANK_TOLERANCE) -> float:
    """Distance of two column spans: their largest principal angle, or pi/2 where the ranks differ."""
    ranks = {span(first, tolerance).shape[1], span(second, tolerance).shape[1]}
    if len(ranks) > 1:
        return float(np.pi / 2)
    angles = principal_angles(first, second, tolerance)
    return float(angles[-1]) if angles.size else 0.0
