"""Names of losses -> the functions that compute them, imported (and torch with them) only when asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spectral_ssl.errors import unknown
from spectral_ssl.losses.table import LOSSES

if TYPE_CHECKING:
    from torch import Tensor

    from spectral_ssl.losses.terms import Terms


@dataclass(frozen=True)
class Loss:
    """A loss by its name: `loss(z1, z2, **hyperparameters)` gives its weighted terms.

    `module` is the dotted name of the module that computes it; neither it nor torch is imported before the
    loss is called or its hyperparameters are asked for.
    """

    name: str
    module: str
    function: str
    fixed: Mapping[str, object] = field(hash=False)

    def __call__(self, z1: Tensor, z2: Tensor, **hyperparameters: Any) -> Terms:
        """Weighted terms of the loss for two views' embeddings, (N, K) each, row i of both the same image.

        Raises UserError for a hyperparameter that the loss does not have, a value that it cannot take, and
        embeddings that are not two (N, K) matrices with N >= 2.
        """
        known = self._defaults
        for name in hyperparameters:
            if name not in known:
                raise unknown(f"hyperparameter of {self.name}", name, known)
        return self._compute(z1, z2, **hyperparameters, **self.fixed)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters, in the order of the function's signature."""
        return dict(self._defaults)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        parameters = inspect.signature(self._compute).parameters.values()
        return {
            p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in self.fixed
        }

    @cached_property
    def _compute(self) -> Callable[..., Terms]:
        return getattr(importlib.import_module(self.module), self.function)


def get_loss(name: str) -> Loss:
    """The loss of that name, or in the file of that path (`my_loss.py`, see losses/own.py).

    Raises UserError, naming the nearest, when there is none.
    """
    if name.endswith(".py"):
        own: Loss = importlib.import_module(f"{__package__}.own").own_loss(name)
        return own
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    module, function, fixed = LOSSES[name]
    return Loss(name, f"{__package__}.{module}", function, dict(fixed))


def loss_names() -> list[str]:
    """The names that `get_loss` knows."""
    return list(LOSSES)
