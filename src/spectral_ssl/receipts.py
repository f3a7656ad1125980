"""What each job has written: a small file a job, which tells a whole result from a damaged or unfinished one.

A receipt is `{"parameters": digest, "files": {path: {"bytes": n, "sha256": s}}, "begun": true or false}`. It is marked
as begun before a job writes anything and replaced when the job has finished, so that a job that was killed between two
of its files, or a file that was cut afterwards, is not taken for done: what needs it is refused, and the workflow makes
it again. Lengths are compared each time, which costs a look at each file; checksums are for `summary --checksums`.
Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from spectral_ssl.config import canonical
from spectral_ssl.errors import Divergence, UserError
from spectral_ssl.jobs import Job
from spectral_ssl.layout import Layout
from spectral_ssl.locks import held, one_process
from spectral_ssl.papers.manifest import digest
from spectral_ssl.provenance import read_json, sha256_file, write_json

Signature = list[tuple[int, int] | None]


def path(layout: Layout, job: str) -> Path:
    """Where a job's receipt lies; the report is of every tier present."""
    if job == "report":
        return layout.root / layout.base / "report.receipt.json"
    return layout.results / "receipts" / f"{job}.json"


@contextmanager
def writing(layout: Layout, jobs: Sequence[Job], *, whole: bool = True) -> Iterator[None]:
    """Around what does these jobs: their receipts say that they are begun, and at the end what they wrote.

    After an error that left every file as it was, so is the receipt. A divergence is a result. Without `whole`, for a
    command that does a job in part or otherwise than the tier says, the receipt says so; the workflow makes it again.

    Raises:
        UserError: a job needs what is damaged or unfinished, or another process is doing it.
    """
    check(layout, dict.fromkeys(need for job in jobs for need in job.needs))
    with ExitStack() as stack:
        for job in jobs:
            _lock(layout, job.id).parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(one_process(_lock(layout, job.id), job.id))
        before = {job.id: (_read(layout, job.id), _signature(job)) for job in jobs}
        try:
            for job in jobs:
                write_json(path(layout, job.id), {**(before[job.id][0] or {"files": {}}), "begun": True})
            yield
        except Divergence:
            _finish(layout, jobs)
            raise
        except BaseException:
            for job in jobs:
                old, signature = before[job.id]
                if _signature(job) == signature:
                    with suppress(OSError):  # of a full disk the first error is told
                        _restore(path(layout, job.id), old)
            raise
        if whole:
            _finish(layout, jobs)
        else:
            for job in jobs:
                _finish_part(layout, job, *before[job.id])


def fingerprint(job: Job) -> str:
    """A hash of what a job depends on besides its input files."""
    return digest(canonical(job.parameters()), 16)


def wrong(layout: Layout, job: str, *, checksums: bool = False) -> Iterator[tuple[Path, str]]:
    """The files of a job that are not what its receipt says, each with what is wrong; none where there is no receipt.

    A file that is missing is not among them: that is plain to see. `checksums` reads every byte.
    """
    receipt = _read(layout, job)
    if receipt is None:
        return
    if receipt["begun"]:
        if holder := held(_lock(layout, job)):
            yield path(layout, job), f"{job} is under way in {holder}"
        else:
            yield path(layout, job), f"{job} was begun and did not finish, or this receipt is damaged"
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


def made_with(layout: Layout, job: str) -> str | None:
    """The fingerprint of the job that made a result, None where nothing vouches for it."""
    receipt = _read(layout, job)
    return None if receipt is None else str(receipt.get("parameters"))


def _lock(layout: Layout, job: str) -> Path:
    file = path(layout, job)
    return file.with_name(f".{file.stem}.lock")


def _read(layout: Layout, job: str) -> dict[str, Any] | None:
    """A receipt, None where there is none; one that cannot be read vouches for nothing."""
    file = path(layout, job)
    if not file.is_file():
        return None
    with suppress(UserError, KeyError, TypeError, AttributeError, RecursionError):
        receipt = read_json(file)
        if (
            all({"bytes", "sha256"} == told.keys() for told in receipt["files"].values())
            and "begun" in receipt
        ):
            return dict(receipt)
    return {"files": {}, "begun": True}


def _finish(layout: Layout, jobs: Iterable[Job]) -> None:
    for job in jobs:
        _not_before(layout, job)
        known = _known(layout, job)
        files = {_name(layout, file): _entry(Path(file), known) for file in job.files if Path(file).is_file()}
        value = {"parameters": fingerprint(job), "begun": False, "files": files}
        write_json(path(layout, job.id), value)


def _finish_part(layout: Layout, job: Job, old: dict[str, Any] | None, signature: Signature) -> None:
    """Entries of what was written are new, the others are as they were, and no parameters are those of all; a job of
    which nothing was written keeps its receipt.
    """
    receipt = old or {"begun": False, "files": {}}
    changed = [
        file
        for file, was, now in zip(job.files, signature, _signature(job), strict=True)
        if was != now and now
    ]
    if not changed:
        return _restore(path(layout, job.id), old)
    files = receipt["files"] | {_name(layout, file): _entry(Path(file), {}) for file in changed}
    write_json(path(layout, job.id), {"parameters": "in part", "begun": receipt["begun"], "files": files})


def _name(layout: Layout, file: str) -> str:
    return Path(file).relative_to(layout.root).as_posix()


def _entry(file: Path, known: Mapping[str, str]) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": known.get(file.name) or sha256_file(file)}


def _not_before(layout: Layout, job: Job) -> None:
    """Let what a job rests on be no younger than its results, even if the clock was put back: Snakemake goes by times,
    and would throw these away.
    """
    times = [_modified(Path(name)) for name in job.files]
    oldest = min((time for time in times if time), default=0)
    needed = [_read(layout, need) or {"files": {}} for need in job.needs]
    for file in (layout.root / name for receipt in needed for name in receipt["files"]):
        if _modified(file) > oldest > 0:
            with suppress(OSError):  # one that may only be read
                os.utime(file, ns=(oldest, oldest))


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


def _signature(job: Job) -> Signature:
    """Length and time of each file."""
    found: Signature = []
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
