import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from spectral_ssl.data.official import FILES
from spectral_ssl.data.sources import ingest, load, sha256_of
from spectral_ssl.errors import UserError

NAME, ROOT = "tiny-imagenet-200.zip", "tiny-imagenet-200"
WNIDS = ["n02124075", "n01443537", "n03444034"]  # not sorted, as in the official file
WORDS = {
    "n00001740": "entity",
    "n01443537": "goldfish, Carassius auratus",
    "n02124075": "Egyptian cat",
    "n03444034": "go-kart",
}
VAL = {
    "val_0.JPEG": "n03444034",
    "val_1.JPEG": "n01443537",
    "val_2.JPEG": "n02124075",
    "val_10.JPEG": "n01443537",
}
GREY = f"{ROOT}/train/n02124075/images/n02124075_1.JPEG"


def jpeg(seed, mode="RGB", side=64):
    rough = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rough).resize((side, side)).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def annotations(val):
    return "".join(f"{file}\t{wnid}\t0\t32\t44\t62\n" for file, wnid in val.items()).encode()


def contents():
    files = {
        "wnids.txt": "\n".join(WNIDS).encode(),
        "words.txt": "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()).encode(),
        "test/images/test_0.JPEG": jpeg(1000),
        "val/val_annotations.txt": annotations(VAL),
        **{f"val/images/{file}": jpeg(100 + i) for i, file in enumerate(VAL)},
    }
    for c, wnid in enumerate(WNIDS):
        files[f"train/{wnid}/{wnid}_boxes.txt"] = f"{wnid}_0.JPEG\t0\t10\t63\t58\n".encode()
        for i in (10, 2, 1):
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = jpeg(10 * c + i)
    return {f"{ROOT}/{name}": data for name, data in files.items()} | {GREY: jpeg(7, "L")}


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(files):
        path = tmp_path / NAME
        with zipfile.ZipFile(path, "w") as target:
            target.mkdir(ROOT)
            for name, data in files.items():
                target.writestr(name, data)
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(FILES, NAME, FILES[NAME]._replace(md5=md5))
        return path

    return write


def test_images_in_the_order_of_class_and_file_and_greyscale_as_colour(tmp_path, write):
    path, files = write(contents()), contents()
    meta = ingest("tiny_imagenet", tmp_path / "out", path=tmp_path)
    data = load(tmp_path / "out")
    train = [f"train/{w}/images/{w}_{i}.JPEG" for w in sorted(WNIDS) for i in (1, 10, 2)]
    val = [f"val/images/val_{i}.JPEG" for i in (1, 10, 2, 0)]
    np.testing.assert_array_equal(data.train_images, [pixels(files[f"{ROOT}/{name}"]) for name in train])
    np.testing.assert_array_equal(data.test_images, [pixels(files[f"{ROOT}/{name}"]) for name in val])
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.test_labels.tolist() == [0, 0, 1, 2]
    assert data.classes == [f"{wnid} {WORDS[wnid]}" for wnid in sorted(WNIDS)]
    grey = data.train_images[train.index(GREY.removeprefix(f"{ROOT}/"))]
    assert grey.shape == (64, 64, 3)
    assert np.ptp(grey, axis=-1).max() == 0
    assert np.ptp(data.train_images[0], axis=-1).max() > 0
    assert meta["notes"] == {"L to RGB": 1}
    assert (meta["source"], meta["source_sha256"]) == (NAME, sha256_of(path))


def test_limits_and_another_size(tmp_path, write):
    write(contents())
    ingest("tiny_imagenet", tmp_path / "out", path=tmp_path, image_size=16, train_limit=3, test_limit=3)
    data = load(tmp_path / "out")
    first = contents()[f"{ROOT}/train/n01443537/images/n01443537_1.JPEG"]
    expected = Image.fromarray(pixels(first)).resize((16, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(data.train_images[0], np.asarray(expected))
    assert data.train_labels.tolist() == data.test_labels.tolist() == [0, 1, 2]


def without(part):
    return {name: data for name, data in contents().items() if part not in name}


def annotated(val):
    return {**contents(), f"{ROOT}/val/val_annotations.txt": annotations(val)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            annotated({**VAL, "val_77.JPEG": "n01443537"}),
            r"^val_annotations\.txt names 5 images, tiny-imagenet-200\.zip has 4; the first missing is \S+/val_77",
        ),
        (
            annotated({f: w for f, w in VAL.items() if f != "val_2.JPEG"}),
            r"val/images/val_2\.JPEG is not in val_annotations\.txt",
        ),
        (
            annotated({**VAL, "val_2.JPEG": "n99999999"}),
            r"gives val_2\.JPEG the class n99999999, which is not in wnids\.txt",
        ),
        (annotated({**VAL, "val_2.JPEG": ""}), r"gives val_2\.JPEG the class nothing"),
        (annotated({**VAL, "val_2.JPEG": "n01443537"}), "has no test image of class n02124075 Egyptian cat"),
        (without("train/n02124075/images"), "has no train image of class n02124075 Egyptian cat"),
        (
            {**contents(), f"{ROOT}/train/n99999999/images/a.JPEG": b""},
            r"train/n99999999/images/a\.JPEG is of no class in wnids\.txt: expected 3 classes",
        ),
        (without("wnids.txt"), r"tiny-imagenet-200\.zip has no tiny-imagenet-200/wnids\.txt: expected the"),
        (without("val_annotations"), r"has no tiny-imagenet-200/val/val_annotations\.txt"),
        (
            {**contents(), f"{ROOT}/../../evil.JPEG": b""},
            r"unsafe path, tiny-imagenet-200/\.\./\.\./evil\.JPEG",
        ),
        ({**contents(), GREY: jpeg(3)[:300]}, rf"^1 corrupt image, {GREY}: replace or remove it"),
    ],
)
def test_archives_that_do_not_fit_together(tmp_path, write, files, message):
    path = write(files)
    with pytest.raises(UserError, match=message) as caught:
        ingest("tiny_imagenet", tmp_path / "out", path=path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_an_image_that_occurs_twice(tmp_path, write, monkeypatch):
    path = write(contents())
    with zipfile.ZipFile(path, "a") as target, pytest.warns(UserWarning, match="Duplicate name"):
        target.writestr(GREY, jpeg(7))
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(FILES, NAME, FILES[NAME]._replace(md5=md5))
    with pytest.raises(UserError, match=f"{GREY} occurs twice in {NAME}"):
        ingest("tiny_imagenet", tmp_path / "out", path=path)


def test_a_truncated_archive(tmp_path, write, monkeypatch):
    path = write(contents())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"{NAME} has MD5 .* expected"):
        ingest("tiny_imagenet", tmp_path / "out", path=path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(FILES, NAME, FILES[NAME]._replace(md5=md5))
    with pytest.raises(UserError, match=f"{NAME} is truncated or damaged"):
        ingest("tiny_imagenet", tmp_path / "out", path=path)
