"""Every loss where losses break: collapse, small temperatures, half precision, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spectral_ssl.losses import get_loss, loss_names
from spectral_ssl.losses.criteria import dimension_contrastive, sample_contrastive

HYPERPARAMETERS = {name: get_loss(name).hyperparameters for name in loss_names()}
COLD = {name: {"temperature": 0.05} for name in loss_names() if "temperature" in HYPERPARAMETERS[name]}
CASES = [
    *((name, COLD.get(name, {})) for name in loss_names()),
    *((name, {"negatives": kind}) for name in ("simclr", "dcl") for kind in ("same_view", "cross_view")),
    *((name, {"temperature": 0.05, option: True}) for name in COLD if "standardise" in
      HYPERPARAMETERS[name] for option in ("center", "standardise")),
    ("vicreg", {"reduction": "sum", "invariance_kind": "cosine"}),
    ("vicreg", {"variance_kind": "quadratic"}),
    *(("vicreg_ctr", {"centering": centering, "scaling": scaling})
      for centering in ("embedding", "none") for scaling in ("norm", "deviation")),
    ("barlow_twins", {"center": False}),
    ("spectral", {"projection": "sphere", "mu": 3.0}),
    ("spectral", {"projection": "none"}),
]  # fmt: skip
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in CASES]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


@every_case
def test_gradients_are_those_of_the_loss(name, options, views):
    inputs = [z[:5, :3].clone().requires_grad_() for z in views]
    assert torch.autograd.gradcheck(lambda *z: get_loss(name)(*z, **options).total, inputs)


def _collapsed(kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    row = torch.tensor([0.1, -2.7, 0.3, 1.9], dtype=dtype)
    return {
        "equal rows": (row.repeat(9, 1), row.repeat(9, 1)),
        "zero": (torch.zeros(9, 4, dtype=dtype), torch.zeros(9, 4, dtype=dtype)),
        "one view zero": (torch.zeros(9, 4, dtype=dtype), row.repeat(9, 1)),
        "one dimension": (row.repeat(9, 1) * torch.arange(9)[:, None],) * 2,
        "two samples": (torch.stack([row, -row]), torch.stack([row, row])),
        "far apart": (1e4 * row.repeat(9, 1), -1e4 * row.repeat(9, 1)),
    }[kind]


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "kind", ["equal rows", "zero", "one view zero", "one dimension", "two samples", "far apart"]
)
def test_loss_and_gradient_are_finite_at_collapse(name, options, dtype, kind):
    inputs = [z.clone().requires_grad_() for z in _collapsed(kind, dtype)]
    total = get_loss(name)(*inputs, **options).total
    gradients = torch.autograd.grad(total, inputs)
    assert torch.isfinite(total)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", loss_names())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_promoted_to_float32(name, dtype, views):
    halves = [z.to(dtype).requires_grad_() for z in views]
    terms = get_loss(name)(*halves)
    floats = get_loss(name)(*(z.float() for z in halves))
    for key, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, floats[key], rtol=0, atol=0)
    terms.total.backward()
    assert halves[0].grad is not None
    assert halves[0].grad.dtype == dtype


@pytest.mark.parametrize("name", loss_names())
def test_float64_is_kept_and_mixed_precision_takes_the_wider(name, views):
    z1, z2 = views
    assert get_loss(name)(z1, z2).total.dtype == torch.float64
    assert get_loss(name)(z1.float(), z2).total.dtype == torch.float64
    assert get_loss(name)(z1.half(), z2.float()).total.dtype == torch.float32


@pytest.mark.parametrize("name", loss_names())
def test_autocast_does_not_reach_the_products(name, views):
    floats = [z.float() for z in views]
    outside = get_loss(name)(*floats)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (floats[0] @ floats[1].T).dtype == torch.bfloat16, "autocast is on around the loss"
        inside = get_loss(name)(*floats)
    for key, term in inside.items():
        torch.testing.assert_close(term, outside[key], rtol=0, atol=0)


@pytest.mark.parametrize("criterion", [sample_contrastive, dimension_contrastive])
def test_autocast_does_not_reach_the_criteria(criterion, views):
    z = views[0].float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = criterion(z)
    torch.testing.assert_close(inside, criterion(z), rtol=0, atol=0)
    assert criterion(views[0].bfloat16()).dtype == torch.float32
    assert criterion(views[0]).dtype == torch.float64


@pytest.mark.parametrize("name", sorted(COLD))
def test_small_temperatures_do_not_overflow(name, views):
    terms = get_loss(name)(*(z.half() for z in views), temperature=1e-3)
    assert torch.isfinite(terms.total), "exp(1 / temperature) overflows even float64"


@pytest.mark.parametrize("name", loss_names())
def test_the_embeddings_are_left_as_they_were(name, views):
    copies = [z.clone() for z in views]
    get_loss(name)(*views)
    assert all(torch.equal(z, copy) for z, copy in zip(views, copies, strict=True))


@pytest.mark.parametrize("name", ["simclr", "dcl", "tcr", "barlow_twins", "negative_cosine"])
def test_the_guard_of_norms_leaves_small_embeddings_alone(name, views):
    expected = get_loss(name)(*views).total
    torch.testing.assert_close(get_loss(name)(*(1e-5 * z for z in views)).total, expected, rtol=1e-12, atol=0)
