"""What a row of history says: sums over an epoch's steps, and how the embeddings of test images lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.features import as_features
from spectral_ssl.evaluate.rank import effective_rank
from spectral_ssl.losses.criteria import sample_contrastive

NOT_TERMS = ("loss", "gradient_norm")  # among the values of a step


class Running:
    """Sums of a step's scalars, and the first step at which each was not finite, on the device of the scalars.

    Adding waits for nothing; `means` and `first_bad` fetch their numbers at once. Sums are float64: in float32 an epoch
    of 10^5 steps would cost digits.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._steps = 0
        self._sums = torch.zeros(0, dtype=torch.float64)
        self._bad = torch.zeros(0, dtype=torch.int64)  # -1: never

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take note of one step: scalars by name, the same names at each step.

        Raises UserError where the names change, which a loss of the user's own may do.
        """
        if not self._names:
            device = next(iter(values.values())).device
            self._names = tuple(values)
            self._sums = torch.zeros(len(values), dtype=torch.float64, device=device)
            self._bad = torch.full((len(values),), -1, device=device)
        if values.keys() != set(self._names):
            raise UserError(
                f"found the values {', '.join(values)} at step {self._steps + 1} of an epoch, expected "
                f"{', '.join(self._names)} as at its first; a loss must give the same terms at every step"
            )
        step = torch.stack([values[name].detach() for name in self._names])
        self._sums += step
        self._bad.masked_fill_(~torch.isfinite(step) & (self._bad < 0), self._steps)
        self._steps += 1

    def means(self, count: int) -> dict[str, float]:
        """The sums over `count`, by name."""
        return dict(zip(self._names, (self._sums / count).tolist(), strict=True))

    def first_bad(self) -> tuple[int, str] | None:
        """The first step (from 0) whose "loss" was not finite, and the first term that was not; None if all were.

        "loss" is named where each term was finite and their sum was not.
        """
        first = dict(zip(self._names, self._bad.tolist(), strict=True))
        step = first.get("loss", -1)
        if step < 0:
            return None
        terms = (name for name in self._names if name not in NOT_TERMS and first[name] == step)
        return step, next(terms, "loss")

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values and tensors."""
        sums, bad = self._sums.clone(), self._bad.clone()
        return {"names": list(self._names), "steps": self._steps, "sums": sums, "bad": bad}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, with the same bits, on the device that holds it."""
        self._names, self._steps = tuple(state["names"]), state["steps"]
        self._sums, self._bad = state["sums"].clone(), state["bad"].clone()


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The 2-norm of all gradients as one vector, a scalar on their device; parameters without gradient are left out.

    Waits for nothing. 0 if there is no gradient at all.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    # torch.nn.utils.get_total_norm, which also takes gradients on several devices, for twice the time.
    return torch.stack(torch._foreach_norm(gradients)).norm()


def look(embeddings: Tensor, representations: Tensor) -> dict[str, float]:
    """How embeddings Z (N, K) and representations (N, D) of some test images lie; N >= 2.

    - `rank`, `rank_representation`: effective rank of the table less its mean row, see `evaluate.rank`;
    - `embedding_norm`, `embedding_norm_std`: mean and deviation (divisor N) of the rows' lengths;
    - `dimension_std`, `dimension_std_min`: mean and smallest deviation (divisor N - 1) of the dimensions;
    - `centre`: length of the mean row over the root mean squared row length, 0 centred, 1 collapsed;
    - `sample_contrastive`, `dimension_contrastive`: Garrido et al. 2023's L_c and L_nc, without divisor, of Z with each
      row scaled to length 1 (their K = Z^T with unit columns);
    - these with `_low` and `_high`: Corollary 3.4.1's bounds (Theorem 3.3 with Lemma 3.4) on one by the other:
      L_nc - N + N^2/K <= L_c <= L_nc - N + N^2, solved for either; no bound is below 0, since both are sums of squares.

    Rows are scaled because that corollary needs samples of one length, which table 1 there says contrastive methods
    have; dimensions of one length would need the mirrored bounds. L_c is at its lower bound where all dimensions have
    one norm, at its upper where one dimension carries everything. Rows of zeros are no samples: N counts the others.

    Everything is in float64, and all numbers leave the device at once. On a CPU core (360, 64) takes a millisecond,
    (2048, 512) a tenth of a second and (2048, 2048) three, nearly all for the two ranks.

    Raises UserError for tables that are not (N, D), not finite, or of one row.
    """
    z = as_features(embeddings, "embeddings").double()
    h = as_features(representations, "representations").double()
    if len(z) < 2:
        raise UserError("diagnostics need 2 rows or more; found 1")
    norms, deviations = z.norm(dim=1), z.std(dim=0)
    root = norms.square().mean().sqrt().clamp_min(torch.finfo(z.dtype).tiny)
    numbers = {
        "embedding_norm": norms.mean(),
        "embedding_norm_std": norms.std(correction=0),
        "dimension_std": deviations.mean(),
        "dimension_std_min": deviations.min(),
        "centre": z.mean(dim=0).norm() / root,
        **_criteria(functional.normalize(z, dim=1)),
    }
    spectra = [_singular_values(table) for table in (z, h)]
    fetched = torch.cat([torch.stack(list(numbers.values())), *spectra]).cpu()
    scalars, ours, theirs = fetched.split([len(numbers), *map(len, spectra)])
    ranks = {"rank": effective_rank(ours), "rank_representation": effective_rank(theirs)}
    return ranks | dict(zip(numbers, scalars.tolist(), strict=True))


def _criteria(rows: Tensor) -> dict[str, Tensor]:
    """L_c and L_nc of rows (N, K) of length 1 or 0, and the bounds that each sets the other."""
    lengths, columns = rows.square().sum(dim=1), rows.square().sum(dim=0)
    n, k = lengths.sum(), rows.shape[1]
    l_c = sample_contrastive(rows, side="smaller").clamp_min(0)
    l_nc = (l_c + lengths.square().sum() - columns.square().sum()).clamp_min(0)  # Theorem 3.3
    least, most = n * n / k - n, n * n - n  # of L_c - L_nc
    return {
        "sample_contrastive": l_c,
        "sample_contrastive_low": (l_nc + least).clamp_min(0),
        "sample_contrastive_high": l_nc + most,
        "dimension_contrastive": l_nc,
        "dimension_contrastive_low": (l_c - most).clamp_min(0),
        "dimension_contrastive_high": (l_c - least).clamp_min(0),
    }


def _singular_values(table: Tensor) -> Tensor:
    """Those of a float64 table (N, D) less its mean row, from the smaller Gram matrix, on the device.

    Several times as fast as their decomposition. Squaring loses values below 1e-8 of the largest, which is less than
    the epsilon of the effective rank and than the rounding of float32 features.
    """
    centred = table - table.mean(dim=0)
    n, d = centred.shape
    gram = centred.T @ centred if d < n else centred @ centred.T
    return torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
