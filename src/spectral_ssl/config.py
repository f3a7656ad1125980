"""What a tier is: the levels at which the same experiments run, validated before anything starts.

A tier is one complete YAML file, `config/<tier>.yaml`. It holds levels only (data set, encoder, epochs,
dimensions, seeds); which methods and factors an experiment crosses is the papers' business
(`papers/<paper>/experiments.yaml`). `config/tier.schema.json`, which editors read, is generated from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from spectral_ssl import strict_yaml
from spectral_ssl.bounds import LINE
from spectral_ssl.errors import UserError, short, unknown
from spectral_ssl.sections import Tier

KEYS = 10  # within one another; a tier has five
KEY = re.compile(rf"[a-z0-9_]{{1,64}}(\.[a-z0-9_]{{1,64}}){{0,{KEYS}}}")
TOLD = 10
"""Problems of a tier that are told at once."""


def tier_names(folder: Path = Path("config")) -> list[str]:
    """The names of the tier files in `folder`."""
    return sorted(p.stem for p in folder.glob("*.yaml"))


def tier_path(tier: str, folder: Path = Path("config")) -> Path:
    """The file of a tier given by name (`laptop`) or by path (`path/to/mine.yaml`)."""
    if tier.endswith((".yaml", ".yml")):
        return Path(tier)
    if tier not in (known := tier_names(folder)):
        raise unknown("tier", tier, known)
    return folder / f"{tier}.yaml"


def load_tier(tier: str, overrides: Iterable[str] = (), folder: Path = Path("config")) -> Tier:
    """Read and validate a tier; `overrides` are `key=value` with dotted keys (`seeds=10`, `training.epochs=5`).

    Raises UserError, in one line, for a missing or unreadable file, an unknown key (with the nearest right
    one) and a value out of range.
    """
    path = tier_path(tier, folder)
    values = strict_yaml.read(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: found {type(values).__name__}, expected keys such as name, seeds, data")
    for override in overrides:
        _override(values, override)
    try:
        return Tier.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Nested values as `key=value` with dotted keys, so that a nested one leaves its siblings alone.

    A text stays as it is, to be read as YAML. Raises UserError for values too deep to be of a tier.
    """
    if prefix.count(".") > KEYS:
        raise UserError(f"'{short(prefix)}': found more than {KEYS} keys within one another")
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={_as_yaml(value)}"


def _as_yaml(value: Any) -> str:
    """A value as YAML on one line, which a stage command reads as the same value."""
    try:
        return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except (RecursionError, ValueError) as error:
        raise UserError(f"found a value that is no part of a tier ({error})") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    told = f"--set '{short(override)}'"
    if not separator or not KEY.fullmatch(key):
        raise UserError(f"{told}: expected key=value, for example seeds=10 or training.epochs=5")
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UserError(f"{told}: '{section}' is a value, not a section")
        values[section] = dict(inner)  # an anchor's other names keep theirs
        values = values[section]
    try:
        value, old = strict_yaml.parse(text), values.get(last)
        values[last] = old | value if value and isinstance(old, dict) and isinstance(value, dict) else value
    except yaml.YAMLError:
        raise UserError(f"{told}: '{short(text)}' is not a YAML value") from None


def _explain(error: ValidationError) -> str:
    """The problems of a tier file, in one line; of many the first, and how many more there are."""
    problems = error.errors()
    more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
    return "; ".join(_explain_one(dict(problem)) for problem in problems[:TOLD]) + more


def _explain_one(problem: dict[str, Any]) -> str:
    loc = [short(str(part)) for part in problem["loc"]]
    where = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        section = _section(loc[:-1])
        return str(unknown("key", loc[-1], section.model_fields)) + (
            f" (in {'.'.join(loc[:-1])})" if loc[1:] else ""
        )
    if problem["type"] == "missing":
        return f"key '{where}' is missing; add it (config/tier.schema.json describes it)"
    why = problem["msg"].lower()
    if problem.get("ctx", {}).get("pattern") == LINE:
        why = "expected one line without control characters or marks of writing direction"
    return f"'{where}' is {short(json.dumps(problem['input'], default=str, ensure_ascii=False))}: {why}"


def _section(loc: list[str]) -> type[BaseModel]:
    """The section at a place in a tier file; a method's name in recipes leads to the section that it holds."""
    model: type[BaseModel] = Tier
    for part in loc:
        if part in model.model_fields:
            model = next(_sections(model.model_fields[part].annotation), model)
    return model


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field's type names: itself, or inside `X | None` and `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def schema() -> dict[str, Any]:
    """The JSON schema of a tier file, as committed in config/tier.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Tier.model_json_schema()}


def canonical(value: Mapping[str, Any] | BaseModel) -> str:
    """A value as JSON with sorted keys and no spaces: equal values, equal text."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
