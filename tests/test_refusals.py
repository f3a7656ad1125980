"""Which lines a user sees of jobs that a cluster took not."""

from __future__ import annotations

from spectral_ssl.refusals import refusals

ERROR = """
[Sun Nov 22 22:03:23 2026]
Error in rule {rule}:
    message: SLURM sbatch failed. The error message was '{said}'.
    sbatch call:
        sbatch --parsable --wrap="python -m snakemake 'x'"
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 0
"""
MEMORY = "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: x\n"
OTHER = """
Error in rule tables_garrido2023:
    message: SLURM-job '21' failed, SLURM status is: 'FAILED'. Detailed failure reason unavailable
    jobid: 4
"""


def test_tries_and_jobs_of_one_reason_make_one_line():
    tries = [ERROR.format(rule=rule, said=MEMORY) for rule in ("pretrain_a", "pretrain_a", "pretrain_b")]
    (line,) = refusals("".join([OTHER, *tries]))
    assert line.startswith(
        "error: Slurm refused pretrain_a and 1 other: Memory specification can not be satisfied; "
    )
    assert "jobs:" in line
    assert "sinfo" in line


def test_each_reason_has_its_line():
    said = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    lines = refusals(ERROR.format(rule="a", said=MEMORY) + ERROR.format(rule="b", said=said))
    assert [line.split(";")[0] for line in lines] == [
        "error: Slurm refused a: Memory specification can not be satisfied",
        "error: Slurm refused b: Invalid partition name specified",
    ]


def test_jobs_that_failed_by_themselves_are_none():
    assert refusals(OTHER) == []
    assert refusals("") == []


def test_a_refusal_without_words_is_told_too():
    assert "sbatch gave no reason" in refusals(ERROR.format(rule="a", said=""))[0]
