"""A thousand tier files and overrides that are wrong somehow: each is refused in one line, or plans."""

from __future__ import annotations

import json
import random
import resource
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
import yaml

from spectral_ssl import strict_yaml
from spectral_ssl.config import load_tier, schema
from spectral_ssl.errors import UserError
from spectral_ssl.targets import Targets

from .mutations import BASE, TEXTS, at_the_bounds, mutated, overridden, places, put, scrambled

CONFIG = Path(__file__).parents[2] / "config"
VALID = jsonschema.Draft202012Validator(schema())
SECONDS = 2.0  # of this process's own time: others may hold the machine
GIGABYTE = 2**20  # KiB
CHUNK = 50


@contextmanager
def watched(what: str) -> Iterator[None]:
    """Fails where the block takes too long, and ends one that hangs."""

    def hangs(*_: object) -> None:
        raise AssertionError(f"{what}: hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(60)
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < SECONDS, f"{what}: took {time.process_time() - start:.1f} s"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def told(error: UserError) -> str:
    """A refusal's text, which is one printable line of a length that can be read."""
    message = str(error)
    assert message
    assert message.isprintable()
    assert len(message) < 3000
    return message


def outcome(what: str, call: Callable[[], Targets]) -> str:
    """The refusal, or nothing for what plans: then it holds to the schema and reads back from the command line."""
    try:
        with watched(what):
            targets = call()
            arguments = shlex.split(targets.arguments)
            assert targets.everything()
    except UserError as error:
        return told(error)
    VALID.validate(targets.tier.model_dump(mode="json"))
    assert load_tier(arguments[1], arguments[3::2], CONFIG) == targets.tier
    json.dumps([run.model_dump() for run in targets.manifest.runs.values()], allow_nan=False)
    return ""


def of_file(content: bytes, folder: Path) -> Callable[[], Targets]:
    path = folder / "fuzzed.yaml"
    path.write_bytes(content)
    return lambda: Targets({"tier": str(path)}, CONFIG)


def kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture(autouse=True)
def in_little_memory() -> Iterator[None]:
    before = kilobytes()
    yield
    assert kilobytes() - before < GIGABYTE


def test_the_tier_that_is_changed_plans(tmp_path: Path) -> None:
    assert outcome("base", of_file(BASE.encode(), tmp_path)) == ""


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_a_text_that_is_no_tier(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal = outcome(f"text {number}", of_file(TEXTS[number], tmp_path))
    accepted = {
        b"\xef\xbb\xbf" + BASE.encode(),
        *(BASE.replace("\n", end).encode() for end in ("\r\n", "\r", "\u2028")),
    }
    assert bool(refusal) == (TEXTS[number] not in accepted)
    assert refusal == "" or refusal.startswith(str(tmp_path / "fuzzed.yaml"))
    assert [path.name for path in tmp_path.iterdir()] == ["fuzzed.yaml"]  # and no canary


@pytest.mark.parametrize("seed", range(0, 300, CHUNK))
def test_structures_at_random(seed: int, tmp_path: Path) -> None:
    found = [
        outcome(f"mutated({each})", of_file(mutated(random.Random(each)), tmp_path))
        for each in range(seed, seed + CHUNK)
    ]
    assert 0 < found.count("") < CHUNK  # neither all fit nor all are hopeless


@pytest.mark.parametrize("seed", range(0, 200, CHUNK))
def test_bytes_at_random(seed: int, tmp_path: Path) -> None:
    for each in range(seed, seed + CHUNK):
        outcome(f"scrambled({each})", of_file(scrambled(random.Random(each)), tmp_path))


@pytest.mark.parametrize("seed", range(0, 150, CHUNK))
def test_overrides_at_random(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "base.yaml"
    path.write_text(BASE, encoding="utf-8")
    for each in range(seed, seed + CHUNK):
        config = {"tier": str(path), **overridden(random.Random(each))}
        outcome(f"overridden({each})", lambda config=config: Targets(config, CONFIG))


def test_values_at_and_beyond_every_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is judged as an independent validator judges it by the committed schema, and by rules across keys."""
    base = yaml.safe_load(BASE)
    known = set(places(base))
    cases = [case for case in at_the_bounds(schema()) if case[0] in known or case[0][:-1] in known]
    assert len(cases) > 300
    for place, value in cases:
        values = put(base, place, value)
        what = f"{'.'.join(place)} = {value!r}"[:200]
        try:
            with watched(what):
                monkeypatch.setattr(strict_yaml, "read", lambda path, values=values: values)
                accepted = bool(load_tier("a.yaml"))
        except UserError as error:
            accepted = False
            said = told(error)
        if accepted:
            assert VALID.is_valid(values), what
        elif VALID.is_valid(values) and value == value:
            assert "sort them" in said or "remove the copies" in said, f"{what}: {said}"
