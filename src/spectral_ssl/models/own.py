"""An encoder of the user's own: a torchvision ResNet's weights, one of this project's, or a TorchScript program."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectral_ssl.errors import UserError
from spectral_ssl.models.encoders import get_encoder
from spectral_ssl.models.table import encoder_entry

# Under which training scripts keep the encoder in a state dict; what lies beside it (a momentum encoder, a queue, a
# projector) is left out.
PREFIXES = (
    "module.",
    "state_dict.",
    "encoder_q.",
    "online_encoder.",
    "encoder.",
    "backbone.",
    "model.",
    "trunk.",
)
CONTAINERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "net",
)  # under which training scripts keep the weights
BLOCKS = {
    (2, False): "resnet18",
    (3, True): "resnet50",
}  # blocks of layer 1, and whether they are bottlenecks


class OwnNetwork(nn.Module):
    """Images (B, C, H, W) to representations (B, D) of any encoder; a grey image's channel is repeated if it has to be.

    There is no head: embeddings are representations.
    """

    def __init__(self, encoder: nn.Module, channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels = channels

    def represent(self, images: Tensor) -> Tensor:
        """Representations, float32; what is left of a map is averaged.

        Raises UserError where the encoder cannot take the images, or gives something else than features.
        """
        if images.shape[1] == 1:
            images = images.expand(-1, self.channels, -1, -1)
        try:
            found = self.encoder(images)
        except RuntimeError as error:
            first = " ".join(str(error).split())[:200]
            raise UserError(
                f"the encoder cannot take images of shape {tuple(images.shape[1:])} ({first}); choose a tier whose "
                "images fit it"
            ) from error
        if not isinstance(found, Tensor) or found.ndim not in (2, 4) or len(found) != len(images):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(f"the encoder gave {shape} for {len(images)} images; expected features (B, D)")
        return (found.mean(dim=(2, 3)) if found.ndim == 4 else found).float()

    def embed(self, images: Tensor) -> Tensor:
        """The representations."""
        return self.represent(images)


def load_own(path: Path, image_size: int, channels: int, *, name: str | None = None) -> OwnNetwork:
    """Read an encoder, frozen and in evaluation mode.

    - A TorchScript archive (`torch.jit.save`) runs as it is: it is a program, open only what you trust.
    - A state dict (`.pth`, `.pt`, read without running code, or `.safetensors`) of torchvision's ResNet-18 or -50, or
      of this project's encoder `name`. Training scripts' prefixes (module., backbone., encoder_q., ...) and containers
      are taken off and the classifier is left out; a stem of 3x3 is taken for the CIFAR variant.

    name: the encoder that the weights are of; None tells ResNets apart by their keys.

    Raises UserError, in one line, for a file that is missing or none of these, and for weights that do not fit.
    """
    if not path.is_file():
        raise UserError(
            f"no encoder file {path}; give a TorchScript archive or a state dict (.pth, .safetensors)"
        )
    if _is_torchscript(path):
        try:
            with warnings.catch_warnings():  # torch 2.12 deprecates TorchScript, which users' files still are
                warnings.simplefilter("ignore", DeprecationWarning)
                program = torch.jit.load(str(path), map_location="cpu")
        except Exception as error:  # the reader of a program raises almost anything on a damaged one
            raise UserError(f"{path} is a damaged TorchScript archive ({_told(error)})") from error
        stem = next((weight for weight in program.parameters() if weight.ndim == 4), None)
        return _frozen(program, 3 if stem is None else int(stem.shape[1]))
    weights = _state_dict(path)
    name = name or _resnet_name(path, weights)
    entry = encoder_entry(name)
    if not entry.takes(image_size):
        raise UserError(
            f"{path} holds a '{name}', which takes images of {entry.smallest} px or more; found {image_size} px; "
            "choose a tier with a larger data.image_size"
        )
    stem = weights.get("conv1.weight", weights.get("layers.0.weight"))
    taken = int(stem.shape[1]) if stem is not None else channels
    encoder = get_encoder(name, image_size, taken, generator=torch.Generator().manual_seed(0))
    holder = getattr(encoder, "trunk", encoder)
    try:
        missing, unexpected = holder.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit the encoder '{name}': {first}") from error
    if missing or unexpected:
        raise UserError(
            f"{path} does not fit the encoder '{name}': {len(missing)} weights are missing (first: "
            f"{next(iter(missing), 'none')}), {len(unexpected)} are unknown (first: {next(iter(unexpected), 'none')}); "
            "give the encoder's name"
        )
    _check_values(path, encoder)
    return _frozen(encoder, taken)


def _check_values(path: Path, encoder: nn.Module) -> None:
    for name, value in encoder.state_dict().items():
        if not value.isfinite().all():
            raise UserError(
                f"{path} has values in {name} that are not finite numbers; give weights of a run that did not diverge"
            )


def _told(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200].strip() or type(error).__name__


def _frozen(encoder: nn.Module, channels: int) -> OwnNetwork:
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    return OwnNetwork(encoder, channels).eval()


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())
    except Exception:  # no zip file, or a damaged one, which the reader of a state dict refuses
        return False


def _state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by bare names, the classifier left out."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", UserWarning
                )  # of a foreign pickle's protocol: the error says enough
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # either reader raises almost anything on bytes that are not its own
        if path.suffix == ".safetensors":
            raise UserError(f"{path} is damaged ({_told(error)}); write it again") from error
        raise UserError(
            f"{path} is no TorchScript archive and no state dict of tensors only "
            f"({type(error).__name__}); save one with torch.save(encoder.state_dict(), ...)"
        ) from error
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise UserError(
            f"{path} holds {type(content).__name__}, expected a dictionary of tensors: save its state_dict()"
        )
    while prefix := next((p for p in PREFIXES if any(key.startswith(p) for key in content)), None):
        content = {
            key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)
        }
    return {key: value for key, value in content.items() if not key.startswith("fc.")}


def _resnet_name(path: Path, weights: dict[str, Tensor]) -> str:
    depth = len({key.split(".")[1] for key in weights if key.startswith("layer1.")})
    bottleneck = "layer1.0.conv3.weight" in weights
    last = len({key.split(".")[1] for key in weights if key.startswith("layer3.")})
    found = BLOCKS.get((depth, bottleneck))
    if found is None or "conv1.weight" not in weights or last != {"resnet18": 2, "resnet50": 6}[found]:
        raise UserError(
            f"{path} is no ResNet-18 or ResNet-50 of torchvision's naming; give the encoder's name"
        )
    return found if weights["conv1.weight"].shape[-1] == 7 else f"{found}_cifar"
