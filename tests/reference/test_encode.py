"""reference/encode.py: a data set's images as files that the source `folder` reads."""

from __future__ import annotations

import runpy
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data.sources import Dataset, ingest, load

SCRIPT = Path(__file__).parents[2] / "reference" / "encode.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Path:
    """Eighty colour images of four classes, ingested."""
    folder = tmp_path_factory.mktemp("data") / "data"
    ingest("folder", folder, path=archive)
    return folder


def encode(monkeypatch: pytest.MonkeyPatch, *words: Any) -> int:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


def ingested(path: Path, folder: Path) -> Dataset:
    ingest("folder", folder, path=path)
    return load(folder)


def test_png_keeps_every_pixel_and_the_same_images_give_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.tar", "two.tar"):
        assert encode(monkeypatch, data, tmp_path / name) == 0
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    before, after = load(data), ingested(tmp_path / "one.tar", tmp_path / "again")
    for split in ("train", "test"):
        # Both sources order images by class and name, and numbers count in the first one's order.
        np.testing.assert_array_equal(getattr(after, f"{split}_images"), getattr(before, f"{split}_images"))
        np.testing.assert_array_equal(getattr(after, f"{split}_labels"), getattr(before, f"{split}_labels"))
    assert after.classes == before.classes


def test_jpeg_loses_what_the_quality_says(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = []
    for quality in (10, 95):  # these images have been JPEG of 75, which would lose nearly nothing once more
        path = tmp_path / f"{quality}.tar"
        assert encode(monkeypatch, data, path, "--quality", quality) == 0
        with tarfile.open(path) as archive:
            member = archive.getmembers()[0]
            assert member.name.endswith(".jpg")
            file = archive.extractfile(member)
            assert file is not None
            assert Image.open(file).format == "JPEG"
        after = ingested(path, tmp_path / str(quality))
        errors.append(np.abs(after.train_images.astype(float) - load(data).train_images).mean())
    assert errors[0] > 2 * errors[1] > 0


def test_the_first_of_every_so_many(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encode(monkeypatch, data, tmp_path / "some.tar", "--first", 3, "--of", 20) == 0
    with tarfile.open(tmp_path / "some.tar") as archive:
        names = archive.getnames()
    assert len([name for name in names if name.startswith("train/")]) == 4 * 3  # 80 images
    assert len([name for name in names if name.startswith("test/")]) == 3 + 3  # 24 images
    before = load(data)
    after = ingested(tmp_path / "some.tar", tmp_path / "some")
    kept = np.flatnonzero(np.arange(80) % 20 < 3)
    np.testing.assert_array_equal(after.train_images, before.train_images[kept])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--first", "3"], "found --first 3 --of None; expected both"),
        (["--first", "5", "--of", "4"], "found --first 5 --of 4; expected both"),
        (["--first", "0", "--of", "4"], "found --first 0 --of 4; expected both"),
        (["--quality", "0"], "quality 0; expected 1 to 95"),
        (["--quality", "96"], "quality 96; expected 1 to 95"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert encode(monkeypatch, data, tmp_path / "no.tar", *words) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_and_data_have_to_be_there(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.tar"
    there.write_bytes(b"mine")
    assert encode(monkeypatch, data, there) == 2
    assert encode(monkeypatch, data, tmp_path / "images.zip") == 2
    assert capsys.readouterr().err.count("expected the name of a .tar that does not exist yet") == 2
    assert there.read_bytes() == b"mine"
    assert encode(monkeypatch, tmp_path / "nowhere", tmp_path / "new.tar") == 2
    assert "meta.json is missing" in capsys.readouterr().err
    assert not (tmp_path / "new.tar").exists()
