"""Receipts: what a finished job vouches for, and what a killed one or a cut file is taken for."""

from __future__ import annotations

import re
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
    assert told["parameters"] == receipts.digest({"code": "c", "settings": "s"})
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
    assert found(layout, job) == [("vicreg.json", "networks/vicreg was begun again and did not finish")]
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
    assert receipts.parameters(layout, job.id) is not None
    assert found(layout, job) == []


def test_what_is_done_in_part_is_not_vouched_for(layout: Layout) -> None:
    job = a_job(layout)
    with receipts.writing(layout, [job], whole=False):
        write(job)
    assert receipts.parameters(layout, job.id) is None


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


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"begun": false, "files": {"a": 3}}', '{"begun": 1, "files": 2}']
)
def test_what_is_no_receipt_is_refused(layout: Layout, content: str) -> None:
    file = receipts.path(layout, "views")
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(UserError, match=re.escape(f"{file} is no receipt of a job; delete it")):
        list(receipts.wrong(layout, "views"))


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
    assert receipts.parameters(layout, "views") is not None


def test_checking_one_statement_by_hand_vouches_for_no_paper(tmp_path: Path) -> None:
    words = ["--tier", TIER, "--root", str(tmp_path), "--quiet", "--instances", "2", "--only", "lemma-3.2"]
    assert main(["theorems", "--paper", "haochen2021", *words]) == 0
    assert receipts.parameters(Layout("smoke", tmp_path), "theorems/haochen2021") is None


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
