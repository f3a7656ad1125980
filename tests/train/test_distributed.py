"""Two processes compute what one does; and what cannot be shared, joined or placed is refused in a line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_ssl.errors import UserError
from spectral_ssl.losses import loss_names
from spectral_ssl.papers import read
from spectral_ssl.train import distributed
from spectral_ssl.train.distributed import World, processes

HERE = Path(__file__).parent
CLOCKS = ("seconds", "views_per_second", "utilisation")
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
TWO = World(rank=1, size=2, local_rank=1, local_size=2)


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found; see distributed_pair.py."""
    folder = tmp_path_factory.mktemp("pair")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, HERE / "distributed_pair.py", folder],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parents[1] / "src"), "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_train_every_method_and_loss_as_one_does(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        assert set(found["equal"]) >= set(read("methods.yaml"))
        assert {found["loss"][name] for name in found["equal"]} == set(loss_names())
        for name, distances in found["equal"].items():
            assert max(distances.values()) < 1e-9, name


@pytest.mark.parametrize("kind", ["unscaled", "apart"])
def test_the_comparison_sees_a_wrong_gather_and_batch_norm_apart(
    pair: list[dict[str, Any]], kind: str
) -> None:
    for found in pair:
        assert len(found[kind]) == 5
        for name, distances in found[kind].items():
            assert distances["gradients"] > 0.1, name


def test_batch_norm_over_processes_is_that_of_the_whole_batch(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        assert found["layers"].pop("bfloat16") < 4e-3  # one unit in the last place
        assert found["layers"].keys() == {
            "float32", "channels last", "rows", "without scale", "evaluation", "without running statistics"
        }  # fmt: skip
        assert max(found["layers"].values()) < 1e-6


def test_rows_are_gathered_in_order_and_one_flag_is_everybodys(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        assert found["gathered"] == [0, 1, 10, 11]
        assert found["agreed"] == [False, True, True]


def test_two_processes_have_the_history_of_one(pair: list[dict[str, Any]]) -> None:
    one = pair[0]["histories"]["one"]
    assert len(one) == 2
    for found in pair:
        for row, expected in zip(found["histories"]["two"], one, strict=True):
            assert clockless(row) == pytest.approx(clockless(expected), rel=1e-4)
    assert set(pair[0]["histories"]["written"]) == {"manifest.json", "state.pt", "weights.safetensors"}
    assert pair[1]["histories"]["written"] == []


def test_a_signal_to_one_process_stops_both_and_any_number_goes_on(pair: list[dict[str, Any]]) -> None:
    first, second = (found["histories"] for found in pair)
    assert first["said"].startswith("stopped by SIGTERM after step 9 (epoch 2); the checkpoint is in ")
    assert (second["said"], second["status"], first["status"]) == (first["said"], 143, 143)
    for resumed in (first["resumed by one"], first["resumed by two"], second["resumed by two"]):
        for row, expected in zip(resumed, first["one"], strict=True):
            assert clockless(row) == pytest.approx(clockless(expected), rel=1e-4)
        assert (
            resumed[0]["seconds"] == first["resumed by one"][0]["seconds"]
        )  # of the checkpoint: not trained again
        assert resumed[0]["seconds"] != first["one"][0]["seconds"]


def clockless(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in CLOCKS}


def test_two_processes_without_two_cuda_devices_are_refused(pair: list[dict[str, Any]]) -> None:
    present = torch.cuda.device_count()
    if present > 1:
        pytest.skip("this machine has a CUDA device for each")
    for found in pair:
        assert found["refused"].startswith(
            f"2 processes on this node need a CUDA device each, but {present} CUDA devices are present; "
        )


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch)
    with processes() as world:
        assert world == World(0, 1, 0, 1)
        assert world.first
        assert world.rows(7) == slice(0, 7)
        assert (world.agree(False), world.agree(True)) == (False, True)
        rows = torch.zeros(3, 2)
        assert world.gather(rows)[0] is rows
        world.barrier()
    assert not torch.distributed.is_initialized()


def test_the_world_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4")
    world = World.current()
    assert world == World(5, 8, 1, 4)
    assert not world.first
    assert world.rows(32) == slice(20, 24)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"RANK": "0"}, "WORLD_SIZE='', LOCAL_RANK='', LOCAL_WORLD_SIZE=''"),
        ({"RANK": "-1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, "RANK='-1'"),
    ],
)
def test_half_an_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], found: str
) -> None:
    environment(monkeypatch, **values)
    with pytest.raises(UserError) as refused:
        World.current()
    assert str(refused.value) == (
        f"found {found} in the environment, expected numbers as torchrun sets them; start with torchrun, or unset them "
        "to train in one process"
    )


@pytest.mark.parametrize(("batch", "size", "fitting"), [(32, 3, "30 or 33"), (2, 3, "3"), (12, 8, "8 or 16")])
def test_a_batch_that_cannot_be_shared_is_refused(batch: int, size: int, fitting: str) -> None:
    with pytest.raises(UserError) as refused:
        World(0, size, 0, size).rows(batch)
    assert str(refused.value) == (
        f"batch_size is {batch}, which {size} processes cannot share evenly; set training.batch_size to {fitting}, "
        "or start another number of processes"
    )


def cuda_devices(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """Pretend that there are so many; the indices made current are noted."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize(
    ("world", "present", "name", "device"),
    [
        (World(), 0, None, "cpu"),
        (World(), 2, None, "cuda:0"),
        (World(), 2, "cuda:1", "cuda:1"),
        (World(), 2, "cpu", "cpu"),
        (TWO, 0, None, "cpu"),
        (TWO, 2, None, "cuda:1"),
        (TWO, 3, "cuda", "cuda:1"),
        (World(5, 8, 1, 4), 4, "cuda", "cuda:1"),
    ],
)
def test_a_device_for_each_process(
    monkeypatch: pytest.MonkeyPatch, world: World, present: int, name: str | None, device: str
) -> None:
    chosen = cuda_devices(monkeypatch, present)
    assert world.device(name) == torch.device(device)
    assert chosen == [torch.device(device).index] * (device != "cpu")


@pytest.mark.parametrize(
    ("world", "present", "name", "message"),
    [
        (World(), 0, "tpu", "unknown device 'tpu'; expected cpu, cuda or cuda:<index>"),
        (World(), 0, "cuda", "device 'cuda' asked for, but 0 CUDA devices are present; use cpu"),
        (World(), 2, "cuda:2", "device 'cuda:2' asked for, but 2 CUDA devices are present; use cpu"),
        (
            TWO,
            2,
            "cuda:1",
            "device 'cuda:1' asked for, but 2 processes train, a device each; say cuda or cpu",
        ),
        (
            TWO,
            0,
            "cuda",
            "2 processes on this node need a CUDA device each, but 0 CUDA devices are present; say --device cpu",
        ),
        (
            World(0, 8, 0, 4),
            3,
            None,
            "4 processes on this node need a CUDA device each, but 3 CUDA devices are present; start "
            "--nproc-per-node 3",
        ),
    ],
)
def test_devices_that_are_not_there_are_refused(
    monkeypatch: pytest.MonkeyPatch, world: World, present: int, name: str, message: str
) -> None:
    cuda_devices(monkeypatch, present)
    with pytest.raises(UserError) as refused:
        world.device(name)
    assert str(refused.value) == message


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_finds_no_other_gives_up(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    values = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    environment(monkeypatch, **values, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    monkeypatch.setattr(distributed, "RENDEZVOUS", distributed.timedelta(seconds=1))
    with pytest.raises(UserError) as refused, processes():
        pytest.fail("joined nobody")
    message = str(refused.value)
    assert message.startswith(f"process {rank} of 2 did not reach the others at 127.0.0.1:{port} (")
    assert message.endswith("--nnodes and --rdzv-endpoint and that nodes reach that port")
    assert "\n" not in message
