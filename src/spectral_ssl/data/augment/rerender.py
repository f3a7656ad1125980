"""Views that are drawn anew from an image's known factors: each factor is kept or destroyed exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectral_ssl.data.augment.stage import Parameters
from spectral_ssl.data.render import FACTORS, LEVELS, nuisances, render
from spectral_ssl.errors import unknown


@dataclass(frozen=True)
class Rerender:
    """Draw each view from its image's factors, with new nuisances and new levels of the destroyed factors.

    A destroyed factor is uniform over its levels and independent of the image's. The images' pixels are not
    looked at.

    Parameters: `factors` (n, 4) int64, the images' own, which are given and not drawn; `drawn` (n, 4) int64,
    what replaces them where destroyed; and those of `render.nuisances`.

    Attributes:
        destroy: names of factors, of those in `render.FACTORS`.
        size: side of the views, in pixels.

    Raises:
        UserError: an unknown factor.
    """

    destroy: tuple[str, ...]
    size: int

    def __post_init__(self) -> None:
        for name in self.destroy:
            if name not in FACTORS:
                raise unknown("factor", name, FACTORS)

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw levels of all factors, needed or not, and the nuisances; see `Stage`."""
        shape = (n, len(FACTORS))
        drawn = torch.randint(LEVELS, shape, generator=generator, device=generator.device)
        return {"drawn": drawn, **nuisances(n, self.size, generator)}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Draw the views; see `Stage` and, for errors, `render`."""
        factors = parameters["factors"]
        if self.destroy:
            factors = factors.clone()
            for column, name in enumerate(FACTORS):
                if name in self.destroy:
                    factors[:, column] = parameters["drawn"][:, column]
        return render(factors, parameters, self.size)
