"""YAML of tier files: PyYAML's meaning for those committed, YAML 1.2's numbers, and no way to become large."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from spectral_ssl.errors import UserError, printable, short, unknown
from spectral_ssl.strict_yaml import DEEPEST, LARGEST, MOST, parse, read

CONFIG = Path(__file__).parents[1] / "config"


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_committed_tiers_mean_what_pyyaml_reads(path: Path) -> None:
    assert read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 1e-3), ("1E5", 1e5), ("-2e+1", -20.0), (".5", 0.5), ("3.", 3.0), ("1.5e-3", 1.5e-3)),
        *(
            ("010", 10),
            ("-7", -7),
            ("+7", 7),
            ("0x1F", 31),
            ("0o17", 15),
            ("-.inf", -math.inf),
            (".inf", math.inf),
        ),
        *(("1_000", "1_000"), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"), ("=", "="), ("1e", "1e")),
        *(
            ("yes", True),
            ("off", False),
            ("~", None),
            ("", None),
            ("é", "é"),
            ("'1'", "1"),
            ("- 1\n- a", [1, "a"]),
        ),
        *(("!!float 3", 3.0), ("!!int '12'", 12), ("!!str 12", "12")),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    found = parse(text)
    assert (found, type(found)) == (value, type(value))
    assert math.isnan(parse(".nan"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "found key 'a' twice"),
        ("1: a", "found a key that is no text"),
        ("&a [*a]", "found an alias within its own anchor"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"nested in more than {DEEPEST} levels"),
        ("9" * 401, "no whole number of up to 400 digits"),
        ("!!int '1:0'", "'1:0', no whole number"),
        ("!!bool x", "found a value that its tag does not take"),
        ("!!timestamp 2001-01-01", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("x" * (LARGEST + 1), f"found more than {LARGEST} characters"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_aliases_count_as_often_as_they_stand() -> None:
    line = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 12))
    assert len(str(parse(line))) > 2**11
    with pytest.raises(yaml.YAMLError, match=f"more than {MOST} values, aliases written out"):
        parse(line + "a12: &a12 [*a11, *a11]\na13: [*a12, *a12]\n")


def test_the_deepest_and_the_longest_that_are_read() -> None:
    assert parse("[" * DEEPEST + "]" * DEEPEST) == eval("[" * DEEPEST + "]" * DEEPEST)
    assert parse("9" * 400) == int("9" * 400)


def test_a_file_that_is_no_text_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("é: 1".encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.yaml: not UTF-8 text \(byte 0\); save it as UTF-8"):
        read(path)
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(UserError, match=rf"a\.yaml: found more than {LARGEST} bytes"):
        read(path)
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read(path) == {"a": 1}


def test_an_error_is_one_printable_line() -> None:
    said = str(UserError("a\nb\r\t\x1b[2J\u202e\u2028\x00 é 漢"))
    assert said == "a\\nb\\r\\t\\x1b[2J\\u202e\\u2028\\x00 é 漢"
    assert said.isprintable()
    assert printable("plain 'text' \\n") == "plain 'text' \\n"
    told = str(unknown("tier", "x\n" * 50_000, ["smoke"]))
    assert told.isprintable()
    assert len(told) < 250
    assert (short("a" * 80), short("a" * 81)) == ("a" * 80, "a" * 76 + " ...")
