"""What a user's mistake looks like through the workflow: one line, no stack trace, nothing half written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spectral_ssl.targets import Targets


def one_line(done: Any, text: str) -> None:
    """The command failed and said `text` within one line, without a stack trace."""
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    assert sum(text in line for line in said.splitlines()) == 1, said


def test_a_misspelt_key_is_one_line(checkout: Any) -> None:
    done = checkout.snakemake("--dry-run", "config:sedes=3")
    one_line(done, "unknown key 'sedes'; did you mean 'seeds'? known: companions, data,")


def test_an_unknown_tier_is_one_line(checkout: Any) -> None:
    done = checkout.snakemake("--dry-run", tier="lapto")
    one_line(
        done, "unknown tier 'lapto'; did you mean 'laptop'? known: cluster, gpu, imagenet, laptop, smoke"
    )


def test_a_misspelt_key_of_a_recipe_is_one_line(checkout: Any) -> None:
    text = (checkout.folder / "tiny.yaml").read_text(encoding="utf-8")
    (checkout.folder / "misspelt.yaml").write_text(
        text.replace("{optimiser:", "{optimizer:"), encoding="utf-8"
    )
    done = checkout.snakemake("--dry-run", tier="misspelt.yaml")
    one_line(done, "unknown key 'optimizer'; did you mean 'optimiser'?")


def test_a_batch_larger_than_the_data_set(checkout: Any) -> None:
    folder: Path = checkout.folder
    text = (folder / "tiny.yaml").read_text(encoding="utf-8")
    changed = text.replace("name: tiny", "name: large").replace("batch_size: 50", "batch_size: 101")
    (folder / "large.yaml").write_text(changed, encoding="utf-8")
    targets = Targets({"tier": str(folder / "large.yaml")}, folder / "config")
    batch = next(batch for name, batch in targets.manifest.batches.items() if "-spectral-" in name)
    done = checkout.snakemake(targets.batch(batch)[0], tier="large.yaml")
    said = (
        "error: batch_size is 101, but digits has 100 training images; set training.batch_size to at most 100"
    )
    assert done.returncode != 0
    log = (folder / "results/large/logs/pretrain" / f"{batch.id}.log").read_text(encoding="utf-8")
    assert log.splitlines()[-1] == said
    assert "Traceback" not in log
    assert said in done.stdout + done.stderr  # show-failed-logs
    assert not [
        path for path in (folder / "results/large").rglob("*") if path.is_file() and "runs" in path.parts
    ]
    assert not list((folder / "results").glob(".scratch/large/**/*.*"))
