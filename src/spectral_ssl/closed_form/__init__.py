"""Optimal representations of self-supervised losses in closed form, in float64.

`vicreg`, `simclr` and `barlow_twins` take the relation graph `G` of Balestriero & LeCun 2022 (N, N):
symmetric, non-negative, zero diagonal. `spectral` takes the augmentation-graph weights `w` of HaoChen et al.
2021, whose diagonal is positive. Both may be arrays or scipy sparse. With features `X` (N, D) the network is
linear, Z = X W, and for `spectral` f = X W. `solve` and `objective` take the loss by its name.

Every optimum is reached by many embeddings (rotations, shifts, any basis at a tied eigenvalue): compare
subspaces with `principal_angles`, never single columns.
"""

from spectral_ssl.closed_form.augmentation import spectral, spectral_contrastive_loss, spectral_objective
from spectral_ssl.closed_form.canonical import barlow_twins, barlow_twins_objective
from spectral_ssl.closed_form.eigen import extremal_eigenpairs
from spectral_ssl.closed_form.gram import simclr, simclr_objective
from spectral_ssl.closed_form.laplacian import vicreg, vicreg_objective
from spectral_ssl.closed_form.registry import names, objective, options, solve
from spectral_ssl.closed_form.result import Result
from spectral_ssl.closed_form.subspace import largest_angle, principal_angles, span

__all__ = [
    "Result",
    "barlow_twins",
    "barlow_twins_objective",
    "extremal_eigenpairs",
    "largest_angle",
    "names",
    "objective",
    "options",
    "principal_angles",
    "simclr",
    "simclr_objective",
    "solve",
    "span",
    "spectral",
    "spectral_contrastive_loss",
    "spectral_objective",
    "vicreg",
    "vicreg_objective",
]
