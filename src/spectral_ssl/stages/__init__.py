"""The stage commands' bodies, one module a stage; each is imported only when its command runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spectral_ssl.layout import REFERENCE, RESULTS, Layout
from spectral_ssl.papers.manifest import Manifest, build
from spectral_ssl.sections import Tier


@dataclass(frozen=True)
class Context:
    """What every stage knows: the tier, where things lie, and who is watching.

    base: `results`, or `reference` for what is committed, where runs may be missing: they come one at a time.
    """

    tier: Tier
    root: Path = Path()
    quiet: bool = False
    base: str = RESULTS

    @property
    def partial(self) -> bool:
        """Whether runs may be missing, and what does not rest on runs."""
        return self.base == REFERENCE

    @cached_property
    def layout(self) -> Layout:
        """The tier's paths."""
        return Layout(self.tier.name, self.root, self.base)

    @cached_property
    def manifest(self) -> Manifest:
        """The tier's runs, batches and cells."""
        return build(self.tier)
