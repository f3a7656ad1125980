"""The stage `plan`: totals of made histories, what is told of estimates, and mistakes in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import Manifest, RunSettings, build
from spectral_ssl.stages import plan
from spectral_ssl.targets import Targets

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "config" / "smoke.yaml")
Planned = Callable[..., tuple[int, str, str]]


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Planned:
    """Runs `plan`; its status, and its words on stdout and stderr with single spaces."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(plan, "GPUS", tmp_path / "no driver")

    def called(*words: str, tier: str = SMOKE) -> tuple[int, str, str]:
        status = main(["plan", "--tier", tier, "--root", str(tmp_path), *words])
        captured = capsys.readouterr()
        return status, " ".join(captured.out.split()), captured.err

    return called


IMAGES = {"digits": (300, 200, 8, 1), "factors": (256, 256, 16, 3)}


def training_seconds(run: RunSettings) -> float:
    """480 views a second."""
    return 2 * run.epochs * (IMAGES[run.dataset][0] // run.batch_size) * run.batch_size / 480


def batch_seconds(runs: Sequence[RunSettings]) -> float:
    """5 s to start, half a second to probe each run."""
    return 5.0 + sum(training_seconds(run) + 0.5 for run in runs)


def history(root: Path, manifest: Manifest) -> None:
    """Data and every run of the tier finished, every other job timed at 3 s but without its files."""
    tier = manifest.tier
    results = root / "results" / tier.name
    for name, (train, test, side, channels) in {
        "digits": (300, 200, 8, 1),
        "factors": (256, 256, 16, 3),
    }.items():
        (results / "data" / name).mkdir(parents=True)
        for file in Targets({"tier": "smoke"}, ROOT / "config").data(name):
            (root / file).touch()
        meta = {"image_shape": [side, side, channels], "counts": {"train": train, "test": test}}
        (results / "data" / name / "meta.json").write_text(json.dumps(meta))
    papers = [
        f"{stage}/{paper}" for stage in ("theorems", "tables", "figures", "notebooks") for paper in PAPERS
    ]
    timed = dict.fromkeys(("data/digits", "data/factors", "views", "report", *papers), 3.0)
    for batch in manifest.batches.values():
        timed[f"pretrain/{batch.id}"] = batch_seconds(batch.runs)
        for run in batch.runs:
            folder = results / "runs" / run.id
            folder.mkdir(parents=True)
            provenance = {
                "settings": run.model_dump(mode="json"), "device": "cpu", "threads": 1,
                "training_seconds": training_seconds(run), "engine": tier.engine.model_dump(),
                "command": ["pretrain", "--batch", batch.id],
            }  # fmt: skip
            (folder / "provenance.json").write_text(json.dumps(provenance))
            (folder / "status.json").write_text(json.dumps({"status": "finished", "epochs": run.epochs}))
    for name, taken in timed.items():
        path = results / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\n{taken}\n")


def test_a_finished_tier_costs_what_it_took(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "COMMITTED", tmp_path / "none.csv")
    overrides = ("--set", "networks=null")
    manifest = build(load_tier(SMOKE, ["networks=null"]))
    history(tmp_path, manifest)
    status, text, _ = planned(*overrides, "--cores", "1")
    runs, batches = len(manifest.runs), len(manifest.batches)
    other = 1 + 1 + 4 * 3
    left = 3.0 * other
    total = 3.0 * 2 + left + sum(batch_seconds(batch.runs) for batch in manifest.batches.values())
    assert status == 0
    assert f"pretrain │ {batches} │ 0 │" in text
    assert f"total │ {batches + 2 + other} │ {other} │ {total / 3600:.2g} │ {left / 3600:.2g} │" in text
    assert f"wall time for what is left: {left:.0f} s on 1 core," in text
    assert f"rates of training: {runs} measured runs, results/ and reference/ here" in text
    assert "estimated" not in text
    assert "note:" not in text


def test_a_damaged_history_is_skipped_with_a_note(planned: Planned, tmp_path: Path) -> None:
    manifest = build(load_tier(SMOKE))
    history(tmp_path, manifest)
    first = sorted(path.name for path in (tmp_path / "results" / "smoke" / "runs").iterdir())[0]
    (tmp_path / "results" / "smoke" / "runs" / first / "provenance.json").write_text("{")
    (tmp_path / "results" / "smoke" / "benchmarks" / "views.tsv").write_text("")
    status, text, _ = planned()
    assert status == 0
    assert f"note: skipped 1 runs of {tmp_path}/results/smoke that cannot be read, the first {first}" in text
    assert f"note: skipped {tmp_path}/results/smoke/benchmarks/views.tsv, which is no timing" in text


def test_a_tiers_description_is_text_and_no_markup(planned: Planned) -> None:
    words = "[/b] :smile: [red]x"
    for more in ((), ("--batches",)):
        status, text, err = planned("--set", f"description='{words}'", *more)
        assert (status, err) == (0, "")
        assert f"tier smoke: {words} " in text


def test_the_longest_rows_are_whole_on_a_narrow_terminal(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(width: int) -> tuple[list[str], str]:
        monkeypatch.setattr(plan, "WIDTH", 110)
        monkeypatch.setattr(plan, "_console", lambda: Console(width=width, markup=False, file=sys.stdout))
        status, text, _ = planned("--device", "NVIDIA A100", tier=str(ROOT / "config" / "gpu.yaml"))
        assert status == 0
        return text.split("wall time")[0].replace("│", " ").split(), text

    wide, _ = narrow(200)
    words, text = narrow(80)
    assert "…" not in text
    numbers = [sorted(word for word in found if word.strip("(")[0].isdigit()) for found in (wide, words)]
    assert numbers[0] == numbers[1]
    assert any(word.startswith("(") for word in words)  # a spread


def test_the_width_is_a_terminals_own_and_fixed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "64")
    assert plan._console().width == plan.WIDTH
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert plan._console().width == 64


def test_what_has_no_history_is_told(planned: Planned) -> None:
    status, text, _ = planned("--device", "NVIDIA H200")
    assert status == 0
    assert "device of training: NVIDIA H200 (--device)" in text
    assert "GPU-h │" in text
    assert (
        "no history of conv_narrow at 8 px, float32, on cuda (NVIDIA H200), nor of any GPU: 20% (10% to 30%)"
        in text
    )
    assert "measured runs" not in text
    row = text.split("pretrain │")[1].split("theorems │")[0]
    assert "estimated" in row
    assert "measured" not in row


def test_a_gpu_is_assumed_for_bfloat16_and_where_one_is(planned: Planned, tmp_path: Path) -> None:
    assert "device of training: cpu (no GPU is here; --device cuda" in planned()[1]
    text = planned("--set", "training.precision=bfloat16")[1]
    assert "device of training: NVIDIA A100 (no GPU is here, but the tier trains in bfloat16;" in text
    card = tmp_path / "no driver" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA L4\nIRQ: 1\n")
    assert "device of training: NVIDIA L4 (it is here)" in planned()[1]
    assert "device of training: cpu (--device)" in planned("--device", "cpu")[1]


def shown(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def test_batches_are_listed_with_their_time(planned: Planned, tmp_path: Path) -> None:
    manifest = build(load_tier(SMOKE))
    history(tmp_path, manifest)
    status, text, _ = planned("--batches")
    assert status == 0
    for batch in manifest.batches.values():
        runs, epochs = len(batch.runs), sum(run.epochs for run in batch.runs)
        assert (
            f"{batch.id} │ {runs} │ {epochs} │ {runs} │ {shown(batch_seconds(batch.runs))} │ measured" in text
        )
    assert text.endswith(f"{len(manifest.runs)} runs, {len(manifest.batches)} batches")


def test_batches_are_listed_where_nothing_was_ever_measured(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "COMMITTED", tmp_path / "none.csv")
    manifest = build(load_tier(SMOKE))
    status, text, _ = planned("--batches")
    assert status == 0
    for batch in manifest.batches.values():
        epochs = sum(run.epochs for run in batch.runs)
        assert f"{batch.id} │ {len(batch.runs)} │ {epochs} │ 0 │ │ no history" in text
    assert planned()[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "NVIDIA H20"], "unknown device 'NVIDIA H20'; did you mean 'NVIDIA H200'? known: "),
        (["--cores", "0"], "--cores is 0: expected 1 or more"),
    ],
)
def test_mistakes_are_one_line(planned: Planned, words: list[str], said: str) -> None:
    status, out, err = planned(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {said}")


def test_an_unknown_tier_is_told(planned: Planned) -> None:
    status, out, err = planned(tier="smok")
    assert (status, out) == (2, "")
    assert err.startswith("error: unknown tier 'smok'; did you mean 'smoke'?")


def test_a_damaged_table_is_told(planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "costs.csv"
    bad.write_text("stage\npretrain\n")
    monkeypatch.setattr(plan, "COMMITTED", bad)
    status, _, err = planned()
    assert status == 2
    assert err.startswith(f"error: {bad}: line 2 is no measured cost (KeyError: ")


def test_measured_runs_are_planned_without_torch(tmp_path: Path) -> None:
    history(tmp_path, build(load_tier(SMOKE)))
    program = (
        "import sys\n"
        "import spectral_ssl.__main__ as cli\n"
        f"status = cli.main(['plan', '--device', 'cpu', '--tier', {SMOKE!r}, '--root', {str(tmp_path)!r}])\n"
        "sys.exit(status or 'torch' in sys.modules)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
