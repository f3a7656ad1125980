"""A notebook whose kernel does not answer: one line, and no defect of the project's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import papermill
import pytest

from spectral_ssl.config import load_tier
from spectral_ssl.errors import UserError
from spectral_ssl.stages import Context, notebook

CONFIG = Path(__file__).parents[2] / "config"


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(papermill, "execute_notebook", fail)
    notebook.run(Context(load_tier("smoke", folder=CONFIG), tmp_path, quiet=True), "haochen2021")


@pytest.mark.parametrize(
    "said", ["Kernel died before replying to kernel_info", "Kernel didn't respond in 60 seconds"]
)
def test_a_kernel_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises(
        UserError, match=r"^notebooks/haochen2021\.ipynb: its kernel died or never answered, .* run it again"
    ):
        run(tmp_path, monkeypatch, said)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_error_keeps_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"):
        run(tmp_path, monkeypatch, "something else")
