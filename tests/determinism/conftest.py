"""The comparison of two runs lies beside the benchmarks, which are no package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def benchmarks() -> Iterator[Path]:
    """The folder of the benchmarks, from which Python imports meanwhile."""
    sys.path.insert(0, str(BENCHMARKS))
    yield BENCHMARKS
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="session")
def comparing(benchmarks: Path) -> ModuleType:
    """The module benchmarks/compare.py."""
    import compare

    return compare
