"""A virtual environment with the cluster's executor plugins, on top of the running one."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements-cluster.lock"


def missing(lock: str) -> str:
    """The entries of a lock file, hashes included, whose package the running environment lacks."""
    entries = re.findall(r"^[a-z0-9].*(?:\n    .*)*", lock, flags=re.MULTILINE)
    return "".join(f"{entry}\n" for entry in entries if not installed(re.split(r"[=\[; ]", entry)[0]))


def installed(name: str) -> bool:
    """Whether the running environment has a package, of whichever version."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def make_environment(folder: Path) -> Path:
    """Interpreter of an environment in `folder` that sees the running one's packages and what the lock has beyond."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    python = folder / "bin/python"
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(
        subprocess.run([python, "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    )
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "running.pth").write_text("".join(f"{path}\n" for path in sorted(seen)), encoding="utf-8")
    # Notebooks' templates lie beside the packages, and are looked for there.
    (folder / "share").mkdir(exist_ok=True)
    (folder / "share/jupyter").symlink_to(Path(sys.prefix) / "share/jupyter")
    (folder / "missing.lock").write_text(missing(LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    words = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [python, "-m", "pip", "install", *words, "-r", folder / "missing.lock"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"pip of {LOCK.name}: {done.stderr[-2000:]}"
    return python
