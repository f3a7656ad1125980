"""A tiny archive of exactly Tiny ImageNet's official layout (Stanford CS231n), with fewer classes and images.

Tabs separate the columns of every text file; training images lie under `train/<WordNet ID>/images` beside a list of
boxes, validation images in one folder with annotations, test images without any label.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from .fake_images import jpeg

NAME, ROOT = "tiny-imagenet-200.zip", "tiny-imagenet-200"
WNIDS = ["n02124075", "n04067472", "n01443537", "n03444034"]  # not sorted
WORDS = {
    "n00001740": "entity",  # all of WordNet's nouns are there
    "n01443537": "goldfish, Carassius auratus",
    "n02124075": "Egyptian cat",
    "n03444034": "go-kart",
    "n04067472": "reel",
}
SIZE = (64, 64)


def contents(*, per_class: int = 5, validation: int = 2) -> dict[str, bytes]:
    """The files by name, in a stored order that is nobody's: a greyscale image in each class and among the others."""
    val = {f"val_{i}.JPEG": WNIDS[i % len(WNIDS)] for i in range(validation * len(WNIDS))}
    annotations = [f"{file}\t{wnid}\t0\t32\t44\t62\n" for file, wnid in val.items()]
    files = {
        "words.txt": "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()).encode(),
        "wnids.txt": "".join(f"{wnid}\n" for wnid in WNIDS).encode(),
        "val/": b"",
        "val/images/": b"",
        **{f"val/images/{file}": picture(9000 + i, i) for i, file in reversed(list(enumerate(val)))},
        "val/val_annotations.txt": "".join(annotations).encode(),
        "test/images/test_0.JPEG": picture(9999, 1),
    }
    for number, wnid in enumerate(WNIDS):
        boxes = [f"{wnid}_{i}.JPEG\t0\t10\t63\t58\n" for i in range(per_class)]
        files[f"train/{wnid}/"] = b""
        files[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(boxes).encode()
        for i in reversed(range(per_class)):
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = picture(1000 * number + i, i)
    return {f"{ROOT}/{name}": data for name, data in files.items()}


def picture(seed: int, number: int) -> bytes:
    """A JPEG file of the official size; the first of a class is greyscale."""
    return jpeg(seed, SIZE, "RGB" if number else "L")


def archive(files: Mapping[str, bytes]) -> bytes:
    """The zip file that holds them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.mkdir(ROOT)
        for name, data in files.items():
            if name.endswith("/"):
                target.mkdir(name)
            else:
                target.writestr(name, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
