"""Sums over steps and numbers on embeddings, against loops, statistics elsewhere in the package, and by hand."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.evaluate.rank import effective_rank, embedding_statistics, singular_values
from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive
from spectral_ssl.train.diagnostics import Running, gradient_norm, look

NAN, INF = float("nan"), float("inf")


def table(n: int, k: int, seed: int = 0) -> Tensor:
    """Dimensions of unequal variance around a mean that is not 0."""
    scale = torch.arange(1, k + 1) ** -0.5
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)) * scale + 0.2


def scalars(
    *values: float, names: tuple[str, ...] = ("loss", "invariance", "covariance")
) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in zip(names, values, strict=False)}


@pytest.mark.parametrize(("n", "k"), [(50, 8), (8, 50), (30, 30)])
def test_the_statistics_are_those_of_the_evaluation(n: int, k: int) -> None:
    z, h = table(n, k), table(n, 2 * k, seed=1)
    found, known = look(z, h), embedding_statistics(z)
    pairs = {
        "rank": "effective_rank_centred",
        "embedding_norm": "norm_mean",
        "embedding_norm_std": "norm_std",
        "dimension_std": "dimension_std_mean",
        "centre": "centre_relative",
    }
    assert {ours: found[ours] for ours in pairs} == pytest.approx(
        {ours: known[theirs] for ours, theirs in pairs.items()}, rel=1e-6
    )
    assert found["rank_representation"] == pytest.approx(
        effective_rank(singular_values(h, centred=True)), rel=1e-6
    )
    assert found["dimension_std_min"] == pytest.approx(min(column.std().item() for column in z.T), rel=1e-5)


@pytest.mark.parametrize(("n", "k"), [(50, 8), (8, 50), (30, 30)])
def test_the_criteria_are_those_of_unit_rows_and_keep_their_bounds(n: int, k: int) -> None:
    z = table(n, k)
    found = look(z, z)
    rows = (z / z.norm(dim=1, keepdim=True)).double()
    l_c, l_nc = float(sample_contrastive(rows)), float(dimension_contrastive(rows))
    assert found["sample_contrastive"] == pytest.approx(l_c, rel=1e-6)
    assert found["dimension_contrastive"] == pytest.approx(l_nc, rel=1e-6)
    # Corollary 3.4.1 written out, and solved for L_nc.
    assert found["sample_contrastive_low"] == pytest.approx(max(0, l_nc - n + n * n / k), rel=1e-6)
    assert found["sample_contrastive_high"] == pytest.approx(l_nc - n + n * n, rel=1e-6)
    assert found["dimension_contrastive_low"] == pytest.approx(max(0, l_c + n - n * n), rel=1e-6)
    assert found["dimension_contrastive_high"] == pytest.approx(max(0, l_c + n - n * n / k), rel=1e-6)
    for name in ("sample_contrastive", "dimension_contrastive"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    # Lengths of rows do not count for the criteria.
    longer = look(z * torch.arange(1, n + 1)[:, None], z)
    assert longer["sample_contrastive"] == pytest.approx(l_c, rel=1e-5)


def test_both_ends_of_the_bounds_by_hand() -> None:
    # Three directions at 120 degrees: off-diagonal cosines -1/2, two orthogonal columns of norm^2 3/2.
    angles = 2 * torch.pi * torch.arange(3, dtype=torch.float64) / 3
    frame = look(torch.stack([angles.cos(), angles.sin()], dim=1), torch.eye(3))
    assert frame["sample_contrastive"] == pytest.approx(6 / 4)
    assert frame["dimension_contrastive"] == pytest.approx(0, abs=1e-14)
    assert frame["sample_contrastive_low"] == pytest.approx(6 / 4)
    assert frame["rank"] == pytest.approx(2, rel=1e-5)
    # Everything in one dimension, up to sign and length: the upper end.
    single = torch.zeros(5, 4)
    single[:, 2] = torch.tensor([1.0, -2, 3, -4, 5])
    collapsed = look(single, torch.eye(5))
    assert collapsed["sample_contrastive"] == 20
    assert collapsed["sample_contrastive_high"] == 20
    assert collapsed["dimension_contrastive"] == collapsed["dimension_contrastive_low"] == 0
    assert collapsed["rank"] == pytest.approx(1, rel=1e-5)
    assert collapsed["dimension_std_min"] == 0


def test_rows_of_zeros_are_no_samples() -> None:
    z = table(20, 5)
    holed = look(torch.cat([z, torch.zeros(4, 5)]), torch.eye(24))
    whole = look(z, torch.eye(20))
    names = [name for name in whole if "contrastive" in name]
    assert len(names) == 6
    assert {name: holed[name] for name in names} == pytest.approx({name: whole[name] for name in names})


def test_collapsed_embeddings_give_numbers() -> None:
    for z in (torch.full((30, 8), 1.1), torch.zeros(30, 8)):
        found = look(z, z)
        assert all(math.isfinite(value) for value in found.values())
        assert found["rank"] == 0
    assert look(torch.full((30, 8), 1.1), z)["centre"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("z", "h", "said"),
    [
        (torch.ones(1, 4), torch.ones(1, 4), "diagnostics need 2 rows or more; found 1"),
        (torch.full((3, 2), NAN), torch.ones(3, 2), "embeddings hold NaN or infinity"),
        (torch.ones(3, 2), torch.full((3, 2), INF), "representations hold NaN or infinity"),
        (torch.ones(4), torch.ones(4, 1), "embeddings must be a table"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(z: Tensor, h: Tensor, said: str) -> None:
    with pytest.raises(UserError, match=said):
        look(z, h)


def test_means_over_steps() -> None:
    running = Running()
    for step in range(3):
        running.add(scalars(3.0 * step, 2.0 * step, float(step)))
    assert running.means(3) == {"loss": 3.0, "invariance": 2.0, "covariance": 1.0}
    assert running.first_bad() is None
    assert Running().means(1) == {}
    assert Running().first_bad() is None


def test_sums_keep_their_digits() -> None:
    running = Running()
    one = scalars(0.1)
    for _ in range(20_000):
        running.add(one)
    assert running.means(20_000)["loss"] == pytest.approx(float(torch.tensor(0.1)), rel=1e-13)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([(1, 1, 0), (NAN, 1, NAN), (NAN, NAN, NAN)], (1, "covariance")),
        ([(1, 1, 0), (1, 1, 0), (INF, INF, NAN)], (2, "invariance")),
        ([(INF, 1.0, 2.0)], (0, "loss")),  # a sum that overflows
        (
            [(1, NAN, 0), (NAN, NAN, INF)],
            (1, "covariance"),
        ),  # a value that was bad before is not what broke the loss
        ([(1, NAN, 0), (1, 1, 0)], None),
    ],
)
def test_the_first_step_that_is_not_finite_and_its_term(
    steps: list[tuple[float, ...]], found: tuple[int, str] | None
) -> None:
    running = Running()
    for values in steps:
        running.add(scalars(*values))
    assert running.first_bad() == found


def test_the_gradients_norm_is_no_term() -> None:
    running = Running()
    running.add(scalars(INF, INF, 1.0, names=("loss", "gradient_norm", "invariance")))
    assert running.first_bad() == (0, "loss")


@pytest.mark.parametrize("saved_after", [0, 2])
def test_a_resumed_sum_has_the_same_bits(saved_after: int) -> None:
    steps = [scalars(*row) for row in table(7, 3).tolist()]
    steps[5]["covariance"] = steps[5]["loss"] = torch.tensor(NAN)
    whole, first = Running(), Running()
    for step in steps:
        whole.add(step)
    for step in steps[:saved_after]:
        first.add(step)
    stored = io.BytesIO()
    torch.save(first.state(), stored)
    for step in steps[saved_after:]:
        first.add(step)  # what is stored does not follow
    stored.seek(0)
    resumed = Running()
    resumed.restore(torch.load(stored, weights_only=True))
    for step in steps[saved_after:]:
        resumed.add(step)
    ours, theirs = resumed.state(), whole.state()
    assert ours["names"] == theirs["names"]
    assert ours["steps"] == theirs["steps"] == 7
    assert ours["sums"].numpy().tobytes() == theirs["sums"].numpy().tobytes()
    assert resumed.first_bad() == whole.first_bad() == (5, "covariance")


def test_terms_that_change_are_refused() -> None:
    running = Running()
    running.add(scalars(1.0, 2.0))
    said = "found the values loss, variance at step 2 of an epoch, expected loss, invariance as at its first"
    with pytest.raises(UserError, match=said):
        running.add(scalars(1.0, 2.0, names=("loss", "variance")))


def test_the_norm_of_all_gradients() -> None:
    a, b, c = (torch.zeros(shape, requires_grad=True) for shape in ((2, 2), (3,), (4,)))
    a.grad, b.grad = torch.full((2, 2), 2.0), torch.tensor([0.0, 3.0, 0.0])
    found = gradient_norm([a, b, c])
    assert found.item() == pytest.approx(5)  # sqrt(4 * 4 + 9)
    assert found.ndim == 0
    assert gradient_norm([c]).item() == 0


def test_adding_and_norms_fetch_nothing_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*args: Any) -> None:
        pytest.fail("a tensor's value was asked for")

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        monkeypatch.setattr(Tensor, name, fetched)
    weight = torch.ones(3, requires_grad=True)
    weight.grad = torch.ones(3)
    running = Running()
    for _ in range(2):
        running.add(scalars(NAN, 1.0, NAN) | {"gradient_norm": gradient_norm([weight])})
    monkeypatch.undo()
    assert running.first_bad() == (0, "covariance")
