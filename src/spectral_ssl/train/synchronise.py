"""Batch norm whose statistics are of all processes' rows: torch's own on CUDA, and one for a CPU, which torch lacks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable


def synchronise(module: nn.Module, device: torch.device) -> None:
    """Replace every BatchNorm1d and BatchNorm2d below `module` by one over all processes.

    Parameters and running statistics stay the same tensors under the same names: an optimiser built before still
    holds them, and checkpoints do not tell how many processes wrote them.
    """
    for name, layer in module.named_children():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _replaced(layer, device))
        else:
            synchronise(layer, device)


def _replaced(layer: nn.BatchNorm1d | nn.BatchNorm2d, device: torch.device) -> nn.Module:
    kind = nn.SyncBatchNorm if device.type == "cuda" else SynchronisedBatchNorm
    other = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    for name, parameter in layer.named_parameters():
        other.register_parameter(name, parameter)
    for name, buffer in layer.named_buffers():
        other.register_buffer(name, buffer)
    return other.train(layer.training)


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm of (B, C) or (B, C, H, W) over the rows of every process; all processes have equally many.

    In training it computes what nn.BatchNorm1d and -2d compute of the whole batch, up to rounding: normalised by
    the biased variance, and the running variance moved towards the unbiased one. Half precision is computed
    in float32 and returned in half precision, as torch does. In evaluation mode it is torch's, and no process waits for
    another. `momentum` must be a number.
    """

    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of its shape and type."""
        if not self.training:
            own = self.running_mean is None  # torch's then takes the batch's statistics
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, own, eps=self.eps
            )
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        mean, variance = _statistics(wide.detach())
        if self.running_mean is not None and self.running_var is not None:
            count = _count(input)
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        normalised: Tensor = _Normalise.apply(wide, mean, variance, self.weight, self.bias, self.eps)
        return normalised.to(input.dtype)


def _count(input: Tensor) -> int:
    """Values a channel has in all processes together."""
    return distributed.get_world_size() * input.numel() // input.shape[1]


@torch.no_grad()
def _statistics(input: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel's mean and biased variance over all processes, by one communication.

    The variance is the mean of the processes' own variances, each about its own mean, plus the variance of these
    means. Nothing large cancels, as it would between the sum of squares and the squared sum.
    """
    # What nn.BatchNorm computes its statistics by; torch.var_mean takes 40 times as long where channels come last.
    own = torch.stack(torch.batch_norm_update_stats(input, None, None, 0.0))
    everyone = own.new_empty(distributed.get_world_size() * 2, own.shape[1])
    distributed.all_gather_into_tensor(everyone, own)
    means, variances = everyone[::2], everyone[1::2]
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


class _Normalise(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, where mean and variance are x's own over all processes.

    With x^ the normalised x, n its values a channel in all processes, and g the gradient of y,

        dL/dx = weight / sqrt(variance + eps) * (g - sum(g) / n - x^ sum(g x^) / n),

    the sums over all processes (Ioffe & Szegedy 2015, section 3). Those over this process's rows are its share of
    the gradients of bias and weight; summing the shares is left to whoever averages gradients.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        """The normalised input."""
        ctx.save_for_backward(input, mean, (variance + eps).rsqrt(), weight)
        return nn.functional.batch_norm(input, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of input, weight and bias."""
        input, mean, scale, weight = ctx.saved_tensors
        others = [dim for dim in range(input.ndim) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(input.ndim)]
        normalised = (input - mean.view(shape)) * scale.view(shape)
        own = torch.stack([gradient.sum(others), (gradient * normalised).sum(others)])
        everyone = own.clone()
        distributed.all_reduce(everyone)
        first, second = (everyone / _count(input)).view(2, *shape)
        passed = (gradient - first - normalised * second) * (
            scale if weight is None else scale * weight
        ).view(shape)
        return passed, None, None, *((None, None) if weight is None else (own[1], own[0])), None
