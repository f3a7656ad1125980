# What keeps the start of a graph of many jobs short.
import gc
import sys
from itertools import takewhile

# The graph lives until the end: looking for garbage in it after every 700 objects takes a fifth of the time of a plan.
gc.set_threshold(100_000, 20, 100)

# Which of a file's rules begin how, by file.
FILES = {
    "data": ("data", "views"),
    "pretrain": ("pretrain",),
    "theorems": ("theorems",),
    "networks": ("networks",),
    "tables": ("tables",),
    "figures": ("figures",),
    "report": ("notebook", "report"),
}


def allowed(words):
    """The rules that a cluster's job names to the snakemake that it starts; none elsewhere, where all have to exist."""
    if not workflow.remote_exec or "--allowed-rules" not in words:
        return set()
    after = words[words.index("--allowed-rules") + 1 :]
    return set(takewhile(lambda word: not word.startswith("-"), after))


ALLOWED = allowed(sys.argv)


def needed(file):
    """Whether this process may need a rule of that file."""
    return not ALLOWED or any(rule.startswith(FILES[file]) for rule in ALLOWED)
