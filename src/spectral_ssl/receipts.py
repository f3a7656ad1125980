"""What each job has written: a small file a job, which tells a whole result from a damaged or unfinished one.

A receipt is `{"parameters": digest, "files": {path: {"bytes": n, "sha256": s}}, "begun": true or false}`. It is marked
as begun before a job writes anything and replaced when the job has finished, so that a job that was killed between two
of its files, or a file that was cut afterwards, is not taken for done: what needs it is refused, and the workflow makes
it again. Lengths are compared each time, which costs a look at each file; checksums are for `summary --checksums`.
Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spectral_ssl.config import canonical
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.jobs import Job
from spectral_ssl.layout import Layout
from spectral_ssl.provenance import read_json, sha256_file, write_json


def path(layout: Layout, job: str) -> Path:
    """Where a job's receipt lies; the report is of every tier present."""
    if job == "report":
        return layout.root / layout.base / "report.receipt.json"
    return layout.results / "receipts" / f"{job}.json"


@contextmanager
def writing(layout: Layout, jobs: Sequence[Job], *, whole: bool = True) -> Iterator[None]:
    """Around what does these jobs: their receipts say that they are begun, and at the end what they wrote.

    After an error that left every file as it was, so is the receipt. A divergence is a result. Without `whole`, for a
    command that does a job in part or otherwise than the tier says, nothing vouches for the job afterwards.

    Raises:
        UserError: a job needs what is damaged or unfinished.
    """
    check(layout, dict.fromkeys(need for job in jobs for need in job.needs))
    before = {job.id: (_read(layout, job.id), _signature(job)) for job in jobs}
    for job in jobs:
        write_json(path(layout, job.id), {**(before[job.id][0] or {"files": {}}), "begun": True})
    try:
        yield
    except Divergence:
        _finish(layout, jobs)
        raise
    except BaseException:
        for job in jobs:
            old, signature = before[job.id]
            if _signature(job) == signature:
                _restore(path(layout, job.id), old)
        raise
    if whole:
        _finish(layout, jobs)
    else:
        for job in jobs:
            path(layout, job.id).unlink()


def digest(parameters: Any) -> str:
    """A hash of what a job depends on besides its input files."""
    return hashlib.sha256(canonical(parameters).encode()).hexdigest()[:16]


def wrong(layout: Layout, job: str, *, checksums: bool = False) -> Iterator[tuple[Path, str]]:
    """The files of a job that are not what its receipt says, each with what is wrong; none where there is no receipt.

    A file that is missing is not among them: that is plain to see. `checksums` reads every byte.
    """
    receipt = _read(layout, job)
    if receipt is None:
        return
    if receipt["begun"]:
        yield path(layout, job), f"{job} was begun again and did not finish"
        return
    for name, told in receipt["files"].items():
        file, size = layout.root / name, told["bytes"]
        try:
            found = file.stat().st_size
        except OSError:
            continue
        if found != size:
            yield file, f"it has {found} bytes and had {size} when it was written"
        elif checksums and sha256_file(file) != told["sha256"]:
            yield file, "its checksum is not the one that it had when it was written"


def check(layout: Layout, needs: Iterable[str]) -> None:
    """Refuse to build on results that are damaged or unfinished.

    Raises:
        UserError: naming the first such file.
    """
    for job in needs:
        for file, what in wrong(layout, job):
            raise UserError(f"{file}: {what}; {again(job)}")


def again(job: str) -> str:
    """What a user does about a job's damaged result."""
    stage, _, name = job.partition("/")
    option = {"data": "--dataset", "pretrain": "--batch", "networks": "--only"}.get(stage, "--paper")
    words = f"{stage} {option} {name}" if name else stage
    return f"make it again: run snakemake, or the stage `{words}`"


def parameters(layout: Layout, job: str) -> str | None:
    """The digest of the parameters that a job's result was made with, None where nothing vouches for it."""
    receipt = _read(layout, job)
    return None if receipt is None else str(receipt.get("parameters"))


def _read(layout: Layout, job: str) -> dict[str, Any] | None:
    file = path(layout, job)
    if not file.is_file():
        return None
    receipt = read_json(file)
    try:
        if (
            all({"bytes", "sha256"} == told.keys() for told in receipt["files"].values())
            and "begun" in receipt
        ):
            return dict(receipt)
    except (KeyError, TypeError, AttributeError):
        pass
    raise UserError(f"{file} is no receipt of a job; delete it, then {again(job)}")


def _finish(layout: Layout, jobs: Iterable[Job]) -> None:
    for job in jobs:
        _not_before(layout, job)
        known = _known(layout, job)
        files = {}
        for name in job.files:
            file = Path(name)
            if not file.is_file():
                continue  # nothing is said of it; whoever asks for it will see
            relative = file.relative_to(layout.root).as_posix()
            sha256 = known.get(file.name) or sha256_file(file)
            files[relative] = {"bytes": file.stat().st_size, "sha256": sha256}
        value = {"parameters": digest(job.parameters()), "begun": False, "files": files}
        write_json(path(layout, job.id), value)


def _not_before(layout: Layout, job: Job) -> None:
    """Let results be no older than what they rest on, even if the clock was put back: Snakemake goes by times, and
    would throw them away.
    """
    needed = [_read(layout, need) or {"files": {}} for need in job.needs]
    newest = max(
        (_modified(layout.root / name) for receipt in needed for name in receipt["files"]), default=0
    )
    for name in job.files:
        if 0 < _modified(Path(name)) < newest:
            os.utime(name, ns=(newest, newest))


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _known(layout: Layout, job: Job) -> dict[str, str]:
    """The checksums of a data set's arrays, which may be of hundreds of gigabytes, as they were taken when written."""
    stage, _, name = job.id.partition("/")
    if stage != "data":
        return {}
    known: dict[str, str] = read_json(layout.data(name) / "meta.json")["sha256"]
    return known


def _signature(job: Job) -> list[tuple[int, int] | None]:
    """Length and time of each file."""
    found: list[tuple[int, int] | None] = []
    for file in job.files:
        try:
            status = os.stat(file)
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def _restore(file: Path, receipt: dict[str, Any] | None) -> None:
    if receipt is None:
        file.unlink(missing_ok=True)
    else:
        write_json(file, receipt)
