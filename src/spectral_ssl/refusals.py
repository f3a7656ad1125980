"""What a cluster refused, read from a workflow's log: one line a reason in place of a page a job. Imports no torch."""

from __future__ import annotations

import functools
import re

SUBMISSION = re.compile(
    r"^Error in rule (\S+):\n    message: SLURM sbatch failed\. .*? was '(.*?)'\.\n", re.M | re.S
)
ADVICE = (
    "what jobs ask for stands in the tier under `jobs:` (memory and runtime grow with each try), what nodes have is "
    "shown by: sinfo -No '%N %P %c %m %G %l'"
)


def refusals(log: str) -> list[str]:
    """A line for each reason for which sbatch took no job of the workflow whose log is given; none if it took all.

    Each names the first rule and counts the others; tries of one job count once.
    """
    rules: dict[str, dict[str, None]] = {}
    for rule, said in SUBMISSION.findall(log):
        rules.setdefault(_reason(said), {})[rule] = None
    return [
        f"error: Slurm refused {_some(list(names))}: {reason}; {ADVICE}" for reason, names in rules.items()
    ]


def _reason(said: str) -> str:
    """sbatch's first complaint; what follows repeats it in other words."""
    before = ("sbatch: ", "error: ", "Batch job submission failed: ")
    lines = (functools.reduce(str.removeprefix, before, line).strip() for line in said.splitlines())
    return next((line for line in lines if line), "sbatch gave no reason")


def _some(names: list[str]) -> str:
    others = len(names) - 1
    return names[0] + (f" and {others} other{'s' if others > 1 else ''}" if others else "")
