"""What a workflow's log says of failed jobs, in a line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_ssl.failures import failures

LOG = """RuleException:
CalledProcessError in file "/a b/rules/data.smk", line 25:
Command 'set -euo pipefail; spectral_ssl data --dataset digits > {log} 2>&1' {how}.
[Mon Nov 23 01:12:44 2026]
Error in rule data_digits:
    message: None
    jobid: 1
    output: results/tiny/data/digits/train_images.npy, results/tiny/data/digits/meta.json
    log: {log} (check log file(s) for error details)
    shell:
        spectral_ssl data --dataset digits > {log} 2>&1
        (command exited with non-zero exit code)
"""


def said(tmp_path: Path, how: str, text: str | None, tries: int = 1) -> list[str]:
    path = tmp_path / "digits.log"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return failures(LOG.format(log=path, how=how) * tries)


@pytest.mark.parametrize("how", ["returned non-zero exit status 137", "died with <Signals.SIGKILL: 9>"])
def test_killed(tmp_path: Path, how: str) -> None:
    (line,) = said(tmp_path, how, "error: of an earlier try\n")
    assert line.startswith("error: data_digits: killed (SIGKILL), perhaps for want of memory: ")


def test_its_own_words_come_last_and_once(tmp_path: Path) -> None:
    text = "error: the first\nprogress\nerror: the second\n"
    assert said(tmp_path, "returned non-zero exit status 2", text, tries=2) == [
        "error: data_digits: the second"
    ]


def test_stopped_without_words(tmp_path: Path) -> None:
    (line,) = said(tmp_path, "returned non-zero exit status 143", "")
    assert line == "error: data_digits: stopped by SIGTERM; the next run makes it again"


@pytest.mark.parametrize("text", [None, "", "Segmentation"])
def test_nothing_said(tmp_path: Path, text: str | None) -> None:
    (line,) = said(tmp_path, "returned non-zero exit status 1", text)
    assert line.startswith("error: data_digits: ended with status 1 without saying why; see ")


def test_a_retry_that_succeeds_is_no_failure(tmp_path: Path) -> None:
    first = LOG.format(log=tmp_path / "digits.log", how="returned non-zero exit status 1")
    assert failures(first + "Finished jobid: 1 (Rule: data_digits)\n") == []
    assert len(failures(first + "Finished jobid: 2 (Rule: data_digits_too)\n")) == 1


def test_no_failure() -> None:
    assert failures("Finished jobid: 0 (Rule: data_digits)\n") == []
    assert failures("") == []
