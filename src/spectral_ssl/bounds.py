"""What a value of a tier may be: within bounds that no run comes near, and text that is one line wherever shown.

Without them a slip, such as a million seeds, is planned for hours before anything is said.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

SLUG = r"^[a-z0-9][a-z0-9_-]*$"
# No control characters, ends of lines, marks that turn the direction of writing, nor what XML cannot hold.
LINE = r"^[^\u0000-\u001F\u007F-\u009F\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF\uFFFE\uFFFF]*$"

Slug = Annotated[str, Field(pattern=SLUG, max_length=64)]  # with two more and a hash a file's name
Word = Annotated[str, Field(pattern=LINE, max_length=100)]
Line = Annotated[str, Field(pattern=LINE, max_length=300)]
Place = Annotated[str, Field(pattern=LINE, min_length=1, max_length=1000)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Several = Annotated[int, Field(ge=2, le=1_000_000)]
Seeds = Annotated[int, Field(ge=1, le=1_000)]
Images = Annotated[int, Field(ge=1, le=1_000_000_000)]
Digits = Annotated[int, Field(le=1_790)]  # images of scikit-learn's digits, in tens
Machine = Annotated[int, Field(le=1_024)]  # threads, processes, GPUs
Minutes = Annotated[int, Field(ge=1, le=1_000_000)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]

LEVELS = 100
"""Levels of a factor, and entries of a section that is by name."""


class Strict(BaseModel):
    """A configuration section: every key known, every number finite, nothing changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` and `on` as true, which Python counts as 1."""
        among = value if isinstance(value, list) else [value]
        field = cls.model_fields[str(info.field_name)]
        if any(one is True or one is False for one in among) and "bool" not in str(field.annotation):
            raise ValueError("found true or false, expected another kind of value")
        return value
