"""Tiny archives of exactly the official layout of ImageNet, ILSVRC 2012.

As the development kit's readme, torchvision's `datasets/imagenet.py` and Inception's preparation scripts in TensorFlow
describe them: a GNU tar of one tar a class, a tar of numbered validation images in no order, and the kit with
`meta.mat`. There are fewer classes and images, and images are synthetic.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from .fake_images import ORIENTATION, jpeg, png

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
KIT = "ILSVRC2012_devkit_t12"
# WordNet ID and words in the order of ILSVRC2012_ID, which is not that of the WordNet IDs.
LEAVES = [
    ("n02119789", "kit fox, Vulpes macrotis"),
    ("n02105855", "Shetland sheepdog, Shetland sheep dog, Shetland"),
    ("n01739381", "vine snake"),
    ("n02447366", "badger"),
]
ANCESTORS = [("n00001740", "entity"), ("n02083346", "canine, canid")]
# MATLAB's struct array `synsets`, and the type that each field is read as: whole doubles are stored as small integers.
FIELDS = {
    "ILSVRC2012_ID": np.uint16,
    "WNID": str,
    "words": str,
    "gloss": str,
    "num_children": np.uint8,
    "children": np.uint16,
    "wordnet_height": np.uint8,
    "num_train_images": np.uint16,
}
PNG_NAME = "n02105855_2933.JPEG"  # a PNG with an alpha channel under a JPEG's name
CMYK_NAMES = ("n01739381_1309.JPEG", "n02447366_23489.JPEG")
# Sound pixels under an EXIF block that says "turn" and that Pillow cannot write anew: its title is a fraction.
BROKEN_EXIF = b"MM\0*\0\0\0\x08\0\x02" + struct.pack(
    ">HHIIHHIHHIII", 0x010E, 5, 1, 38, ORIENTATION, 3, 1, 6, 0, 0, 1, 2
)
Files = dict[str, bytes]


def tar(files: Mapping[str, bytes | None], mode: str = "w") -> bytes:
    """An archive in GNU tar's format; None makes a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as target:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.mtime = 1_340_000_000
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                target.addfile(info)
            else:
                info.size = len(data)
                target.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def training_images(per_class: int, size: tuple[int, int]) -> dict[str, Files]:
    """By WordNet ID: JPEG files by name, among them all the odd ones, in no order."""
    found: dict[str, Files] = {}
    for number, (wnid, _) in enumerate(LEAVES):
        files = {
            f"{wnid}_{10 + 37 * i}.JPEG": jpeg(1000 * number + i, size if i % 2 else size[::-1])
            for i in reversed(range(per_class - 3))
        }
        files[f"{wnid}_3.JPEG"] = jpeg(1000 * number + 997, size, "L")
        files[f"{wnid}_2.JPEG"] = jpeg(1000 * number + 998, size, orientation=6)
        files[f"{wnid}_1.JPEG"] = jpeg(1000 * number + 999, size, exif=BROKEN_EXIF)
        found[wnid] = files
    replace(found["n02105855"], PNG_NAME, png(7, (213, 189)))
    for name in CMYK_NAMES:
        replace(found[name[:9]], name, jpeg(8, size, "CMYK"))
    return found


def replace(files: Files, name: str, data: bytes) -> None:
    """The first file under another name and with other bytes."""
    files.pop(next(iter(files)))
    files[name] = data


def meta_mat(leaves: Sequence[tuple[str, str]] = LEAVES, train_images: int = 1300) -> bytes:
    """The kit's `meta.mat`: the leaves first, then their ancestors."""
    table = np.empty((len(leaves) + len(ANCESTORS), 1), [(name, object) for name in FIELDS])
    numbers = np.arange(1, len(leaves) + 1)
    for row, (wnid, words) in enumerate([*leaves, *ANCESTORS]):
        leaf = row < len(leaves)
        children = [] if leaf else numbers
        values = [row + 1, wnid, words, "a gloss", len(children), children, not leaf, train_images * leaf]
        table[row, 0] = tuple(_stored(v, kind) for v, kind in zip(values, FIELDS.values(), strict=True))
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": table}, do_compression=True)
    return buffer.getvalue()


def _stored(value: Any, kind: Any) -> Any:
    return value if kind is str else np.atleast_2d(np.asarray(value, kind))


def devkit(meta: bytes, truth: Iterable[int]) -> bytes:
    """The development kit, with the files beside the two that matter."""
    lines = "".join(f"{number}\n" for number in truth).encode()
    files = {
        "": None,
        "/COPYING": b"Copyright\n",
        "/readme.txt": b"ILSVRC2012 Development Kit\n",
        "/data": None,
        "/data/ILSVRC2012_validation_ground_truth.txt": lines,
        "/data/meta.mat": meta,
        "/evaluation": None,
        "/evaluation/demo_eval.m": b"% an example\n",
    }
    return tar({f"{KIT}{name}": data for name, data in files.items()}, "w:gz")


def archives(*, per_class: int = 5, validation: int = 2, size: tuple[int, int] = (50, 37)) -> Files:
    """The three archives by name: `per_class` training images (4 or more) and `validation` ones a class."""
    train = training_images(per_class, size)
    truth = [1 + i % len(LEAVES) for i in range(validation * len(LEAVES))]
    val = {f"ILSVRC2012_val_{i:08}.JPEG": jpeg(50_000 + i, size) for i in range(1, len(truth) + 1)}
    val["ILSVRC2012_val_00000002.JPEG"] = jpeg(50_000, size, "CMYK")
    order = np.random.default_rng(0).permutation(sorted(val)).tolist()
    return {
        TRAIN: tar({f"{wnid}.tar": tar(files) for wnid, files in train.items()}),
        VAL: tar({name: val[name] for name in order}),
        DEVKIT: devkit(meta_mat(train_images=per_class), truth),
    }


def write(folder: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Put archives into a folder; their MD5s by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
