"""What the spectral loss does without: one setting varied at a time, as a table and as small multiples."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from spectral_ssl.papers import method_label
from spectral_ssl.papers.haochen2021.marks import points
from spectral_ssl.papers.inputs import Inputs, Table
from spectral_ssl.papers.measure import summarise, text
from spectral_ssl.plotting import lines, new_figure

ABLATIONS = {
    "batch_size": ["method", "batch_size"],
    "head": ["projector"],
    "projection": ["projection"],
    "function_class": ["encoder", "optimiser"],
}
WORDS = {
    "encoder": {
        "mlp": "MLP",
        "conv_narrow": "convolutional, narrow",
        "conv_small": "convolutional, wider",
        "conv32": "convolutional, four layers",
        "resnet18_cifar": "ResNet-18, first layer for small images",
        "resnet18_cifar_pad2": "ResNet-18, first layer for small images, padded by 2",
        "resnet50_cifar": "ResNet-50, first layer for small images",
        "resnet18": "ResNet-18",
        "resnet50": "ResNet-50",
    },
    "optimiser": {"sgd": "SGD", "adamw": "AdamW", "lars": "LARS"},
    "projector": {"none": "no head", "linear": "linear"},
    "projection": {"ball": "clipped to the ball", "sphere": "put on the sphere"},
}


def ablations(inputs: Inputs) -> Table:
    """Accuracy of each experiment that varies one thing at a time; a row a cell, `setting` in words."""
    parts = []
    for experiment, factors in ABLATIONS.items():
        frame = inputs.experiment(experiment)
        columns = [column for column in ("accuracy", "online", "lbfgs", "knn") if column in frame]
        part = summarise(frame, ["label", *factors], columns)
        words = [
            ", ".join(_word(name, row[name]) for name in factors) for row in part[factors].to_dict("records")
        ]
        parts.append(part.assign(experiment=experiment, setting=words))
    tidy = pd.concat(parts, ignore_index=True)
    shown = [
        {
            "experiment": row["experiment"].replace("_", " "),
            "setting": row["setting"],
            "accuracy": text(row, "accuracy"),
        }
        for row in tidy.to_dict("records")
    ]
    return Table(tidy, pd.DataFrame(shown))


def _word(name: str, value: object) -> str:
    if name == "method":
        return method_label(str(value))
    if isinstance(value, float | int):
        return f"{name.replace('_', ' ')} {value:g}"
    kind, _, width = str(value).partition(":")
    if name == "projector" and kind == "spectral" and width:
        return f"MLP, {width} hidden"
    return WORDS.get(name, {}).get(str(value), str(value))


def ablations_figure(tables: dict[str, pd.DataFrame]) -> Figure:
    """Accuracy by batch size, head, projection of the features, and by encoder and optimiser: a panel each."""
    frame = tables["ablations"]
    parts = {name: frame[frame["experiment"] == name] for name in ABLATIONS}
    figure, axes = new_figure(2, 2, height=2.4, sharey=True)
    batches, heads, projections, classes = axes
    lines(batches, parts["batch_size"], "batch_size", "accuracy")
    batches.set(title="batch size", xlabel="images a step")
    points(heads, parts["head"], "setting")
    heads.set(title="head", xlabel="between representation and embedding")
    points(projections, parts["projection"], "setting")
    projections.set(title="ball or sphere", xlabel="embeddings")
    grid = parts["function_class"]
    series = grid.assign(
        label=grid["optimiser"].replace(WORDS["optimiser"]), encoder=grid["encoder"].replace(WORDS["encoder"])
    )
    points(classes, series, "encoder", first=len(parts["batch_size"]["label"].unique()))
    classes.set(title="function class and optimiser", xlabel="encoder, on one augmentation graph")
    for panel in (batches, projections):
        panel.set_ylabel("accuracy (%)")
    named = [panel.get_legend_handles_labels() for panel in (batches, classes)]
    handles, labels = ([item for part in found for item in part] for found in zip(*named, strict=True))
    place: Any = "outside lower center"
    figure.legend(handles, labels, fontsize=8, loc=place, ncols=len(labels))
    return figure
