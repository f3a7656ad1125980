"""Writes rules/environment.yaml, the conda environment of `snakemake --sdm conda`, from requirements.lock."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# matplotlib-base leaves out Qt, which a job without a display does not need.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# Snakemake starts the jobs from outside of their environment.
OUTSIDE = {"snakemake"}
HEADER = """\
# Written by containers/pins.py (`make lock`): the dependencies of pyproject.toml, less Snakemake, at the versions of
# requirements.lock, on the Python of containers/Dockerfile. Used by `snakemake --sdm conda`.
"""


def base_python(dockerfile: str) -> str:
    """The Python version in the tag of a Dockerfile's base image, such as 3.11.14."""
    found = re.search(r"^FROM \S*\bpython:(\d+\.\d+\.\d+)-", dockerfile, flags=re.M)
    if found is None:
        raise SystemExit(
            "error: no `FROM …python:<x.y.z>-…` in containers/Dockerfile; name the base by its version"
        )
    return found[1]


def locked(lock: str, python: str) -> dict[str, str]:
    """Name to version, as a lock has them for Linux and one version of Python."""
    place = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    place |= {"sys_platform": "linux", "platform_machine": "x86_64", "implementation_name": "cpython"}
    pins = [Requirement(line.rstrip("\\ ")) for line in lock.splitlines() if re.match("[A-Za-z0-9]", line)]
    chosen = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(place)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in chosen}


def environment(project: str, lock: str, dockerfile: str) -> str:
    """The environment file's text from the texts of pyproject.toml, a lock and the Dockerfile."""
    python = base_python(dockerfile)
    versions = locked(lock, python)
    names = [
        canonicalize_name(Requirement(text).name)
        for text in tomllib.loads(project)["project"]["dependencies"]
    ]
    lines = ["channels:", "  - conda-forge", "  - nodefaults", "dependencies:", f"  - python=={python}"]
    for name in names:
        if name not in OUTSIDE:
            if name not in versions:
                raise SystemExit(f"error: {name} is not in requirements.lock; run `make lock`")
            lines.append(f"  - {CONDA_NAMES.get(name, name)}=={versions[name]}")
    return HEADER + "\n".join(lines) + "\n"


def main() -> None:
    """Write the file."""
    sources = ("pyproject.toml", "requirements.lock", "containers/Dockerfile")
    text = environment(*((ROOT / name).read_text(encoding="utf-8") for name in sources))
    (ROOT / "rules/environment.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
