"""`--sdm`: which image and which interpreter jobs get, and what is said where the image is missing or old.

A program named apptainer that runs a command as it is stands in for the engine.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from .checkout import ROOT, Checkout, copy_project

STAND_IN = """#!/bin/sh
[ "$1" = --version ] && { echo "apptainer version 1.3.6"; exit; }
echo "$*" >> calls
while [ "$1" != containers/spectral-ssl.sif ]; do shift; done
shift
exec "$@"
"""
JOB = ("data_digits", "--sdm", "apptainer")


@pytest.fixture
def contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A copy with an image, a stand-in engine, and the lock that the image is said to hold."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    copy_project(folder)
    shutil.copy(ROOT / "requirements.lock", folder)
    shutil.copy(ROOT / "requirements.lock", tmp_path / "kept.lock")
    (folder / "containers").mkdir()
    (folder / "containers/spectral-ssl.sif").touch()
    engine = tmp_path / "bin/apptainer"
    engine.parent.mkdir()
    engine.write_text(STAND_IN, encoding="utf-8")
    engine.chmod(0o755)
    places = [str(engine.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(places))
    monkeypatch.setenv("SPECTRAL_SSL_LOCK", str(tmp_path / "kept.lock"))
    return Checkout(folder)


def test_a_job_runs_in_the_image_with_the_image_s_python(contained: Checkout):
    done = contained.snakemake(*JOB)
    assert done.returncode == 0, done.stderr
    (call,) = (contained.folder / "calls").read_text(encoding="utf-8").splitlines()
    assert f"--home {contained.folder}" in call
    assert "spectral_ssl() ( python -m spectral_ssl " in call
    assert sys.executable not in call
    assert (contained.folder / "results/tiny/data/digits/meta.json").is_file()


def test_an_image_of_another_lock_is_refused(contained: Checkout):
    (contained.folder / "requirements.lock").write_text("torch==2.0.0\n", encoding="utf-8")
    done = contained.snakemake(*JOB)
    assert done.returncode != 0
    assert "error: containers/spectral-ssl.sif was not built from " in done.stdout + done.stderr
    assert "build it in the checkout: apptainer build --force " in done.stdout + done.stderr


def test_without_an_image_one_line_says_how_to_build_it(contained: Checkout):
    (contained.folder / "containers/spectral-ssl.sif").unlink()
    done = contained.snakemake(*JOB)
    assert done.returncode != 0
    assert "found no image containers/spectral-ssl.sif, which --sdm apptainer needs; build it" in done.stderr


def test_both_methods_at_once_are_refused(contained: Checkout):
    done = contained.snakemake("--sdm", "apptainer", "conda")
    assert done.returncode != 0
    assert "found --sdm with both apptainer and conda; choose one" in done.stderr


def test_without_sdm_the_interpreter_is_this_one_and_nothing_is_asked_of_an_image(contained: Checkout):
    shutil.rmtree(contained.folder / "containers")
    assert contained.snakemake("data_digits").returncode == 0
    assert not (contained.folder / "calls").exists()
