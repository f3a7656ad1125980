"""The named augmentations. Every value carries its origin: paper, authors' code, library (which) or ours."""

from __future__ import annotations

from collections.abc import Callable

from spectral_ssl.data.augment.affine import GainAndNoise, RandomAffine
from spectral_ssl.data.augment.blur import GaussianBlur, tenth_of
from spectral_ssl.data.augment.colour import ColourJitter, Greyscale, Solarise
from spectral_ssl.data.augment.crop import RandomResizedCrop, ResizedCentreCrop
from spectral_ssl.data.augment.rerender import Rerender
from spectral_ssl.data.augment.stage import Stage
from spectral_ssl.data.render import FACTORS
from spectral_ssl.errors import UserError

# Per-channel mean and deviation of pixels in [0, 1].
NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),  # library (solo-learn)
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # library (torchvision's models)
    # Ours, measured on the data set of that name at 16 and 32 px.
    "factors": ((0.676, 0.676, 0.676), (0.165, 0.165, 0.165)),
}

Stages = tuple[Stage, ...]
# Image size, channels and view to stages, and the normalisation's name.
Preset = tuple[Callable[[int, int, int], Stages], str]


def _plain(size: int, channels: int, view: int) -> Stages:
    return ()


def _simclr(size: int, channels: int, view: int) -> Stages:
    return (
        # Scale: paper (Chen et al. 2020, appendix A); bicubic: library (solo-learn).
        RandomResizedCrop(size, scale=(0.08, 1.0), interpolation="bicubic"),
        # Paper at strength 1; solo-learn uses it on CIFAR too, where the paper's appendix B.9 takes half
        # and no blur.
        ColourJitter(0.8, 0.8, 0.8, 0.2, probability=0.8),
        Greyscale(0.2),  # paper
    )


def _haochen(interpolation: str) -> Callable[[int, int, int], Stages]:
    def build(size: int, channels: int, view: int) -> Stages:
        return (
            # All from the authors' code (HaoChen et al. 2021); no blur at 32 px.
            RandomResizedCrop(size, scale=(0.2, 1.0), interpolation=interpolation),
            ColourJitter(0.4, 0.4, 0.4, 0.1, probability=0.8),
            Greyscale(0.2),
        )

    return build


def _byol(size: int, channels: int, view: int) -> Stages:
    return (
        # Paper (Grill et al. 2020, table 6): the views differ in blur and solarisation.
        RandomResizedCrop(size, scale=(0.08, 1.0), interpolation="bicubic"),
        ColourJitter(0.4, 0.4, 0.2, 0.1, probability=0.8),
        Greyscale(0.2),
        # Taps: 23 at 224 px in the paper; the rule for other sizes is SimCLR's.
        GaussianBlur((1.0, 0.1)[view], kernel=tenth_of(size)),
        Solarise((0.0, 0.2)[view]),
    )


def _byol_cifar(size: int, channels: int, view: int) -> Stages:
    return (
        # Library (solo-learn's asymmetric CIFAR augmentation): the paper's values without blur.
        RandomResizedCrop(size, scale=(0.08, 1.0), interpolation="bicubic"),
        ColourJitter(0.4, 0.4, 0.2, 0.1, probability=0.8),
        Greyscale(0.2),
        Solarise((0.0, 0.2)[view]),
    )


def _digits_affine(size: int, channels: int, view: int) -> Stages:
    return (
        # Ours. Strong enough that a linear probe with few labels gains on raw pixels.
        RandomAffine(angle=0.35, scale=0.25, shear=0.3, shift=0.125),
        GainAndNoise(gain=0.25, noise=0.1, channels=channels, size=size),
    )


def _crop_flip(size: int, channels: int, view: int) -> Stages:
    # torchvision's defaults, as in the linear evaluation of the authors' code (HaoChen et al. 2021).
    return (RandomResizedCrop(size, scale=(0.08, 1.0), interpolation="bilinear"),)


def _centre_crop(size: int, channels: int, view: int) -> Stages:
    # Authors' code (HaoChen et al. 2021), test images: resize to 5/4 of the side (40 at 32 px), keep the
    # centre.
    return (ResizedCentreCrop(size, resize=size * 5 // 4, interpolation="bilinear"),)


def _rerendered(*destroy: str) -> Preset:
    """Ours: all nuisances and the given factors are drawn anew, so two views share the other factors only."""

    def build(size: int, channels: int, view: int) -> Stages:
        if channels != 3:
            raise UserError(
                f"images with {channels} channel; augmentations that draw anew from factors give 3: use them "
                "on the data set 'factors', or an augmentation of pixels such as 'digits_affine'"
            )
        return (Rerender(destroy, size),)

    return build, "factors"


PRESETS: dict[str, Preset] = {
    "none": (_plain, "none"),
    "simclr": (_simclr, "cifar10"),  # normalisation: library (solo-learn)
    # Normalisation: authors' code; bilinear: torchvision's default, which it uses.
    "haochen": (_haochen("bilinear"), "imagenet"),
    "haochen_bicubic": (_haochen("bicubic"), "imagenet"),  # ours, to see what interpolation does
    "byol": (_byol, "imagenet"),  # normalisation: paper
    "byol_cifar": (_byol_cifar, "cifar10"),  # normalisation: library (solo-learn)
    "digits_affine": (_digits_affine, "none"),  # ours
    "crop_flip": (_crop_flip, "imagenet"),  # authors' code
    "centre_crop": (_centre_crop, "imagenet"),  # authors' code
    "factors": _rerendered(),
    **{f"factors_destroy_{factor}": _rerendered(factor) for factor in FACTORS},
    **{
        f"factors_keep_{factor}": _rerendered(*(other for other in FACTORS if other != factor))
        for factor in FACTORS
    },
}
