"""The graph at thousands of runs: what a plan and the start of a cluster's job cost, and what they define."""

from __future__ import annotations

import ast
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl import codes, provenance
from spectral_ssl.targets import Targets

if sys.platform == "win32":
    pytest.skip("the rules need a POSIX shell", allow_module_level=True)

ROOT = Path(__file__).parents[2]
# What the Snakefile has defined in the end: names in its namespace, and rules.
TELL = """
print("names", len(globals()), file=sys.stderr)
print("rules", *sorted(rule.name for rule in workflow.rules), file=sys.stderr)
"""


def gpu(seeds: int) -> Targets:
    return Targets({"tier": "gpu", "seeds": seeds}, ROOT / "config")


def planned(checkout: Any, *words: str, seeds: int) -> tuple[float, dict[str, list[str]], str]:
    """CPU seconds of a dry run of the gpu tier, what the Snakefile defined, and what was printed."""
    snakefile = checkout.folder / "telling.smk"
    snakefile.write_text((checkout.folder / "Snakefile").read_text() + TELL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = checkout.snakemake(
        "--snakefile", str(snakefile), "--dry-run", *words, f"config:seeds={seeds}", tier="gpu"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    told = {
        line.split()[0]: line.split()[1:]
        for line in done.stderr.splitlines()
        if line.startswith(("names", "rules"))
    }
    return after.ru_utime - before.ru_utime, told, done.stdout


def remote(rule: str) -> list[str]:
    """The arguments with which an executor starts a job on another machine."""
    return ["--target-jobs", f"{rule}:", "--allowed-rules", rule, "--mode", "remote", "--force", "--nolock"]


def rule_of(targets: Targets) -> str:
    return f"pretrain_{next(iter(targets.manifest.batches)).replace('-', '_')}"


def test_two_thousand_runs_cost_no_more_each_than_a_thousand(checkout: Any) -> None:
    sizes = [2, 6, 14]
    runs = [len(gpu(seeds).manifest.runs) for seeds in sizes]
    assert runs[-1] > 1900
    seconds, names, output = [], [], ""
    for size in sizes:
        taken, told, output = planned(checkout, "--quiet", "rules", seeds=size)
        seconds.append(taken)
        names.append(told["names"])
    assert len(set(map(tuple, names))) == 1  # names are copied for every job that is formatted
    each = [(seconds[i + 1] - seconds[i]) / (runs[i + 1] - runs[i]) for i in (0, 1)]
    assert each[1] < 2 * each[0]  # were it the square of the runs, 2.5
    # A job a run, a data set, what is trained on finite graphs; views, report, all; four a paper and its checks.
    targets = gpu(sizes[-1])
    expected = runs[-1] + len(targets.datasets) + len(targets.networks_trained) + 3 + 4 * len(targets.papers)
    total = next(line for line in output.splitlines() if line.startswith("total "))
    assert int(total.split()[1]) == expected


def test_a_clusters_job_defines_what_it_needs_and_no_more(checkout: Any) -> None:
    rule = rule_of(gpu(2))
    _, told, output = planned(checkout, *remote(rule), seeds=2)
    assert told["rules"] == [rule]
    assert rule in output
    _, told, _ = planned(checkout, *remote("views"), seeds=2)
    assert told["rules"] == ["data", "data_cifar10", "data_cifar100", "data_factors", "views"]


def test_a_clusters_job_starts_as_fast_among_two_thousand(checkout: Any) -> None:
    few, many = (planned(checkout, *remote(rule_of(gpu(seeds))), seeds=seeds)[0] for seeds in (2, 14))
    assert many < 1.5 * few


def test_a_clusters_job_of_an_unknown_rule_is_refused(checkout: Any) -> None:
    done = checkout.snakemake("--dry-run", *remote("pretrain_no_such"), "config:seeds=2", tier="gpu")
    assert done.returncode != 0
    assert "There is no rule named pretrain_no_such" in done.stdout + done.stderr


def test_a_plan_reads_each_source_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: Counter[str] = Counter()

    def parse(text: str, **options: Any) -> ast.Module:
        parsed[text] += 1
        return compile(text, "", "exec", ast.PyCF_ONLY_AST)

    monkeypatch.setattr(provenance.ast, "parse", parse)
    for cached in (provenance._tree, provenance._imports, provenance._closure, provenance._meaning):
        cached.cache_clear()
    targets = gpu(2)
    for batch in targets.manifest.batches.values():
        targets.batch_parameters(batch)
    codes.theorems_code("garrido2023")
    codes.report_code()
    assert len(parsed) > 100
    assert max(parsed.values()) <= 2  # two files may hold the same text: empty `__init__.py`
