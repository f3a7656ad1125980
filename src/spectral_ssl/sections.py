"""The sections of a tier's file: every key with its description, unit and range."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spectral_ssl.bounds import (
    LEVELS,
    Count,
    Digits,
    Images,
    Key,
    Line,
    Machine,
    Minutes,
    Place,
    Positive,
    Seeds,
    Several,
    Slug,
    Strict,
    Weight,
    Word,
)
from spectral_ssl.engine import Engine as Engine
from spectral_ssl.errors import unknown
from spectral_ssl.levels import Levels


class Data(Strict):
    """The data set, and how much of it."""

    name: Slug = Field(
        description="Data set: digits, factors, cifar10, cifar100, stl10, tiny_imagenet, imagenet or folder."
    )
    label: Slug | None = Field(default=None, description="Name in results and captions; default: name.")
    path: Place | None = Field(
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
    train_limit: Images | None = Field(
        default=None, description="Training images to keep, the same number of each class; null: all."
    )
    test_limit: Images | None = Field(
        default=None, description="Test images to keep, the same number of each class; null: all."
    )

    @property
    def slug(self) -> str:
        """The data set's name in paths and captions."""
        return self.label or self.name


class Optimiser(Strict):
    """How weights move."""

    name: Literal["sgd", "adamw", "lars"] = Field(description="Update rule.")
    learning_rate: Positive = Field(description="Peak learning rate (per 256 samples if scale_by_batch).")
    weight_decay: Weight = Field(description="Weight decay, on all parameters.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum (sgd and lars).")
    exclude_bias_and_norm: bool = Field(
        default=False,
        description="No weight decay on biases and normalisation parameters; lars leaves them out always.",
    )
    trust_coefficient: Positive = Field(
        default=0.001, description="Share of a layer's norm that a step may move it by (lars only)."
    )
    clip: bool = Field(
        default=False, description="Never raise a layer's rate above the schedule's (lars only)."
    )
    warmup_epochs: Weight = Field(description="Linear warm-up from 0, epochs; then cosine to 0.")
    scale_by_batch: bool = Field(default=False, description="Multiply the learning rate by batch_size / 256.")


class Training(Strict):
    """The settings that a run has unless its experiment varies them."""

    encoder: Word = Field(description="Encoder name (spectral_ssl.models).")
    projector: Word = Field(description="Head between representation and embedding, e.g. 256-256-d.")
    embedding_dim: Count = Field(description="Embedding dimension K (d in a projector's name).")
    augmentation: Slug = Field(description="Augmentation preset (spectral_ssl.data.views).")
    batch_size: Several = Field(description="Images a step; each gives two views.")
    epochs: Count = Field(description="Passes over the training images.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Trunk precision; losses stay float32."
    )
    optimiser: Optimiser


class Views(Strict):
    """The subset whose views, relation graph G and contact sheet are written."""

    images: Several = Field(description="Training images in the subset (stratified by class).")
    views: int = Field(ge=2, le=1_000, description="Views V of each image; G has images * V rows.")


class Probes(Strict):
    """What a trained encoder is measured by."""

    names: list[Word] = Field(
        description="Probes: linear, lbfgs, knn, few<labels a class>.", min_length=1, max_length=LEVELS
    )
    augmented: bool = Field(
        default=False, description="Crop and flip training images anew in each epoch of the probe `linear`."
    )
    draws: int = Field(ge=2, le=10_000, description="Label draws the few-label accuracy is averaged over.")
    validation: Word | None = Field(
        default=None,
        description="The accuracy that hyperparameters are chosen by, on a fifth of the training images that it is not "
        "fitted to: few<labels a class>, knn or lbfgs; null: none is measured.",
    )
    metric: Word = Field(
        description="The accuracy that orders and figures are judged on, e.g. few5 or linear_last."
    )


class Theorems(Strict):
    """How hard the theorem checks try."""

    instances: Count | None = Field(
        description="Random instances a check draws; null: each check's own number."
    )
    seed: int = Field(ge=0, lt=2**32, description="Seed of the instances.")


class Networks(Strict):
    """Networks trained on finite graphs of scikit-learn's digits, whose optimum is known in closed form."""

    seeds: Seeds = Field(description="Seeds a network: 0 .. seeds-1, of its weights; graphs stay the same.")
    nodes: Digits = Field(ge=20, description="Images that are nodes of the relation graph; a multiple of 10.")
    features: int = Field(
        ge=1, le=64, description="Principal components that the relation graph's nodes have."
    )
    images: Digits = Field(
        ge=10, description="Images whose shifts are nodes of the augmentation graph; a multiple of 10."
    )
    dimension: Count = Field(description="Embedding dimension K.")
    width: Count = Field(description="Units in each of the MLP's two hidden layers.")
    steps: Count = Field(description="Full-batch steps on these two graphs.")
    pairs: Digits = Field(
        ge=60, description="Images, two views each, of the graph of inductive bias; a multiple of 10."
    )
    pair_dimension: Count = Field(description="Embedding dimension K on that graph.")
    pair_steps: Count = Field(description="Full-batch steps on that graph.")


class Jobs(Strict):
    """How runs are packed into jobs."""

    runs_per_batch: Count | None = Field(
        default=None, description="Most runs a job trains; null: all of a method."
    )
    threads: Machine = Field(
        default=1, ge=1, description="CPU threads a job uses; 1 makes results bit-reproducible."
    )
    memory: int = Field(
        default=2000,
        ge=100,
        le=100_000_000,
        description="Memory that each process of a pretraining job asks for, MiB.",
    )
    runtime: Minutes = Field(
        default=60, description="Longest that a pretraining job may take on a cluster, minutes."
    )
    ingestion: Minutes = Field(
        default=30, description="Longest that ingesting a data set may take on a cluster, minutes."
    )
    gpus: Machine = Field(
        default=0, ge=0, description="GPUs that each process of a pretraining job asks a cluster for."
    )


class Recipe(Strict):
    """What a tier changes for one method, because its paper's recipe for this data says so."""

    projector: Word | None = Field(default=None, description="Head of this method at this tier.")
    embedding_dim: Count | None = Field(
        default=None, description="Embedding dimension of this method at this tier."
    )
    hyperparameters: dict[Key, float | bool | Word] = Field(
        default={}, max_length=LEVELS, description="Hyperparameters of the loss."
    )
    options: dict[Key, float] = Field(
        default={},
        max_length=LEVELS,
        description="Options of the method, such as a momentum or the length of a queue.",
    )
    optimiser: Optimiser | None = Field(default=None, description="Optimiser of this method at this tier.")
    batch_size: Several | None = Field(default=None, description="Batch size of this method at this tier.")
    augmentation: Slug | None = Field(default=None, description="Augmentation of this method at this tier.")


class Overrides(Strict):
    """What differs from the tier's training on a companion data set."""

    encoder: Word | None = Field(default=None, description="Encoder name.")
    projector: Word | None = Field(default=None, description="Head.")
    embedding_dim: Count | None = Field(default=None, description="Embedding dimension K.")
    augmentation: Slug | None = Field(default=None, description="Augmentation preset.")
    batch_size: Several | None = Field(default=None, description="Images a step.")
    epochs: Count | None = Field(default=None, description="Passes over the training images.")
    optimiser: Optimiser | None = Field(default=None, description="Optimiser.")


class Paper(Strict):
    """What differs from the tier's training in one paper's experiments."""

    epochs: Count = Field(description="Passes over the training images, where an experiment varies none.")


class Companion(Strict):
    """A further data set, which experiments ask for by its name in the tier."""

    data: Data
    training: Overrides = Overrides()
    recipes: bool = Field(
        default=False, description="Whether the tier's recipes hold on this data set as on its own."
    )


class Tier(Strict):
    """One complete tier file."""

    name: Slug = Field(description="The tier's name: its folder under results/ and figures/.")
    description: Line = Field(description="One line for captions and the report.")
    seeds: Seeds = Field(description="Seeds a cell: 0 .. seeds-1.")
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
    recipes: dict[Slug, Recipe] = Field(
        default={}, max_length=LEVELS, description="By method: what this tier changes for it."
    )
    optimisers: dict[Slug, Optimiser] = Field(
        default={},
        max_length=LEVELS,
        description="Optimisers that levels.optimiser names, besides training.optimiser.",
    )
    papers: dict[Slug, Paper] = Field(
        default={},
        max_length=LEVELS,
        description="By paper: what this tier changes for its experiments on the tier's own data.",
    )
    companions: dict[Slug, Companion] = Field(
        default={},
        max_length=LEVELS,
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
