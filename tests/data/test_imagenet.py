import hashlib
import io
import shutil
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from spectral_ssl.data.imagenet import DEVKIT, TRAIN, VAL
from spectral_ssl.data.official import FILES
from spectral_ssl.data.sources import ingest, load
from spectral_ssl.errors import UserError

# ILSVRC2012_ID, WordNet ID, words, number of children: IDs are not in the order of WordNet IDs
SYNSETS = [(1, "n02119789", "kit fox, Vulpes macrotis", 0), (2, "n02100735", "English setter", 0)]
SYNSETS += [(3, "n02012849", "crane", 0), (4, "n02083346", "canine, canid", 2)]
WNIDS = ["n02012849", "n02100735", "n02119789"]
TRUTH = [3, 1, 2, 3]
MEMBER = "ILSVRC2012_devkit_t12/data/"


def jpeg(seed, mode="RGB", size=(20, 16)):
    rough = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rough).resize(size).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


IMAGES = {
    **{f"train/{w}/{w}_{i}.JPEG": jpeg(10 * c + i) for c, w in enumerate(WNIDS) for i in (2, 10, 1)},
    **{f"ILSVRC2012_val_{i:08}.JPEG": jpeg(100 + i) for i in (4, 2, 1, 3)},
    "train/n02012849/n02012849_2.JPEG": jpeg(1, "L"),
    "train/n02100735/n02100735_1.JPEG": jpeg(2, "CMYK", (8, 8)),
}
TRAIN_ORDER = [f"train/{w}/{w}_{i}.JPEG" for w in WNIDS for i in (1, 10, 2)]
VAL_ORDER = [f"ILSVRC2012_val_{i:08}.JPEG" for i in (1, 4, 3, 2)]


def tar(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def class_tars(images=IMAGES):
    """In another order than that of classes, as in the official archive."""
    return {
        f"{wnid}.tar": tar({n.split("/")[2]: d for n, d in images.items() if n.startswith(f"train/{wnid}/")})
        for wnid in reversed(WNIDS)
    }


def validation(images=IMAGES):
    return {name: data for name, data in images.items() if name.startswith("ILSVRC2012_val")}


def meta_mat(synsets=SYNSETS):
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    table = np.empty(len(synsets), kinds)
    for row, (number, wnid, words, children) in enumerate(synsets):
        table[row] = (np.float64(number), wnid, words, "a gloss", np.float64(children))
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": table.reshape(-1, 1)})
    return buffer.getvalue()


def devkit(meta=None, truth=TRUTH):
    lines = "".join(f"{number}\n" for number in truth).encode()
    files = {"meta.mat": meta or meta_mat(), "ILSVRC2012_validation_ground_truth.txt": lines}
    return tar({f"{MEMBER}{name}": data for name, data in files.items()}, "w:gz")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """The three archives, some of them replaced."""

    def write(replaced=None):
        files = {TRAIN: tar(class_tars()), VAL: tar(validation()), DEVKIT: devkit(), **(replaced or {})}
        folder = tmp_path / "data"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
            md5 = hashlib.md5(data).hexdigest()
            monkeypatch.setitem(FILES, name, FILES[name]._replace(md5=md5))
        return folder

    return write


def square(data, side=8):
    """The central square, resized: what `image_size` is documented to do, by Pillow's `crop` and `resize`."""
    with Image.open(io.BytesIO(data)) as image:
        colour, (width, height) = image.convert("RGB"), image.size
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    box = (left, top, left + short, top + short)
    return np.asarray(colour.resize((side, side), Image.Resampling.BICUBIC, box=box))


def check(data):
    np.testing.assert_array_equal(data.train_images, [square(IMAGES[name]) for name in TRAIN_ORDER])
    np.testing.assert_array_equal(data.test_images, [square(IMAGES[name]) for name in VAL_ORDER])
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.test_labels.tolist() == [0, 0, 1, 2]
    assert data.meta["counts"] == {"train": 9, "test": 4}
    assert data.meta["notes"] == {"CMYK to RGB": 1, "L to RGB": 1, "resized": 12}


def test_the_official_archives(tmp_path, write):
    folder = write()
    for path in (folder, folder / TRAIN):
        meta = ingest("imagenet", tmp_path / "out", path=path, image_size=8)
        data = load(tmp_path / "out")
        check(data)
    words = {wnid: f"{wnid} {text}" for _, wnid, text, _ in SYNSETS}
    assert data.classes == [words[wnid] for wnid in WNIDS]
    lines = "".join(f"{FILES[name].md5}  {name}\n" for name in (DEVKIT, VAL, TRAIN))
    assert meta["source_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    ingest("imagenet", tmp_path / "out", path=folder, image_size=8, train_limit=3, test_limit=3)
    few = load(tmp_path / "out")
    np.testing.assert_array_equal(few.train_images, data.train_images[::3])
    np.testing.assert_array_equal(few.test_images, data.test_images[[0, 2, 3]])


def extracted(folder):
    wnid_of = {number: wnid for number, wnid, *_ in SYNSETS}
    for name, data in IMAGES.items():
        if not name.startswith("train"):
            name = f"val/{wnid_of[TRUTH[int(name[-13:-5]) - 1]]}/{name}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_the_extracted_layout_gives_the_same(tmp_path):
    folder = extracted(tmp_path / "images")
    first = ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    data = load(tmp_path / "out")
    check(data)
    assert data.classes == WNIDS
    (folder / "train/n02012849/n02012849_1.JPEG").write_bytes(jpeg(77, size=(24, 24)))
    changed = ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    assert changed["source_sha256"] != first["source_sha256"]


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")  # torchvision's own extraction
def test_torchvision_reads_the_same_labels(tmp_path, write, monkeypatch):
    from torchvision.datasets import ImageNet

    folder = write()
    ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    data = load(tmp_path / "out")
    archives = {name: FILES[name].md5 for name in (TRAIN, VAL, DEVKIT)}
    meta = {kind: (n, archives[n]) for kind, n in (("train", TRAIN), ("val", VAL), ("devkit", DEVKIT))}
    monkeypatch.setattr("torchvision.datasets.imagenet.ARCHIVE_META", meta)
    for split, ours in (("train", data.train_labels), ("val", data.test_labels)):
        theirs = ImageNet(folder, split=split)
        assert theirs.targets == ours.tolist()
        names = [path.rsplit("/", 1)[1] for path, _ in theirs.samples]
        assert names == [name.rsplit("/", 1)[-1] for name in (TRAIN_ORDER if split == "train" else VAL_ORDER)]


def test_archives_are_preferred_to_extracted_images(tmp_path, write):
    folder = extracted(write())
    meta = ingest("imagenet", tmp_path / "out", path=folder, image_size=8)
    assert meta["source"] == "ILSVRC2012"
    (folder / DEVKIT).unlink()
    assert ingest("imagenet", tmp_path / "out", path=folder, image_size=8)["source"] == "data"


def refused(tmp_path, folder, message, **options):
    with pytest.raises(UserError, match=message) as caught:
        ingest("imagenet", tmp_path / "out", path=folder, **{"image_size": 8, **options})
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_a_size_is_needed(tmp_path, write):
    refused(tmp_path, write(), "^imagenet's images differ in size: give image_size, such as", image_size=None)


@pytest.mark.parametrize("name", [TRAIN, VAL, DEVKIT])
def test_a_missing_archive_is_told_before_any_checksum(tmp_path, write, monkeypatch, name):
    folder = write()
    (folder / name).unlink()
    monkeypatch.setattr("spectral_ssl.data.official._md5", None)
    message = rf"imagenet needs {name} .*found no {folder / name}: register at https://image-net\.org"
    refused(tmp_path, folder, message, download=True)


def test_another_checksum(tmp_path, write):
    folder = write()
    (folder / VAL).write_bytes(b"abc")
    refused(tmp_path, folder, rf"^{VAL} has MD5 900150983cd24fb0d6963f7d28e17f72 \(3 bytes\), expected")


def without(files, part):
    return {name: data for name, data in files.items() if part not in name}


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (
            {DEVKIT: devkit(truth=TRUTH[:3])},
            r"_00000004\.JPEG in .* is out of place: expected .* to 00000003, one a",
        ),
        ({DEVKIT: devkit(truth=[*TRUTH, 1])}, f"{VAL} has 4 images, the ground truth 5 labels"),
        ({DEVKIT: devkit(truth=[4, *TRUTH[1:]])}, r"ground truth has the class 4, which meta\.mat has not"),
        ({DEVKIT: devkit(truth=["x"])}, "ground truth has the class x"),
        (
            {DEVKIT: devkit(meta=b"no MATLAB file")},
            rf"meta\.mat of {DEVKIT} is damaged \(.+\): get the archive",
        ),
        ({DEVKIT: tar({}, "w:gz")}, rf"^{DEVKIT} has no {MEMBER}meta\.mat"),
        ({DEVKIT: devkit(truth=[1, 1, 2, 2])}, "has no test image of class n02012849 crane"),
        ({VAL: tar(without(validation(), "002"))}, f"{VAL} has 3 images, the ground truth 4 labels"),
        ({VAL: tar(validation())[:2000]}, f"{VAL} is truncated or damaged"),
        (
            {TRAIN: tar(without(class_tars(), "n02100735"))},
            "has no train image of class n02100735 English setter",
        ),
        ({TRAIN: tar({**class_tars(), "n09.tar": b""})}, rf"n09\.tar in {TRAIN} is of no class in meta\.mat"),
        ({TRAIN: tar(class_tars())[:5000]}, "is truncated or damaged"),
        (
            {TRAIN: tar({**class_tars(), "n02100735.tar": class_tars()["n02100735.tar"][:3000]})},
            r"^n02100735\.tar is truncated or damaged",
        ),
        (
            {TRAIN: tar({**class_tars(), "n02100735.tar": tar({"../evil.JPEG": b""})})},
            r"^n02100735\.tar has a member with an unsafe path, \.\./evil\.JPEG",
        ),
        (
            {TRAIN: tar({**class_tars(), "n02100735.tar": tar({"a.txt": b""})})},
            r"train/n02100735/a\.txt of ILSVRC2012 is out of place: expected images \*\.JPEG of 3 classes",
        ),
        (
            {TRAIN: tar(class_tars({**IMAGES, TRAIN_ORDER[0]: b"x", TRAIN_ORDER[5]: jpeg(1)[:300]}))},
            f"^2 corrupt images, the first {TRAIN_ORDER[0]}",
        ),
    ],
)
def test_archives_that_do_not_fit_together(tmp_path, write, replaced, message):
    refused(tmp_path, write(replaced), message)


def test_extracted_images_out_of_place(tmp_path):
    folder = extracted(tmp_path / "images")
    (folder / "val" / "n99").mkdir()
    (folder / "val" / "n99" / "a.JPEG").write_bytes(b"")
    refused(
        tmp_path, folder, r"val/n99/a\.JPEG of images is out of place: expected images \*\.JPEG of 3 classes"
    )
    shutil.rmtree(folder / "val" / "n99")
    shutil.rmtree(folder / "val" / "n02012849")
    refused(tmp_path, folder, "images has no test image of class n02012849")
