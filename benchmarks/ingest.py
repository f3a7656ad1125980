"""Time and peak memory of turning many tiny images into memory-mapped arrays.

Usage: `PYTHONPATH=src python benchmarks/ingest.py [IMAGES ...] [--kinds tar directory] [--classes 10 1000]
[--results FILE.csv]`. Images are 8x8 pixels, 99 of 100 for training, written under a temporary folder. Each ingestion
is a process of its own, whose seconds hold both passes, the checksums and the imports; `index_bytes_per_image` is what
its peak memory is above that of the same process with 1,000 images, by image.
"""

from __future__ import annotations

import argparse
import csv
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIDE = 8
BASE = 1_000  # images of the process that the others are compared with
CHILD = """
import resource, sys, time
start = time.perf_counter()
from spectral_ssl.data.sources import ingest
ingest("folder", sys.argv[2], path=sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def png(number: int) -> bytes:
    """A PNG whose first pixel tells its number: rows that are stored, not compressed, differ in three bytes."""
    rows = bytearray(_ROWS)
    rows[1:4] = number.to_bytes(3, "big")
    return _BEFORE + _chunk(b"IDAT", zlib.compress(bytes(rows), 0)) + _AFTER


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_ROWS = np.pad(
    np.random.default_rng(0).integers(0, 256, (SIDE, 3 * SIDE), dtype=np.uint8), ((0, 0), (1, 0))
).tobytes()
_BEFORE = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
_AFTER = _chunk(b"IEND", b"")


def files(images: int, classes: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, classes in turn, so that no folder's images lie together."""
    for number in range(images):
        split = "test" if number // classes % 100 == 1 else "train"
        yield f"{split}/class_{number % classes:04}/image_{number:07}.png", png(number)


def write(path: Path, images: int, classes: int) -> Path:
    """A tar, zip or directory, by the path's suffix."""
    if path.suffix == ".tar":
        with path.open("wb", buffering=2**22) as target:
            for name, data in files(images, classes):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                target.write(info.tobuf() + data.ljust(-len(data) // 512 * -512, b"\0"))
            target.write(bytes(1024))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files(images, classes):
                archive.writestr(name, data)
    else:
        for split in ("train", "test"):
            for number in range(classes):
                (path / split / f"class_{number:04}").mkdir(parents=True)
        for name, data in files(images, classes):
            (path / name).write_bytes(data)
    return path


def ingested(path: Path, out: Path) -> tuple[float, int]:
    """Seconds, and peak memory in bytes, of a process that ingests `path` into `out`."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path, out], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds, peak = done.stdout.split()
    # ru_maxrss is in bytes on macOS and in KiB elsewhere
    return float(seconds), int(peak) * (1 if sys.platform == "darwin" else 1024)


def measured(kind: str, images: int, classes: int) -> dict[str, object]:
    """A row of the results."""
    suffix = "" if kind == "directory" else f".{kind}"
    with tempfile.TemporaryDirectory() as folder:
        few = write(Path(folder, f"few{suffix}"), BASE, min(classes, BASE // 200))
        _, base = ingested(few, Path(folder, "base"))
        seconds, peak = ingested(write(Path(folder, f"many{suffix}"), images, classes), Path(folder, "out"))
    return {
        "kind": kind,
        "images": images,
        "classes": classes,
        "seconds": f"{seconds:.1f}",
        "images_per_second": f"{images / seconds:.0f}",
        "peak_rss_mib": f"{peak / 2**20:.0f}",
        "index_bytes_per_image": f"{(peak - base) / (images - BASE):.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Ingest many tiny images; a row of time and memory each.")
    parser.add_argument("images", nargs="*", type=int, default=[100_000, 300_000, 1_000_000])
    parser.add_argument(
        "--kinds", nargs="+", choices=("tar", "zip", "directory"), default=["tar", "directory"]
    )
    parser.add_argument("--classes", nargs="+", type=int, default=[10, 1_000])
    default = Path(__file__).parent / "results" / "ingest.csv"
    parser.add_argument("--results", type=Path, default=default)
    given = parser.parse_args()
    rows = []
    for kind in given.kinds:
        for images in given.images:
            for classes in given.classes:
                rows.append(measured(kind, images, classes))
                print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
                with given.results.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, rows[0])
                    writer.writeheader()
                    writer.writerows(rows)


if __name__ == "__main__":
    main()
