"""The levels of the factors that a tier's experiments vary."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, field_validator

from spectral_ssl.bounds import LEVELS, Count, Positive, Several, Slug, Strict, Weight, Word


class Levels(Strict):
    """The levels of the factors that experiments vary."""

    epochs: list[Count] = Field(
        description="Training lengths (HaoChen 2021, Table 1), epochs.", min_length=1, max_length=LEVELS
    )
    mu: list[Positive] = Field(
        description="Squared feature radius (HaoChen 2021, Table 3).", min_length=1, max_length=LEVELS
    )
    embedding_dim: list[Count] = Field(
        description="Dimensions (Garrido 2023, Figure 1).", min_length=1, max_length=LEVELS
    )
    projector: list[Word] = Field(
        description="Projectors (Garrido 2023, Figure 1).", min_length=1, max_length=LEVELS
    )
    invariance: list[Weight] = Field(
        description="VICReg invariance weights (Balestriero 2022).", min_length=1, max_length=LEVELS
    )
    batch_size: list[Several] = Field(
        description="Batch sizes (HaoChen 2021: small ones do).", min_length=1, max_length=LEVELS
    )
    head: list[Word] = Field(
        description="Heads of the spectral loss, the MLP last.", min_length=1, max_length=LEVELS
    )
    encoder: list[Word] = Field(
        description="Function classes on one augmentation graph.", min_length=1, max_length=LEVELS
    )
    optimiser: list[Slug] = Field(
        description="Optimisers by name, see `optimisers`.", min_length=1, max_length=LEVELS
    )
    relation: list[Word] = Field(
        description="Relation graphs of the companion data set `factors`: aligned with its classes first, "
        "misaligned last; e.g. factor:shape, factor:shape+wrong:0.5, factor:colour.",
        min_length=2,
        max_length=LEVELS,
    )
    graph_invariance: list[Weight] = Field(
        description="VICReg invariance weights, small and large, that relations are crossed with.",
        min_length=2,
        max_length=LEVELS,
    )

    @field_validator("epochs", "mu", "embedding_dim", "invariance", "batch_size", "graph_invariance")
    @classmethod
    def _rising(cls, levels: list[float]) -> list[float]:
        """Claims name the least level `first` and the largest `last`."""
        if any(low >= high for low, high in pairwise(levels)):
            raise ValueError("expected rising levels, each once; sort them")
        return levels

    @field_validator("projector", "head", "encoder", "optimiser", "relation")
    @classmethod
    def _distinct(cls, levels: list[str]) -> list[str]:
        if len(set(levels)) < len(levels):
            raise ValueError("expected each level once; remove the copies")
        return levels
