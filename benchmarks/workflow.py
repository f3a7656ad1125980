"""Laptop and smoke tiers from nothing: `python benchmarks/workflow.py`, from the checkout's root, in its environment.

Clones the committed checkout into a temporary folder, runs `snakemake --cores all` there and samples the resident
memory of its processes twice a second, of all together and of the largest of each stage; runs it again; and lists what
a dry run would repeat after editing one loss's code, touching a source file and editing a comment. Process start is
measured by starting each stage's process with nothing to do but its imports (three times, the median), times the jobs
of that stage, over the core-seconds of all jobs. Writes benchmarks/results/workflow.csv; `--keep FOLDER` copies the
laptop tier's results and figures there.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "all"]
ALL = "all processes"
ADAM = "import torch; torch.optim.AdamW([torch.zeros(1, requires_grad=True)])"


def run(folder: Path, *arguments: str) -> tuple[float, Counter[str], str]:
    """Run snakemake; wall seconds, peaks of resident memory in MiB (`_watch`), and what it printed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*SNAKEMAKE, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peaks: Counter[str] = Counter()
    watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks), daemon=True)
    watch.start()
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(output[-4000:])
    return time.perf_counter() - started, peaks, output


def _watch(process: psutil.Process, peaks: Counter[str]) -> None:
    """Peaks of all processes together, where pages that they share count for each, and of the largest of each kind."""
    while process.is_running():
        now: Counter[str] = Counter()
        try:
            members = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for member in members:
            try:
                size = member.memory_info().rss // 2**20
                kind = _kind(member.cmdline())
            except psutil.NoSuchProcess:
                continue
            now[ALL] += size
            now[kind] = max(now[kind], size)
        peaks |= now
        time.sleep(0.5)


def _kind(words: list[str]) -> str:
    """The stage that a process runs, or its program."""
    if "spectral_ssl" in words:
        return words[words.index("spectral_ssl") + 1]
    return next((name for name in ("snakemake", "ipykernel_launcher") if name in words), "others")


def jobs(output: str) -> Counter[str]:
    """How many jobs of each stage a run or dry run lists; a dry run lists them twice."""
    output = output[output.rfind("Job stats:") :]
    found = re.findall(
        r"^(data|views|pretrain|theorems|networks|tables|figures|notebook|report)(?:_\S+)?\s+(\d+)$",
        output,
        re.M,
    )
    counts: Counter[str] = Counter()
    for stage, count in found:
        counts[stage] += int(count)
    return counts


def start_seconds(folder: Path, stage: str) -> float:
    """Median wall seconds to start a process and import a stage (for pretraining, the optimiser's imports too)."""
    code = f"import spectral_ssl.stages.{stage}" + (f"; {ADAM}" if stage == "pretrain" else "")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": "src"}, check=True
        )
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def core_seconds(folder: Path) -> float:
    """The seconds of all jobs, each on one core."""
    files = (folder / "results/laptop/benchmarks").rglob("*.tsv")
    return sum(float(row["s"]) for file in files for row in csv.DictReader(file.open(), delimiter="\t"))


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}"
    path.write_text(text.replace(old, new))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", type=Path)
    keep = parser.parse_args().keep
    rows: list[dict[str, object]] = []

    def add(step: str, value: float | int | str, unit: str) -> None:
        rows.append({"step": step, "value": value, "unit": unit})
        print(step, value, unit, flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        seconds, peaks, output = run(folder)
        add("laptop tier, from nothing", round(seconds), "s")
        for kind, size in peaks.most_common():
            add(f"peak resident memory, {kind}", size, "MiB")
        counts = jobs(output)
        starts = {stage: start_seconds(folder, stage) for stage in counts}
        starting = sum(starts[stage] * count for stage, count in counts.items())
        total = core_seconds(folder)
        add("jobs", sum(counts.values()), "")
        add("job time", round(total), "core-seconds")
        add("of it process start and imports", round(100 * starting / total, 1), "%")
        seconds, _, output = run(folder)
        assert "Nothing to be done" in output
        add("second run, no jobs", round(seconds, 1), "s")
        for name in ("results", "figures") if keep else ():
            shutil.copytree(folder / name, keep / name, dirs_exist_ok=True)
        seconds, _, _ = run(folder, "--config", "tier=smoke")
        add("smoke tier, from nothing", round(seconds), "s")
        source = folder / "src/spectral_ssl"
        (source / "train/loop.py").touch()
        edit(source / "losses/vicreg.py", "from __future__", "# a comment\nfrom __future__")
        _, _, output = run(folder, "--dry-run")
        add(
            "jobs after a touched file and a comment and another tier's run (the merged report's)",
            sum(jobs(output).values()),
            "",
        )
        edit(source / "losses/spectral.py", 'projection: str = "ball"', 'projection: str = "sphere"')
        _, _, output = run(folder, "--dry-run")
        for stage, count in jobs(output).items():
            add(f"jobs after editing the spectral loss: {stage}", count, "")
    out = ROOT / "benchmarks/results/workflow.csv"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "value", "unit"])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
