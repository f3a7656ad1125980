"""Log-sum-exps a block at a time: against the whole matrix, slow loops, and what must hold whatever the blocks."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import spectral_ssl
from spectral_ssl.errors import UserError
from spectral_ssl.losses import blockwise as module
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.blockwise import Form, blockwise, direct
from spectral_ssl.losses.info_nce import info_nce_queue

PHI = {"plain": lambda s: s, "squared": lambda s: s * s, "absolute": abs}
FORMS = [Form(kind, 0.3, similarity) for kind in ("own", "pair") for similarity in PHI] + [Form("all", 0.3)]
every_form = pytest.mark.parametrize("form", FORMS, ids=[f"{form.kind}-{form.similarity}" for form in FORMS])


def inputs(form: Form, n: int = 7, k: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    a = torch.randn(n, k, generator=generator, dtype=dtype).requires_grad_()
    if form.kind == "own":
        return a, a
    rows = n if form.kind == "pair" else n + 4
    return a, torch.randn(rows, k, generator=generator, dtype=dtype).requires_grad_()


def with_gradients(function, a: Tensor, b: Tensor, *arguments) -> list[Tensor]:
    """Both results, and the gradient of a sum that weighs every row differently, with either sign."""
    rows, columns = function(a, b, *arguments)
    total = (rows * torch.linspace(-1, 2, len(rows))).sum() + (
        columns * torch.linspace(2, -3, len(columns))
    ).sum()
    return [rows, columns, *torch.autograd.grad(total, (a, b), allow_unused=True)]


def same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-12) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@every_form
def test_the_whole_matrix_entry_by_entry(form):
    a, b = inputs(form)
    logits = [[PHI[form.similarity]((x @ y).item()) / form.temperature for y in b] for x in a]
    used = [(i, j) for i in range(len(a)) for j in range(len(b)) if form.kind == "all" or i != j]
    rows, columns = direct(a, b, form)
    for i in range(len(a)):
        expected = math.log(sum(math.exp(logits[i][j]) for k, j in used if k == i))
        assert rows[i].item() == pytest.approx(expected, rel=1e-12)
    if form.kind == "pair":
        for j in range(len(b)):
            expected = math.log(sum(math.exp(logits[i][j]) for i, k in used if k == j))
            assert columns[j].item() == pytest.approx(expected, rel=1e-12)


@every_form
@pytest.mark.parametrize("side", [1, 2, 3, 5, 7, 100])
def test_blocks_of_any_size_give_the_whole_matrix_and_its_gradient(form, side):
    a, b = inputs(form)
    same(with_gradients(blockwise, a, b, form, side), with_gradients(direct, a, b, form))


@every_form
def test_the_gradient_is_that_of_the_sums(form):
    a, b = inputs(form, n=5)
    if form.kind == "own":
        assert torch.autograd.gradcheck(lambda z: blockwise(z, z, form, 2)[0], (a,))
    else:
        assert torch.autograd.gradcheck(lambda x, y: blockwise(x, y, form, 2), (a, b))


@every_form
def test_float32_at_a_size_of_many_blocks(form):
    a, b = inputs(form, n=300, k=16, dtype=torch.float32)
    a, b = (functional.normalize(z).detach().requires_grad_() for z in (a, b))
    b = a if form.kind == "own" else b
    cold = form._replace(temperature=0.05)
    for one, other in zip(
        with_gradients(blockwise, a, b, cold, 32), with_gradients(direct, a, b, cold), strict=True
    ):
        assert other is one is None or (one - other).abs().max() < 1e-5 * other.abs().max()


CASES = {
    "equal rows": lambda z: z[:1].repeat(7, 1),
    "zero": torch.zeros_like,
    "two samples": lambda z: z[:2],
    "opposite": lambda z: z[:1] * torch.tensor([1.0, -1, 1, -1, 1, -1, 1])[:, None],
    "huge": lambda z: 1e4 * z,
    "one row huge": lambda z: torch.cat([1e6 * z[:1], z[1:]]),
}


@every_form
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [1e-3, 0.05])
def test_extreme_embeddings_and_temperatures(form, case, temperature):
    a, b = (CASES[case](z.detach()).requires_grad_() for z in inputs(form))
    b = a if form.kind == "own" else b
    cold = form._replace(temperature=temperature)
    found = with_gradients(blockwise, a, b, cold, 3)
    assert all(torch.isfinite(tensor).all() for tensor in found)
    largest = max(gradient.abs().max().item() for gradient in found[2:] if gradient is not None)
    for one, other in zip(found, with_gradients(direct, a, b, cold), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12 * max(largest, 1))


def test_a_broken_embedding_shows_in_every_row_that_sees_it():
    a = inputs(FORMS[0])[0].detach().clone()
    a[4, 1] = math.nan
    rows, _ = blockwise(a, a, FORMS[0], 3)
    assert rows.isnan().all()
    rows, columns = blockwise(a, inputs(FORMS[3])[1].detach(), FORMS[3], 3)
    assert rows.isnan().tolist() == [i == 4 for i in range(7)]
    assert columns.isnan().tolist() == [j != 4 for j in range(7)], "its own partner does not see it"


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3], FORMS[-1]], ids=lambda form: form.kind)
def test_a_second_derivative_is_refused(form):
    a, b = inputs(form)
    rows, _ = blockwise(a, b, form, 3)
    message = "create_graph=True with 7 embeddings, expected a first derivative: .* leave out create_graph$"
    with pytest.raises(UserError, match=message):
        torch.autograd.grad(rows.sum(), a, create_graph=True)
    torch.autograd.grad(direct(a, b, form)[0].sum(), a, create_graph=True)


@pytest.mark.parametrize("form", [FORMS[3], FORMS[-1]], ids=lambda form: form.kind)
def test_what_needs_no_gradient_gets_none(form):
    for fixed in (0, 1):
        pair = list(inputs(form))
        expected = torch.autograd.grad(direct(*pair, form)[0].sum(), pair[1 - fixed])
        pair[fixed] = pair[fixed].detach()
        same(list(torch.autograd.grad(blockwise(*pair, form, 3)[0].sum(), pair[1 - fixed])), list(expected))


@every_form
def test_autocast_around_the_backward_pass_changes_nothing(form):
    """Logits in half precision, less sums in full precision, would be wrong by percents."""
    a, b = inputs(form._replace(temperature=0.05), n=40, k=8, dtype=torch.float32)
    rows, _ = blockwise(a, b, form, 16)
    expected = torch.autograd.grad(rows.sum(), a, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(list(torch.autograd.grad(rows.sum(), a)), list(expected))


LOSSES = [
    *((name, {"negatives": negatives, "temperature": 0.05, option: True})
      for name in ("simclr", "simclr_sq", "simclr_abs", "dcl", "dcl_sq", "dcl_abs")
      for negatives in ("full", "same_view", "cross_view") for option in ("center", "standardise")),
    *((name, {}) for name in ("simclr", "dcl", "info_nce", "vicreg_exp", "vicreg_ctr")),
]  # fmt: skip


def losses_and_gradients(name: str, options: dict[str, object], views: tuple[Tensor, Tensor]) -> list[Tensor]:
    z = [view.clone().requires_grad_() for view in views]
    terms = get_loss(name)(*z, **options)
    return [*terms.values(), *torch.autograd.grad(terms.total, z)]


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_losses_of_many_embeddings_are_those_of_few(name, options, views, monkeypatch):
    """The same seven embeddings, first with the whole matrix, then in blocks of two rows and columns."""
    views = tuple(view + 3 for view in views)  # far from centred
    whole = losses_and_gradients(name, options, views)
    monkeypatch.setitem(module.BLOCK_BYTES, "cpu", 4 * 8)
    monkeypatch.setattr(module, "DIRECT_BLOCKS", 0)
    monkeypatch.setattr(module, "direct", None)
    same(losses_and_gradients(name, options, views), whole)


def test_a_long_queue(views, monkeypatch):
    queue = functional.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double())
    z = [view.clone().requires_grad_() for view in views]
    whole = torch.autograd.grad(info_nce_queue(*z, queue).total, z)
    monkeypatch.setitem(module.BLOCK_BYTES, "cpu", 9 * 8)
    monkeypatch.setattr(module, "direct", None)
    same(list(torch.autograd.grad(info_nce_queue(*z, queue).total, z)), list(whole))


def test_matrices_of_four_blocks_are_formed_whole(monkeypatch):
    taken = []
    for form in ("direct", "blockwise"):
        monkeypatch.setattr(
            module, form, lambda a, b, _, *side, form=form: taken.append((form, *side)) or (None, None)
        )
    for n, dtype in (
        (1024, torch.float32),
        (1025, torch.float32),
        (724, torch.float64),
        (725, torch.float64),
    ):
        module.own_log_sum_exp(torch.ones(n, 1, dtype=dtype), 1.0)
    assert taken == [("direct",), ("blockwise", 512), ("direct",), ("blockwise", 362)], "a block takes 1 MiB"


# dynamo's own, of what crosses a break of the graph
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_it_is_the_same():
    def loss(a: Tensor, b: Tensor) -> Tensor:
        rows, columns = blockwise(a, b, FORMS[3], 3)
        return (rows - columns.square()).sum() * 3

    a, b = inputs(FORMS[3])
    expected = torch.autograd.grad(loss(a, b), (a, b))
    same(list(torch.autograd.grad(torch.compile(loss, backend="eager")(a, b), (a, b))), list(expected))


MEMORY = """
import resource, sys, torch
from spectral_ssl.losses import get_loss

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

torch.set_num_threads(1)
z = [torch.randn(int(sys.argv[1]), 8, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2)]
loss = get_loss("simclr")
loss(*(view[:1500] for view in z)).total.backward()
before = peak()
loss(*z, negatives="cross_view").total.backward()
print(peak() - before)
"""


def test_memory_is_linear_in_the_number_of_embeddings():
    """16,384 embeddings with 128 MiB: one matrix of their similarities takes 1 GiB."""
    environment = {**os.environ, "PYTHONPATH": str(Path(spectral_ssl.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, "16384"], check=True, env=environment, capture_output=True, text=True
    )
    assert int(done.stdout) < 2**27 < 16384**2 * 4
