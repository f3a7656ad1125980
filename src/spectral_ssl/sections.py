"""The sections of a tier's file: every key with its description, unit and range."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spectral_ssl.engine import Engine as Engine
from spectral_ssl.errors import unknown

SLUG = r"^[a-z0-9][a-z0-9_-]*$"


class Strict(BaseModel):
    """A configuration section: every key known, nothing changed after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Strict):
    """The data set, and how much of it."""

    name: str = Field(
        description="Data set: digits, factors, cifar10, cifar100, stl10, tiny_imagenet, imagenet or folder.",
        pattern=SLUG,
    )
    label: str | None = Field(
        default=None, description="Name in results and captions; default: name.", pattern=SLUG
    )
    path: str | None = Field(
        default=None,
        description="Where the files are: a directory or archive of split/class/image files (folder), or the "
        "official archive or the directory that holds it; null: data/ for official archives.",
    )
    download: bool = Field(
        default=False,
        description="Fetch a missing official archive into its place, where its owner allows it.",
    )
    image_size: int | None = Field(
        default=None, ge=4, le=1024, description="Side to resize to, px; null keeps the size."
    )
    train_limit: int | None = Field(
        default=None, ge=1, description="Training images to keep, the same number of each class; null: all."
    )
    test_limit: int | None = Field(
        default=None, ge=1, description="Test images to keep, the same number of each class; null: all."
    )

    @property
    def slug(self) -> str:
        """The data set's name in paths and captions."""
        return self.label or self.name


class Optimiser(Strict):
    """How weights move."""

    name: Literal["sgd", "adamw", "lars"] = Field(description="Update rule.")
    learning_rate: float = Field(gt=0, description="Peak learning rate (per 256 samples if scale_by_batch).")
    weight_decay: float = Field(ge=0, description="Weight decay, on all parameters.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum (sgd and lars).")
    exclude_bias_and_norm: bool = Field(
        default=False,
        description="No weight decay on biases and normalisation parameters; lars leaves them out always.",
    )
    trust_coefficient: float = Field(
        default=0.001, gt=0, description="Share of a layer's norm that a step may move it by (lars only)."
    )
    clip: bool = Field(
        default=False, description="Never raise a layer's rate above the schedule's (lars only)."
    )
    warmup_epochs: float = Field(ge=0, description="Linear warm-up from 0, epochs; then cosine to 0.")
    scale_by_batch: bool = Field(default=False, description="Multiply the learning rate by batch_size / 256.")


class Training(Strict):
    """The settings that a run has unless its experiment varies them."""

    encoder: str = Field(description="Encoder name (spectral_ssl.models).")
    projector: str = Field(description="Head between representation and embedding, e.g. 256-256-d.")
    embedding_dim: int = Field(ge=1, description="Embedding dimension K (d in a projector's name).")
    augmentation: str = Field(description="Augmentation preset (spectral_ssl.data.views).", pattern=SLUG)
    batch_size: int = Field(ge=2, description="Images a step; each gives two views.")
    epochs: int = Field(ge=1, description="Passes over the training images.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Trunk precision; losses stay float32."
    )
    optimiser: Optimiser


class Levels(Strict):
    """The levels of the factors that experiments vary."""

    epochs: list[int] = Field(description="Training lengths (HaoChen 2021, Table 1), epochs.", min_length=1)
    mu: list[float] = Field(description="Squared feature radius (HaoChen 2021, Table 3).", min_length=1)
    embedding_dim: list[int] = Field(description="Dimensions (Garrido 2023, Figure 1).", min_length=1)
    projector: list[str] = Field(description="Projectors (Garrido 2023, Figure 1).", min_length=1)
    invariance: list[float] = Field(description="VICReg invariance weights (Balestriero 2022).", min_length=1)
    batch_size: list[int] = Field(description="Batch sizes (HaoChen 2021: small ones do).", min_length=1)
    head: list[str] = Field(description="Heads of the spectral loss, the MLP last.", min_length=1)
    encoder: list[str] = Field(description="Function classes on one augmentation graph.", min_length=1)
    optimiser: list[str] = Field(description="Optimisers by name, see `optimisers`.", min_length=1)
    relation: list[str] = Field(
        description="Relation graphs of the companion data set `factors`: aligned with its classes first, "
        "misaligned last; e.g. factor:shape, factor:shape+wrong:0.5, factor:colour.",
        min_length=2,
    )
    graph_invariance: list[float] = Field(
        description="VICReg invariance weights, small and large, that relations are crossed with.",
        min_length=2,
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


class Views(Strict):
    """The subset whose views, relation graph G and contact sheet are written."""

    images: int = Field(ge=2, description="Training images in the subset (stratified by class).")
    views: int = Field(ge=2, description="Views V of each image; G has images * V rows.")


class Probes(Strict):
    """What a trained encoder is measured by."""

    names: list[str] = Field(description="Probes: linear, lbfgs, knn, few<labels a class>.", min_length=1)
    augmented: bool = Field(
        default=False, description="Crop and flip training images anew in each epoch of the probe `linear`."
    )
    draws: int = Field(ge=2, description="Label draws the few-label accuracy is averaged over.")
    validation: str | None = Field(
        default=None,
        description="The accuracy that hyperparameters are chosen by, on a fifth of the training images that it is not "
        "fitted to: few<labels a class>, knn or lbfgs; null: none is measured.",
    )
    metric: str = Field(
        description="The accuracy that orders and figures are judged on, e.g. few5 or linear_last."
    )


class Theorems(Strict):
    """How hard the theorem checks try."""

    instances: int | None = Field(
        ge=1, description="Random instances a check draws; null: each check's own number."
    )
    seed: int = Field(ge=0, description="Seed of the instances.")


class Networks(Strict):
    """Networks trained on finite graphs of scikit-learn's digits, whose optimum is known in closed form."""

    seeds: int = Field(
        ge=1, description="Seeds a network: 0 .. seeds-1, of its weights; graphs stay the same."
    )
    nodes: int = Field(ge=20, description="Images that are nodes of the relation graph; a multiple of 10.")
    features: int = Field(
        ge=1, le=64, description="Principal components that the relation graph's nodes have."
    )
    images: int = Field(
        ge=10, description="Images whose shifts are nodes of the augmentation graph; a multiple of 10."
    )
    dimension: int = Field(ge=1, description="Embedding dimension K.")
    width: int = Field(ge=1, description="Units in each of the MLP's two hidden layers.")
    steps: int = Field(ge=1, description="Full-batch steps on these two graphs.")
    pairs: int = Field(
        ge=60, description="Images, two views each, of the graph of inductive bias; a multiple of 10."
    )
    pair_dimension: int = Field(ge=1, description="Embedding dimension K on that graph.")
    pair_steps: int = Field(ge=1, description="Full-batch steps on that graph.")


class Jobs(Strict):
    """How runs are packed into jobs."""

    runs_per_batch: int | None = Field(
        default=None, ge=1, description="Most runs a job trains; null: all of a method."
    )
    threads: int = Field(
        default=1, ge=1, description="CPU threads a job uses; 1 makes results bit-reproducible."
    )
    memory: int = Field(
        default=2000, ge=100, description="Memory that each process of a pretraining job asks for, MiB."
    )
    runtime: int = Field(
        default=60, ge=1, description="Longest that a pretraining job may take on a cluster, minutes."
    )
    ingestion: int = Field(
        default=30, ge=1, description="Longest that ingesting a data set may take on a cluster, minutes."
    )
    gpus: int = Field(
        default=0, ge=0, description="GPUs that each process of a pretraining job asks a cluster for."
    )


class Recipe(Strict):
    """What a tier changes for one method, because its paper's recipe for this data says so."""

    projector: str | None = Field(default=None, description="Head of this method at this tier.")
    embedding_dim: int | None = Field(
        default=None, ge=1, description="Embedding dimension of this method at this tier."
    )
    hyperparameters: dict[str, float | bool | str] = Field(
        default={}, description="Hyperparameters of the loss."
    )
    options: dict[str, float] = Field(
        default={}, description="Options of the method, such as a momentum or the length of a queue."
    )
    optimiser: Optimiser | None = Field(default=None, description="Optimiser of this method at this tier.")
    batch_size: int | None = Field(default=None, ge=2, description="Batch size of this method at this tier.")
    augmentation: str | None = Field(
        default=None, description="Augmentation of this method at this tier.", pattern=SLUG
    )


class Overrides(Strict):
    """What differs from the tier's training on a companion data set."""

    encoder: str | None = Field(default=None, description="Encoder name.")
    projector: str | None = Field(default=None, description="Head.")
    embedding_dim: int | None = Field(default=None, ge=1, description="Embedding dimension K.")
    augmentation: str | None = Field(default=None, description="Augmentation preset.", pattern=SLUG)
    batch_size: int | None = Field(default=None, ge=2, description="Images a step.")
    epochs: int | None = Field(default=None, ge=1, description="Passes over the training images.")
    optimiser: Optimiser | None = Field(default=None, description="Optimiser.")


class Companion(Strict):
    """A further data set, which experiments ask for by its name in the tier."""

    data: Data
    training: Overrides = Overrides()
    recipes: bool = Field(
        default=False, description="Whether the tier's recipes hold on this data set as on its own."
    )


class Tier(Strict):
    """One complete tier file."""

    name: str = Field(description="The tier's name: its folder under results/ and figures/.", pattern=SLUG)
    description: str = Field(description="One line for captions and the report.")
    seeds: int = Field(ge=1, description="Seeds a cell: 0 .. seeds-1.")
    data: Data
    training: Training
    levels: Levels
    views: Views
    probes: Probes
    theorems: Theorems
    jobs: Jobs
    engine: Engine = Engine()
    networks: Networks | None = Field(
        default=None, description="Networks trained on finite graphs; absent: none is trained."
    )
    recipes: dict[str, Recipe] = Field(default={}, description="By method: what this tier changes for it.")
    optimisers: dict[str, Optimiser] = Field(
        default={}, description="Optimisers that levels.optimiser names, besides training.optimiser."
    )
    companions: dict[str, Companion] = Field(
        default={},
        description="By name: data sets besides `data`; an experiment whose one is absent is not run.",
    )

    @property
    def datasets(self) -> dict[str, Data]:
        """Every data set of the tier by its name in paths, the main one first."""
        return {data.slug: data for data in (self.data, *(c.data for c in self.companions.values()))}

    @property
    def augmentations(self) -> dict[str, str]:
        """The augmentation that each data set is trained with, by its name in paths, the main one first."""
        own = self.training.augmentation
        beside = {c.data.slug: c.training.augmentation or own for c in self.companions.values()}
        return {self.data.slug: own} | beside

    def optimiser(self, name: str) -> Optimiser:
        """An optimiser by name: the tier's own, or one of `optimisers`."""
        if name == self.training.optimiser.name:
            return self.training.optimiser
        if name not in self.optimisers:
            raise unknown("optimiser of this tier", name, [self.training.optimiser.name, *self.optimisers])
        return self.optimisers[name]
