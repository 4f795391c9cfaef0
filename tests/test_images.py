"""Own images in: what is read, how it is told, and what is refused in one sentence."""

import io
import os
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from own_images import mixed
from PIL import Image, ImageOps

from ae_helpers import images as module
from ae_helpers import load_images

random = np.random.default_rng(0)
IMAGES = random.integers(0, 256, (70, 12, 10), dtype="uint8")
LABELS = np.arange(70) % 5


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return write


def save(path, pixels=IMAGES[0], **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    for i, label in enumerate(LABELS):
        save(tmp_path / "own" / f"class {label}" / f"{i}.png", IMAGES[i])
    return tmp_path / "own"


def all_of(parts):
    """Join the three parts; in the order of their rows if files are numbers."""
    images, labels, files = (np.concatenate(column) for column in zip(*parts, strict=True))
    return images, labels, files


# -- what is read


def test_arrays_are_split_by_class_and_nothing_is_lost(npz, capsys):
    parts = load_images(npz(pictures=IMAGES, what=LABELS))
    assert [len(part.images) for part in parts] == [50, 10, 10]
    assert all((np.bincount(part.labels) == len(part.labels) / 5).all() for part in parts)
    images, labels, files = all_of(parts)
    rows = files.astype(int)
    assert sorted(rows) == list(range(70))
    np.testing.assert_array_equal(images, IMAGES[rows])
    np.testing.assert_array_equal(labels, LABELS[rows])
    assert capsys.readouterr().out == (
        "70 images of 12 × 10 in 5 classes: 50 training, 10 validation, 10 test.\n"
    )


def test_a_seed_decides_the_split(npz):
    path = npz(x=IMAGES, y=LABELS)
    first, again, other = (load_images(path, seed=seed)[0].files.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_folder_a_zip_an_npy_and_a_table_hold_the_same_images(folder, tmp_path):
    np.save(tmp_path / "own.npy", IMAGES)
    table = pd.DataFrame(IMAGES.reshape(70, -1))
    table.to_csv(tmp_path / "own.csv", index=False)
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path))
    for source in (folder, tmp_path / "own.zip"):
        images, labels, files = all_of(load_images(source))
        rows = [int(file.split("/")[-1].removesuffix(".png")) for file in files]
        np.testing.assert_array_equal(images, IMAGES[rows])
        assert labels.tolist() == [f"class {LABELS[row]}" for row in rows]
    for source, size in ((tmp_path / "own.npy", None), (tmp_path / "own.csv", (12, 10))):
        images, labels, files = all_of(load_images(source, size=size))
        np.testing.assert_array_equal(images, IMAGES[files.astype(int)])
        assert set(labels) == {"no label"}


def test_two_parts_without_labels_are_one_set(npz):
    assert len(all_of(load_images(npz(x_train=IMAGES[:50], x_test=IMAGES[50:])))[0]) == 70


def test_a_missing_pixel_in_the_first_row_does_not_make_it_names(tmp_path):
    table = pd.DataFrame(IMAGES[:, :8, :8].reshape(70, 64).astype(float))
    table.iloc[0, 5] = np.nan
    table.to_csv(tmp_path / "own.csv", index=False, header=False)
    with pytest.raises(ValueError, match="pixels reach from nan"):
        load_images(tmp_path / "own.csv")


@pytest.mark.parametrize("header", [True, False])
def test_a_table_in_kaggles_form_has_its_labels(tmp_path, header):
    table = pd.DataFrame(IMAGES[:, :8, :8].reshape(70, -1))
    table.insert(0, "label", np.where(LABELS < 3, "shoe", "bag"))
    table.to_csv(tmp_path / "own.csv", index=False, header=header)
    images, labels, files = all_of(load_images(tmp_path / "own.csv"))
    rows = files.astype(int)
    np.testing.assert_array_equal(images, IMAGES[rows, :8, :8])
    assert labels.tolist() == np.where(LABELS < 3, "shoe", "bag")[rows].tolist()


def test_pictures_are_turned_made_grey_and_set_on_white(tmp_path):
    for i in range(7):
        save(tmp_path / f"{i}.png", IMAGES[0])
    turned = Image.fromarray(IMAGES[1])
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = np.zeros((12, 10, 4), "uint8")
    clear[3:6, 3:6] = [255, 0, 0, 255]
    save(tmp_path / "clear.png", clear)
    save(tmp_path / "deep.png", (IMAGES[2].astype("uint16") << 8))
    images, _, files = all_of(load_images(tmp_path, size=(12, 10)))
    by_name = dict(zip(files, images, strict=True))
    np.testing.assert_array_equal(by_name["deep.png"], IMAGES[2])
    red, white = by_name["clear.png"][4, 4], by_name["clear.png"][0, 0]
    assert (red, white) == (76, 255)
    upright = np.asarray(ImageOps.pad(Image.fromarray(np.rot90(IMAGES[1], -1)), (10, 12)))
    middle = slice(3, 9), slice(1, 9)
    np.testing.assert_array_equal(by_name["turned.png"][middle], upright[middle])


def test_a_turned_picture_has_the_size_in_which_it_is_seen(tmp_path, capsys):
    for i in range(7):
        save(tmp_path / f"{i}.png")
    lying = Image.fromarray(np.rot90(IMAGES[1]))
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "turned.png", exif=exif)
    images, _, files = all_of(load_images(tmp_path))
    np.testing.assert_array_equal(images[files.tolist().index("turned.png")], IMAGES[1])
    assert "resized" not in capsys.readouterr().out


def test_pictures_of_all_sizes_come_to_one_and_keep_their_proportions(tmp_path, capsys):
    for i in range(7):
        save(tmp_path / f"{i}.png", np.full((40 + i, 20), 200, "uint8"))
    wide = np.full((20, 80), 255, "uint8")
    wide[2:-2, 2:-2] = 0
    save(tmp_path / "wide.png", wide)
    images, _, files = all_of(load_images(tmp_path))
    assert images.shape == (8, 28, 28)
    image = images[files.tolist().index("wide.png")]
    assert (image[:10] > 250).all() and (image[-10:] > 250).all(), "the shade of its border"
    assert (image[12:16, 3:-3] < 5).all()
    assert "of 28 × 28 without labels (from 8 sizes, 40 × 20 to 20 × 80, resized)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (IMAGES / 255, "pixels 0 to 1 scaled"),
        (IMAGES // 16, "pixels 0 to 16 scaled"),
        (IMAGES > 100, "pixels 0 to 1 scaled"),
        (IMAGES.astype("uint16") * 257, "pixels 0 to 65535 scaled"),
        (IMAGES.astype("float32"), "in 5 classes:"),
        (np.repeat(IMAGES[..., None], 3, axis=3), "in 5 classes:"),
    ],
)
def test_pixels_of_other_types_are_scaled_and_it_is_told(npz, capsys, pixels, told):
    images, _, files = all_of(load_images(npz(x=pixels, y=LABELS)))
    assert told in capsys.readouterr().out
    assert images.dtype == np.uint8 and images.max() > 230
    if pixels.dtype != bool:
        assert np.abs(images.astype(int) - IMAGES[files.astype(int)]).max() <= 16


def test_broken_pictures_and_other_files_are_named_and_left_out(tmp_path, capsys):
    images, labels, _files = all_of(load_images(mixed(tmp_path, 60)))
    assert len(images) == 60 and len(set(labels)) == 3
    printed = capsys.readouterr().out
    assert "left out 2: cut.png (broken), notes.txt (no picture)." in printed
    assert printed.count("\n") == 1


def test_classes_too_small_for_three_parts_are_left_out_and_named(npz, capsys):
    labels = np.where(np.arange(70) == 69, "alone", "many")
    images, labels, _ = all_of(load_images(npz(x=IMAGES, y=labels)))
    assert len(images) == 69 and set(labels) == {"many"}
    assert "left out 1: 69 (fewer than 3 of its class)." in capsys.readouterr().out


def test_keras_sets_are_grey_and_need_no_more_than_their_name(monkeypatch, capsys):
    from keras import datasets

    colours = np.repeat(IMAGES[..., None], 3, axis=3)
    pair = (colours, LABELS[:, None].astype("uint8"))
    monkeypatch.setattr(datasets.cifar10, "load_data", lambda: (pair, pair))
    train, _, _ = load_images("cifar10")
    assert train.images.shape == (100, 12, 10)
    assert train.labels.dtype == np.uint8


# -- what is refused


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", bytes(360_000_000))
    return path


def huge(path):
    """A PNG whose head claims 60,000 × 60,000 pixels."""
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "png")
    content = bytearray(file.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.mkdir()
    (path / "huge.png").write_bytes(content)
    return path


def loop(path):
    path.mkdir()
    save(path / "a" / "1.png")
    (path / "a" / "again").symlink_to(path)
    return path


def text(name, content):
    def write(path):
        (path.parent / name).write_bytes(content)
        return path.parent / name

    return write


def arrays(**named):
    def write(path):
        np.savez(path.with_suffix(".npz"), **named)
        return path.with_suffix(".npz")

    return write


def table(frame):
    def write(path):
        frame.to_csv(path.with_suffix(".csv"), index=False)
        return path.with_suffix(".csv")

    return write


def pictures(count, classes):
    def write(path):
        for i in range(count):
            save(path / f"class {i % classes}" / f"{i}.png")
        return path

    return write


def narrow(path):
    save(path / "thread.png", np.zeros((5000, 2), "uint8"))
    return path


def cut(path):
    content = arrays(x=IMAGES)(path).read_bytes()
    path.with_suffix(".npz").write_bytes(content[: len(content) // 2])
    return path.with_suffix(".npz")


def pipe(path):
    path.mkdir()
    os.mkfifo(path / "pipe.png")
    return path


def locked(path):
    content = bytearray()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.png", b"x")
    content = bytearray(file.getvalue())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + flags] |= 1
    path.with_suffix(".zip").write_bytes(content)
    return path.with_suffix(".zip")


NUMBERS = pd.DataFrame(np.zeros((20, 64), int)).add_prefix("pixel")
BAD = {
    "nothing there": (lambda path: path, "There is no file or folder .*name one that exists"),
    "a name with a typo": (lambda path: "fashon_mnist", "There is no file or folder fashon_mnist"),
    "another kind of file": (text("own.pdf", b"%PDF"), "nothing that images can be read from"),
    "a pipe": (pipe, r"pipe\.png \(no regular file\)"),
    "an empty folder": (lambda path: path.mkdir() or path, "no picture in it that can be read"),
    "no pictures": (lambda path: text("a.txt", b"hello")(path).parent, r"a\.txt \(no picture\)"),
    "a loop of links": (loop, "a link in it leads to the same folder again"),
    "a huge picture": (huge, r"huge\.png \(more than 50,000,000 pixels\)"),
    "a thread": (narrow, r"thread\.png \(far too narrow\)"),
    "few pictures": (pictures(6, 1), "6 images are too few for three parts"),
    "one of each class": (pictures(20, 20), "0 images are too few .*; left out 20: .*fewer than 3"),
    "many classes": (pictures(31, 31), "31 classes, and figures can tell 30 apart"),
    "an empty zip": (text("own.zip", b"PK\x05\x06" + bytes(18)), "no picture in it"),
    "no zip": (text("own.zip", b"hello"), "File is not a zip file"),
    "a bomb": (lambda path: bomb(path.with_suffix(".zip")), "3 files of 1,080,000,000 bytes"),
    "a zip with a password": (locked, r"1\.png \(broken\)"),
    "a cut npz": (cut, "not an .npz file, or only part of one"),
    "no arrays": (arrays(), "must hold one array of images .* and holds nothing"),
    "flat arrays": (arrays(x=np.zeros((20, 64))), r"holds x float64 \(20, 64\)"),
    "two stacks": (arrays(a=IMAGES, b=IMAGES), "must hold one array of images"),
    "pickled objects": (arrays(x=np.array([{}, 1], object)), "allow_pickle=False"),
    "four colours": (arrays(x=np.zeros((9, 8, 8, 4), "uint8")), "colours must be three"),
    "no image": (arrays(x=np.zeros((0, 8, 8))), r"shape \(0, 8, 8\), which is none"),
    "NaN": (arrays(x=np.full((9, 8, 8), np.nan)), "pixels reach from nan to nan"),
    "negative": (arrays(x=np.full((9, 8, 8), -1)), "pixels reach from -1 to -1"),
    "enormous": (arrays(x=np.full((9, 8, 8), 1e9)), "pixels reach from 1000000000.0"),
    "labels of others": (arrays(x=IMAGES, y=LABELS[:-1]), "one label for each, or nothing"),
    "two labels": (arrays(x=IMAGES, y=LABELS, z=LABELS), "one label for each, or nothing"),
    "labels that are NaN": (arrays(x=IMAGES, y=np.full(70, np.nan)), "a label is missing, or NaN"),
    "labels as numbers": (arrays(x=IMAGES, y=np.arange(70)), "70 classes, and figures"),
    "ten thousand classes": (
        arrays(x=np.zeros((10_000, 4, 4)), y=np.arange(10_000).astype(str)),
        "10,000 classes",
    ),
    "a cut npy": (text("own.npy", b"\x93NUMPY\x01\x00"), "gives no images to learn from"),
    "an empty table": (text("own.csv", b""), "No columns to parse"),
    "a table of texts": (table(NUMBERS.assign(pixel3="x")), "column pixel3 holds texts"),
    "a table with holes": (table(NUMBERS.assign(pixel3=np.nan)), "pixels reach from nan"),
    "no square": (table(NUMBERS.iloc[:, :60]), "60 pixels, which make no square"),
    "no text": (text("own.csv", b"\xff\xfe\x00\x81" * 9), "gives no images to learn from"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_refused_in_one_sentence_and_at_once(tmp_path, kind):
    make, fault = BAD[kind]
    source = make(tmp_path / "own")
    start = time.process_time()
    with pytest.raises((ValueError, FileNotFoundError), match=fault) as refused:
        load_images(source)
    assert time.process_time() - start < 5, "seconds of work, not minutes"
    said = str(refused.value)
    assert "\n" not in said and said.endswith(".") and ". " not in said, said


@pytest.mark.parametrize("size", [0, 3, 65, 28.0, "28", (28,), (28, 28, 28), (28, 0), -1, True])
def test_a_size_that_cannot_work_is_refused(npz, size):
    with pytest.raises(ValueError, match=r"^size=.* cannot work: it must be a whole number from 4"):
        load_images(npz(x=IMAGES), size=size)


def test_keras_offline_is_one_sentence(monkeypatch):
    from keras import datasets

    def offline():
        raise Exception("URL fetch failure")

    monkeypatch.setattr(datasets.fashion_mnist, "load_data", offline)
    with pytest.raises(FileNotFoundError, match="neither in its cache nor could it be downloaded"):
        load_images("fashion_mnist")


def test_a_folder_of_too_many_files_is_refused_while_it_is_walked(folder, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 20)
    with pytest.raises(ValueError, match="more than 20 files and folders"):
        load_images(folder)
