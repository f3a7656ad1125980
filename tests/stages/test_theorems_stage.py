"""The `theorems` command: with and without a tier, its table, its exit status, its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl import __main__ as cli
from spectral_ssl.provenance import read_json
from spectral_ssl.stages import theorems
from spectral_ssl.theorems.check import CheckResult

SMOKE = str(Path(__file__).parents[2] / "config" / "smoke.yaml")
QUICK = ["--only", "theorem-3.3", "--only", "haochen2021/toy-graph", "--instances", "2"]


def test_without_a_tier_it_prints_a_table_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["theorems", *QUICK, "--seed", "3"]) == 0
    header, *rows, total = capsys.readouterr().out.splitlines()
    assert header.split() == [*theorems.WIDTHS, "seconds"]
    assert [row.split()[0] for row in rows] == ["haochen2021/toy-graph", "garrido2023/theorem-3.3"]
    assert total.startswith("2 statements: 2 hold, 0 differ, 0 fail; all as expected; ")
    assert list(tmp_path.iterdir()) == []


def test_with_a_tier_it_writes_and_quiet_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["theorems", *QUICK, "--tier", SMOKE, "--root", str(tmp_path), "--quiet"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == ""
    found = read_json(tmp_path / "results" / "smoke" / "theorems" / "garrido2023" / "theorem-3.3.json")
    assert (found["instances"], found["ok"]) == (2, True)
    assert len(found["code"]) == 16


def test_the_seed_changes_the_instances(tmp_path: Path) -> None:
    measured = []
    for seed in ("0", "1"):
        cli.main(["theorems", *QUICK, "--tier", SMOKE, "--root", str(tmp_path), "--quiet", "--seed", seed])
        path = tmp_path / "results" / "smoke" / "theorems" / "garrido2023" / "theorem-3.3.json"
        measured.append(read_json(path)["detail"])
    assert measured[0] != measured[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"verdict": "fails"}, "EXPECTED holds"), ({"control_verdict": "holds"}, "control fails")],
)
def test_an_unexpected_verdict_or_control_is_told_and_exits_4(
    change: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = theorems.check

    def wrong(name: str, **options: int) -> CheckResult:
        result = right(name, **options)
        return CheckResult(**{**vars(result), **change}) if name.endswith("3.3") else result

    monkeypatch.setattr(theorems, "check", wrong)
    assert cli.main(["theorems", *QUICK]) == 4
    text = capsys.readouterr().out
    assert said in text
    assert "; 1 not as expected; " in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "theorem-33"], "unknown statement 'theorem-33'; did you mean 'theorem-3.3'?"),
        (["--paper", "garrido"], "unknown paper 'garrido'; did you mean 'garrido2023'?"),
        (
            ["--paper", "garrido2023", "--only", "haochen2021/toy-graph"],
            "unknown statement of garrido2023 'haochen2021/toy-graph'",
        ),
        (["--instances", "0"], "0 instances: expected at least 1"),
        (["--set", "seeds=3"], "name the tier with --tier, or use --instances and --seed"),
    ],
)
def test_bad_words_are_told_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["theorems", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
