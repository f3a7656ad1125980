"""The files of a directory, tar or zip archive in one sequential pass, without extracting anything to disk.

Members whose name is absolute or climbs with `..`, links, devices and encrypted members are refused even
though nothing is written under their names: an archive that holds them is not what its user believes it to
be.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from spectral_ssl.errors import UserError

MAX_FILE_BYTES = 128 * 2**20
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # and every dot-file, .DS_Store among them


@dataclass(frozen=True, slots=True)
class Member:
    """A file or directory; `read` gives a file's bytes and works only until the next member is asked for."""

    name: str
    is_directory: bool
    read: Callable[[], bytes]


def shown(name: str) -> str:
    """A member's name fit for a one-line message: line breaks and undecodable bytes are escaped."""
    return name if name.isprintable() else ascii(name)


def members(path: Path) -> Iterator[Member]:
    """Every file and directory in `path`, in stored order for an archive and sorted order for a directory.

    The kind of an archive is told by its first bytes, not its suffix: tar (plain, gzip, xz, zstd) or zip.
    Dot-files, `__MACOSX`, `Thumbs.db` and `desktop.ini` are left out.

    Raises:
        UserError: `path` is missing or of an unknown kind; an archive is truncated or damaged; a member is
            unsafe, a link, neither file nor directory, encrypted, or larger than `MAX_FILE_BYTES`.
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
    with reading(path), path.open("rb") as file:
        start = file.read(512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_members(path)
    for magic, opener in OPENERS.items():
        if start.startswith(magic):
            return tar_members(path, opener)
    if start[257:262] == b"ustar" or path.suffix == ".tar":
        return tar_members(path, lambda plain: plain.open("rb"))
    raise UserError(
        f"{path.name} is an archive of unknown kind: expected a directory, .tar, .tar.gz, .tar.xz, "
        ".tar.zst or .zip"
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every way in which an archive's reader may fail into one UserError."""
    import zstandard

    try:
        yield
    except (
        EOFError,
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        lzma.LZMAError,
        zlib.error,
    ) as error:
        raise _damaged(path, error) from error
    except zstandard.ZstdError as error:
        raise _damaged(path, error) from error
    except OSError as error:
        raise UserError(
            f"cannot read {shown(str(error.filename or path))}: {error.strerror or error}"
        ) from error


def _damaged(path: Path, error: Exception) -> UserError:
    detail = " ".join(str(error).split())
    return UserError(f"{path.name} is truncated or damaged ({detail}): copy or download it again")


def checked(path: Path, name: str, size: int) -> str:
    """A member's name, if it stays inside the archive and its size is one that is read; else UserError."""
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name) or ".." in re.split(r"[/\\]", name):
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
    """Only zeros end an archive: tarfile takes a missing, short or damaged header for the end as well."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictTarInfo:
        """A header; a damaged one is an error and not the archive's end."""
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def tar_members(path: Path, opener: Callable[[Path], Any]) -> Iterator[Member]:
    """The members of a tar archive, in its order."""
    with (
        reading(path),
        opener(path) as stream,
        tarfile.open(fileobj=stream, mode="r|", bufsize=2**18, tarinfo=StrictTarInfo) as archive,
    ):
        while (info := archive.next()) is not None:
            if info.issym() or info.islnk():
                raise refused(path, info.name, "a symbolic link" if info.issym() else "a hard link")
            if not info.isreg() and not info.isdir():
                raise refused(path, info.name, "neither a file nor a directory")
            yield Member(checked(path, info.name, info.size), info.isdir(), _tar_reader(path, archive, info))
            # tarfile would keep a record of every member
            archive.members.clear()  # type: ignore[attr-defined]
        while stream.read(2**20):  # the checksum of a compressed stream comes after the last member
            pass


def _tar_reader(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        file = archive.extractfile(info)
        return file.read() if file else b""

    return _reader(path, read)


def _zip_members(path: Path) -> Iterator[Member]:
    with reading(path), zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            # `filename` is cut at a NUL byte, and the rest would hide a second name
            name = checked(path, info.orig_filename, info.file_size)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise refused(path, name, "a symbolic link")
            if info.flag_bits & 1:
                raise refused(path, name, "encrypted")
            # A failed checksum of one member is that image's fault, so it is not turned into the archive's
            # error.
            yield Member(name, info.is_dir(), lambda info=info: archive.read(info))  # type: ignore[misc]


def _open_zstd(path: Path) -> IO[bytes]:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)


OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": _open_zstd,
}
