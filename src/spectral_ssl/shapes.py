"""The JSON files that stages leave for others: what is needed of each, and one line about one of another shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from spectral_ssl.errors import UserError, short
from spectral_ssl.provenance import read_json

Scalar = float | int | str | bool | None


class Status(BaseModel):
    """status.json of a run."""

    status: str


class Meta(BaseModel):
    """meta.json of an ingested data set, anything besides these."""

    source: str
    source_sha256: str | None = None


class Settings(BaseModel):
    """Settings in a run's provenance.json, any besides these."""

    method: str | None = None
    loss: str | None = None


class Provenance(BaseModel):
    """provenance.json of a run, anything besides these."""

    settings: Settings = Settings()
    code: str | None = None
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    packages: dict[str, str] = {}


class Leads(BaseModel):
    """An entry of a paper's sources.json."""

    table: str | None = None
    figure: str | None = None
    statements: list[str] = []
    runs: list[str] = []
    entries: list[str] = []


class Title(BaseModel):
    """What a theorem check is of."""

    title: str


class Words(Title):
    """A theorem check in words."""

    control: str
    statement: str


class Judged(BaseModel):
    """Whether a theorem check ended as it must."""

    ok: bool


class Judgement(BaseModel):
    """A theorem check's result, as tables need it."""

    model_config = ConfigDict(strict=True)

    kind: str
    measured: Scalar
    expected: float
    tolerance: float
    instances: Scalar
    verdict: str
    control_verdict: Scalar
    text: Title
    detail: dict[str, Scalar] = {}


class Check(Judgement):
    """A theorem check's result, as the report needs it."""

    paper: str
    statement: str
    seconds: float
    text: Words
    detail: dict[str, Scalar]


STATUS = TypeAdapter(Status)
META = TypeAdapter(Meta)
PROVENANCE = TypeAdapter(Provenance)
SOURCES = TypeAdapter(dict[str, Leads])
OK = TypeAdapter(Judged)
JUDGEMENT = TypeAdapter(Judgement)
CHECK = TypeAdapter(Check)
MEASURED = TypeAdapter(dict[str, Scalar])
"""probe.json of a run."""


def read_as(path: Path, shape: TypeAdapter[Any]) -> Any:
    """What a JSON file holds, unchanged. UserError naming the file where it is none, or of another shape."""
    try:
        value = read_json(path)
        json.dumps(value, allow_nan=False)
        shape.validate_python(value)
    except RecursionError:
        raise _damaged(path, "nested too deep") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the whole"
        raise _damaged(path, f"'{short(where)}': {problem['msg'].lower()}") from None
    except ValueError:
        raise _damaged(path, "a number that is not finite") from None
    return value


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is not what its stage writes ({why}); delete it and run its stage again")
