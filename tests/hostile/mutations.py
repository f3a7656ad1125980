"""Tier files and overrides that nobody should write, drawn from a seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import yaml

BASE = """\
name: base
description: a tier that is as small as one can be
seeds: 1
data: {name: digits, label: mine, train_limit: 100, test_limit: 60}
training:
  {encoder: conv_narrow, projector: 16-d, embedding_dim: 8, augmentation: digits_affine, batch_size: 50, epochs: 1,
  optimiser: {name: adamw, learning_rate: 2.0e-3, weight_decay: 1.0e-4, warmup_epochs: 0}}
levels:
  {epochs: [1], mu: [3], embedding_dim: [8], projector: [16-d], invariance: [25], batch_size: [50],
  head: ["spectral:16"], encoder: [conv_narrow], optimiser: [adamw], relation: [views, labels],
  graph_invariance: [1, 25]}
views: {images: 12, views: 2}
probes: {names: [few1], draws: 2, metric: few1}
theorems: {instances: 3, seed: 0}
jobs: {threads: 1}
recipes:
  vicreg: {hyperparameters: {covariance: 2}, options: {}}
companions:
  factors: {data: {name: factors}, training: {batch_size: 32}}
"""

NAN = float("nan")
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", " ", "a", "1", "-1", "1e3", "0x10", "null", "~", [], {}, [[]], [{}], {"a": 1}),
    *(0, 1, -1, 2, -0.0, 0.5, 1e-320, 1e308, NAN, float("inf"), float("-inf"), 2**31, 2**63, 2**64, 10**300),
    *(-(2**63), 10**400, b"\x00\xff", [1, "a"], [None], [1] * 200, "x" * 300, "x" * 20_000, "9" * 90 + "-d"),
    *(
        "\u0000",
        "a\nb",
        "\x1b[31mred",
        "\u202egnp.exe",
        "..",
        "../../up",
        "/etc/passwd",
        "$(touch canary)",
        "`id`",
    ),
    *(
        "{input}",
        "{{ 7 * 7 }}",
        "%s%n",
        "'; rm -rf ~",
        '"><script>',
        "a b",
        "ünï",
        "\ud7ff\ufffd",
        "😀",
        "-d-",
        "d--d",
    ),
    *(
        "few0",
        "few999999999999",
        "factor:",
        "neighbours:0",
        "views+wrong:2",
        "sgd",
        "spectral:0",
        "d" * 99,
        ["d", "d"],
    ),
)
TEXTS: tuple[bytes, ...] = tuple(
    text.encode() if isinstance(text, str) else text
    for text in (
        *("", "\n", " ", "#", "---", "...", "---\n---\n", "null", "3", "text", "[]", "{}", "[" * 1000, "{" * 1000),
        *("{a: " * 500 + "}" * 500, "- " * 1000, "? " * 1000, "a: " * 1000, "!" * 1000, "&a " * 1000, "&a *a"),
        *("&a [*a]", "&a {b: *a}", "a: &a [*a]", "<<: *a", "a: *nobody", "&a b: &a c", "%YAML 9.9\n---\na: 1", "%TAG"),
        *("a: !!python/object/apply:os.system [touch canary]", "!!python/name:os.system", "!!python/module:os"),
        *("a: !!python/object:os.Thing {}", "!<tag:yaml.org,2002:python/tuple> [1]", "a: !mine 3", "!!set {a}"),
        *("!!omap [a: 1]", "!!binary aGFsbG8=", "!!timestamp 2001-01-01", "!!int x", "!!float x", "!!bool x"),
        *("!!int '1_0'", "!!int ''", "!!float 1:2", "!!map []", "!!seq {}", "!!str {}", "seeds: 1\nseeds: 2"),
        *("1: 2", "null: 1", "true: 1", "[a, b]: c", "{a: b}: c", "2001-01-01: a", "? a\n: b", "=: 1"),
        *("\t- a", "a:\tb\n\tc: d", "!!null x"),
        *("a: 'never closed", 'a: "\\x', 'a: "\\ud800"', "a: |\n\tb", "a: >9\n b", "a: b: c", "@a", "`a"),
        *("%a", "a: *", "a: &"),
        "\ufeff" + BASE,
        BASE.encode("utf-16"),
        BASE.encode("utf-16-le"),
        BASE.encode("utf-32"),
        BASE.replace("a tier", "ein Grün").encode("latin-1"),
        BASE.replace(" a ", " \x00 "),
        BASE.replace("\n", "\r\n"),
        BASE.replace("\n", "\r"),
        BASE.replace("\n", "\u2028"),
        b"\x00" * 1000,
        bytes(range(256)),
        b"\x1f\x8b\x08" + bytes(100),
        BASE + "\nx: " + "a" * 10_000_000,
        BASE + "#" * 10_000_000,
        "a: [" + "1," * 5_000_000 + "]",
        "a" * 30_000 + ": 1",
        '"' + "\\n" * 10_000 + '": 1',
        "a: 0x" + "f" * 30_000,
        "a: " + "9" * 30_000,
        "a: " + "1:" * 10_000 + "1",
        "a: 0b" + "_" * 10_000,
        "a: 1e" + "9" * 30_000,
        # A billion laughs: by aliases, by merged mappings, and by both in a list of levels.
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
        "b: &b [1,2,3,4,5,6,7,8,9]\nlevels: &c [*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]\n",
    )
)  # fmt: skip


def places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested mappings and lists: the keys that lead there."""
    inner = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in inner:
        yield (*at, key)
        yield from places(value, (*at, key))


def holder(values: Any, place: tuple[Any, ...]) -> Any:
    """The mapping or list that holds what is at a place."""
    for key in place[:-1]:
        values = values[key]
    return values


def put(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    changed = copy.deepcopy(values)
    holder(changed, place)[place[-1]] = value
    return changed


def mutated(draw: random.Random) -> bytes:
    """The base with one to three changes of its structure, as YAML."""
    values = yaml.safe_load(BASE)
    for _ in range(draw.choice((1, 1, 2, 3))):
        place = draw.choice(list(places(values)))
        held = holder(values, place)
        value = held[place[-1]]
        match draw.randrange(7):
            case 0:
                del held[place[-1]]
            case 1 if isinstance(held, dict):
                held[_misspelt(str(place[-1]), draw)] = held.pop(place[-1])
            case 2 if isinstance(values, dict):
                values[draw.choice(("extra", "seeds", "levels", "recipes", "a b"))] = copy.deepcopy(value)
            case 3:
                for _ in range(draw.choice((1, 3, 15, 40))):
                    value = draw.choice(([value], {"a": value}))
                held[place[-1]] = value
            case 4 if isinstance(value, int | float):
                held[place[-1]] = value * draw.choice((-1, 0, 2, 10**6, 10**30))
            case _:
                held[place[-1]] = draw.choice(VALUES)
        if not list(places(values)):
            break
    return yaml.dump(values, Dumper=yaml.SafeDumper, allow_unicode=draw.random() < 0.5).encode()


def scrambled(draw: random.Random) -> bytes:
    """The base with some bytes or lines changed, left out, doubled or added."""
    text = bytearray(BASE.encode())
    for _ in range(draw.choice((1, 2, 5, 40))):
        start = draw.randrange(len(text))
        end = min(len(text), start + draw.choice((0, 1, 1, 8, 60)))
        noise = draw.choice(
            (b"", b"\t", b"{", b"]", b"*a", b"&a ", b"!!", b": ", b"- ", b"'", b'"', b"#", b"\xff")
        )
        noise = draw.choice((noise, bytes(draw.randrange(256) for _ in range(draw.choice((1, 4))))))
        text[start:end] = draw.choice((noise, bytes(text[start:end]) * 2))
        text = text or bytearray(b"#")
    return bytes(text)


def overridden(draw: random.Random) -> dict[str, Any]:
    """What `--config` may be given: keys, dotted ones and nested mappings, with any value."""
    base = yaml.safe_load(BASE)
    found: dict[str, Any] = {}
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = [str(key) for key in draw.choice(list(places(base)))]
        value = draw.choice(VALUES)
        match draw.randrange(6):
            case 0:
                found[_misspelt(place[0], draw)] = value
            case 1:
                found[".".join(place)] = value
            case 2:
                for _ in range(draw.choice((2, 30, 3000))):
                    value = {"a": value}
                found[place[0]] = value
            case 3:
                found[".".join(["recipes.vicreg.hyperparameters", *["a"] * draw.choice((1, 9, 5000))])] = (
                    value
                )
            case _:
                for key in reversed(place[1:]):
                    value = {key: value}
                found[place[0]] = value
    return found


def _misspelt(word: str, draw: random.Random) -> str:
    at = draw.randrange(len(word) + 1)
    return (
        word[:at]
        + draw.choice(("x", "_", " ", "\n", "é", "{}", "'", "\x00", "$(id)", "-" * 300))
        + word[at + 1 :]
    )


def at_the_bounds(schema: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """For every number and text that the schema bounds: where it stands, and values at and beyond each bound."""
    yield from _bounds(schema, schema, ())


def _bounds(
    schema: dict[str, Any], whole: dict[str, Any], at: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    for inner in schema.get("anyOf", ()):
        yield from _bounds(inner, whole, at)
    for key, inner in schema.get("properties", {}).items():
        yield from _bounds(inner, whole, (*at, key))
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if bound in schema:
            number, step = schema[bound], 1 if schema["type"] == "integer" else 1e-6
            yield from (
                (at, value) for value in (number - step, number, number + step, True, NAN, None, [number])
            )
    if "maxLength" in schema:
        yield from ((at, "a" * (schema["maxLength"] + more)) for more in (0, 1))
        yield from ((at, value) for value in ("a\tb", "a b", "", 3, "-a"))
    if "maxItems" in schema:
        item = 0.5 if schema["items"].get("type") == "number" else 1
        yield from ((at, [item] * length) for length in (0, schema["maxItems"], schema["maxItems"] + 1))
