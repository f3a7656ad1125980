"""What the workflow has to know of a tier: its jobs, and the arguments that name it to a stage. Imports no torch.

The Snakefile builds its rules from this; nothing here knows Snakemake.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectral_ssl.config import flattened, load_tier
from spectral_ssl.jobs import Jobs
from spectral_ssl.layout import Layout


class Targets(Jobs):
    """The jobs of a tier given by `--config` values (`tier`, `seeds`, ...)."""

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        options = dict(config)
        name = str(options.pop("tier", "laptop"))
        self.overrides = sorted(flattened(options))
        tier = load_tier(name, self.overrides, folder)
        super().__init__(tier, Layout(tier.name))
        self.file = name if name.endswith((".yaml", ".yml")) else str(folder / f"{name}.yaml")

    @property
    def arguments(self) -> str:
        """The command-line arguments that name this tier, quoted for a shell."""
        words = ["--tier", self.file]
        for override in self.overrides:
            words += ["--set", override]
        return shlex.join(words)

    @property
    def launcher(self) -> str:
        """What starts the processes that train a run together; nothing for one process."""
        processes = self.tier.engine.processes
        return (
            f"-m spectral_ssl.train.launch --standalone --nproc-per-node {processes} "
            if processes > 1
            else ""
        )
