"""The stage commands: what they accept, what they say of mistakes, and with which status they exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectral_ssl import __main__ as cli
from spectral_ssl.config import load_tier
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.papers.manifest import build

ROOT = Path(__file__).parents[1]
SMOKE = str(ROOT / "config" / "smoke.yaml")
PAPER = ("--paper", "haochen2021")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `figures` with a stage body of the test's own, and gives the exit status."""

    def called(body: Any, *words: str) -> int:
        monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(run=body))
        return cli.main(["figures", "--tier", SMOKE, "--root", str(tmp_path), *PAPER, *words])

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return called


def raising(error: BaseException) -> Any:
    def body(context: object, **options: object) -> int:
        raise error

    return body


def test_a_stage_gets_its_context_and_its_own_options(stage: Any, tmp_path: Path) -> None:
    seen = {}

    def body(context: Any, **options: Any) -> Any:
        seen.update(options, seeds=context.tier.seeds, root=context.root, quiet=context.quiet)
        return 0

    assert stage(body, "--set", "seeds=7", "--quiet") == 0
    assert seen == {"paper": "haochen2021", "seeds": 7, "root": tmp_path, "quiet": True}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("found x; expected y"), 2, "error: found x; expected y\n"),
        (Divergence("2 of 2 runs diverged"), 3, "error: 2 of 2 runs diverged\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; the next run resumes\n"),
        (ValueError("of\ntwo lines"), 1, "error: ValueError: of two lines (a defect: --debug shows where)\n"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    stage: Any, error: Any, status: int, said: str, capsys: Any
) -> None:
    assert stage(raising(error)) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [UserError("x"), ValueError("x")])
def test_debug_shows_where(stage: Any, error: Exception) -> None:
    with pytest.raises(type(error)):
        stage(raising(error), "--debug")


def test_a_results_status_is_passed_on(stage: Any) -> None:
    assert stage(lambda context, **options: 4) == 4


def test_nothing_is_written_before_names_are_checked(tmp_path: Path, capsys: Any) -> None:
    status = cli.main(["data", "--tier", SMOKE, "--root", str(tmp_path), "--set", "training.encoder=conv"])
    assert status == 2
    assert capsys.readouterr().err.startswith("error: unknown encoder 'conv'; did you mean ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tables", "--paper", "haochen"], "unknown paper 'haochen'; did you mean 'haochen2021'?"),
        (["pretrain", "--batch", "digits"], "unknown batch 'digits'"),
        (["theorems", *PAPER, "--only", "theorem-3"], "unknown statement of haochen2021 'theorem-3'"),
        (["data", "--set", "sedes=3"], "unknown key 'sedes'; did you mean 'seeds'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_known_ones(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: Any,
) -> None:
    assert cli.main([*words, "--tier", SMOKE, "--root", str(tmp_path)]) == 2
    text = capsys.readouterr().err
    assert said in text
    assert "known: " in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("name", cli.STAGES)
def test_every_stage_has_help_and_a_module(name: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert cli.STAGES[name].split()[0] in capsys.readouterr().out
    assert (ROOT / "src" / "spectral_ssl" / "stages" / f"{name}.py").is_file()


def test_the_plan_tells_batches_and_totals(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["plan", "--batches", "--tier", SMOKE, "--root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "tier smoke" in text
    manifest = build(load_tier(SMOKE))
    batches = len(manifest.batches)
    assert f"{len(manifest.cells)} cells, {len(manifest.runs)} runs, {batches} batches" in text
    assert "factors-vicreg-" in text
    for method in ("simclr", "simsiam", "spectral", "vicreg", "vicreg_exp", "vicreg_ctr", "barlow_twins"):
        assert f"digits-{method}-" in text


def test_a_jobs_threads_reach_numpys_libraries() -> None:
    program = (
        "import sys, types\n"
        "import spectral_ssl.__main__ as cli\n"
        "def body(context, **options):\n"
        "    import json, scipy.linalg, threadpoolctl\n"
        "    print(json.dumps([pool['num_threads'] for pool in threadpoolctl.threadpool_info()]))\n"
        "    return 0\n"
        "cli.import_module = lambda name: types.SimpleNamespace(run=body)\n"
        f"sys.exit(cli.main(['plan', '--tier', {SMOKE!r}]))\n"
    )
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=plain | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(done.stdout)) == {1}
