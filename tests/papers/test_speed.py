"""The engine's aims in the ledger: not run, held, missed, and shown without a verdict on another device."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spectral_ssl.papers.evidence import COLUMNS, NOT_RUN
from spectral_ssl.papers.speed import speed


def measured(folder: Path, device: str, rate: float, share: float) -> Path:
    rows = [
        {"device": device, "torch": "2.12.0", "variant": "eager", "views_per_second": rate / 2,
         "hours_of_200_epochs": 2 * 5555 / rate, "views_share": share, "loss_share": 0.05, "optimiser_share": 0.05},
        {"device": device, "torch": "2.12.0", "variant": "compiled", "views_per_second": rate,
         "hours_of_200_epochs": 5555 / rate},
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "engine.csv", index=False)
    return folder / "engine.csv"


def test_without_a_measurement_every_aim_is_not_run(tmp_path: Path) -> None:
    rows = speed(tmp_path / "none.csv")
    assert list(rows.columns) == COLUMNS
    assert set(rows["verdict"]) == {NOT_RUN}
    assert set(rows["measured"]) == {""}
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("device", "rate", "share", "verdicts"),
    [
        ("NVIDIA H100 80GB HBM3", 31_000, 0.05, ["holds", "holds", "holds"]),
        ("NVIDIA H200", 29_000, 0.11, ["differs", "differs", "differs"]),
        ("NVIDIA RTX A6000", 31_000, 0.05, [NOT_RUN] * 3),
    ],
)
def test_the_best_variant_is_judged_on_the_gpus_aimed_at(
    tmp_path: Path, device: str, rate: float, share: float, verdicts: list[str]
) -> None:
    rows = speed(measured(tmp_path, device, rate, share))
    assert rows["verdict"].tolist() == verdicts
    assert rows["measured"].tolist()[0] == f"{rate:g}"
    assert float(rows["measured"].tolist()[2]) == pytest.approx(share + 0.1)
    assert rows["protocol"].tolist()[0] == f"{device}, torch 2.12.0, compiled"
