"""A method's options: their defaults, and one line for what cannot be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.methods.base import Method
from spectral_ssl.methods.options import Option, resolve_options

KNOWN = {"momentum": Option(0.99, 0, 1), "queue": Option(4096, 2, whole=True)}


def test_what_is_not_given_has_its_default() -> None:
    assert resolve_options("moco_v2", KNOWN, {}) == {"momentum": 0.99, "queue": 4096}
    assert resolve_options("moco_v2", KNOWN, {"queue": 12.0}) == {"momentum": 0.99, "queue": 12}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_both_ends_are_within(value: float) -> None:
    assert resolve_options("byol", KNOWN, {"momentum": value})["momentum"] == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"momentun": 0.9}, "unknown option of byol 'momentun'; did you mean 'momentum'? known: momentum, queue"),
        ({"momentum": 1.1}, "option momentum of byol is 1.1; expected a number from 0 to 1; leave it out for 0.99"),
        ({"momentum": -0.1}, "option momentum of byol is -0.1; expected a number from 0 to 1; leave it out for 0.99"),
        ({"momentum": float("nan")}, "option momentum of byol is nan; expected a number from 0 to 1; leave it out for 0.99"),  # noqa: E501
        ({"queue": 2.5}, "option queue of byol is 2.5; expected a whole number of at least 2; leave it out for 4096"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(given: dict[str, float], message: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve_options("byol", KNOWN, given)
    assert str(refused.value) == message


def test_a_method_without_options_says_so(method: Callable[..., Method]) -> None:
    with pytest.raises(UserError, match=r"^unknown option of joint_embedding 'queue'; known: none$"):
        method(options={"queue": 64.0})
