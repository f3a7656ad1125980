"""Ingest a folder data set and train on it: `python benchmarks/folder_run.py ARCHIVE`, from the checkout's root.

Runs the stage commands `data`, `views` and `pretrain` of benchmarks/folder.yaml (SimCLR, SimSiam and spectral,
one seed) in a temporary folder and writes benchmarks/results/folder_run.csv: wall seconds and peak memory of each
command, and for the runs the views/s and the accuracies that they reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from spectral_ssl.config import load_tier  # noqa: E402
from spectral_ssl.papers.manifest import build  # noqa: E402

TIER = "benchmarks/folder.yaml"


def command(stage: str, archive: str, root: Path, *more: str) -> tuple[float, float]:
    """Run a stage command; wall seconds and peak resident memory in MiB."""
    words = [sys.executable, "-m", "spectral_ssl", stage, "--tier", TIER, "--set", f"data.path={archive}"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--root", str(root), *more], cwd=ROOT, env={**os.environ, "PYTHONPATH": "src"}
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{stage} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    archive = str(parser.parse_args().archive.resolve())
    tier = load_tier(TIER, [f"data.path={archive}"])
    manifest = build(tier)
    wanted = {c.run for c in manifest.cells if c.paper == "haochen2021" and c.experiment == "table1"}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for stage in ("data", "views"):
            seconds, memory = command(stage, archive, root)
            rows.append({"step": stage, "seconds": round(seconds, 1), "peak_mib": round(memory)})
        counts = json.loads((root / f"results/{tier.name}/data/{tier.data.slug}/meta.json").read_text())[
            "counts"
        ]
        rows[0]["images"] = sum(counts.values())
        for batch in manifest.batches.values():
            if batch.runs[0].id not in wanted:
                continue
            seconds, memory = command("pretrain", archive, root, "--batch", batch.id)
            run = root / f"results/{tier.name}/runs/{batch.runs[0].id}"
            probe = json.loads((run / "probe.json").read_text())
            history = list(csv.DictReader((run / "history.csv").open()))
            rows.append(
                {
                    "step": f"pretrain {batch.runs[0].name}, {batch.runs[0].epochs} epochs",
                    "seconds": round(seconds, 1),
                    "peak_mib": round(memory),
                    "images": counts["train"],
                    "views_per_second": round(float(history[-1]["views_per_second"])),
                    **{
                        name: round(100 * probe[name], 2)
                        for name in ("linear_last", "knn", "few10", "online")
                    },
                }
            )
    columns = list(rows[-1])
    out = ROOT / "benchmarks/results/folder_run.csv"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    print(out.read_text())


if __name__ == "__main__":
    main()
