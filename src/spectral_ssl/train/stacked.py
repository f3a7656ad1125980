"""Sweeps of small models as one job: runs whose networks are equal in shape go forward and backward together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from spectral_ssl.errors import UserError
from spectral_ssl.models.convolutional import (
    ConvolutionalEncoder,
    PerceptronEncoder,
    channels_last,
    spatial_mean,
)
from spectral_ssl.models.heads import Head

if TYPE_CHECKING:
    from spectral_ssl.methods.base import Method, Step
    from spectral_ssl.papers.manifest import RunSettings

# Settings that runs may differ in and still train together: none changes a network or what is asked of it.
FREE = {"loss", "hyperparameters", "optimiser", "seed", "probes", "draws", "augmented_probe", "validation"}
FREE_OPTIONS = {"momentum", "final_momentum", "constant_predictor_rate", "queue"}

_TOGETHER = {nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.Flatten}


def stackable(runs: Sequence[RunSettings], size: int) -> list[list[RunSettings]]:
    """The runs in groups of at most `size` that may train together, groups and members in the runs' order.

    The runs of a group have data, views, batches, schedule length, method and networks in common. Losses and their
    hyperparameters, seeds and optimisers are each run's own, and so are options that change no network.
    """
    if size < 1:
        raise UserError(f"found groups of {size} runs, expected 1 or more; set engine.together to 1 or more")
    groups: dict[str, list[RunSettings]] = {}
    for run in runs:
        options = {name: value for name, value in sorted(run.options.items()) if name not in FREE_OPTIONS}
        common = run.model_dump(mode="json", exclude=FREE | {"options"})
        groups.setdefault(repr((common, options)), []).append(run)
    return [group[k : k + size] for group in groups.values() for k in range(0, len(group), size)]


class Stack:
    """Methods whose steps are made together; every one keeps its own parameters, buffers and generators.

    The methods' `passes` advance in turns, and where all of them ask for a network, a layer of all of them is one
    operation: a grouped convolution, a batched matrix product, a batch norm over the members' channels side by side.
    Parameters are joined in the forward pass, so that autograd gives each its own gradient; batch norm's running
    statistics are written back to each. Sums never mix members: what is not finite in one stays there.

    at_once: how many members share an operation; None leaves it to the device. On a GPU it is all of them: a small
    layer costs a launch whatever its size. On a CPU it is one, every member's layers by themselves: a step of the
    small encoders is arithmetic and memory there, hardly calls, and wider operations leave the core's cache. Members
    then gain by sharing views and the backward pass, and each keeps the bits that it has alone
    (benchmarks/results/sweep.csv).

    With several at once a step is that of `Method.step` up to the rounding of another order of sums. One parameter
    feels it more: a bias that batch norm subtracts again has a gradient of rounding alone, which AdamW scales up.
    Networks other than the small encoders and heads, such as ResNets, are always applied one after the other.

    The steps' graphs are joined: one backward pass must take the losses of all of them.
    Raises UserError for methods whose networks or precision differ, and for none.
    """

    def __init__(self, methods: Sequence[Method], *, at_once: int | None = None) -> None:
        _check_equal(methods)
        self.methods = methods
        self.at_once = at_once
        self._joined: dict[tuple[int, str], Tensor] = {}

    def step(self, views: Sequence[tuple[Tensor, Tensor]]) -> list[Step]:
        """Each member's loss terms for its two views, each (B, C, H, W) of one shape; members may share views."""
        passes = [method.passes(*pair) for method, pair in zip(self.methods, views, strict=True)]
        steps: list[Step] = []
        self._joined.clear()
        with self.methods[0].autocast(views[0][0].device):
            asked = [next(member) for member in passes]
            while asked:
                networks, inputs = zip(*asked, strict=True)
                outputs = self._apply(networks, inputs)
                asked = []
                for member, output in zip(passes, outputs, strict=True):
                    try:
                        asked.append(member.send(output))
                    except StopIteration as end:
                        steps.append(end.value)
        return steps

    def _apply(self, networks: Sequence[nn.Module], inputs: Sequence[Tensor]) -> list[Tensor]:
        """The networks' outputs, one each."""
        layers = [_layers(network) for network in networks]
        count = min(len(networks), self.at_once or _at_once(inputs[0].device))
        if not layers[0] or count == 1:
            return [network(x) for network, x in zip(networks, inputs, strict=True)]
        outputs: list[Tensor] = []
        for k in range(0, len(networks), count):
            outputs += self._together(layers[k : k + count], inputs[k : k + count])
        return outputs

    def _together(self, networks: Sequence[Sequence[nn.Module]], inputs: Sequence[Tensor]) -> list[Tensor]:
        """Maps of M members are (B, M C, H, W); features are (M, D, B), which batch norm reads as (1, M D, B)."""
        members = len(networks)
        if inputs[0].ndim == 4:
            x = torch.cat([*inputs], dim=1)
            x = channels_last(x) if x.device.type == "cpu" else x.contiguous()
        else:
            x = torch.stack([*inputs]).mT
        for layers in zip(*networks, strict=True):
            x = self._layer(layers, x)
        if x.ndim == 4:  # the mean over the last map, the end of a convolutional encoder
            x = _features(spatial_mean(x), members)
        return [*x.mT.contiguous().unbind()]

    def _layer(self, layers: Sequence[nn.Module], x: Tensor) -> Tensor:
        match layers[0]:
            case nn.Conv2d() as conv:
                weight = self._join(layers, "weight", torch.cat)
                if x.device.type != "cpu":
                    weight = weight.contiguous()  # cuDNN takes the weight's layout for its own
                groups = len(layers) * conv.groups
                bias = None if conv.bias is None else self._join(layers, "bias", torch.cat)
                return functional.conv2d(
                    x,
                    weight,
                    bias,
                    conv.stride,
                    conv.padding,
                    conv.dilation,
                    groups,
                )
            case nn.Linear() as linear:
                weight = self._join(layers, "weight", torch.stack)
                if linear.bias is None:
                    return weight @ x
                return torch.baddbmm(self._join(layers, "bias", torch.stack)[:, :, None], weight, x)
            case nn.BatchNorm1d() | nn.BatchNorm2d() as norm:
                return self._normalise(norm, layers, x)
            case nn.ReLU() as relu:
                return functional.relu(x, inplace=relu.inplace)
            case nn.Flatten():
                return _features(x, len(layers))
            case other:
                raise TypeError(f"{type(other).__name__} has no joint form")

    def _normalise(
        self, norm: nn.BatchNorm1d | nn.BatchNorm2d, layers: Sequence[nn.Module], x: Tensor
    ) -> Tensor:
        """Batch norm normalises every channel by itself, so the members' channels side by side are one batch norm."""
        mean, variance = (
            torch.cat([layer.get_buffer(name) for layer in layers])
            for name in ("running_mean", "running_var")
        )
        weight, bias = (
            self._join(layers, name, torch.cat) if norm.affine else None for name in ("weight", "bias")
        )
        side_by_side = x if x.ndim == 4 else x.reshape(1, -1, x.shape[-1])
        assert norm.momentum is not None
        y = functional.batch_norm(
            side_by_side, mean, variance, weight, bias, norm.training, norm.momentum, norm.eps
        )
        if norm.training:
            for name, joint in (("running_mean", mean), ("running_var", variance)):
                torch._foreach_copy_(
                    [layer.get_buffer(name) for layer in layers], joint.split(norm.num_features)
                )
            torch._foreach_add_([layer.get_buffer("num_batches_tracked") for layer in layers], 1)
        return y.view(x.shape)

    def _join(self, layers: Sequence[nn.Module], name: str, how: Callable[[list[Tensor]], Tensor]) -> Tensor:
        """A parameter of all the members, joined once a step although both views need it."""
        key = (id(layers[0]), name)
        if key not in self._joined:
            self._joined[key] = how([layer.get_parameter(name) for layer in layers])
        return self._joined[key]


def _check_equal(methods: Sequence[Method]) -> None:
    """Raise UserError unless the methods could take each other's place, weights aside."""
    if not methods:
        raise UserError("found no runs to train together, expected 1 or more; leave the group out")
    first, *rest = methods
    for place, other in enumerate(rest, start=2):
        for ours, theirs in zip_longest(_signature(first), _signature(other), fillvalue="nothing"):
            if ours != theirs:
                raise UserError(
                    f"runs that train together need equal networks: found {theirs} in run {place}, expected {ours} "
                    "as in run 1; group the runs by stackable"
                )


def _signature(method: Method) -> Iterator[str]:
    """Every module with its sizes, a line each."""
    yield f"precision {'bfloat16' if method.mixed else next(method.parameters()).dtype}"
    for line in repr(method).splitlines():
        yield line.strip()


def _layers(network: nn.Module) -> list[nn.Module]:
    """The layers of a network that has a joint form, in order; none for any other and for the identity."""
    if isinstance(network, ConvolutionalEncoder | PerceptronEncoder):
        layers = [*network.layers]
    elif isinstance(network, Head):
        layers = [*network]
    else:
        return []
    return layers if _TOGETHER.issuperset(map(type, layers)) else []


def _features(x: Tensor, members: int) -> Tensor:
    """(B, M C, ...) to (M, D, B), D the values of a member's sample."""
    return x.unflatten(1, (members, -1)).flatten(2).permute(1, 2, 0)


def _at_once(device: torch.device) -> int:
    """How many members share an operation: one on a CPU, all elsewhere."""
    return 1 if device.type == "cpu" else sys.maxsize
