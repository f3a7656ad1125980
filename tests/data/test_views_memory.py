"""What an accelerator holds while it augments, counted on the device "meta", whose tensors have sizes and no memory."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spectral_ssl.data import views as module
from spectral_ssl.data.views import get_augmentation

GIB = 2**30


class Held(TorchDispatchMode):
    """Counts the bytes of the meta tensors made within that are alive, and their most."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        before = {v.untyped_storage()._cdata for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)}
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.device.type == "meta":
                storage = value.untyped_storage()
                if storage._cdata not in before | self._known:
                    self._note(storage)
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.bytes += size
        self.most = max(self.most, self.bytes)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


def most_held(name: str, batch: int, size: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes at most beside images and parameters."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no meta device
    augmentation = get_augmentation(name, size, 3)
    drawn = augmentation.sample(batch, generator=torch.Generator(), source=(size, size))
    parameters = {key: value.to("meta") for key, value in drawn.items()}
    images = torch.empty(batch, 3, size, size, dtype=torch.uint8, device="meta")
    with Held() as held:
        augmentation.apply(images, parameters)
    return held.most


@pytest.mark.parametrize("name", ["simclr", "byol", "haochen"])
def test_temporaries_of_a_large_batch_stay_near_a_gibibyte(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = 4 * 1024 * 3 * 224 * 224
    assert views < most_held(name, 1024, 224, monkeypatch) < views + 1.1 * GIB
    monkeypatch.setattr(module, "ACCELERATOR_CHUNK_BYTES", GIB)
    assert most_held(name, 1024, 224, monkeypatch) > views + 2 * GIB


def test_a_batch_of_small_images_is_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    most_held("simclr", 2, 32, monkeypatch)  # makes what is kept: the weights of small crops
    whole = most_held("simclr", 2048, 32, monkeypatch)
    monkeypatch.setattr(module, "ACCELERATOR_CHUNK_BYTES", 100 * GIB)
    assert most_held("simclr", 2048, 32, monkeypatch) == whole


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with Held() as held:
        kept = torch.empty(1000, device="meta")
        other = kept + 1
        del other
        view = kept.view(10, 100).add_(1)
    assert (held.most, held.bytes) == (8000, 4000)
    assert view.shape == (10, 100)
