"""The folder of a tier's reference results: its settings, and what is kept of a finished run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spectral_ssl.config import load_tier
from spectral_ssl.data.arrays import read_arrays
from spectral_ssl.errors import UserError
from spectral_ssl.layout import REFERENCE
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.provenance import read_json, replacing, write_json, write_text
from spectral_ssl.reference.items import Item, read_items
from spectral_ssl.sections import Tier
from spectral_ssl.stages import Context

SETTINGS, USED = "tier.yaml", "list.yaml"
ELSEWHERE = ("engine", "jobs", "views", "theorems", "networks")  # sections that no kept run depends on
KEPT_IMAGES = 500  # test images whose embeddings are kept, where figures show them
COPIED = ("history.csv", "probe.json")


def reference_of(context: Context) -> Context:
    """The same tier's reference results."""
    return replace(context, base=REFERENCE)


def check(context: Context) -> None:
    """Refuse a tier of whose name there are reference results with other settings: UserError, naming what differs.
    Where the data lie and how the machine is used may change.
    """
    path = reference_of(context).layout.results / SETTINGS
    if not path.is_file():
        return
    first, now = (_compared(tier) for tier in (load_tier(str(path)), context.tier))
    if differ := [key for key in {**first, **now} if first.get(key) != now.get(key)]:
        told = ", ".join(f"{key} {first.get(key)} there and {now.get(key)} here" for key in differ[:5])
        raise UserError(
            f"{path} has other settings: {told}; go on with `--tier {path}`, or give this tier a name of its own "
            "(--set name=...)"
        )


def check_data(context: Context, dataset: str) -> None:
    """Refuse images other than those of the results that are there: UserError."""
    source = context.layout.data(dataset) / "meta.json"
    target = reference_of(context).layout.data(dataset) / "meta.json"
    if target.is_file() and read_json(target)["sha256"] != (found := read_json(source))["sha256"]:
        raise UserError(
            f"{target} describes other images than {source} (from {found['source']}): give the tier a name of its "
            "own (--set name=...), or bring the data set that is described"
        )


def describe(context: Context, items: Path, dataset: str | None = None) -> None:
    """Write what belongs to the first result that is kept: the tier's settings and the data's checksums, which then
    stay, and the list.
    """
    layout = reference_of(context).layout
    if not (path := layout.results / SETTINGS).is_file():
        settings = context.tier.model_dump(mode="json")
        write_text(path, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=120))
    write_text(layout.results / USED, items.read_text(encoding="utf-8"))
    if dataset is not None:
        source = context.layout.data(dataset) / "meta.json"
        write_text(layout.data(dataset) / "meta.json", source.read_text(encoding="utf-8"))


def list_of(context: Context) -> dict[str, Item]:
    """The list that a tier's reference results were last made by."""
    return read_items(context.layout.results / USED)


def tiers(root: Path) -> list[Context]:
    """The tiers that have reference results."""
    return [
        Context(load_tier(str(path)), root, base=REFERENCE)
        for path in sorted((root / REFERENCE).glob(f"*/{SETTINGS}"))
        if path.with_name(USED).is_file()
    ]


def keep(context: Context, run: RunSettings, item: str, *, embeddings: bool) -> None:
    """Copy a finished run into the reference results, without weights, `status.json` last."""
    reference = reference_of(context)
    source, target = context.layout.runs / run.id, reference.layout.runs / run.id
    for name in COPIED:
        with replacing(target / name) as file:
            shutil.copyfile(source / name, file.name)
    with replacing(target / "features.npz") as file:
        np.savez_compressed(file, **_features(source / "features.npz", embeddings=embeddings))  # type: ignore[arg-type]
    write_json(target / "provenance.json", read_json(source / "provenance.json") | {"item": item})
    write_json(target / "status.json", read_json(source / "status.json"))


def _features(path: Path, *, embeddings: bool) -> dict[str, np.ndarray]:
    """What figures show: agreements of views and, on request, embeddings of evenly spaced test images, in 16 bits."""
    found = read_arrays(path, ["embeddings", "agreement"], kinds="f")
    z = found["embeddings"] if embeddings else np.empty((0, 0))
    z = z[:: max(1, len(z) // KEPT_IMAGES)][:KEPT_IMAGES]
    return {"embeddings": z.astype(np.float16), "agreement": found["agreement"].astype(np.float16)}


def _compared(tier: Tier) -> dict[str, Any]:
    """A tier's settings by dotted key, those alone that a run or a number may depend on."""
    values = tier.model_dump(mode="json", exclude=set(ELSEWHERE))
    for data in (values["data"], *(beside["data"] for beside in values["companions"].values())):
        data.pop("path", None)
        data.pop("download", None)
    return dict(_flat(values))


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [(prefix + key, value)]
        )
    return found
