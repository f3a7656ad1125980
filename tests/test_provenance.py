"""What changes a code hash and what does not, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spectral_ssl import provenance
from spectral_ssl.errors import UserError

ENTRY = "spectral_ssl.entry"
SOURCE = '''"""A module."""

from typing import TYPE_CHECKING

from spectral_ssl.used import inner

if TYPE_CHECKING:
    from spectral_ssl.types_only import Name

RATE = 0.5


class Thing:
    """A class."""

    def work(self, x):
        """A method."""
        from spectral_ssl.late import later

        return inner(x) * RATE + later(x)


async def wait():
    """A coroutine."""
    return "a string that counts"
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Rewrites files of a small package and hashes it from its entry module."""
    folder = tmp_path / "spectral_ssl"
    (folder / "sub").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "entry.py": SOURCE,
        "used.py": "from spectral_ssl.sub.deep import x\ndef inner(x):\n    return x\n",
        "late.py": "def later(x):\n    return x\n",
        "types_only.py": "Name = int\n",
        "unused.py": "x = 1\n",
        "sub/__init__.py": "",
        "sub/deep.py": "x = 1\n",
        "sub/words.yaml": "a: 1 # one\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(provenance, "PACKAGE", folder)

    def hashed(name: str = "entry.py", old: str = "", new: str = "", texts: tuple[str, ...] = ()) -> str:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
        for cached in (provenance._closure, provenance._tree, provenance._meaning):
            cached.cache_clear()
        found = provenance.code_hash([ENTRY], texts)
        path.write_text(text, encoding="utf-8")
        for cached in (provenance._closure, provenance._tree, provenance._meaning):
            cached.cache_clear()
        return found

    return hashed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "# a comment\n"),
        ("RATE = 0.5", "RATE = 0.5  # why"),
        ('"""A module."""', '"""Another text."""'),
        ('"""A module."""\n', ""),
        ('"""A class."""', '"""Words."""'),
        ('"""A method."""', "'''Words,\n\n        more words.'''"),
        ('"""A coroutine."""', '"""Words."""'),
        ("RATE = 0.5\n", "\n\n\nRATE = 0.5\n\n"),
        ("inner(x) * RATE + later(x)", "(\n            inner( x )*RATE\n            + later(x)\n        )"),
        ('"a string that counts"', "'a string that counts'"),
    ],
)
def test_words_and_layout_do_not_change_the_hash(package: Callable[..., str], old: str, new: str) -> None:
    assert package("entry.py", old, new) == package()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("entry.py", "0.5", "0.25"),
        ("entry.py", "a string that counts", "another string"),
        ("entry.py", "inner(x) * RATE + later(x)", "inner(x) + RATE * later(x)"),
        ("entry.py", "def work(self, x)", "def work(self, x, y=1)"),
        ("used.py", "return x", "return -x"),
        ("sub/deep.py", "x = 1", "x = 2"),
        ("sub/__init__.py", "", "flag = True\n"),
        ("__init__.py", "", "flag = True\n"),
        ("late.py", "return x", "return -x"),
    ],
)
def test_code_changes_the_hash_wherever_it_is_imported(
    package: Callable[..., str], name: str, old: str, new: str
) -> None:
    assert package(name, old, new) != package()


@pytest.mark.parametrize("name", ["types_only.py", "unused.py"])
def test_code_that_does_not_run_does_not_count(package: Callable[..., str], name: str) -> None:
    assert package(name, "", "y = 2\n") == package()


def test_data_files_count_by_what_they_say(package: Callable[..., str]) -> None:
    texts = ("sub/words.yaml",)
    before = package(texts=texts)
    assert before != package()
    assert package("sub/words.yaml", "# one", "# uno", texts) == before
    assert package("sub/words.yaml", "a: 1", "{a: 1}", texts) == before
    assert package("sub/words.yaml", "a: 1", "a: 2", texts) != before


def test_the_package_uses_no_relative_imports_which_hashes_would_not_follow() -> None:
    source = Path(__file__).parents[1] / "src" / "spectral_ssl"
    found = [
        f"{path}: {line}"
        for path in source.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("from .")
    ]
    assert found == []


def test_writing_makes_the_folder_and_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text.txt"
    provenance.write_text(path, "one")
    provenance.write_text(path, "zwei ±")
    assert path.read_text(encoding="utf-8") == "zwei ±"
    assert os.listdir(path.parent) == ["text.txt"]


def test_a_failed_rename_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    provenance.write_text(path, "old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        provenance.write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["text.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    provenance.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        provenance.write_text(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["text.txt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_lacks(tmp_path: Path, value: float) -> None:
    path = tmp_path / "numbers.json"
    provenance.write_json(path, {"loss": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        provenance.write_json(path, {"loss": value})
    assert provenance.read_json(path) == {"loss": 1.5}
    assert os.listdir(tmp_path) == ["numbers.json"]


@pytest.mark.parametrize("content", [b"", b'{"loss": ', b"\xff\xfe{}"])
def test_a_damaged_json_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "numbers.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        provenance.read_json(path)
    assert str(error.value).startswith(f"{path} cannot be read as JSON (")
    assert str(error.value).endswith("); delete it and run its stage again")
    assert "\n" not in str(error.value)


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert provenance.sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_environment_is_plain_json_with_versions_and_machine() -> None:
    found = json.loads(json.dumps(provenance.environment()))
    assert found["packages"]["numpy"][0].isdigit()
    assert found["machine"]["cores"] == os.cpu_count()
    assert found["written"].endswith("Z")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            b"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release\nGCC version: 12.2.0",
            "580.159.04",
        ),
        (b"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54\n", "535.54"),
        (b"\xff", "unknown"),
        (b"", "unknown"),
    ],
)
def test_the_driver_is_read_from_what_the_kernel_tells(tmp_path: Path, told: bytes, expected: str) -> None:
    path = tmp_path / "version"
    assert provenance.nvidia_driver(path) == "unknown"
    path.write_bytes(told)
    assert provenance.nvidia_driver(path) == expected


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    provenance.commit.cache_clear()
    assert provenance.commit() == "unknown"
    provenance.commit.cache_clear()
