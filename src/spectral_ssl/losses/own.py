"""A loss in a file of the user's own: `my_loss.py` defines `my_loss(z1, z2, *, ...)`, which returns named terms."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses.registry import Loss
from spectral_ssl.losses.terms import Terms, pair_loss


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss whose function lies in a file; the file's code runs when the loss is first called or asked for its
    hyperparameters.
    """

    @cached_property
    def _compute(self) -> Callable[..., Terms]:
        function = _function(Path(self.module), self.function)

        @pair_loss
        @wraps(function)
        def compute(z1: Tensor, z2: Tensor, **hyperparameters: Any) -> dict[str, Tensor]:
            try:
                terms = function(z1, z2, **hyperparameters)
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                raise UserError(
                    f"{self.module}: {self.function} failed ({_told(error)}); mend it there"
                ) from error
            return _checked(self.module, terms, needs_gradient=torch.is_grad_enabled() and z1.requires_grad)

        return compute


def own_loss(path: str) -> OwnLoss:
    """The loss in a file, named after the file.

    The function gets two views' embeddings (N, K) in float32 or float64, outside autocast, and keyword-only
    hyperparameters with defaults; it returns a dictionary of scalar tensors, each with its weight, whose sum is the
    loss.

    Raises UserError where there is no such file, or a name that is no Python identifier; the loss itself raises it
    when first used if the file cannot be imported or its function is not of that kind.
    """
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        raise UserError(
            f"no loss file {path}; give the path of a Python file that defines {file.stem}(z1, z2, *, ...)"
        )
    if not file.stem.isidentifier():
        raise UserError(
            f"{path}: '{file.stem}' cannot name a function; rename the file, for example to my_loss.py"
        )
    return OwnLoss(file.stem, str(file), file.stem, {})


def _function(file: Path, name: str) -> Callable[..., Any]:
    module = ModuleType(f"own_loss_{name}")
    module.__file__ = str(file)
    try:
        # Not imported: a bytecode cache tells an edit by its size and its second, and would lie beside the user's file.
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise UserError(f"{file} cannot be imported ({_told(error)}); mend it there") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(
            f"{file} defines no function {name}; expected {name}(z1, z2, *, ...) like the file's name"
        )
    function = getattr(function, "__wrapped__", function)  # decorated with pair_loss or not, the same
    _check_signature(file, name, function)
    return cast(Callable[..., Any], function)


def _check_signature(file: Path, name: str, function: Callable[..., Any]) -> None:
    """Refuse what two embeddings alone cannot call, and defaults that a run's settings cannot hold."""
    try:
        signature = inspect.signature(function)
        signature.bind(None, None)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{file}: {name}(z1, z2) cannot be called ({error}); expected {name}(z1, z2, *, ...) with a default for "
            "each hyperparameter"
        ) from error
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not is_setting(parameter.default):
            raise UserError(
                f"{file}: hyperparameter {parameter.name} of {name} has the default {parameter.default!r}; expected a "
                "finite number, a bool or a text"
            )


def is_setting(value: object) -> bool:
    """Whether a run's settings can hold the value: a finite number, a bool or a text."""
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _checked(file: str, terms: Any, *, needs_gradient: bool) -> dict[str, Tensor]:
    if (
        isinstance(terms, dict)
        and terms
        and all(
            isinstance(name, str)
            and isinstance(value, Tensor)
            and value.ndim == 0
            and torch.is_floating_point(value)
            for name, value in terms.items()
        )
    ):
        if needs_gradient and not any(value.requires_grad for value in terms.values()):
            raise UserError(
                f"{file} returned terms without a gradient; compute them from z1 and z2 without detach() or item()"
            )
        return terms
    found = (
        {name: tuple(getattr(value, "shape", ())) or type(value).__name__ for name, value in terms.items()}
        if isinstance(terms, dict)
        else type(terms).__name__
    )
    raise UserError(f"{file} returned {found}; expected a dictionary of named scalar tensors")
