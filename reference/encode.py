"""Images of an ingested data set in an archive of `split/class/image` files, as PNG or encoded anew as JPEG.

`python reference/encode.py DATA ARCHIVE [--first N --of M] [--quality Q]`, from a checkout with PYTHONPATH=src: DATA
is a folder such as results/gpu/data/cifar10, ARCHIVE a .tar that does not exist yet. Without `--quality` files are
PNG, which loses nothing, with it JPEG as Pillow writes it (4:2:0). `--first N --of M` takes the first N of every M
images of a split. The same images give the same archive, byte for byte, with the same Pillow.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spectral_ssl.data.sources import SPLITS, load
from spectral_ssl.errors import UserError
from spectral_ssl.provenance import replacing


def chosen(count: int, first: int | None, of: int | None) -> NDArray[np.intp]:
    """The first `first` of every `of` of so many images, or all. UserError where one comes without the other."""
    if first is None and of is None:
        return np.arange(count)
    if first is None or of is None or not 1 <= first <= of:
        raise UserError(
            f"found --first {first} --of {of}; expected both, from 1 on, the first not above the second"
        )
    index = np.arange(count)
    return index[index % of < first]


def encoded(image: NDArray[np.uint8], quality: int | None) -> bytes:
    """An image (H, W, C), C 1 or 3, as a file: PNG, or JPEG of that quality."""
    file = io.BytesIO()
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    if quality is None:
        picture.save(file, "PNG")
    else:
        picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def add(
    archive: tarfile.TarFile, split: str, names: list[str], images: NDArray[np.uint8], quality: int | None
) -> None:
    """Write a split: image i of (n, H, W, C), of the class names[i]; its file's name is its number."""
    suffix = "png" if quality is None else "jpg"
    for number, (name, image) in enumerate(zip(names, images, strict=True)):
        content = encoded(np.asarray(image), quality)
        entry = tarfile.TarInfo(f"{split}/{name}/{number:06}.{suffix}")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def write(data: Path, target: Path, *, first: int | None, of: int | None, quality: int | None) -> None:
    """Encode the chosen images of a data set. UserError for one that is damaged, and for a target that is there."""
    if target.suffix != ".tar" or target.exists():
        raise UserError(f"{target}: expected the name of a .tar that does not exist yet")
    if quality is not None and not 1 <= quality <= 95:
        raise UserError(f"quality {quality}; expected 1 to 95, as Pillow takes it")
    dataset = load(data)
    with replacing(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for split in SPLITS:
            labels = getattr(dataset, f"{split}_labels")
            if (labels < 0).any():
                raise UserError(
                    f"{data} has images without a label; expected a data set whose images all have one"
                )
            index = chosen(len(labels), first, of)
            names = [dataset.classes[label] for label in labels[index]]
            add(archive, split, names, getattr(dataset, f"{split}_images")[index], quality)


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of an ingested data set")
    parser.add_argument("archive", type=Path, help="a .tar to write")
    parser.add_argument("--first", type=int, help="images to take of every --of")
    parser.add_argument("--of", type=int, help="see --first")
    parser.add_argument("--quality", type=int, help="JPEG of this quality instead of PNG")
    asked = parser.parse_args()
    try:
        write(asked.data, asked.archive, first=asked.first, of=asked.of, quality=asked.quality)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
