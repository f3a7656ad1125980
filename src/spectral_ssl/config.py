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

from spectral_ssl.errors import UserError, unknown
from spectral_ssl.sections import Tier


def tier_names(folder: Path = Path("config")) -> list[str]:
    """The names of the tier files in `folder`."""
    return sorted(p.stem for p in folder.glob("*.yaml"))


def tier_path(tier: str, folder: Path = Path("config")) -> Path:
    """The file of a tier given by name (`laptop`) or by path (`path/to/mine.yaml`)."""
    if tier.endswith((".yaml", ".yml")):
        return Path(tier)
    path = folder / f"{tier}.yaml"
    if not path.is_file():
        raise unknown("tier", tier, tier_names(folder))
    return path


def load_tier(tier: str, overrides: Iterable[str] = (), folder: Path = Path("config")) -> Tier:
    """Read and validate a tier; `overrides` are `key=value` with dotted keys (`seeds=10`, `training.epochs=5`).

    Raises UserError, in one line, for a missing or unreadable file, an unknown key (with the nearest right
    one) and a value out of range.
    """
    path = tier_path(tier, folder)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot read this tier file ({error.strerror}); give a YAML file's path"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend it there") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: found {type(values).__name__}, expected keys such as name, seeds, data")
    for override in overrides:
        _override(values, override)
    try:
        return Tier.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", key):
        raise UserError(f"--set {override!r}: expected key=value, for example seeds=10 or training.epochs=5")
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UserError(f"--set {override!r}: '{section}' is a value, not a section")
        values[section] = dict(inner)  # an anchor's other names keep theirs
        values = values[section]
    try:
        value, old = yaml.safe_load(text), values.get(last)
        values[last] = old | value if value and isinstance(old, dict) and isinstance(value, dict) else value
    except yaml.YAMLError:
        raise UserError(f"--set {override!r}: '{text}' is not a YAML value") from None


def _explain(error: ValidationError) -> str:
    """Every problem of a tier file, in one line."""
    return "; ".join(_explain_one(dict(problem)) for problem in error.errors())


def _explain_one(problem: dict[str, Any]) -> str:
    loc = [str(part) for part in problem["loc"]]
    where = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        section = _section(loc[:-1])
        return str(unknown("key", loc[-1], section.model_fields)) + (
            f" (in {'.'.join(loc[:-1])})" if loc[1:] else ""
        )
    if problem["type"] == "missing":
        return f"key '{where}' is missing; add it (config/tier.schema.json describes it)"
    return f"'{where}' is {json.dumps(problem['input'], default=str)}: {problem['msg'].lower()}"


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
