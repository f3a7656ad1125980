"""From Snakemake's rule graph (dot, on standard input) to a graph of stages (dot, on standard output).

The workflow has a rule for every batch and every paper. A rule's stage is its name up to the first underscore;
an arrow between two stages stands for all arrows between their rules. The rule `all` is left out.
"""

import re
import sys

STAGES = {
    "data": "the data set as arrays",
    "views": "views and their relation graph",
    "pretrain": "train and probe; a job a batch",
    "networks": "trained on finite graphs; a job a loss",
    "theorems": "statements and controls; a job a paper",
    "tables": "tables and ledger rows; a job a paper",
    "figures": "drawn from tables; a job a paper",
    "notebook": "executed; a job a paper",
    "report": "ledger and report of every tier",
}


def stages(text: str) -> set[tuple[str, str]]:
    """The arrows between different stages."""
    names = {
        node: label.split("_")[0] for node, label in re.findall(r'^\s*(\d+)\[label = "(\w+)"', text, re.M)
    }
    names = {node: stage for node, stage in names.items() if stage != "all"}
    if set(names.values()) != set(STAGES):
        found = ", ".join(sorted(set(names.values())))
        sys.exit(
            f"error: found the stages {found or 'none'}, expected {', '.join(STAGES)}; adapt docs/stages.py"
        )
    return {
        (names[a], names[b])
        for a, b in re.findall(r"^\s*(\d+) -> (\d+)", text, re.M)
        if a in names and b in names and names[a] != names[b]
    }


def dot(arrows: set[tuple[str, str]]) -> str:
    """The graph of stages, in a fixed order."""
    lines = [
        "digraph stages {",
        '  rankdir=LR; bgcolor="white"; nodesep=0.25; ranksep=0.45;',
        '  node [shape=box, style="rounded,filled", fillcolor="#eef3f8", color="#35618f", fontname="Helvetica"];',
        '  edge [color="#555555", arrowsize=0.7];',
    ]
    for stage, text in STAGES.items():
        lines.append(f'  {stage} [label=<<b>{stage}</b><br/><font point-size="10">{text}</font>>];')
    order = list(STAGES)
    for a, b in sorted(arrows, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1]))):
        lines.append(f"  {a} -> {b};")
    return "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    print(dot(stages(sys.stdin.read())), end="")
