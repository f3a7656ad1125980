"""The files of a directory, tar or zip archive in one sequential pass, without extracting anything to disk.

Members whose name is absolute or climbs with `..`, links, devices, sparse and encrypted members are refused even
though nothing is written under their names: an archive that holds them is not what its user believes it to
be. So are archives that would take much memory or time for their size.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from spectral_ssl.data.compressed import FREE_BYTES, MAX_RATIO, Readable, bomb, expanded, is_compressed
from spectral_ssl.errors import UserError

MAX_FILE_BYTES = 128 * 2**20
MAX_NAME_BYTES = 2**18  # of a tar's extended header, which is read whole
_SHOWN = 200  # characters of a name in a message
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # and every dot-file, .DS_Store among them


@dataclass(frozen=True, slots=True)
class Member:
    """A file or directory; `read` gives a file's bytes and works only until the next member is asked for."""

    name: str
    is_directory: bool
    read: Callable[[], bytes]


def shown(name: str) -> str:
    """A member's name fit for a one-line message: line breaks and undecodable bytes are escaped, long ones cut."""
    text = name if name.isprintable() else ascii(name)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def members(path: Path) -> Iterator[Member]:
    """Every file and directory in `path`, in stored order for an archive and sorted order for a directory.

    The kind of an archive is told by its first bytes, not its suffix: tar (plain, gzip, xz, zstd) or zip.
    Dot-files, `__MACOSX`, `Thumbs.db` and `desktop.ini` are left out.

    Raises:
        UserError: `path` is missing or of an unknown kind; an archive is truncated or damaged, goes on after its
            end or expands too far; a member is unsafe, a link, sparse, neither file nor directory, encrypted, or
            larger than `MAX_FILE_BYTES`.
    """
    for member in _all_members(path):
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if parts and not any(part.startswith(".") or part in _IGNORED for part in parts):
            yield Member("/".join(parts), member.is_directory, member.read)


def _all_members(path: Path) -> Iterator[Member]:
    if not path.exists():
        raise UserError(f"no file or directory {path}: check the path of the data set")
    if path.is_dir():
        return _directory_members(path)
    if not path.is_file():  # a pipe or a device may have no end, or nothing to read until something writes
        raise UserError(f"{path} is neither a file nor a directory: give an archive or a directory")
    with reading(path), path.open("rb") as file:
        start = file.read(512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_members(path)
    if is_compressed(start) or start[257:262] == b"ustar" or path.suffix == ".tar":
        return tar_members(path, expanded)
    raise UserError(
        f"{path.name} is an archive of unknown kind: expected a directory, .tar, .tar.gz, .tar.xz, "
        ".tar.zst or .zip"
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every way in which an archive's reader may fail into one UserError."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # gzip's of damaged files
            raise _damaged(path, error) from error
        raise UserError(
            f"cannot read {shown(str(error.filename or path))}: {error.strerror or error}"
        ) from error
    except Exception as error:  # tarfile, zipfile and the decoders raise almost anything on damaged files
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    detail = shown(" ".join(str(error).split()) or type(error).__name__)
    return UserError(f"{path.name} is truncated or damaged ({detail}): copy or download it again")


def checked(path: Path, name: str, size: int) -> str:
    """A member's name, if it stays inside the archive and its size is one that is read; else UserError."""
    if (
        "\0" in name
        or name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:", name)
        or ".." in re.split(r"[/\\]", name)
    ):
        raise UserError(
            f"{path.name} has a member with an unsafe path, {shown(name)}: expected relative paths "
            "without '..'; do not trust this archive"
        )
    if size > MAX_FILE_BYTES:
        raise UserError(
            f"{shown(name)} has {size} bytes, the limit for one image is {MAX_FILE_BYTES}: remove it"
        )
    return name


def refused(path: Path, name: str, what: str) -> UserError:
    """The error for a member that is no plain file."""
    return UserError(
        f"{shown(name)} in {path.name} is {what}: expected plain files; replace it by the file itself"
    )


def _directory_members(path: Path) -> Iterator[Member]:
    def failed(error: OSError) -> None:
        raise error

    with reading(path):
        for folder, subfolders, files in os.walk(path, onerror=failed):
            subfolders.sort()
            for name in sorted(subfolders + files):
                full = Path(folder, name)
                relative = full.relative_to(path).as_posix()
                status = full.lstat()
                if stat.S_ISLNK(status.st_mode):
                    raise refused(path, relative, "a symbolic link")
                is_directory = stat.S_ISDIR(status.st_mode)
                if not is_directory and not stat.S_ISREG(status.st_mode):
                    raise refused(path, relative, "neither a file nor a directory")
                size = 0 if is_directory else status.st_size
                yield Member(checked(path, relative, size), is_directory, _reader(full, full.read_bytes))


def _reader(path: Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def guarded() -> bytes:
        with reading(path):
            return read()

    return guarded


class StrictTarInfo(tarfile.TarInfo):
    """Only zeros end an archive: tarfile takes a missing, short or damaged header for the end as well.

    Refused, too, is what tarfile would read into memory before it gives a member: long extended headers, and the
    maps of sparse files.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictTarInfo:
        """A header; a damaged one is an error and not the archive's end."""
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None
        if info.size < 0:
            raise tarfile.ReadError("a member of negative size")
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse member")
        if info.type in _EXTENDED and info.size > MAX_NAME_BYTES:
            raise tarfile.ReadError(f"an extended header of {info.size} bytes")
        return info

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.ReadError("a sparse member")


_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


def tar_members(path: Path, opener: Callable[[Path], AbstractContextManager[Readable]]) -> Iterator[Member]:
    """The members of a tar archive, in its order."""
    with reading(path), opener(path) as stream, open_tar(stream) as archive:
        while (info := archive.next()) is not None:
            if info.issym() or info.islnk():
                raise refused(path, info.name, "a symbolic link" if info.issym() else "a hard link")
            if info.issparse():
                raise refused(path, info.name, "a sparse file")
            if not info.isreg() and not info.isdir():
                raise refused(path, info.name, "neither a file nor a directory")
            yield Member(checked(path, info.name, info.size), info.isdir(), _tar_reader(path, archive, info))
            # tarfile would keep a record of every member
            archive.members.clear()  # type: ignore[attr-defined]
        check_end(archive)


def open_tar(stream: Readable) -> tarfile.TarFile:
    """A tar read in sequence from an uncompressed stream."""
    return tarfile.open(fileobj=stream, mode="r|", bufsize=2**18, tarinfo=StrictTarInfo)  # type: ignore[call-overload]


def check_end(archive: tarfile.TarFile) -> None:
    """Read what follows the last member: padding, and the checksum of a compressed stream.

    Raises:
        tarfile.ReadError: anything else, such as a second archive, which would be left out unnoticed.
    """
    while block := archive.fileobj.read(2**20):
        if block.count(0) != len(block):
            raise tarfile.ReadError("it goes on after its end")


def _tar_reader(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        file = archive.extractfile(info)
        return file.read() if file else b""

    return _reader(path, read)


def _zip_members(path: Path) -> Iterator[Member]:
    with reading(path), zipfile.ZipFile(path) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        for one, following in pairwise(infos):
            if one.header_offset + _LOCAL_HEADER + one.compress_size > following.header_offset:
                raise zipfile.BadZipFile("members that overlap")
        left = FREE_BYTES + MAX_RATIO * path.stat().st_size
        for info in infos:
            # `filename` is cut at a zero byte, and the rest would hide a second name
            name = checked(path, info.orig_filename, info.file_size)
            left -= info.file_size
            if left < 0:
                raise bomb(path)
            if what := _odd(info):
                raise refused(path, name, what)
            # A failed checksum of one member is that image's fault, so it is not turned into the archive's
            # error.
            yield Member(name, info.is_dir(), partial(_zip_bytes, archive, info))


_LOCAL_HEADER = 30  # bytes at least before a member's own


def _odd(info: zipfile.ZipInfo) -> str | None:
    """What a member of a zip is, if it is not plain."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "neither a file nor a directory"
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile expands a block of the others without a limit
        return f"compressed by method {info.compress_type}"
    return None


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # Without a count, zipfile expands all that lies there and then cuts it to the size that was declared.
    with archive.open(info) as file:
        return file.read(info.file_size)
