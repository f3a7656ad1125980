"""Same code and settings, same bytes: whatever the folder, the order of jobs, the environment and the time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from spectral_ssl.layout import RUN_FILES

if sys.platform == "win32":
    pytest.skip("a umask and time zones by TZ are POSIX", allow_module_level=True)

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "all_stages.py"
PLAIN = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/"}
OTHER = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1000000000"}


def started(folder: Path, order: str, environment: dict[str, str], umask: int) -> subprocess.Popen[str]:
    """All stages, in a process that starts in that folder."""
    folder.mkdir(parents=True)
    fixed = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), order],
        cwd=folder,
        env=fixed | environment,
        umask=umask,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("same")
    first, second = folder / "a", folder / "further away" / "b"
    running = [started(first, "forwards", PLAIN, 0o022), started(second, "backwards", OTHER, 0o077)]
    for process in running:
        _, told = process.communicate(timeout=600)
        assert process.returncode == 0, told[-3000:]
    return first, second


def test_every_file_but_the_exempt_is_the_same(comparing: ModuleType, both: tuple[Path, Path]) -> None:
    found = comparing.compare(*both)
    assert (found.different, found.missing) == ({}, []), comparing.told(found)
    assert found.agree
    names = {Path(name).name for name in found.identical}
    assert set(RUN_FILES) - names == {"provenance.json"}
    assert {"views.npy", "G.npz", "contact_sheet.png", "ledger.csv", "sources.json", "ends.csv"} <= names
    exempt = {name for name in found.exempt if "/receipts/" not in name}
    assert {Path(name).name for name in exempt} == {"provenance.json"}


def test_tables_figures_weights_and_features_by_their_hashes(both: tuple[Path, Path]) -> None:
    """A second route, which knows no exemption."""
    patterns = ("figures/**/*.*", "results/*/tables/**/*.*", "results/**/*.np?", "results/**/*.safetensors")
    hashes = []
    for root in both:
        files = {path for pattern in patterns for path in root.glob(pattern)}
        hashes.append(
            {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        )
    assert hashes[0] == hashes[1]
    kinds = {Path(name).suffix for name in hashes[0]}
    assert kinds == {
        *(".pdf", ".svg", ".png"),
        *(".csv", ".md", ".tex", ".json"),
        *(".npy", ".npz"),
        ".safetensors",
    }
    assert len(hashes[0]) > 100


def test_the_runs_were_trained(both: tuple[Path, Path]) -> None:
    """What is compared was made by the code, in both: neither folder holds numbers that were only drawn."""
    trained = [
        sorted(path.parent.name for path in root.glob("results/*/runs/*/encoder.safetensors"))
        for root in both
    ]
    assert trained[0] == trained[1]
    assert len({name.rsplit("-", 1)[0] for name in trained[0]}) == 3
