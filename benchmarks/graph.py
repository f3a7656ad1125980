"""What a graph of many jobs costs: `PYTHONPATH=src python benchmarks/graph.py`, from the root, in its environment.

Clones the committed checkout into a temporary folder and measures there, each in seconds and summed resident memory of
all processes:

- a dry run of the `gpu` tier at 71 seeds, 10,082 runs of a job each;
- the start of one of its jobs on a cluster: the snakemake that an executor starts there, up to the job itself;
- 632 pretraining jobs of the `smoke` tier at 8 seeds that do nothing but write empty files: in the place of Python the
  rules call a shell script, so that what is left is Snakemake's own time;
- benchmarks/graph.yaml, a thousand tiny runs, wholly; then again, with nothing to do.

Writes benchmarks/results/graph.csv; `--small` measures a tenth of each and prints it only.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from spectral_ssl.provenance import commit
from spectral_ssl.targets import Targets
from workflow import ROOT, edit, run

# What a run at each size takes at most: seconds, MiB.
LIMITS = {"dry run": (60, 2000), "trivial jobs": (20, None), "sweep, second run": (10, None)}
STUB = '#!/bin/sh\nwhile read -r file; do : > "$file"; done < "planned/$3/$5"\n'


def tier(folder: Path, **config: object) -> tuple[list[str], Targets]:
    """The arguments of snakemake that choose a tier with overrides, and what it has to make."""
    words = ["--config", *(f"{key}={value}" for key, value in config.items())]
    file = folder / str(config["tier"])
    name = str(file) if file.is_file() else config["tier"]
    return words, Targets(config | {"tier": name}, folder / "config")


def jobs(output: str) -> int:
    """How many jobs snakemake listed."""
    totals = [line.split()[1] for line in output.splitlines() if line.startswith("total ")]
    return int(totals[0]) if totals else 0


def replace_python(folder: Path, targets: Targets) -> None:
    """Let the rules of a checkout call a shell script that writes a job's files, empty."""
    made = {("pretrain", batch.id): targets.batch(batch) for batch in targets.manifest.batches.values()}
    made |= {("data", name): targets.data(name) for name in targets.datasets}
    for (stage, name), files in made.items():
        plan = folder / "planned" / stage / name
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text("".join(f"{file}\n" for file in files))
    stub = folder / "stub.sh"
    stub.write_text(STUB)
    stub.chmod(0o755)
    edit(folder / "rules/software.smk", "shlex.quote(sys.executable)", repr(shlex.quote(str(stub))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="a tenth of each, printed only")
    small = parser.parse_args().small
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: list[dict[str, object]] = []

    def measure(case: str, targets: Targets, *arguments: str) -> None:
        seconds, memory, output = run(folder, *arguments)
        limit, most = LIMITS.get(case, (None, None))
        rows.append(
            {
                "case": case,
                "runs": len(targets.manifest.runs),
                "jobs": jobs(output),
                "seconds": round(seconds, 1),
                "peak_mib": round(memory),
                "limit_seconds": limit,
                "limit_mib": most,
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "python": platform.python_version(),
                "snakemake": version("snakemake"),
                "commit": commit(),
            }
        )
        print(
            *(f"{key} {value}" for key, value in rows[-1].items() if value is not None), sep=", ", flush=True
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        shutil.copy(Path(__file__).with_suffix(".yaml"), folder / "sweep.yaml")
        words, targets = tier(folder, tier="gpu", seeds=7 if small else 71)
        measure("dry run", targets, "--dry-run", "--quiet", "host", *words)
        rule = f"pretrain_{next(iter(targets.manifest.batches)).replace('-', '_')}"
        remote = f"--target-jobs {rule}: --allowed-rules {rule} --mode remote --nolock --force".split()
        measure("start of a cluster's job", targets, "--dry-run", *remote, *words)
        words, targets = tier(folder, tier="sweep.yaml", seeds=2 if small else 24)
        measure("sweep", targets, *words)
        measure("sweep, second run", targets, *words)
        (folder / "trivial.yaml").write_text(
            (folder / "config/smoke.yaml").read_text().replace("jobs:\n", "jobs:\n  runs_per_batch: 1\n", 1)
        )
        words, targets = tier(folder, tier="trivial.yaml", seeds=1 if small else 8)
        replace_python(folder, targets)
        measure("trivial jobs", targets, "pretrain", *words)
    if not small:
        with (ROOT / "benchmarks/results/graph.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
