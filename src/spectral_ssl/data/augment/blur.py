"""Gaussian blur with a width for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from spectral_ssl.data.augment.separable import blur_matrix, separable
from spectral_ssl.data.augment.stage import Parameters, bernoulli, on_selected, uniform


def gaussian_blur(images: Tensor, sigma: Tensor, *, kernel: int) -> Tensor:
    """Blur each image by a Gaussian of its own width, edges reflected; as torchvision's `gaussian_blur`.

    Args:
        images: (N, C, H, W) float32, sides longer than kernel // 2.
        sigma: (N,) standard deviations in pixels, positive.
        kernel: number of taps, odd.
    """
    height, width = images.shape[-2:]
    rows = blur_matrix(sigma, height, kernel)
    columns = rows if width == height else blur_matrix(sigma, width, kernel)
    return separable(images, rows, columns)


def tenth_of(size: int) -> int:
    """The odd number of taps nearest to a tenth of the side, at least 3 (the rule of SimCLR, appendix A)."""
    return max(3, 2 * round((size / 10 - 1) / 2) + 1)


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian blur with a probability. Parameters: `blur` (n,) booleans and `blur_sigma` (n,), in pixels."""

    probability: float
    kernel: int
    sigma: tuple[float, float] = (0.1, 2.0)

    def sample(self, n: int, source: tuple[int, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw who is blurred and by how much; see `Stage`."""
        blurred = bernoulli(n, self.probability, generator)
        return {"blur": blurred, "blur_sigma": uniform(n, *self.sigma, generator)}

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Blur the selected samples; see `Stage`."""
        blur = partial(gaussian_blur, kernel=self.kernel)
        return on_selected(images, parameters["blur"], blur, parameters["blur_sigma"])
