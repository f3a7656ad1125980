"""A copy of the checkout in which one tiny tier has been run once, for all tests of the graph."""

from __future__ import annotations

import pytest

from .checkout import Checkout, copy_project


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the project's files, with nothing run."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_project(folder)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(checkout: Checkout) -> Checkout:
    """The copy after one whole run."""
    done = checkout.snakemake()
    logs = "".join(path.read_text() for path in checkout.folder.glob("results/tiny/logs/**/*.log"))
    assert done.returncode == 0, done.stderr[-3000:] + logs[-3000:]
    return checkout
