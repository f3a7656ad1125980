"""What is said when memory runs out: for every kind of error, with sizes that a real step confirms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from spectral_ssl.methods import build_method
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.sections import Optimiser
from spectral_ssl.train import memory
from spectral_ssl.train.images import Images, Resident
from spectral_ssl.train.memory import Use, estimate, explain, size_text

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
CUDA = "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 79.15 GiB of which 10.00 MiB is"


@pytest.fixture(scope="module")
def held() -> Images:
    """40 grey images of 8 x 8 pixels, and 10 to test: 3,200 bytes."""
    none = torch.zeros(0, dtype=torch.long)
    pixels = torch.zeros(50, 1, 8, 8, dtype=torch.uint8)
    labels = torch.zeros(50, dtype=torch.long)
    return Resident(
        train=pixels[:40],
        test=pixels[40:],
        train_labels=labels[:40],
        test_labels=labels[40:],
        train_factors=none,
        test_factors=none,
        classes=1,
        factor_names=[],
    )


@pytest.fixture
def settings(tiny_run: Callable[..., RunSettings]) -> Callable[..., RunSettings]:
    optimiser = Optimiser(name="adamw", learning_rate=0.1, weight_decay=0.0, warmup_epochs=0)
    return lambda **changes: tiny_run(
        **({"batch_size": 32, "epochs": 1, "optimiser": optimiser, "encoder": "mlp"} | changes)
    )


def really_kept(run: RunSettings) -> int:
    """Bytes that a real step on the CPU keeps for its gradient."""
    method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(0)).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in method.parameters()}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        method.step(torch.rand(run.batch_size, 1, 8, 8), torch.rand(run.batch_size, 1, 8, 8))
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (torch.OutOfMemoryError(f"{CUDA} free"), "1.50 GiB asked for"),
        (RuntimeError(f"{CPU}6442450944 bytes. Error code 12 (Cannot allocate memory)"), "6.0 GiB asked for"),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: not enough memory: you tried to allocate 512 bytes."),
         "512 bytes asked for"),
        (MemoryError("Unable to allocate 728. TiB for an array"), "728. TiB asked for"),
        (MemoryError(), "an unknown size asked for"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "an unknown size asked for"),
    ],
)  # fmt: skip
def test_every_way_to_run_out_is_explained_in_one_line(
    settings: Callable[..., RunSettings], held: Images, error: Exception, asked: str
) -> None:
    text = str(explain(error, settings(), held))
    assert text.startswith(f"out of memory on cpu: {asked}, ")
    assert "\n" not in text
    assert " free" in text
    tried = text.split("try, in this order: ")[1]
    assert tried.count("training.") == 3
    assert "training.batch_size: 16 (saves " in tried


def test_numpys_own_error_is_recognised(settings: Callable[..., RunSettings], held: Images) -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(10**15)
    assert "7.11 PiB" in str(caught.value)
    assert "asked for" in str(explain(caught.value, settings(), held))


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory"), KeyError("x")],
)
def test_other_errors_are_left_alone(
    settings: Callable[..., RunSettings], held: Images, error: Exception
) -> None:
    assert explain(error, settings(), held) is None


def test_weights_and_activations_by_hand(settings: Callable[..., RunSettings], held: Images) -> None:
    run = settings(projector="16-d", embedding_dim=4)
    use = estimate(run, held, run.batch_size)
    linear = 64 * 256 + 256 + 256 * 256 + 256  # of the encoder
    head = 256 * 16 + 16 + 16 * 4
    norms = {"encoder": 256 + 256, "head": 16}  # of batch norm
    averages = sum(2 * 4 * width + 8 for width in (256, 256, 16))  # and a counter for each layer
    trained = linear + head + 2 * sum(norms.values())
    assert use.images == 3200
    assert use.weights == 4 * 4 * trained + averages  # with gradients and AdamW's two moments
    assert use.heads == 4 * 4 * (head + 2 * norms["head"]) + 2 * 4 * 16 + 8
    assert use.activations > 2 * 4 * 32 * (64 + 2 * 256 + 16)


RUNS: dict[str, dict[str, Any]] = {
    "vicreg": {},
    "simclr": {"loss": "simclr"},
    "convolutions": {"encoder": "conv_narrow"},
    "byol": {"method": "byol", "loss": "negative_cosine", "options": {"predictor_width": 32}},
    "moco_v2": {"method": "moco_v2", "loss": "info_nce", "options": {"queue": 256}},
    "nnclr": {"method": "nnclr", "loss": "info_nce", "options": {"queue": 256, "predictor_width": 32}},
    "bfloat16": {"encoder": "conv_narrow", "precision": "bfloat16"},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_real_step_keeps_what_is_estimated(
    settings: Callable[..., RunSettings], held: Images, name: str
) -> None:
    run = settings(**RUNS[name])
    use = estimate(run, held, run.batch_size)
    assert use.activations > 0
    assert use.loss > 0
    assert use.activations + use.loss == pytest.approx(really_kept(run), rel=0.02)


def test_shared_batches_and_shared_steps_count(settings: Callable[..., RunSettings], held: Images) -> None:
    run = settings(loss="simclr")
    one = estimate(run, held, 32)
    half, double = estimate(run, held, 16, processes=2), estimate(run, held, 64)
    assert double.activations - one.activations == 2 * (
        one.activations - half.activations
    )  # statistics of layers stay
    assert half.loss == pytest.approx(one.loss, rel=0.2)  # of the rows of both
    three = estimate(run, held, 32, members=3)
    assert three.activations == 3 * one.activations
    assert three.images == one.images
    text = str(explain(MemoryError(), run, held, members=3, processes=2))
    assert "2 x 16 views of 3 runs together" in text
    assert "try, in this order: engine.together: 1 (saves" in text


def test_what_saves_most_comes_first(
    settings: Callable[..., RunSettings], held: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Use(images=2**34, weights=2**32, heads=2**31, activations=2**33, loss=2**20)
    monkeypatch.setattr(memory, "estimate", lambda *arguments, **options: large)
    text = str(explain(MemoryError(), settings(precision="bfloat16"), held))
    assert (
        "largest consumers, estimated: images on the device 16.0 GiB, activations of 2 x 32 views 8.0 GiB, "
        "weights, gradients and state of adamw 4.0 GiB, matrices of the loss vicreg 1.0 MiB; try, in this order: "
        "engine.data: stream (saves 16.0 GiB), training.batch_size: 16 (saves 4.0 GiB), "
        "a projector of half the width (training.projector) (saves 1.0 GiB)"
    ) in text


def test_images_that_stream_take_no_memory(settings: Callable[..., RunSettings], held: Images) -> None:
    class Streamed(Images):
        shape = held.shape
        get = batches = None  # type: ignore[assignment]

    streamed = Streamed(**{name: getattr(held, name) for name in Images.__dataclass_fields__})
    text = str(explain(MemoryError(), settings(), streamed))
    assert "activations of 2 x 32 views" in text
    assert "images on the device" not in text
    assert "stream" not in text


def test_an_estimate_that_fails_hides_nothing(
    settings: Callable[..., RunSettings], held: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(memory, "build_method", fails)
    text = str(explain(MemoryError(), settings(), held))
    assert "try, in this order: engine.data: stream (saves 3.1 KiB), training.batch_size: 16, " in text


def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * 2**28, 80 * 2**30))
    assert memory._free(torch.device("cuda", 0)) == ", 768.0 MiB of 80.0 GiB free"


def test_sizes() -> None:
    sizes = (0, 1023, 1024, 1.5 * 2**20, 2**30, 5000 * 2**40)
    assert [*map(size_text, sizes)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 MiB",
        "1.0 GiB",
        "5000.0 TiB",
    ]


PROGRAM = """
import resource, torch
from pathlib import Path
from spectral_ssl.papers.manifest import RunSettings
from spectral_ssl.train.images import Resident
from spectral_ssl.train.memory import explain
from spectral_ssl.methods import build_method

torch.set_num_threads(1)
run = RunSettings.model_validate_json({settings!r})
none = torch.zeros(0, dtype=torch.long)
pixels = torch.zeros(50, 1, 8, 8, dtype=torch.uint8)
images = Resident(train=pixels, test=pixels, train_labels=none, test_labels=none, train_factors=none,
                  test_factors=none, classes=1, factor_names=[])
method = build_method(run, 8, 1, generator=torch.Generator().manual_seed(0))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
try:
    method.step(*(torch.zeros(run.batch_size, 1, 8, 8) for _ in range(2)))
except Exception as error:
    print(explain(error, run, images))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no limit on address space elsewhere")
def test_a_cpu_that_really_runs_out(settings: Callable[..., RunSettings]) -> None:
    run = settings(batch_size=2**18)
    program = PROGRAM.format(settings=run.model_dump_json())
    environment = os.environ | {"PYTHONPATH": str(Path(memory.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("out of memory on cpu: 256.0 MiB asked for, ")
    assert "by ulimit -v); largest consumers, estimated: activations of 2 x 262144 views 2." in line
    assert "try, in this order: training.batch_size: 131072 (saves 1." in line
