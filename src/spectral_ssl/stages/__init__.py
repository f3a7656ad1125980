"""The stage commands' bodies, one module a stage; each is imported only when its command runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spectral_ssl.layout import Layout
from spectral_ssl.papers.manifest import Manifest, build
from spectral_ssl.sections import Tier


@dataclass(frozen=True)
class Context:
    """What every stage knows: the tier, where things lie, and who is watching."""

    tier: Tier
    root: Path = Path()
    quiet: bool = False

    @cached_property
    def layout(self) -> Layout:
        """The tier's paths."""
        return Layout(self.tier.name, self.root)

    @cached_property
    def manifest(self) -> Manifest:
        """The tier's runs, batches and cells."""
        return build(self.tier)
