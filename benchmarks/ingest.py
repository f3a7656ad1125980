"""Time and peak memory of turning an archive of images into memory-mapped arrays.

Usage: `PYTHONPATH=src python benchmarks/ingest.py ARCHIVE [RESULTS.csv]`. Both passes, the checksums and the
imports of the reader are in the time; peak memory is that of the whole process.
"""

import csv
import resource
import sys
import tempfile
import time
from pathlib import Path

from spectral_ssl.data.sources import ingest


def main(archive: Path, results: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        meta = ingest("folder", Path(folder, "data"), path=archive)
        seconds = time.perf_counter() - start
    images = sum(meta["counts"].values())
    # ru_maxrss is in bytes on macOS and in KiB elsewhere
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    row = {
        "archive": archive.name,
        "images": images,
        "seconds": f"{seconds:.1f}",
        "images_per_second": f"{images / seconds:.0f}",
        "peak_rss_mib": f"{peak_mib:.0f}",
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    print(", ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "ingest.csv"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else default)
