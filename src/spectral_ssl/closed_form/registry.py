"""The closed forms and their objectives by name: one interface to all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from spectral_ssl.closed_form import validate
from spectral_ssl.closed_form.augmentation import spectral, spectral_objective
from spectral_ssl.closed_form.canonical import barlow_twins, barlow_twins_objective
from spectral_ssl.closed_form.gram import simclr, simclr_objective
from spectral_ssl.closed_form.laplacian import vicreg, vicreg_objective
from spectral_ssl.closed_form.result import Result
from spectral_ssl.errors import UserError, unknown


class Form(NamedTuple):
    """A closed form `solve(graph, k, X=None, **options)` of `objective(Z, graph, **options)`."""

    solve: Callable[..., Result]
    objective: Callable[..., float]


FORMS: dict[str, Form] = {
    "vicreg": Form(vicreg, vicreg_objective),
    "simclr": Form(simclr, simclr_objective),
    "barlow_twins": Form(barlow_twins, barlow_twins_objective),
    "spectral": Form(spectral, spectral_objective),
}


def names() -> list[str]:
    """The names that `solve` and `objective` know."""
    return list(FORMS)


def options(name: str) -> dict[str, Any]:
    """Names and defaults of a loss's options, the same for `solve` and `objective`."""
    parameters = list(inspect.signature(_form(name).objective).parameters.values())[2:]
    return {parameter.name: parameter.default for parameter in parameters}


def solve(name: str, graph: validate.Graph, k: int, *, X: ArrayLike | None = None, **options: Any) -> Result:
    """The optimum of the loss of that name on a graph (N, N), array or scipy sparse, with k dimensions.

    The graph is a relation graph G, for "spectral" augmentation-graph weights w. With X (N, D), a dense
    array, the network is linear. `options` are the hyperparameters of the function of that name. UserError
    for an unknown name or option, a bad graph, bad features, or a k that is too large.
    """
    _check(name, options)
    return _form(name).solve(graph, k, X=X, **options)


def objective(name: str, Z: ArrayLike, graph: validate.Graph, **options: Any) -> float:
    """What `solve` minimises, at any Z (N, K) of as many rows as the graph; `Result.embedding` reaches its loss.

    For "spectral" the rows of Z are sqrt(w_x) f(x). UserError as in `solve`.
    """
    _check(name, options)
    return _form(name).objective(Z, graph, **options)


def _form(name: str) -> Form:
    if name not in FORMS:
        raise unknown("closed form", name, FORMS)
    return FORMS[name]


def _check(name: str, given: Mapping[str, object]) -> None:
    known = options(name)
    for option in given:
        if not known:
            raise UserError(f"{name} has no options: found '{option}', drop it")
        if option not in known:
            raise unknown(f"option of {name}", option, known)
