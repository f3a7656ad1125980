"""The bytes inside gzip, xz and zstd files, one block after the other, in memory that no file can make large.

A decoder keeps as much of what it gave as the file asks for, which is gigabytes where the file lies, and a file of
zeros expands a thousandfold: both have a limit here.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from spectral_ssl.errors import UserError

MAX_RATIO = 200  # names and headers of a tar of tiny images shrink to a twentieth, images hardly
FREE_BYTES = 2**30  # that any file may expand to
WINDOW_BYTES = 2**27  # of a decoder; `xz -9` asks for half as much
_BLOCK = 2**18


class Readable(Protocol):
    """What can be read on from: `read` gives up to `count` bytes, and none at the end."""

    def read(self, count: int, /) -> bytes:
        """The next bytes."""
        ...


class _Xz:
    """The streams of an xz file, one after the other; unlike `lzma.open` with a limit on the decoder's memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = _xz_decoder()

    def read(self, count: int) -> bytes:
        while True:
            if self._decoder.eof:
                block = self._next_stream()
                if not block:
                    return b""
                self._decoder = _xz_decoder()
            elif self._decoder.needs_input:
                block = self._file.read(_BLOCK)
                if not block:
                    raise EOFError("the xz stream ends early")
            else:
                block = b""
            if data := self._decoder.decompress(block, count):
                return data

    def _next_stream(self) -> bytes:
        """The first bytes after the padding that follows a stream; none at the end of the file."""
        block = self._decoder.unused_data.lstrip(b"\0")
        while not block and (block := self._file.read(_BLOCK)):
            block = block.lstrip(b"\0")
        return block


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_BYTES + 2**20)


def _zstd(file: IO[bytes]) -> Any:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    return decoder.stream_reader(file, read_across_frames=True, closefd=False)


_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ\x00": _Xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}


class _Limited:
    """A stream that ends in an error where it is longer than any archive of images of that size."""

    def __init__(self, path: Path, stream: Readable) -> None:
        self._path, self._stream = path, stream
        self._left = FREE_BYTES + MAX_RATIO * path.stat().st_size

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise bomb(self._path)
        return data


def bomb(path: Path) -> UserError:
    """The error for an archive that expands too far."""
    return UserError(
        f"{path.name} expands to more than {MAX_RATIO} times its size: expected images, which hardly shrink; do not "
        "trust this archive"
    )


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins like this is one that `expanded` decodes."""
    return start.startswith(tuple(_OPENERS))


@contextmanager
def expanded(path: Path) -> Iterator[Readable]:
    """A file's bytes, decoded if its first ones are those of gzip, xz or zstd.

    Raises:
        UserError: it expands to more than `FREE_BYTES` and `MAX_RATIO` times its size. Damage raises what the
            decoders raise.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        start = file.read(8)
        file.seek(0)
        opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
        yield _Limited(path, opener(file)) if opener else file
