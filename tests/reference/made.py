"""The gpu tier made tiny: four classes of JPEG files in an archive, four layers, an epoch or two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectral_ssl.__main__ import main
from spectral_ssl.config import load_tier
from spectral_ssl.reference.place import reference_of
from spectral_ssl.stages import Context

CONFIG = Path(__file__).parents[2] / "config"
TINY = {
    "name": "tiny",
    "description": "four classes of JPEG files",
    "seeds": "2",
    "data.name": "folder",
    "data.label": "jpeg",
    "companions": "{}",
    "training": "{encoder: conv32, projector: 16-d, embedding_dim: 8, batch_size: 16, epochs: 2, precision: float32}",
    "levels": "{epochs: [1, 2], embedding_dim: [4, 8], projector: [d-d-d, 16-d], batch_size: [8, 16], "
    "encoder: [conv_narrow, conv32], head: [none, 'spectral:16']}",
    "recipes": "{spectral: {projector: 'spectral:16', embedding_dim: 8}, moco_v2: {options: {queue: 32}}, "
    "nnclr: {options: {queue: 32}}}",
    "papers": "{garrido2023: {epochs: 1}}",
    "probes": "{names: [linear, knn, few1, few5], draws: 2}",
    "views.images": "20",
    "jobs.threads": "1",
}
ITEMS = """
table1:
  title: Table 1
  runs:
    - {experiment: haochen2021/table1, where: {epochs: 2}}
table1-second-seed:
  title: the same with a second seed
  runs:
    - {experiment: haochen2021/table1, where: {epochs: 2}, seeds: [1]}
throughput:
  title: views a second
  benchmark:
    {script: engine.py, arguments: [--folder, "{folder}"], on_cpu: [--small], makes: "engine_{device}.csv", seconds: 60}
beside-another:
  title: a loop of something that is not installed
  benchmark: {script: engine.py, makes: other.csv, needs: [no_such_package], seconds: 60}
chain:
  title: from VICReg to SimCLR
  embeddings: true
  runs:
    - {experiment: garrido2023/recipes}
    - {experiment: garrido2023/supplement_d}
    - {experiment: garrido2023/table1}
dimensions:
  title: embedding dimensions
  runs:
    - {experiment: garrido2023/figure1, methods: [vicreg, simclr_tuned], where: {projector: [d-d-d, 16-d]}}
tuning:
  title: candidates
  runs:
    - {experiment: garrido2023/tuning, methods: [vicreg]}
lengths:
  title: other lengths
  runs:
    - {experiment: haochen2021/table1, methods: [spectral], where: {epochs: 1}}
mu:
  title: the radius
  runs:
    - {experiment: haochen2021/table3}
methods:
  title: further methods
  runs:
    - {experiment: haochen2021/batch_size, methods: [spectral], where: {batch_size: [8, 16]}}
    - {experiment: haochen2021/head}
    - {experiment: haochen2021/table2, methods: [byol, moco_v2]}
    - {experiment: balestriero2022/rank_baselines, methods: [barlow_twins, nnclr]}
    - {method: dcl}
augmentation-graph:
  title: augmentation graphs
  table: haochen2021/augmentation_graph
why:
  title: what a difference may come from
  runs:
    - {experiment: haochen2021/table1, methods: [spectral], where: {epochs: 2}}
    - {method: spectral, settings: {hyperparameters.projection: sphere}, changed: on the sphere}
    - {method: spectral, settings: {schedule_epochs: 4}, changed: a read-out}
    - {method: spectral, settings: {augmentation: haochen_bicubic}, changed: bicubic crops}
"""


@dataclass
class Bench:
    """A folder with a list, and the command on it."""

    root: Path
    list: Path
    archive: Path

    def words(self, *more: str, **changed: str) -> list[str]:
        """The command line that names the tier; keywords change values of it, with `__` for a dot."""
        values = {**TINY, "data.path": str(self.archive)}
        values |= {key.replace("__", "."): value for key, value in changed.items()}
        sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        return ["--tier", str(CONFIG / "gpu.yaml"), *sets, "--root", str(self.root), *more]

    def run(self, *more: str, **changed: str) -> int:
        """The stage on a CPU, with this list."""
        words = self.words("--items", str(self.list), "--device", "cpu", "--quiet", *more, **changed)
        return main(["reference", *words])

    @property
    def context(self) -> Context:
        """The tier's fresh results."""
        values = [f"{key}={value}" for key, value in {**TINY, "data.path": str(self.archive)}.items()]
        return Context(load_tier("gpu", values, CONFIG), self.root, quiet=True)

    @property
    def reference(self) -> Context:
        """The tier's reference results."""
        return reference_of(self.context)

    @property
    def runs(self) -> set[str]:
        """The runs that are kept."""
        return {path.parent.name for path in self.reference.layout.runs.glob("*/status.json")}


ONE = """
one:
  title: one run
  runs: [{method: spectral, settings: {epochs: EPOCHS}}]
"""


def one(epochs: int) -> str:
    return ONE.replace("EPOCHS", str(epochs))
