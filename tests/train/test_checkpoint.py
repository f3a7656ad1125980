"""A run's checkpoints: the newest whole one comes back whatever happened to the others, or to their writer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_ssl.errors import UserError
from spectral_ssl.train.checkpoint import Checkpoints
from spectral_ssl.train.checkpoint_files import MANIFEST, STATE, WEIGHTS

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {"seed": 0, "loss": "vicreg", "optimiser": {"name": "lars", "learning_rate": 0.2}}


def weights_at(step: int) -> dict[str, Tensor]:
    return {"encoder.weight": torch.full((3, 2), float(step)), "steps": torch.tensor(step)}


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        assert checkpoints.save(weights_at(step), {"epoch": step, "history": [{"loss": 0.1 * step}]}, step)


def step_of(folder: Path) -> int | None:
    """The step that a process started anew would go on from; its weights and state belong together."""
    found = Checkpoints(folder, SETTINGS).load(CPU)
    if found is None:
        return None
    weights, state = found
    step: int = state["epoch"]
    assert state == {"epoch": step, "history": [{"loss": 0.1 * step}]}
    assert weights.keys() == weights_at(step).keys()
    assert all(torch.equal(weights[name], value) for name, value in weights_at(step).items())
    return step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_the_newest_two_stay(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert step_of(folder) is None
    assert not folder.exists()  # looking makes nothing
    checkpoints = Checkpoints(folder, SETTINGS)
    save(checkpoints, 5)
    assert step_of(folder) == 5
    save(checkpoints, 70, 70, 900)
    assert names(folder) == ["000000000070", "000000000900"]
    assert step_of(folder) == 900
    save(Checkpoints(folder, SETTINGS, keep=3), 1000)
    assert names(folder) == ["000000000070", "000000000900", "000000001000"]


def test_a_step_saved_again_is_replaced(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    for value in ("first", "second"):
        checkpoints.save(weights_at(1), {"value": value}, 1)
    found = checkpoints.load(CPU)
    assert found is not None
    assert found[1] == {"value": "second"}
    assert names(tmp_path) == ["000000000001"]


def test_processes_that_load_together_do_not_trip_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Checkpoints(tmp_path, SETTINGS), 1, 2)
    place = tmp_path / "checkpoints"
    (place / "000000000002").rename(place / ".000000000002.old")
    (place / ".000000000003.77.part").mkdir()
    rename, remove = Path.rename, shutil.rmtree

    def renamed(path: Path, target: Path) -> Path:
        rename(path, target)  # the other process is faster
        return rename(path, target)

    def removed(path: Path, **options: Any) -> None:
        remove(path)
        remove(path, **options)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    assert step_of(tmp_path) == 2
    assert names(tmp_path) == ["000000000001", "000000000002"]


def spoil(path: Path, how: str) -> str:
    """Damage a file; what the warning must say of it."""
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return f"{path} is missing"
    if how == "folder":
        path.unlink()
        path.mkdir()
        return f"{path} cannot be read (Is a directory)"
    if how == "truncated":
        path.write_bytes(content[:-1])
        return (
            f"{path} is not a manifest" if path.name == MANIFEST else f"{path} has {len(content) - 1} bytes"
        )
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)
    return f"{path} was altered" if path.name != MANIFEST else f"{path} "


@pytest.mark.parametrize("name", [WEIGHTS, STATE, MANIFEST])
@pytest.mark.parametrize("how", ["missing", "folder", "truncated", "flipped"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    save(Checkpoints(tmp_path, SETTINGS), 1, 2)
    expected = [spoil(tmp_path / "checkpoints" / "000000000002" / name, how)]
    assert step_of(tmp_path) == 1
    assert caplog.messages[0].endswith("; the one before, of step 1, is tried")
    expected.append(spoil(tmp_path / "checkpoints" / "000000000001" / name, how))
    caplog.clear()
    assert step_of(tmp_path) is None
    assert [said.startswith(text) for said, text in zip(caplog.messages, expected, strict=True)] == [
        True,
        True,
    ]
    assert caplog.messages[1].endswith("; the run starts from its beginning")
    assert not any("\n" in message for message in caplog.messages)


def test_a_damaged_checkpoint_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, SETTINGS), 10, 20)
    spoil(tmp_path / "checkpoints" / "000000000020" / STATE, "flipped")
    resumed = Checkpoints(tmp_path, SETTINGS)
    assert resumed.load(CPU) is not None
    save(resumed, 25)
    assert names(tmp_path) == ["000000000010", "000000000025"]
    spoil(tmp_path / "checkpoints" / "000000000025" / STATE, "flipped")
    assert step_of(tmp_path) == 10
    resumed = Checkpoints(tmp_path, SETTINGS)
    assert resumed.load(CPU) is not None
    save(resumed, 15)  # before the damaged one, which is of a future that is trained again
    assert names(tmp_path) == ["000000000010", "000000000015"]


def test_a_damaged_checkpoint_is_replaced_by_that_of_its_step(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, SETTINGS), 10, 20)
    spoil(tmp_path / "checkpoints" / "000000000020" / WEIGHTS, "truncated")
    resumed = Checkpoints(tmp_path, SETTINGS)
    assert resumed.load(CPU) is not None
    save(resumed, 20)
    assert names(tmp_path) == ["000000000010", "000000000020"]
    assert step_of(tmp_path) == 20


def test_a_run_begun_again_is_not_shadowed_by_its_past(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, SETTINGS), 10, 20)
    save(Checkpoints(tmp_path, SETTINGS), 5)
    assert names(tmp_path) == ["000000000005"]
    assert step_of(tmp_path) == 5


def test_another_configuration_is_refused_with_its_differences(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, SETTINGS | {"sizes": (1, 2), "only": None}), 3)
    same = SETTINGS | {"sizes": [1, 2], "only": None}  # JSON has no tuples
    assert Checkpoints(tmp_path, same).load(CPU) is not None
    other = {"seed": 0, "loss": "vicreg", "optimiser": {"name": "sgd", "learning_rate": 0.1, "clip": True}}
    with pytest.raises(UserError) as caught:
        Checkpoints(tmp_path, other).load(CPU)
    found = tmp_path / "checkpoints" / "000000000003"
    assert str(caught.value) == (
        f"{found} is the checkpoint of another configuration (only: null in the checkpoint, absent in this run; "
        "optimiser.clip: absent in the checkpoint, true in this run; "
        "optimiser.learning_rate: 0.2 in the checkpoint, 0.1 in this run; "
        'optimiser.name: "lars" in the checkpoint, "sgd" in this run; '
        "sizes: [1, 2] in the checkpoint, absent in this run): set these back to go on from it, or delete "
        f"{found.parent} to train from the beginning"
    )


def test_many_differences_are_counted(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path, {f"k{n:02d}": n for n in range(20)}), 3)
    with pytest.raises(UserError, match=r"k00: 0 in .*; k05: 5 in the .* run; and 14 more\)") as caught:
        Checkpoints(tmp_path, {f"k{n:02d}": -n - 1 for n in range(20)}).load(CPU)
    assert "k06" not in str(caught.value)


def test_a_folder_that_is_a_file_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(
        UserError, match=r"cannot write checkpoints in .*checkpoints: Not a directory; make the"
    ):
        Checkpoints(tmp_path, SETTINGS).save(weights_at(1), {}, 1)
