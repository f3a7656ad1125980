"""Linear probes. Accuracies are fractions in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.features import Array, accuracy, as_features, as_split


@dataclass(frozen=True)
class SgdProbe:
    """Test accuracy after the last and at the best TEST epoch (from 1); training accuracy after the last.

    The best test epoch is chosen by looking at the test set; it is what some code reports, and flatters.
    """

    last: float
    best: float
    best_epoch: int
    train: float


@dataclass(frozen=True)
class LbfgsProbe:
    """Accuracies at the optimum, how near it is: the largest gradient entry, below `tolerance` or not."""

    test: float
    train: float
    gradient: float
    iterations: int
    converged: bool


def linear_sgd(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    seed: int,
    epochs: int = 100,
    learning_rate: float = 30.0,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    batch_size: int = 256,
    milestones: Sequence[int] = (60, 80),
    resampled: Callable[[], Array] | None = None,
) -> SgdProbe:
    """The linear evaluation of HaoChen et al. 2021: softmax regression by SGD.

    Learning rate 30, divided by 10 after the epochs in `milestones`, momentum 0.9 (torch's form), no weight
    decay, batches of 256 with the smaller last one kept, features as they are. Weights start at
    N(0, 0.01^2), biases at 0 (the recipe's origin, He et al. 2020). The gradient is written out: twice as
    fast as autograd.

    `resampled`, called once an epoch, gives features (n, D) to train on in place of `train_x`, row for row:
    those of training images augmented anew, as the paper has it. Training accuracy is that on `train_x`.

    Raises UserError for unfit features or labels, and for no epochs.
    """
    if epochs < 1 or batch_size < 1:
        raise UserError(f"a probe needs 1 epoch and a batch of 1 or more; found {epochs} and {batch_size}")
    split = as_split(train_x, train_y, test_x, test_y)
    generator = torch.Generator().manual_seed(seed)
    fixed, n = split.train_x, len(split.train_x)
    x = fixed
    targets = functional.one_hot(split.train_y, split.classes).to(x.dtype)
    weight = torch.empty(split.classes, x.shape[1], dtype=x.dtype).normal_(0.0, 0.01, generator=generator)
    weight, bias = weight.to(x.device), x.new_zeros(split.classes)
    weight_velocity, bias_velocity = torch.zeros_like(weight), torch.zeros_like(bias)
    history = []
    for epoch in range(epochs):
        if resampled is not None:
            x = as_features(resampled()).to(fixed)
        rate = learning_rate * 0.1 ** sum(epoch >= milestone for milestone in milestones)
        for rows in torch.randperm(n, generator=generator).to(x.device).split(batch_size):
            batch = x[rows]
            error = functional.linear(batch, weight, bias).softmax(dim=1).sub_(targets[rows]).div_(len(rows))
            weight_velocity.mul_(momentum).addmm_(error.T, batch).add_(weight, alpha=weight_decay)
            bias_velocity.mul_(momentum).add_(error.sum(dim=0)).add_(bias, alpha=weight_decay)
            weight.sub_(weight_velocity, alpha=rate)
            bias.sub_(bias_velocity, alpha=rate)
        history.append(accuracy(functional.linear(split.test_x, weight, bias), split.test_y))
    train = accuracy(functional.linear(fixed, weight, bias), split.train_y)
    best = int(np.argmax(history))
    return SgdProbe(history[-1], history[best], best + 1, train)


def linear_lbfgs(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    l2: float = 1e-4,
    tolerance: float = 1e-6,
    iterations: int = 2000,
) -> LbfgsProbe:
    """Multinomial logistic regression at its optimum: no schedule, no seed, no epoch to choose.

    Minimises mean cross entropy + l2/2 |W|^2 (biases free) in float64 by L-BFGS from zero, on features
    standardised by the training part's mean and deviation (divisor n). A dimension whose deviation is at
    the rounding of its values counts as constant and is left out. It has converged when no gradient entry
    exceeds `tolerance`.

    Raises UserError for unfit features or labels, and for l2 that is not positive (separable data has no
    optimum).
    """
    if not l2 > 0.0:
        raise UserError(f"l2 must be positive, else separable features have no optimum; found {l2}")
    split = as_split(train_x, train_y, test_x, test_y)
    train, test = standardise(split.train_x, split.test_x)
    x, test = _with_ones(train), _with_ones(test)
    # Classes first: the softmax over few of them then works on long rows, which halves the whole probe's time.
    targets = functional.one_hot(split.train_y, split.classes).double().T.contiguous()
    shape = (split.classes, x.shape[1])

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = torch.from_numpy(flat).to(x.device).view(shape)
        penalised = torch.cat([weights[:, :-1], torch.zeros_like(weights[:, -1:])], dim=1)
        log_p = torch.log_softmax(weights @ x.T, dim=0)
        value = -(targets * log_p).sum() / len(x) + l2 / 2.0 * penalised.square().sum()
        gradient = (log_p.exp() - targets) @ x / len(x) + l2 * penalised
        return value.item(), gradient.flatten().cpu().numpy()

    start = np.zeros(shape[0] * shape[1])
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "gtol": tolerance, "ftol": 0.0, "maxcor": 20}
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    weights = torch.from_numpy(result.x).to(x.device).view(shape)
    gradient = float(np.abs(objective(result.x)[1]).max())
    return LbfgsProbe(
        accuracy(test @ weights.T, split.test_y),
        accuracy(x @ weights.T, split.train_y),
        gradient,
        int(result.nit),
        gradient <= tolerance,
    )


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts in float64, less the training part's mean and over its deviation (divisor n).

    A dimension whose deviation is within the rounding of its values is divided by infinity, that is, left
    out: dividing by it would blow rounding noise up to the size of a signal.
    """
    rounding = 8.0 * torch.finfo(train.dtype).eps * train.abs().amax(dim=0).double()
    x = train.double()
    mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
    deviation = torch.where(deviation > rounding, deviation, torch.inf)
    return (x - mean) / deviation, (test.double() - mean) / deviation


def _with_ones(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
