"""Memory of ingesting many images: that of an index of numbers, and none of the images themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .made import encoded, member, noise, peak_of

BOUND = 200  # bytes an image, of names, sizes and labels
INGEST = """
import sys
from spectral_ssl.data.sources import ingest
print(ingest("folder", sys.argv[2], path=sys.argv[1])["counts"]["train"])
"""
READ = """
import sys
from spectral_ssl.data.sources import load
data = load(sys.argv[1])
print(data.train_images[-1].shape, data.train_labels[-1])
"""


def many(path: Path, images: int, picture: bytes) -> Path:
    """A tar of ten classes in turn, a hundredth of the images for testing."""
    with path.open("wb") as file:
        for i in range(images):
            split = "test" if i // 10 % 100 == 1 else "train"
            file.write(member(f"{split}/class_{i % 10:04}/image_{i:07}.png", picture))
        file.write(bytes(1024))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_grows_by_the_index_alone(tmp_path: Path) -> None:
    peaks = []
    for images in (20_000, 40_000):
        path = many(tmp_path / "i.tar", images, encoded(noise(0, (8, 8, 3))))
        printed, peak = peak_of(INGEST, path, tmp_path / "out")
        assert printed == str(images * 99 // 100)
        peaks.append(peak)
    assert peaks[1] - peaks[0] < BOUND * 20_000


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_was_ingested_is_read_when_it_is_used(tmp_path: Path) -> None:
    peaks = []
    for images, side in ((100, 8), (100, 512)):  # 38 kB and 157 MB
        path = many(tmp_path / "i.tar", images * 2, encoded(noise(0, (side, side, 3))))
        peak_of(INGEST, path, tmp_path / "out")
        printed, peak = peak_of(READ, tmp_path / "out")
        assert printed.startswith(f"({side}, {side}, 3)")
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 8 * 2**20
