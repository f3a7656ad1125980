"""The environment of the cluster's tests: what the lock has beyond the running one, and the running one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .environment import LOCK, missing

ENTRIES = """pytest==0.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
no-such-package==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:cc
"""


def test_only_what_is_missing_is_installed() -> None:
    assert missing(ENTRIES) == "no-such-package==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:cc\n"


def test_plugins_are_the_locks_and_torch_is_the_running_one(environment_of_its_own: Path) -> None:
    code = """if True:
        import sys, torch
        from importlib.metadata import version
        for name in ("slurm", "slurm-jobstep", "cluster-generic"):
            print(f"snakemake-executor-plugin-{name}=={version(f'snakemake-executor-plugin-{name}')}")
        print(torch.__file__, sys.prefix)
    """
    done = subprocess.run([environment_of_its_own, "-c", code], capture_output=True, text=True, check=True)
    *plugins, last = done.stdout.splitlines()
    locked = LOCK.read_text(encoding="utf-8").splitlines()
    assert all(f"{plugin} \\" in locked for plugin in plugins)
    torch, prefix = last.split()
    assert Path(torch).is_file()
    assert not torch.startswith(prefix)
