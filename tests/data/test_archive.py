import gzip
import io
import lzma
import stat
import tarfile
import zipfile

import pytest
import zstandard

from spectral_ssl.data import archive
from spectral_ssl.data.archive import members
from spectral_ssl.errors import UserError

FILES = {f"train/class {i % 3}/{i}.png": bytes([i]) * (512 * (i % 3) + i) for i in range(20)}
COMPRESSORS = {
    "tar": lambda data: data,
    "tar.gz": gzip.compress,
    "tgz": gzip.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstandard.compress,
}
KINDS = [*COMPRESSORS, "zip", "directory"]


def tar_bytes(files, **kwargs):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **kwargs) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_of(path, *infos):
    with tarfile.open(path, "w") as tar:
        for info in infos:
            tar.addfile(info)
    return path


def info(name, **fields):
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def pack(folder, kind, files):
    path = folder / f"images.{kind}"
    if kind == "directory":
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as target:
            for name, data in files.items():
                target.writestr(name, data)
    else:
        path.write_bytes(COMPRESSORS[kind](tar_bytes(files)))
    return path


def contents(path):
    return {member.name: member.read() for member in members(path) if not member.is_directory}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_files(tmp_path, kind):
    assert contents(pack(tmp_path, kind, FILES)) == FILES


def test_the_kind_is_told_by_content_not_by_suffix(tmp_path):
    path = pack(tmp_path, "tar.xz", FILES)
    assert contents(path.rename(tmp_path / "images.zip")) == FILES


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_dialects(tmp_path, format_):
    files = {f"train/été/{'x' * 90}.png": b"one", "train/b/y.png": b"two"}
    path = tmp_path / "images.tar"
    path.write_bytes(tar_bytes(files, format=format_))
    assert contents(path) == files


def test_zstd_of_several_frames(tmp_path):
    data = tar_bytes(FILES)
    path = tmp_path / "images.tar.zst"
    path.write_bytes(zstandard.compress(data[:3000]) + zstandard.compress(data[3000:]))
    assert contents(path) == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_members_may_be_left_unread(tmp_path, kind):
    chosen = {m.name: m.read() for m in members(pack(tmp_path, kind, FILES)) if m.name.endswith("7.png")}
    assert chosen == {name: data for name, data in FILES.items() if name.endswith("7.png")}


def test_hidden_files_are_left_out_and_a_leading_dot_is_dropped(tmp_path):
    hidden = [
        "train/a/.DS_Store",
        "train/a/._x.png",
        ".git/x.png",
        "train/a/Thumbs.db",
        "__MACOSX/train/a/x.png",
    ]
    path = pack(tmp_path, "tar", {**dict.fromkeys(hidden, b""), "./train/a//x.png": b"kept"})
    assert contents(path) == {"train/a/x.png": b"kept"}


@pytest.mark.parametrize("kind", ["tar", "zip", "directory"])
def test_directories_are_told(tmp_path, kind):
    path = pack(tmp_path, kind, {"train/a/x.png": b"x"})
    if kind == "directory":
        (path / "train" / "empty").mkdir()
    elif kind == "zip":
        with zipfile.ZipFile(path, "a") as target:
            target.mkdir("train/empty")
    else:
        tar_of(path, info("train/empty/", type=tarfile.DIRTYPE))
    assert "train/empty" in [member.name for member in members(path) if member.is_directory]


@pytest.mark.parametrize("kind", list(COMPRESSORS))
def test_an_archive_cut_anywhere_is_refused(tmp_path, kind):
    # The files end with some 10 KiB of zeros, of which the first block is needed and the rest is padding.
    whole = pack(tmp_path, kind, FILES).read_bytes()
    end = tar_bytes(FILES).rstrip(b"\0")
    last = len(end) + 512 if kind == "tar" else len(whole)
    cuts = {last - 1 - last * i // 40 for i in range(40)} | {512 * (i + 1) for i in range(last // 512 - 1)}
    path = tmp_path / f"cut.{kind}"
    for cut in sorted(cuts - {0}):
        path.write_bytes(whole[:cut])
        if kind == "tar.zst" and decompressed_is_complete(whole[:cut], len(end)):
            continue
        with pytest.raises(UserError) as caught:
            contents(path)
        assert "cut." in str(caught.value)
        assert "truncated or damaged" in str(caught.value) or "unknown kind" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_zip_that_is_cut_is_refused(tmp_path, kept):
    path = pack(tmp_path, "zip", FILES)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(UserError, match=r"images\.zip is truncated or damaged"):
        contents(path)


def decompressed_is_complete(data, length):
    return len(zstandard.ZstdDecompressor().decompressobj().decompress(data)) >= length + 1024


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_damage_in_the_structure_is_not_taken_for_the_end(tmp_path, kind):
    path = pack(tmp_path, kind, FILES)
    data = bytearray(path.read_bytes())
    position = data.index(b"train/class 1/10.png") if kind == "tar" else data.rindex(b"PK\x01\x02")
    data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=rf"images\.{kind} is truncated or damaged \(.*\): copy or download it again"
    ):
        contents(path)


def test_damaged_compression(tmp_path):
    for kind in ("tar.gz", "tar.xz", "tar.zst"):
        path = pack(tmp_path, kind, FILES)
        data = bytearray(path.read_bytes())
        for position in range(len(data) // 2, len(data) // 2 + 8):
            data[position] ^= 0x55
        path.write_bytes(data)
        with pytest.raises(UserError, match="truncated or damaged"):
            contents(path)


@pytest.mark.parametrize("data", [b"", b"BZh91AY&SY", b"Rar!\x1a\x07\x00", b"plain text, " * 100])
def test_an_unknown_kind(tmp_path, data):
    path = tmp_path / "images.rar"
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=r"images\.rar is an archive of unknown kind: expected a directory, \.tar,"
    ):
        list(members(path))


def test_a_missing_checksum_is_noticed_beyond_the_last_block_read(tmp_path):
    path = tmp_path / "images.tar.gz"
    path.write_bytes(gzip.compress(tar_bytes(FILES).ljust(2**18, b"\0"))[:-4])
    with pytest.raises(UserError, match="truncated or damaged"):
        contents(path)


def test_a_directory_is_read_in_sorted_order(tmp_path):
    names = [f"train/{c}/{i}.png" for c in "qwertyuiopasdfgh" for i in "312"]
    assert list(contents(pack(tmp_path, "directory", dict.fromkeys(names, b"")))) == sorted(names)


def test_compressed_data_that_is_no_tar(tmp_path):
    path = tmp_path / "notes.gz"
    path.write_bytes(gzip.compress(b"some notes " * 500))
    with pytest.raises(UserError, match="truncated or damaged"):
        list(members(path))


def test_a_missing_path(tmp_path):
    with pytest.raises(UserError, match=r"no file or directory .*absent\.tar: check the path"):
        list(members(tmp_path / "absent.tar"))


@pytest.mark.parametrize(
    "name", ["/etc/x.png", "../x.png", "train/../../x.png", "C:\\x.png", "train\\..\\x.png"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_unsafe_paths_are_refused(tmp_path, kind, name):
    path = pack(tmp_path, kind, {"train/a/x.png": b"x", name: b"x"})
    with pytest.raises(UserError, match="has a member with an unsafe path"):
        contents(path)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "neither a file nor a directory"),
        (tarfile.CHRTYPE, "neither a file nor a directory"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, what):
    path = tar_of(tmp_path / "images.tar", info("train/a/x.png", type=kind, linkname="train/a/y.png"))
    with pytest.raises(UserError, match=rf"train/a/x\.png in images\.tar is {what}: expected plain files"):
        list(members(path))


def test_links_and_encrypted_members_of_a_zip_are_refused(tmp_path):
    path = tmp_path / "images.zip"
    link = zipfile.ZipInfo("train/a/x.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a symbolic link"):
        list(members(path))
    data = bytearray(pack(tmp_path, "zip", {"train/a/x.png": b"x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="is encrypted"):
        list(members(path))


@pytest.mark.parametrize("to", ["file", "directory"])
def test_symbolic_links_in_a_directory_are_refused(tmp_path, to):
    path = pack(tmp_path, "directory", {"train/a/x.png": b"x"})
    target = path / "train" / "a" / ("x.png" if to == "file" else ".")
    (path / "train" / "link").symlink_to(target)
    with pytest.raises(UserError, match=r"train/link in images\.directory is a symbolic link"):
        list(members(path))


@pytest.mark.parametrize("kind", ["tar", "zip", "directory"])
def test_enormous_members_are_refused_unread(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1000)
    path = pack(tmp_path, kind, {"train/a/x.png": b"x" * 1001})
    with pytest.raises(UserError, match="has 1001 bytes, the limit for one image is 1000"):
        list(members(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = pack(tmp_path, "directory", {"train/a/x.png": b"x"})
    *_, member = members(path)
    (path / member.name).unlink()
    with pytest.raises(UserError, match=r"cannot read .*x\.png: No such file or directory"):
        member.read()


def test_messages_stay_on_one_line_whatever_the_name(tmp_path):
    path = tar_of(tmp_path / "images.tar", info("a\n\udcff.png", type=tarfile.SYMTYPE, linkname="x"))
    with pytest.raises(UserError) as caught:
        list(members(path))
    assert str(caught.value).isprintable()
    assert "a\\n\\udcff.png" in str(caught.value)


def test_the_record_of_members_does_not_grow(tmp_path, monkeypatch):
    kept = []
    original = tarfile.TarFile.next

    def watched(self):
        kept.append(len(self.members))
        return original(self)

    monkeypatch.setattr(tarfile.TarFile, "next", watched)
    contents(pack(tmp_path, "tar", FILES))
    assert len(kept) > len(FILES)
    assert max(kept) <= 1
