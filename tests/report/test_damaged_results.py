"""Damaged files under the report are told by their name, in one line and as no defect."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.__main__ import main
from spectral_ssl.papers import PAPERS
from spectral_ssl.provenance import read_json, write_json

SMOKE = str(Path(__file__).parents[2] / "config" / "smoke.yaml")
AGAIN = "delete it and run its stage again"


def refused(site: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says; its status is a user's error's."""
    assert main(["report", "--tier", SMOKE, "--root", str(site.root)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "defect" not in captured.err
    return captured.err.removeprefix("error: ").strip()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the command sets, not beyond the test


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("runs/digits-broken-00000000/status.json", b"{", "JSON"),
        ("runs/digits-broken-00000000/provenance.json", b"\xff", "JSON"),
        ("runs/digits-broken-00000000/history.csv", b"a,b\n1,2\n1,2,3\n", "CSV"),
        ("runs/digits-broken-00000000/history.csv", b"\n", "CSV"),
        ("runs/digits-broken-00000000/history.csv", b"epoch,\xff\n1,2\n", "CSV"),
        ("tables/garrido2023/ledger.csv", b"", "CSV"),
        ("tables/garrido2023/ledger.csv", b"a,b\n1,2\n1,2,3\n", "CSV"),
        ("tables/haochen2021/sources.json", b"", "JSON"),
        ("tables/haochen2021/table1.md", b"\xff", "text"),
        ("theorems/garrido2023/welch.json", b"nothing", "JSON"),
    ],
)
def test_a_damaged_file_is_told(
    site: Any, capsys: pytest.CaptureFixture[str], name: str, content: bytes, kind: str
) -> None:
    path = site.layout.results / name
    assert path.is_file()
    path.write_bytes(content)
    said = refused(site, capsys)
    assert said.startswith(f"{path} cannot be read as {kind} (")
    assert said.endswith(f"); {AGAIN}")


RUN = "runs/digits-broken-00000000"
DEEP = b"[" * 100_000 + b"]" * 100_000
OTHERS = [b"[]", b"5", b'"x"', b"null", DEEP, b'{"a": NaN}', b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        *((f"{RUN}/status.json", content, "") for content in [*OTHERS, b"{}"]),
        (f"{RUN}/status.json", b'{"status": 3}', "'status': input should be a valid string"),
        *((f"{RUN}/provenance.json", content, "") for content in OTHERS),
        (f"{RUN}/provenance.json", b'{"settings": null}', "'settings': input should be a valid dictionary"),
        (
            f"{RUN}/provenance.json",
            b'{"settings": {"loss": []}}',
            "'settings.loss': input should be a valid string",
        ),
        *(("tables/haochen2021/sources.json", content, "") for content in OTHERS),
        (
            "tables/haochen2021/sources.json",
            b'{"x": {"runs": [[]]}}',
            "'x.runs.0': input should be a valid string",
        ),
        *(("theorems/garrido2023/welch.json", content, "") for content in [*OTHERS, b"{}"]),
    ],
)
def test_json_of_another_shape_is_told(
    site: Any, capsys: pytest.CaptureFixture[str], name: str, content: bytes, why: str
) -> None:
    path = site.layout.results / name
    path.write_bytes(content)
    said = refused(site, capsys)
    assert said.startswith(f"{path} ")
    assert said.endswith(AGAIN)
    assert why in said
    assert len(said) < 600


@pytest.mark.parametrize("key", ["seconds", "detail", "text", "verdict", "measured"])
@pytest.mark.parametrize("value", [[], {"a": []}, None])
def test_a_theorem_check_of_another_shape_is_told(
    site: Any, capsys: pytest.CaptureFixture[str], key: str, value: Any
) -> None:
    path = site.layout.theorem("garrido2023", "welch")
    write_json(path, read_json(path) | {key: value})
    if (key, value) == ("measured", None):
        assert main(["report", "--tier", SMOKE, "--root", str(site.root)]) == 0
    else:
        assert f"{path} is not what its stage writes ('{key}" in refused(site, capsys)


def test_a_history_without_epochs_is_told(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = site.layout.results / RUN / "history.csv"
    path.write_text("loss,epoch\n1,x\n", encoding="utf-8")
    assert refused(site, capsys) == f"{path}: found no numbers in a column epoch; {AGAIN}"


def test_a_folder_in_the_place_of_a_file_is_told(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = site.layout.theorem("garrido2023", "welch")
    path.unlink()
    path.mkdir()
    said = refused(site, capsys)
    assert said == f"{path}: Is a directory; check the path, its rights and the room on its disk"


def test_a_full_disk_is_told(
    site: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("spectral_ssl.stages.report.render", full)
    said = refused(site, capsys)
    assert said == "[Errno 28] No space left on device; check the path, its rights and the room on its disk"


@pytest.mark.parametrize("papers", [list(PAPERS), ["garrido2023"]])
def test_a_tier_without_a_ledger_of_every_paper_is_refused_before_anything_is_written(
    site: Any, capsys: pytest.CaptureFixture[str], papers: list[str]
) -> None:
    shutil.copytree(site.layout.results, site.root / "results" / "gpu")  # which has all
    site.page.unlink()
    for paper in papers:
        (site.layout.tables(paper) / "ledger.csv").unlink()
    assert refused(site, capsys) == (
        f"{site.layout.results}: found no ledger of {', '.join(papers)}, expected one of every paper; "
        "run the stage tables for each first"
    )
    assert not site.page.exists()
