import gzip
import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from spectral_ssl.data import official
from spectral_ssl.data.official import FILES, StoredFile, arranged, check_labels, stored_files, verified
from spectral_ssl.errors import UserError

NAME, OTHER = "cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"
BODY = b"an archive" * 100


@pytest.fixture
def published(monkeypatch):
    """Publish other bytes, at another address, under an official name."""

    def publish(name=NAME, body=BODY, **fields):
        md5 = hashlib.md5(body).hexdigest()
        monkeypatch.setitem(FILES, name, FILES[name]._replace(md5=md5, size=len(body), **fields))

    return publish


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != f"/{NAME}":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def refused(message, *arguments, **options):
    with pytest.raises(UserError, match=message) as caught:
        verified(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_checksums_and_addresses_are_torchvisions():
    from torchvision.datasets import CIFAR10, CIFAR100, STL10
    from torchvision.datasets.imagenet import ARCHIVE_META

    for known in (CIFAR10, CIFAR100, STL10):
        assert FILES[known.filename][::2] == (known.tgz_md5, known.url)
    assert {name: FILES[name].md5 for name, _ in ARCHIVE_META.values()} == dict(ARCHIVE_META.values())
    assert {name for name, file in FILES.items() if file.registration} == {
        n for n, _ in ARCHIVE_META.values()
    }
    assert len({file.md5 for file in FILES.values()}) == len(FILES)
    assert all(len(file.md5) == 32 and int(file.md5, 16) for file in FILES.values())


def test_an_archive_is_found_by_path_in_a_folder_or_in_data(tmp_path, monkeypatch, published):
    published()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / NAME).write_bytes(BODY)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "data", tmp_path / "data" / NAME, None):
        found = verified("cifar10", [NAME, OTHER], path=path, download=False)
        assert (found.path.resolve(), found.name) == (tmp_path / "data" / NAME, NAME)


def test_what_a_file_is_is_told_by_its_checksum_not_by_its_name(tmp_path, published):
    published(OTHER)
    (tmp_path / "renamed.tgz").write_bytes(BODY)
    assert verified("cifar10", [NAME, OTHER], path=tmp_path / "renamed.tgz", download=False).name == OTHER


def test_a_missing_archive_says_what_to_put_where(tmp_path):
    for path in (tmp_path, tmp_path / NAME):
        refused(
            rf"^cifar10 needs {NAME} \(170 MB\), found no {tmp_path / NAME}: download it from https://\S+/{NAME} and "
            "put it there, or --set data.download=true$",
            *("cifar10", [NAME, OTHER]),
            path=path,
            download=False,
        )


@pytest.mark.parametrize("download", [False, True])
def test_imagenet_is_never_downloaded(tmp_path, download):
    refused(
        r"imagenet needs ILSVRC2012_img_val\.tar \(6,745 MB\), found no .*: register at https://image-net\.org",
        *("imagenet", ["ILSVRC2012_img_val.tar"]),
        path=tmp_path,
        download=download,
    )
    assert list(tmp_path.iterdir()) == []


def test_another_checksum_is_told_with_the_expected_one(tmp_path):
    (tmp_path / NAME).write_bytes(b"abc")
    found, expected = "900150983cd24fb0d6963f7d28e17f72", FILES[NAME].md5  # of "abc": RFC 1321, appendix A.5
    refused(
        rf"^{NAME} has MD5 {found} \(3 bytes\), expected {expected} \(170498071 bytes\): it is incomplete or",
        *("cifar10", [NAME, OTHER]),
        path=tmp_path,
        download=True,  # what is there is never replaced
    )
    (tmp_path / NAME).rename(tmp_path / "x.tar.gz")
    refused(
        rf"^x\.tar\.gz has MD5 {found} .*{expected} .* or {FILES[OTHER].md5}",
        *("cifar10", [NAME, OTHER]),
        path=tmp_path / "x.tar.gz",
        download=False,
    )


@pytest.mark.parametrize("place", ["new/data", f"new/data/{NAME}"])
def test_a_download_appears_under_its_name_once_verified(tmp_path, published, server, place):
    published(url=f"{server}/{NAME}")
    found = verified("cifar10", [NAME, OTHER], path=tmp_path / place, download=True)
    assert found == (tmp_path / "new" / "data" / NAME, NAME)
    assert found.path.read_bytes() == BODY
    assert [p.name for p in found.path.parent.iterdir()] == [NAME]


def test_a_download_that_fails_is_one_line_and_leaves_nothing(tmp_path, published, server):
    options = {"path": tmp_path / "data", "download": True}
    for url, detail in [
        (f"{server}/absent", "HTTP Error 404"),
        ("http://127.0.0.1:9/none", "refused"),
        ("nonsense", "unknown url type"),
    ]:
        published(url=url)
        refused(
            rf"^cannot download {url} \(.*{detail}.*\): check the network, or put", "c", [NAME], **options
        )
    published(url=f"{server}/{NAME}", body=b"abc")
    refused(
        rf"/{NAME} gave a file with MD5 {hashlib.md5(BODY).hexdigest()}, expected 9001.*: run again",
        *("cifar10", [NAME]),
        **options,
    )
    assert list(tmp_path.rglob("*.*")) == []
    (tmp_path / "file").write_bytes(b"")
    refused(
        "cannot download .*Not a directory", "cifar10", [NAME], path=tmp_path / "file" / "data", download=True
    )


def packed(path, *files, zipped=True):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in files:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(buffer.getvalue()) if zipped else buffer.getvalue())
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_files_larger_than_the_limit_are_streamed(tmp_path, monkeypatch, zipped):
    monkeypatch.setattr("spectral_ssl.data.archive.MAX_FILE_BYTES", 10)
    path = packed(tmp_path / "a", ("./f/a", b"0123456789" * 100), ("f/b", b"xy"), zipped=zipped)
    read = [(file.name, file.size, file.read(2), file.read(0)) for file in stored_files(path)]
    assert read == [("f/a", 1000, b"01", b""), ("f/b", 2, b"xy", b"")]


def link(name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("../evil", b"x")], r"has a member with an unsafe path, \.\./evil: expected relative paths"),
        ([("/etc/evil", b"x")], "unsafe path, /etc/evil"),
        ([(link("f/a"), b"")], r"f/a in a\.tar\.gz is neither a file nor a directory"),
        ([("f/a", b"x"), ("./f/a", b"y")], r"f/a occurs twice in a\.tar\.gz"),
    ],
)
def test_unsafe_and_repeated_files_are_refused(tmp_path, files, message):
    path = packed(tmp_path / "a.tar.gz", *files)
    with pytest.raises(UserError, match=message):
        list(stored_files(path))


def contents(path):
    return [file.read(file.size) for file in stored_files(path)]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("cut", [40_000, 20])
def test_a_truncated_archive(tmp_path, zipped, cut):
    noise = np.random.default_rng(0).bytes(50_000)
    path = packed(tmp_path / "a.tar", ("f/a", noise), zipped=zipped)
    assert contents(path) == [noise]
    whole = path.read_bytes()
    path.write_bytes(whole[: cut if cut > 1000 or zipped is False else -cut])
    with pytest.raises(
        UserError, match=r"^a\.tar is truncated or damaged \(.+\): copy or download it again$"
    ):
        contents(path)


def test_a_short_read_is_no_data(tmp_path):
    file = StoredFile("f/a", 4, tmp_path / "a.tar", io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"a\.tar is truncated or damaged \(f/a ends early\)"):
        file.read(4)


def test_a_file_that_an_archive_lacks(tmp_path):
    path = packed(tmp_path / "a.tar.gz", ("f/a", b"1"), ("f/b", b"2"))
    assert official.small_files(path, ["f/b"]) == {"f/b": b"2"}
    with pytest.raises(UserError, match=r"^a\.tar\.gz has no f/c: expected the official layout"):
        official.small_files(path, ["f/a", "f/c"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, 2],
            r"a\.tar has the label 2 in its test split, counted from 0: expected 0\.\.1 for 2 classes",
        ),
        ([0, 1, -1], "has the label -1 in its test split"),
        ([0, 0], r"a\.tar has no test image of class dog: expected some of each of 2 classes"),
        ([], "has no test image of class cat"),
    ],
)
def test_labels_that_do_not_fit_the_classes(labels, message):
    check_labels(np.array([1, 0]), ["cat", "dog"], "test", "a.tar")
    with pytest.raises(UserError, match=message):
        check_labels(np.array(labels, dtype=np.int64), ["cat", "dog"], "test", "a.tar")


def test_images_are_arranged_by_class_and_name():
    found = {"train": [(1, "c"), (0, "b"), (1, "a"), (0, "d")], "test": [(1, "f"), (0, "e")]}
    labels, rows = arranged(found, ["x", "y"], {"train": None, "test": None}, "z")
    assert {split: part.tolist() for split, part in labels.items()} == {"train": [0, 0, 1, 1], "test": [0, 1]}
    assert rows == {n: ("train", i) for i, n in enumerate("bdac")} | {"e": ("test", 0), "f": ("test", 1)}
    _, rows = arranged(found, ["x", "y"], {"train": 2, "test": None}, "z")
    assert list(rows) == ["b", "a", "e", "f"]
    with pytest.raises(UserError, match="b occurs twice in z"):
        arranged(
            {**found, "train": [*found["train"], (0, "b")]}, ["x", "y"], {"train": None, "test": None}, "z"
        )
