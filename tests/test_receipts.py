"""Receipts: what a finished job vouches for, and what a killed one or a cut file is taken for."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from spectral_ssl import receipts
from spectral_ssl.__main__ import main
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.jobs import Job, Jobs
from spectral_ssl.layout import Layout
from spectral_ssl.provenance import read_json, sha256_file

TIER = str(Path(__file__).parents[1] / "config" / "smoke.yaml")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty folder for results."""
    return Layout("smoke", tmp_path)


def a_job(layout: Layout, name: str = "networks/vicreg", needs: tuple[str, ...] = ()) -> Job:
    """A job of two files, neither of which is there."""
    files = tuple(str(layout.results / f"{name}-{number}.csv") for number in (1, 2))
    return Job(name, files, lambda: {"settings": "s", "code": "c"}, needs)


def write(job: Job, text: str = "a,b\n1,2\n") -> None:
    for file in map(Path, job.files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def stop(layout: Layout, job: Job, error: BaseException) -> None:
    """Let a job write its files and end in an error."""
    with pytest.raises(type(error)), receipts.writing(layout, [job]):
        _write_and_raise(job, error)


def _write_and_raise(job: Job, error: BaseException) -> None:
    write(job)
    raise error


def found(layout: Layout, job: Job, *, checksums: bool = False) -> list[tuple[str, str]]:
    return [(file.name, what) for file, what in receipts.wrong(layout, job.id, checksums=checksums)]


def test_a_finished_job_vouches_for_length_and_bytes(layout: Layout) -> None:
    job = a_job(layout)
    with receipts.writing(layout, [job]):
        write(job)
    told = read_json(receipts.path(layout, job.id))
    first = Path(job.files[0])
    name = first.relative_to(layout.root).as_posix()
    assert told["files"][name] == {"bytes": 8, "sha256": sha256_file(first)}
    assert told["parameters"] == receipts.fingerprint(job)
    assert found(layout, job, checksums=True) == []

    first.write_text("a,b\n1,3\n")
    assert found(layout, job) == []
    assert found(layout, job, checksums=True) == [
        ("vicreg-1.csv", "its checksum is not the one that it had when it was written")
    ]
    first.write_text("a,b\n")
    assert found(layout, job) == [("vicreg-1.csv", "it has 4 bytes and had 8 when it was written")]


def test_a_killed_job_is_not_taken_for_done(layout: Layout) -> None:
    job = a_job(layout)
    stop(layout, job, SystemExit())  # stands for a kill: what it wrote stays
    unfinished = "networks/vicreg was begun and did not finish, or this receipt is damaged"
    assert found(layout, job) == [("vicreg.json", unfinished)]
    with receipts.writing(layout, [job]):
        write(job)
    assert found(layout, job) == []


def test_an_error_before_anything_was_written_leaves_the_receipt(layout: Layout) -> None:
    job = a_job(layout)
    with receipts.writing(layout, [job]):
        write(job)
    before = receipts.path(layout, job.id).read_bytes()
    with pytest.raises(UserError, match="no such"), receipts.writing(layout, [job]):
        raise UserError("no such thing")
    assert receipts.path(layout, job.id).read_bytes() == before

    fresh = a_job(layout, "networks/simclr")
    with pytest.raises(UserError), receipts.writing(layout, [fresh]):
        raise UserError("no such thing")
    assert not receipts.path(layout, fresh.id).exists()


def test_a_divergence_is_a_result(layout: Layout) -> None:
    job = a_job(layout)
    stop(layout, job, Divergence("it diverged"))
    assert receipts.made_with(layout, job.id) is not None
    assert found(layout, job) == []


def test_what_is_done_in_part_vouches_for_no_parameters_and_hides_no_damage(layout: Layout) -> None:
    job = a_job(layout)
    first, second = map(Path, job.files)
    with receipts.writing(layout, [job]):
        write(job)
    second.write_text("")
    with receipts.writing(layout, [job], whole=False):
        first.write_text("a,b\n1,2\n3,4\n")
    assert receipts.made_with(layout, job.id) == "in part"
    assert found(layout, job) == [("vicreg-2.csv", "it has 0 bytes and had 8 when it was written")]
    stop(layout, job, SystemExit())
    with receipts.writing(layout, [job], whole=False):
        write(job)
    assert found(layout, job) != []  # it is still unfinished


def test_two_at_once_are_refused(layout: Layout) -> None:
    job = a_job(layout)
    with receipts.writing(layout, [job]):
        write(job)
        assert "networks/vicreg is under way in process" in found(layout, job)[0][1]
        said = "networks/vicreg is under way already in process .* wait for its end"
        with pytest.raises(UserError, match=said), receipts.writing(layout, [job]):
            pytest.fail("it was not to begin")
    assert found(layout, job) == []
    assert [file.name for file in receipts.path(layout, job.id).parent.iterdir()] == ["vicreg.json"]


def test_an_error_while_receipts_are_written_leaves_them(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [a_job(layout, name) for name in ("networks/vicreg", "networks/simclr")]
    with receipts.writing(layout, jobs):
        for job in jobs:
            write(job)
    written = receipts.write_json

    def full(file: Path, value: object) -> None:
        if file.stem == "simclr":
            raise OSError(28, "No space left on device")
        written(file, value)

    monkeypatch.setattr(receipts, "write_json", full)
    with pytest.raises(OSError, match="No space"), receipts.writing(layout, jobs):
        pytest.fail("it was not to begin")
    assert [found(layout, job) for job in jobs] == [[], []]


def test_what_needs_a_damaged_result_is_refused(layout: Layout) -> None:
    job = a_job(layout)
    with receipts.writing(layout, [job]):
        write(job)
    Path(job.files[1]).write_text("")
    needy = a_job(layout, "tables/garrido2023", needs=(job.id,))
    with (
        pytest.raises(UserError, match=r"vicreg-2\.csv: it has 0 bytes and had 8 .*`networks --only vicreg`"),
        receipts.writing(layout, [needy]),
    ):
        pytest.fail("it was not to begin")
    assert not receipts.path(layout, needy.id).exists()


def test_what_a_result_rests_on_is_no_younger(layout: Layout) -> None:
    """The clock was put back between two jobs."""
    job, later = a_job(layout), a_job(layout, "tables/garrido2023", needs=("networks/vicreg",))
    write(job)
    future = time.time_ns() + 3600 * 10**9
    os.utime(job.files[1], ns=(future, future))
    with receipts.writing(layout, [job]):
        pass
    with receipts.writing(layout, [later]):
        write(later)
    oldest = min(os.stat(file).st_mtime_ns for file in later.files)
    assert max(os.stat(file).st_mtime_ns for file in job.files) == oldest


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"begun": false, "files": {"a": 3}}', '{"begun": 1, "files": 2}', "[" * 100_000],
)
def test_what_is_no_receipt_vouches_for_nothing(layout: Layout, content: str) -> None:
    file = receipts.path(layout, "views")
    file.parent.mkdir(parents=True)
    file.write_text(content)
    ((named, what),) = receipts.wrong(layout, "views")
    assert (named, "this receipt is damaged" in what) == (file, True)
    with pytest.raises(UserError, match=re.escape(f"{file}: views was begun and did not finish")):
        receipts.check(layout, ["views"])


def test_the_stages_leave_receipts_and_read_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--tier", TIER, "--root", str(tmp_path), "--quiet"]
    assert main(["data", *words]) == 0
    layout = Layout("smoke", tmp_path)
    assert {path.stem for path in (layout.results / "receipts" / "data").iterdir()} == {"digits", "factors"}
    cut = layout.data("digits") / "train_labels.npy"
    cut.write_bytes(cut.read_bytes()[:100])
    assert main(["views", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "train_labels.npy: it has 100 bytes" in said
    assert "the stage `data --dataset digits`" in said
    assert main(["data", *words, "--dataset", "digits"]) == 0
    assert main(["views", *words]) == 0
    assert receipts.made_with(layout, "views") is not None


def test_checking_one_statement_by_hand_vouches_for_no_paper(tmp_path: Path) -> None:
    words = ["--tier", TIER, "--root", str(tmp_path), "--quiet", "--instances", "2", "--only", "lemma-3.2"]
    assert main(["theorems", "--paper", "haochen2021", *words]) == 0
    assert receipts.made_with(Layout("smoke", tmp_path), "theorems/haochen2021") == "in part"


def test_a_loss_of_ones_own_is_not_trained_on_a_damaged_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--tier", TIER, "--root", str(tmp_path), "--quiet"]
    assert main(["data", *words]) == 0
    cut = Layout("smoke", tmp_path).data("digits") / "test_labels.npy"
    cut.write_bytes(b"")
    assert main(["own", *words, "--loss", "my_loss.py"]) == 2
    assert "test_labels.npy: it has 0 bytes" in capsys.readouterr().err


def test_commands_do_their_jobs_and_no_others() -> None:
    from spectral_ssl.config import load_tier

    jobs = Jobs(load_tier(TIER), Layout("smoke"))
    batch = next(iter(jobs.manifest.batches))
    one = {"batch": batch, "device": None}
    ids = lambda stage, **options: [job.id for job in jobs.of_command(stage, options)]  # noqa: E731
    assert ids("pretrain", **one) == [f"pretrain/{batch}"]
    assert ids("data", dataset=None) == ["data/digits", "data/factors"]
    assert ids("tables", paper="garrido2023") == ["tables/garrido2023"]
    assert ids("theorems", paper=None, only=["lemma-3.2"]) == [f"theorems/{paper}" for paper in jobs.papers]
    assert ids("views") == ["views"]
    assert ids("summary") == ids("plan") == ids("own", name="x") == []
    assert ids("pretrain", batch="no-such-batch") == []
