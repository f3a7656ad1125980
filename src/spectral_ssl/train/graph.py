"""Training on a whole finite graph: every step sees every edge, so that the optimum is known in closed form.

Balestriero & LeCun 2022 and HaoChen et al. 2021 say what a network that reaches the optimum embeds; here a network is
trained and compared with that at steps spread evenly on a log scale. Comparisons are in float64; so is training, unless
the features are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from spectral_ssl import closed_form as cf
from spectral_ssl.errors import UserError, unknown
from spectral_ssl.losses.graph import get_graph_loss
from spectral_ssl.losses.graph.edges import PREPARE, Edges
from spectral_ssl.models.convolutional import PerceptronEncoder, conv_narrow
from spectral_ssl.models.initialise import build
from spectral_ssl.train.feed import generator_for
from spectral_ssl.train.group import Row
from spectral_ssl.train.optim import build_optimiser, learning_rate
from spectral_ssl.train.step import descend, not_finite

if TYPE_CHECKING:
    from spectral_ssl.sections import Optimiser

Array = NDArray[np.float64]
ROWS = 40  # of history, at most


@dataclass(frozen=True)
class Objective:
    """A graph loss at the hyperparameters at which the closed form of the same name is its optimum.

    whitened: the network's last layer makes Z^T D Z = I, the constraint under which the closed form holds.
    """

    kind: str
    loss: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    options: dict[str, float] = field(default_factory=dict)
    whitened: bool = False


# The closed forms' defaults. Barlow Twins with alpha = 1: no rotation of a whitened Z changes that loss.
OBJECTIVES = {
    "vicreg": Objective(
        "relation",
        "vicreg",
        {"invariance": 0.3, "variance": 1.0, "covariance": 1.0, "variance_kind": "quadratic"},
        {"invariance": 0.3, "variance": 1.0},
    ),
    "simclr": Objective("relation", "gram"),
    "barlow_twins": Objective("relation", "barlow_twins", {"lambda_": 1.0}, {"alpha": 1.0}, whitened=True),
    "spectral": Objective("augmentation", "spectral"),
}


@dataclass(frozen=True)
class GraphRun:
    """A loss by its closed form's name, a network, its embedding's dimension K, and how it is trained.

    width: of the two hidden layers of the network `mlp`. An epoch is a step, since a step sees the whole graph.
    """

    loss: str
    network: str
    dimension: int
    optimiser: Optimiser
    steps: int
    seed: int
    width: int = 64


@dataclass
class GraphTrained:
    """The network, its embedding (N, K), the optimum it is compared with, rows of history, and where it diverged.

    A row: step, total, its terms; gap, the objective above the optimum's as a share of what the optimum gains over an
    embedding at the origin (whitened: over uncorrelated views); excess, the same of the optimum over all embeddings,
    which differs for the linear network; angle, the largest principal angle between the column
    spans in radians (pi/2 where ranks differ); rank of the embedding.
    """

    network: nn.Module
    embedding: Array
    optimum: cf.Result
    history: list[Row]
    diverged: dict[str, Any] | None = None


class Table(nn.Module):
    """An embedding (N, K) of its own for each node, whatever the features: every function of the nodes."""

    def __init__(self, nodes: int, dimension: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(nodes, dimension, generator=generator) / nodes**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """The table (N, K)."""
        return self.weight


class Whitened(nn.Module):
    """A network's embedding Z centred by degree-weighted means and multiplied so that Z^T D Z = I.

    By Cholesky's factor: another root is a rotation of it. NaN where Z has not full rank.
    """

    def __init__(self, network: nn.Module, degrees: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("degrees", degrees)

    def forward(self, features: Tensor) -> Tensor:
        """The whitened embedding (N, K)."""
        degrees = self.degrees
        assert isinstance(degrees, Tensor)
        z = self.network(features)
        z = z - degrees @ z / degrees.sum()
        factor, info = torch.linalg.cholesky_ex(z.T @ (degrees[:, None] * z))
        white: Tensor = torch.linalg.solve_triangular(factor.mT, z, upper=True, left=False)
        return torch.where(info == 0, white, torch.nan)


def graph_network(
    name: str, features: Tensor, dimension: int, *, width: int = 64, generator: torch.Generator
) -> nn.Module:
    """A network from features (N, ...) to (N, `dimension`), as precise as these, drawn from the generator (CPU).

    - `free`: an embedding for each node;
    - `linear`: Z = X W, X (N, D) flattened, no bias;
    - `mlp`: two hidden layers of `width` with batch norm and ReLU, then a linear layer;
    - `conv`: the encoder `conv_narrow`, then a linear layer; square images (N, C, H, W) only.

    Batch norm uses the statistics of all N nodes at every step, in training and after. Raises UserError for another
    name, and where `conv` is given no images.
    """
    inputs = features[0].numel()

    def after(encoder: nn.Module, width: int) -> nn.Module:
        return nn.Sequential(encoder, nn.Linear(width, dimension))

    def conv() -> nn.Module:
        if features.ndim != 4 or features.shape[2] != features.shape[3]:
            raise UserError(
                f"features of shape {tuple(features.shape)}: network 'conv' needs square images (N, C, H, W)"
            )
        encoder = conv_narrow(features.shape[-1], features.shape[1])
        return after(encoder, encoder.output_dim)

    makers: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(inputs, dimension, bias=False)),
        "mlp": lambda: after(PerceptronEncoder(inputs, width), width),
        "conv": conv,
    }
    if name == "free":
        return Table(len(features), dimension, generator=generator).to(features.dtype)
    if name not in makers:
        raise unknown("network", name, ["free", *makers])
    return build(makers[name], generator=generator).to(features.dtype)


def train_on_graph(
    run: GraphRun, graph: Any, features: ArrayLike, *, device: torch.device | str = "cpu"
) -> GraphTrained:
    """Train a network on a graph (N, N) with node features (N, ...), to the last step or to where it diverges.

    The graph is a relation graph G, for "spectral" augmentation-graph weights w. The optimum compared with is that of
    the linear network for `linear`, and the free one for the others: what a network may at best reach. Raises
    UserError for unknown names, a bad graph or features, and a dimension that the closed form refuses.
    """
    if run.loss not in OBJECTIVES:
        raise unknown("loss with a closed form", run.loss, OBJECTIVES)
    objective = OBJECTIVES[run.loss]
    edges = PREPARE[objective.kind](graph)
    x = torch.as_tensor(features)
    x = x.to(device, torch.float32 if x.dtype == torch.float32 else torch.float64)
    if x.ndim < 2 or len(x) != edges.nodes or not torch.isfinite(x).all():
        raise UserError(
            f"features of shape {tuple(x.shape)} for a graph of {edges.nodes} nodes: expected one finite row a node"
        )
    flat = x.flatten(1).double().cpu().numpy() if run.network == "linear" else None
    edges = edges.to(device, x.dtype)
    free = cf.solve(run.loss, graph, run.dimension, **objective.options)
    optimum = free if flat is None else cf.solve(run.loss, graph, run.dimension, X=flat, **objective.options)
    network = graph_network(
        run.network, x, run.dimension, width=run.width, generator=generator_for(run.seed, "weights")
    ).to(device)
    if objective.whitened:
        network = Whitened(network, edges.degrees)
    watch = _Watch(run, graph, edges, optimum, free)
    return _train(run, network, x, edges, watch)


def _train(run: GraphRun, network: nn.Module, x: Tensor, edges: Edges, watch: _Watch) -> GraphTrained:
    objective = OBJECTIVES[run.loss]
    loss = get_graph_loss(objective.loss)
    optimiser = build_optimiser(network, run.optimiser)
    shown = {0, *np.unique(np.geomspace(1, run.steps, ROWS).round().astype(int)).tolist()}
    history: list[Row] = []
    diverged = None
    for step in range(run.steps + 1):
        z = network(x)
        terms = loss(z, edges, **objective.hyperparameters)
        rate = learning_rate(run.optimiser, step, 1, run.steps, edges.nodes)
        bad = descend(optimiser, terms, rate) if step < run.steps else not_finite(terms)
        if bad:
            diverged = {"term": bad, "step": step + 1}
            break
        if step in shown:
            values = {name: float(value.detach()) for name, value in terms.items()}
            history.append({"step": step, "total": sum(values.values()), **values, **watch.look(z)})
    return GraphTrained(network, z.detach().double().cpu().numpy(), watch.optimum, history, diverged)


class _Watch:
    """Compares embeddings with the optimum of the run's closed form."""

    def __init__(self, run: GraphRun, graph: Any, edges: Edges, optimum: cf.Result, free: cf.Result) -> None:
        self.name, self.graph, self.optimum = run.loss, graph, optimum
        self.options = OBJECTIVES[run.loss].options
        self.degrees = edges.degrees.double().cpu().numpy()
        nothing = np.zeros((edges.nodes, run.dimension))
        whitened = OBJECTIVES[run.loss].whitened
        start = run.dimension if whitened else cf.objective(run.loss, nothing, graph, **self.options)
        self.start, self.least = start, free.loss
        best = optimum.embedding if run.loss == "spectral" else self._compared(optimum.embedding)
        self.span = cf.span(best)

    def look(self, z: Tensor) -> Row:
        found = self._compared(z.detach().double().cpu().numpy())
        with np.errstate(over="ignore"):  # on the way to a divergence: infinite before the loss is
            loss = cf.objective(self.name, found, self.graph, **self.options)
        return {
            "gap": (loss - self.optimum.loss) / (self.start - self.optimum.loss),
            "excess": (loss - self.least) / (self.start - self.least),
            "angle": cf.largest_angle(found, self.span),
            "rank": float(cf.span(found).shape[1]),
        }

    def _compared(self, z: Array) -> Array:
        """What the optimum determines: without what the loss does not see, for "spectral" with sqrt(w_x)."""
        if self.name == "spectral":
            return np.asarray(np.sqrt(self.degrees)[:, None] * z)
        if self.name == "simclr":
            return z
        weights = self.degrees if self.name == "barlow_twins" else np.ones(len(z))
        return np.asarray(z - weights @ z / weights.sum())
