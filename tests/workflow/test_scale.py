"""The graph at thousands of runs: what a plan and the start of a cluster's job define."""

from __future__ import annotations

import ast
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


def planned(checkout: Any, *words: str, seeds: int) -> tuple[dict[str, list[str]], str]:
    """What a dry run of the gpu tier defined, and what it printed."""
    snakefile = checkout.folder / "telling.smk"
    snakefile.write_text((checkout.folder / "Snakefile").read_text() + TELL)
    done = checkout.snakemake(
        "--snakefile", str(snakefile), "--dry-run", *words, f"config:seeds={seeds}", tier="gpu"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = {
        line.split()[0]: line.split()[1:]
        for line in done.stderr.splitlines()
        if line.startswith(("names", "rules"))
    }
    return told, done.stdout


def remote(rule: str) -> list[str]:
    """The arguments with which an executor starts a job on another machine."""
    return ["--target-jobs", f"{rule}:", "--allowed-rules", rule, "--mode", "remote", "--force", "--nolock"]


def rule_of(targets: Targets) -> str:
    return f"pretrain_{next(iter(targets.manifest.batches)).replace('-', '_')}"


def test_what_is_copied_for_a_job_does_not_grow_with_the_runs(checkout: Any) -> None:
    sizes = [2, 8]
    runs = [len(gpu(seeds).manifest.runs) for seeds in sizes]
    assert runs[1] > 1000 > 2 * runs[0]
    names, output = [], ""
    for size in sizes:
        told, output = planned(checkout, "--quiet", "rules", seeds=size)
        names.append(told["names"])
    assert names[0] == names[1]  # the Snakefile's names are copied for every string of every job
    # A job a run, a data set, what is trained on finite graphs; views, report, all; four a paper and its checks.
    targets = gpu(sizes[-1])
    expected = runs[-1] + len(targets.datasets) + len(targets.networks_trained) + 3 + 4 * len(targets.papers)
    total = next(line for line in output.splitlines() if line.startswith("total "))
    assert int(total.split()[1]) == expected


def test_a_clusters_job_defines_what_it_needs_and_no_more(checkout: Any) -> None:
    rule = rule_of(gpu(2))
    told, output = planned(checkout, *remote(rule), seeds=2)
    assert told["rules"] == [rule]
    assert rule in output
    told, _ = planned(checkout, *remote("views"), seeds=2)
    assert told["rules"] == ["data", "data_cifar10", "data_cifar100", "data_factors", "views"]


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
