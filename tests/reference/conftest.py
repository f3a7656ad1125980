"""Images in an archive, and a folder to run the stage `reference` in."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .made import Bench


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes that differ in brightness, 20 training and 6 test images each, as JPEG of quality 75."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    path = folder / "images.tar.xz"
    with tarfile.open(path, "w:xz") as packed:
        for split, count in (("train", 20), ("test", 6)):
            for label in range(4):
                for index in range(count):
                    pixels = rng.normal(60 + 40 * label, 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                    file = folder / "image.jpg"
                    Image.fromarray(pixels).save(file, quality=75)
                    packed.add(file, f"{split}/class{label}/{index:03}.jpg")
    return path


@pytest.fixture
def bench(tmp_path: Path, archive: Path) -> Callable[[str], Bench]:
    """Makes a folder with a list of items."""

    def made(items: str) -> Bench:
        path = tmp_path / "list.yaml"
        path.write_text(items, encoding="utf-8")
        return Bench(tmp_path, path, archive)

    return made
