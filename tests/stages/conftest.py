"""The own command in this process, beside the smoke tier's data, a small part of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from spectral_ssl.__main__ import main

SMALL = (
    *("seeds=1", "data.train_limit=60", "data.test_limit=40", "training.batch_size=30", "training.epochs=2"),
    *("probes.names=[lbfgs, knn, few1]", "probes.draws=2", "probes.metric=few1"),
)
MY_LOSS = """
def my_loss(z1, z2, *, weight=2.0):
    return {"distance": weight * (z1 - z2).square().mean(), "spread": -z1.std(dim=0).clamp(max=1).mean()}
"""


@dataclass
class OwnStage:
    """The command in a folder of its own."""

    root: Path
    files: Path  # where the user's files are
    capture: pytest.CaptureFixture[str]
    small: tuple[str, ...] = SMALL
    my_loss: str = MY_LOSS

    def __call__(
        self, *arguments: str | Path, extra: tuple[str, ...] = ()
    ) -> tuple[int, list[str], list[str]]:
        """The exit status and the lines of stdout and stderr."""
        status = main(["own", *shared(self.root, *extra), "--device", "cpu", *map(str, arguments)])
        captured = self.capture.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    def refused(self, *arguments: str | Path) -> str:
        """The message of a command that must exit 2 with one line and leave no result; the files' folder left out."""
        status, out, lines = self(*arguments)
        assert (status, out, len(lines)) == (2, [], 1)
        assert {path.name for path in (self.root / "results" / "smoke").iterdir()} == {"data", "receipts"}
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ").replace(f"{self.files}/", "")

    def loss(self, text: str, name: str = "my_loss.py") -> Path:
        """A loss file of that text."""
        (self.files / name).write_text(text, encoding="utf-8")
        return self.files / name

    @property
    def results(self) -> Path:
        return self.root / "results" / "smoke" / "own"

    @property
    def written(self) -> list[str]:
        """The files below `results`."""
        return sorted(
            str(path.relative_to(self.results)) for path in self.results.rglob("*") if path.is_file()
        )

    @property
    def only_run(self) -> Path:
        """The folder of the one result."""
        (folder,) = self.results.iterdir()
        return folder


def shared(root: Path, *extra: str) -> list[str]:
    overrides = [word for value in (*SMALL, *extra) for word in ("--set", value)]
    return ["--tier", "smoke", "--root", str(root), "--quiet", *overrides]


@pytest.fixture(scope="session")
def small_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    assert main(["data", "--dataset", "digits", *shared(root)]) == 0
    return root


@pytest.fixture
def stage(
    small_digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[OwnStage]:
    shutil.copytree(small_digits, tmp_path / "root")
    (tmp_path / "files").mkdir()
    monkeypatch.setenv(
        "OMP_NUM_THREADS", "1"
    )  # the command sets threads for its process; not beyond this test
    threads = torch.get_num_threads()
    yield OwnStage(tmp_path / "root", tmp_path / "files", capfd)
    torch.set_num_threads(threads)
