"""A loss in a user's file: the same as the built-in that it copies, and refused in one line where it cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.losses import get_loss
from spectral_ssl.losses.own import own_loss
from spectral_ssl.losses.registry import Loss
from spectral_ssl.provenance import module_file

Views = tuple[Tensor, Tensor]
Write = Callable[..., str]
MEAN_SQUARE = """
def my_loss(z1, z2, *, weight=2.0, robust=False):
    return {"distance": weight * (z1 - z2).square().mean()}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A loss file of that text; its path."""

    def to_file(text: str, name: str = "my_loss.py") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return to_file


def refusal(path: str, views: Views) -> str:
    """What is said of the file where a loss is looked up, asked for its hyperparameters or computed."""
    with pytest.raises(UserError) as caught:
        get_loss(path)(*views)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text.replace(f"{Path(path).parent}/", "")


def test_a_copy_of_vicreg_gives_the_very_same_terms(write: Write, views: Views) -> None:
    source = module_file("spectral_ssl.losses.vicreg").read_text(encoding="utf-8")
    copy, built_in = get_loss(write(source, "vicreg.py")), get_loss("vicreg")
    assert copy.hyperparameters == built_in.hyperparameters
    for options in ({}, {"invariance": 3.0, "reduction": "sum", "variance_kind": "quadratic"}):
        found, expected = copy(*views, **options), built_in(*views, **options)
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_function_without_the_decorator_is_cared_for_alike(write: Write, views: Views) -> None:
    loss = get_loss(write(MEAN_SQUARE))
    expected = 2 * ((views[0] - views[1]) ** 2).sum() / views[0].numel()
    torch.testing.assert_close(loss(*views).total, expected)
    half = loss(*(z.bfloat16() for z in views))["distance"]
    assert half.dtype == torch.float32  # promoted before it computes
    with pytest.raises(UserError, match=r"found embeddings of 1 sample\(s\), expected at least 2"):
        loss(views[0][:1], views[1][:1])


def test_hyperparameters_are_read_from_the_signature(write: Write, views: Views) -> None:
    loss = get_loss(write(MEAN_SQUARE))
    assert isinstance(loss, Loss)
    assert loss.name == "my_loss"
    assert loss.hyperparameters == {"weight": 2.0, "robust": False}
    torch.testing.assert_close(loss(*views, weight=6.0).total, 3 * loss(*views).total)
    with pytest.raises(
        UserError, match=r"^unknown hyperparameter of my_loss 'wieght'; did you mean 'weight'\? known: "
    ):
        loss(*views, wieght=1.0)


def test_the_gradient_is_that_of_the_function(write: Write, views: Views) -> None:
    z1 = views[0].clone().requires_grad_()
    get_loss(write(MEAN_SQUARE))(z1, views[1]).total.backward()
    torch.testing.assert_close(z1.grad, 4 * (views[0] - views[1]) / views[0].numel())


def test_an_edit_of_the_same_size_and_second_is_seen_at_the_next_look(
    write: Write, views: Views, tmp_path: Path
) -> None:
    before = get_loss(write(MEAN_SQUARE))(*views).total
    after = get_loss(write(MEAN_SQUARE.replace("weight=2.0", "weight=6.0")))(*views).total
    torch.testing.assert_close(after, 3 * before)
    assert [path.name for path in tmp_path.iterdir()] == ["my_loss.py"]  # no cache beside the user's file


def test_looking_a_file_up_does_not_run_it(write: Write, tmp_path: Path) -> None:
    path = write(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{MEAN_SQUARE}")
    loss = get_loss(path)
    assert not (tmp_path / "ran").exists()
    _ = loss.hyperparameters
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def my_loss(z1, z2:\n", "my_loss.py cannot be imported (SyntaxError: "),
        ("import no_such_module_at_all\n", "my_loss.py cannot be imported (ModuleNotFoundError: No module "),
        ("raise ValueError('a\\nb')\n", "my_loss.py cannot be imported (ValueError: a b); mend it there"),
        ("def other(z1, z2): ...\n", "my_loss.py defines no function my_loss; expected my_loss(z1, z2, *, "),
        ("my_loss = 3\n", "my_loss.py defines no function my_loss; expected my_loss(z1, z2, *, "),
        ("def my_loss(z): ...\n", "my_loss.py: my_loss(z1, z2) cannot be called (too many positional "),
        (
            "def my_loss(z1, z2, *, mu): ...\n",
            "my_loss.py: my_loss(z1, z2) cannot be called (missing a required ",  # Pythons word it differently
        ),
        (
            "def my_loss(z1, z2, *, mu=None): ...\n",
            "my_loss.py: hyperparameter mu of my_loss has the default None; expected a finite number, a bool or",
        ),
        (
            "def my_loss(z1, z2, *, mu=float('nan')): ...\n",
            "my_loss.py: hyperparameter mu of my_loss has the default nan; expected a finite number",
        ),
        (
            "def my_loss(z1, z2): return z1.no_such\n",
            "my_loss.py: my_loss failed (AttributeError: 'Tensor' object has no attribute 'no_such'); mend it",
        ),
        (
            "def my_loss(z1, z2): return (z1 - z2).mean()\n",
            "my_loss.py returned Tensor; expected a dictionary ",
        ),
        (
            "def my_loss(z1, z2): return None\n",
            "my_loss.py returned NoneType; expected a dictionary of named ",
        ),
        ("def my_loss(z1, z2): return {}\n", "my_loss.py returned {}; expected a dictionary of named scalar"),
        (
            "def my_loss(z1, z2): return {'a': z1.mean(), 'b': z1.mean(dim=0)}\n",
            "my_loss.py returned {'a': 'Tensor', 'b': (4,)}; expected a dictionary of named scalar tensors",
        ),
        (
            "def my_loss(z1, z2): return {'a': z1.mean().item()}\n",
            "my_loss.py returned {'a': 'float'}; expected a dictionary of named scalar tensors",
        ),
        (
            "def my_loss(z1, z2): return {1: z1.mean()}\n",
            "my_loss.py returned {1: 'Tensor'}; expected a dictionary of named scalar tensors",
        ),
    ],
    ids=[
        *("syntax", "import", "raises", "no function", "no callable", "one argument", "no default"),
        *(
            "default None",
            "default NaN",
            "fails",
            "tensor",
            "nothing",
            "empty",
            "vector",
            "number",
            "unnamed",
        ),
    ],
)
def test_a_file_that_cannot_be_used(write: Write, views: Views, text: str, message: str) -> None:
    assert refusal(write(text), views).startswith(message)


def test_terms_without_a_gradient_are_refused_where_one_is_needed(write: Write, views: Views) -> None:
    path = write("def my_loss(z1, z2): return {'a': (z1 - z2).detach().square().mean()}\n")
    assert get_loss(path)(*views).total > 0  # nobody asks for a gradient here
    trained = (views[0].clone().requires_grad_(), views[1])
    assert refusal(path, trained) == (
        "my_loss.py returned terms without a gradient; compute them from z1 and z2 without detach() or item()"
    )


def test_a_users_error_from_within_the_file_stays_as_it_is(write: Write, views: Views) -> None:
    path = write(
        "from spectral_ssl.losses.terms import check_positive\n"
        "def my_loss(z1, z2, *, mu=-1.0):\n    check_positive('mu', mu)\n"
    )
    assert refusal(path, views) == "mu must be a finite number above 0: found -1.0"


def test_no_file_a_folder_another_ending_and_a_name_that_is_none(
    write: Write, views: Views, tmp_path: Path
) -> None:
    (tmp_path / "folder.py").mkdir()
    expected = "no loss file {}; give the path of a Python file that defines {}(z1, z2, *, ...)"
    assert refusal(str(tmp_path / "gone.py"), views) == expected.format("gone.py", "gone")
    assert refusal(str(tmp_path / "folder.py"), views) == expected.format("folder.py", "folder")
    assert refusal(write(MEAN_SQUARE, "my-loss.py"), views) == (
        "my-loss.py: 'my-loss' cannot name a function; rename the file, for example to my_loss.py"
    )
    text = write(MEAN_SQUARE, "my_loss.txt")
    with pytest.raises(
        UserError, match=r"^no loss file .*my_loss\.txt; give the path of a Python file that "
    ):
        own_loss(text)


def test_a_built_ins_name_is_no_file() -> None:
    with pytest.raises(
        UserError, match=r"^no loss file vicreg; give the path of a Python file that defines "
    ):
        own_loss("vicreg")


def test_a_hyperparameter_without_a_default(write: Write, views: Views) -> None:
    said = refusal(write("def my_loss(z1, z2, *, mu): ...\n"), views)
    assert said.endswith("'mu'); expected my_loss(z1, z2, *, ...) with a default for each hyperparameter")
