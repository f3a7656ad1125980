"""Views of images: batched augmentation on tensors, every sample with its own random parameters.

Random numbers are drawn first, by `Augmentation.sample`, from an explicit generator and without looking at
pixels; `Augmentation.apply` is a deterministic function of images and parameters. Given the parameters,
every operation on pixels equals torchvision's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spectral_ssl.data.augment.crop import RandomResizedCrop, ResizedCentreCrop
from spectral_ssl.data.augment.presets import NORMALISATIONS, PRESETS
from spectral_ssl.data.augment.rerender import Rerender
from spectral_ssl.data.augment.sheet import contact_sheet
from spectral_ssl.data.augment.stage import Parameters, Stage, constant
from spectral_ssl.errors import UserError, unknown

__all__ = ["Augmentation", "augmentation_names", "contact_sheet", "get_augmentation"]

# What is worked on at a time, as float32. On a CPU, where it is for each thread, smaller parts stay in the cache and
# larger ones spend less on calls; on an accelerator the stages' temporaries come to about five times a part.
CHUNK_BYTES = 3 << 19
ACCELERATOR_CHUNK_BYTES = 192 << 20


@dataclass(frozen=True)
class Augmentation:
    """A random map from images to normalised views; built by `get_augmentation`.

    Attributes:
        name: the preset's name.
        image_size: side of the views, in pixels.
        channels: channels of images and views, 1 or 3.
        stages: what is done, in order.
        mean: subtracted per channel, from pixels in [0, 1].
        std: divided by per channel.
    """

    name: str
    image_size: int
    channels: int
    stages: tuple[Stage, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(
        self, images: Tensor, *, generator: torch.Generator, factors: Tensor | None = None
    ) -> Tensor:
        """Draw parameters and apply them: one view of each image; see `sample` and `apply`."""
        self._check(images)
        source = (images.shape[2], images.shape[3])
        parameters = self.sample(len(images), generator=generator, source=source)
        return self.apply(images, parameters, factors=factors)

    def sample(
        self, n: int, *, generator: torch.Generator, source: tuple[int, int] | None = None
    ) -> dict[str, Tensor]:
        """Draw the parameters of n views, on the generator's device.

        Args:
            n: number of views.
            generator: the only source of randomness: the same state gives the same parameters.
            source: height and width of the images, in pixels, which crop boxes depend on; by default the
                views'.

        Returns:
            Named tensors with n rows each; the stages' docstrings say which.
        """
        source = source or (self.image_size, self.image_size)
        parameters: dict[str, Tensor] = {}
        for stage in self.stages:
            parameters |= stage.sample(n, source, generator)
        return parameters

    def apply(self, images: Tensor, parameters: Parameters, *, factors: Tensor | None = None) -> Tensor:
        """Transform and normalise images; leaves them unchanged.

        Args:
            images: (N, C, H, W) uint8, or floating point in [0, 1].
            parameters: from `sample`, with N rows, on any device.
            factors: (N, F) int64, the images' known factors, on any device: stages that draw images anew
                find them in the parameters, as `factors`.

        Returns:
            (N, C, image_size, image_size) float32.

        Raises:
            UserError: images of another shape, type or number of channels, parameters or factors for another
                number of images, or no factors for an augmentation that needs them.
        """
        self._check(images)
        n = len(images)
        if factors is not None:
            parameters = {**parameters, "factors": factors}
        self._check_factors(parameters.get("factors"), n)
        rows = {len(value) for value in parameters.values()} or {n}
        if rows != {n}:
            found = ", ".join(map(str, sorted(rows)))
            raise UserError(f"parameters of {found} views for {n} images; draw them with sample({n}, ...)")
        parameters = {name: value.to(images.device) for name, value in parameters.items()}
        # Under autocast the crops' matrix products would lose all but eight bits.
        with torch.autocast(images.device.type, enabled=False):
            return self._apply_parts(images, parameters)

    def normalise(self, views: Tensor) -> Tensor:
        """Map pixels in [0, 1] to the networks' scale, in place."""
        return self._normalise(views, views)

    def plain(self) -> Augmentation:
        """The same normalisation without any augmentation: what an encoder sees when it is evaluated."""
        return replace(self, stages=())

    def pixels(self, views: Tensor) -> Tensor:
        """Undo the normalisation: views (N, C, H, W) to pixels in [0, 1], clamped."""
        scaled = views * self._per_channel(self.std, views) + self._per_channel(self.mean, views)
        return scaled.clamp_(0, 1)

    def _apply_parts(self, images: Tensor, parameters: Parameters) -> Tensor:
        n = len(images)
        side = max(self.image_size, *images.shape[2:])
        cpu = images.device.type == "cpu"
        size = CHUNK_BYTES * torch.get_num_threads() if cpu else ACCELERATOR_CHUNK_BYTES
        chunk = max(1, size // (4 * self.channels * side * side))
        views = torch.empty(n, self.channels, self.image_size, self.image_size, device=images.device)
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            rows = {name: value[part] for name, value in parameters.items()}
            self._apply(images[part], rows, views[part])
        return views

    def _apply(self, images: Tensor, parameters: Parameters, out: Tensor) -> None:
        views = images.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if images.dtype == torch.uint8:
            views.div_(255)
        for stage in self.stages:
            views = stage.apply(views, parameters)
        self._normalise(views, out)

    def _normalise(self, views: Tensor, out: Tensor) -> Tensor:
        if any(self.mean) or any(value != 1 for value in self.std):
            mean, std = self._per_channel(self.mean, views), self._per_channel(self.std, views)
            return torch.sub(views, mean, out=out).div_(std)
        return out if out is views else out.copy_(views)

    @staticmethod
    def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
        return constant(values, like.device).view(1, -1, 1, 1)

    def _check(self, images: Tensor) -> None:
        expected = f"(N, {self.channels}, H, W)"
        shape = tuple(images.shape)
        if images.ndim != 4:
            raise UserError(f"images of shape {shape}; expected {expected}: add or remove dimensions")
        if images.shape[1] != self.channels:
            last = images.shape[3] == self.channels
            remedy = (
                "move the channels with permute(0, 3, 1, 2)" if last else "ask get_augmentation for that many"
            )
            raise UserError(f"images of shape {shape}; expected {expected}: {remedy}")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise UserError(
                f"images of type {images.dtype}; expected torch.uint8, or floating point in [0, 1]"
            )
        resizes = any(isinstance(stage, RandomResizedCrop | ResizedCentreCrop) for stage in self.stages)
        if not resizes and shape[2:] != (self.image_size, self.image_size):
            raise UserError(
                f"images of {shape[2]} x {shape[3]} pixels; '{self.name}' does not resize and expected "
                f"{self.image_size} x {self.image_size}: ask get_augmentation for the images' size"
            )

    def _check_factors(self, factors: Tensor | None, n: int) -> None:
        if factors is not None and len(factors) != n:
            raise UserError(f"factors of {len(factors)} images for {n} images; give one row for each image")
        needed = any(isinstance(stage, Rerender) for stage in self.stages)
        if needed and (factors is None or factors.shape[-1] == 0):
            raise UserError(
                f"augmentation '{self.name}' draws images anew from their factors, and this data set has none: "
                "use the data set 'factors', or an augmentation of pixels such as 'simclr'"
            )


def augmentation_names() -> list[str]:
    """The names that `get_augmentation` knows."""
    return sorted(PRESETS)


def get_augmentation(
    name: str, image_size: int, channels: int, *, view: int = 0, normalisation: str | None = None
) -> Augmentation:
    """Build a named augmentation.

    Args:
        name: one of `augmentation_names()`; "none" only normalises.
        image_size: side of the views, in pixels; presets that crop accept images of any other size.
        channels: 1 or 3; on a single channel saturation, hue and greyscale change nothing.
        view: 0 or 1: which of the two views, for presets whose views differ (the byol ones); others give
            the same for both.
        normalisation: "none", "cifar10" or "imagenet" instead of the preset's own, e.g. to evaluate as
            trained; a single channel takes the average over the three.

    Raises:
        UserError: an unknown name or normalisation, or a size, number of channels or view that cannot be.
    """
    if name not in PRESETS:
        raise unknown("augmentation", name, PRESETS)
    build, own = PRESETS[name]
    scaling = own if normalisation is None else normalisation
    if scaling not in NORMALISATIONS:
        raise unknown("normalisation", scaling, NORMALISATIONS)
    if channels not in (1, 3):
        raise UserError(f"images with {channels} channels; expected 1 or 3: convert the images")
    if image_size < 2:
        raise UserError(f"image_size {image_size}; expected at least 2 pixels: give the side of the views")
    if view not in (0, 1):
        raise UserError(f"view {view}; expected 0 or 1: augmentations come in pairs")
    mean, std = NORMALISATIONS[scaling]
    if channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return Augmentation(name, image_size, channels, build(image_size, channels, view), mean, std)
