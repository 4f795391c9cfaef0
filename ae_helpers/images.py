"""Your own images in: a folder, a zip, arrays, a table, or one of Keras' data sets."""

import math
import os
import posixpath
import re
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from ae_helpers.legend import COLOURS
from ae_helpers.parameters import LARGEST_SIDE

KERAS_SETS = ("mnist", "fashion_mnist", "cifar10")
MOST_CLASSES = len(COLOURS)  # that a figure can tell apart
MOST_FILES = 200_000
LARGEST = 2**30  # bytes of an array, or all that a zip holds; a quarter of it for a table
LARGEST_PICTURE = 50_000_000  # pixels
DEFAULT = (28, 28)
NO_LABEL = "no label"
LABEL_NAMES = ("label", "labels", "class", "target", "y")  # of a table's column of labels

Shape = tuple[int, int]
File = Path | zipfile.Path


class Part(NamedTuple):
    """One part of a set of images: what `load_images` returns three of."""

    images: np.ndarray  # (n, height, width) uint8, 0 (black) to 255 (white)
    labels: np.ndarray  # (n,), whole numbers (uint8) or names
    files: np.ndarray  # (n,), where each image came from: "cats/7.png", or its row from 0: "12"


def load_images(
    source: str | os.PathLike, size: int | tuple[int, int] | None = None, seed: int = 0
) -> tuple[Part, Part, Part]:
    """Load your own images as grey images of one size, split into three parts; print what they are.

    Parameters
    ----------
    source
        One of these:

        - a folder of pictures, or a zip of one. The name of a picture's first subfolder is its
          label. Pictures are turned as their camera says, what is transparent becomes white, and
          colours become grey;
        - an ``.npz`` or ``.npy`` file with images ``(n, height, width)``; in an ``.npz`` the array
          of n labels beside them, if there is one, under any name, or ``x_train``, ``x_test`` …;
        - a ``.csv`` table with an image's pixels in each row, and a column ``label`` or, if the
          others make a square, a first column of labels;
        - ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``: Keras' copy (its cache, else a
          download).
    size
        Height and width of each image, 4 to 64, or one number for a square. A picture of another
        size is resized with its proportions kept, and set in the middle; what is left free has the
        shade of its border. ``None``: as they are, if all are of one size up to 64 × 64; else
        28 × 28.
    seed
        Decides which image comes into which part.

    Returns
    -------
    train, validation, test : Part
        About five sevenths, one and one, of each class alike. A part is a tuple
        ``(images, labels, files)``: ``(n, height, width)`` uint8, 0 (black) to 255 (white); labels
        ``(n,)``, uint8 where they are whole numbers up to 255, else texts (all of them
        ``"no label"`` if there are none); and texts ``(n,)`` that say where each came from.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or Keras' copy can be neither found nor downloaded.
    ValueError
        If it holds no images that can be used; the message says why. Single pictures that cannot be
        read are left out, and named in what is printed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> path = getfixture("tmp_path") / "digits.npz"
    >>> np.savez(path, images=load_digits().images, labels=load_digits().target)
    >>> train, validation, test = load_images(path)  # doctest: +ELLIPSIS
    1,797 images of 8 × 8 in 10 classes (pixels 0 to 16 scaled to 0 to 255): 1,285 training, ...
    >>> train.images.shape, train.labels[:3]
    ((1285, 8, 8), array([6, 6, 9], dtype=uint8))
    """
    shape = _checked_size(size)
    path = Path(source).expanduser()
    if str(source) in KERAS_SETS:
        return _split(_from_arrays(_read_keras(str(source)), shape), seed)
    if not path.exists():
        known = ", ".join(KERAS_SETS)
        raise FileNotFoundError(
            f"There is no file or folder {path}: name one that exists, or one of {known}."
        )
    kind = "folder" if path.is_dir() else path.suffix.lower() if path.is_file() else None
    if kind not in READERS:
        raise ValueError(
            f"{path} is nothing that images can be read from: name a folder of pictures, or a "
            ".zip, .npz, .npy or .csv file."
        )
    with faults_of(path):
        found = READERS[kind](path, shape)
    return _split(found, seed)


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Turn whatever fails while this is read into one ValueError that names it and the fault."""
    try:
        yield
    except Exception as error:  # damaged files end in errors of many kinds
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} gives no images to learn from: {reason}.") from error


@contextmanager
def open_npz(path: Path) -> "Iterator[np.lib.npyio.NpzFile]":
    """Open an .npz file for reading, if no array in it is too large; no pickled object is read."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an .npz file, or only part of one: get it again")
    with np.load(path, allow_pickle=False) as file:
        for member in file.zip.infolist():
            if member.file_size > LARGEST:
                raise ValueError(f"{member.filename} would take {member.file_size:,} bytes")
        yield file


def _checked_size(size: int | Shape | None) -> Shape | None:
    shape = tuple(size) if isinstance(size, tuple | list) else (size, size)
    whole = all(isinstance(n, int | np.integer) and 4 <= n <= LARGEST_SIDE for n in shape)
    if size is not None and not (whole and len(shape) == 2):
        raise ValueError(
            f"size={size!r} cannot work: it must be a whole number from 4 to {LARGEST_SIDE}, or "
            "two, (height, width)."
        )
    return None if size is None else (int(shape[0]), int(shape[1]))


def _read_folder(path: Path, shape: Shape | None) -> tuple:
    files, seen = {}, set()
    for root, folders, names in os.walk(path, followlinks=True):
        if os.path.realpath(root) in seen:
            raise ValueError(f"a link in it leads to the same folder again ({root}); remove it")
        seen.add(os.path.realpath(root))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(root, name) for name in sorted(names) if not name.startswith(".")]
        files |= {file.relative_to(path).as_posix(): file for file in paths}
        if len(files) + len(seen) > MOST_FILES:
            raise ValueError(f"it holds more than {MOST_FILES:,} files and folders")
    return _from_pictures(files, shape)


def _read_zip(path: Path, shape: Shape | None) -> tuple:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        unpacked = sum(member.file_size for member in members)
        if unpacked > LARGEST or len(members) > MOST_FILES:
            raise ValueError(f"it holds {len(members):,} files of {unpacked:,} bytes, too many")
        names = [m.filename for m in members if not re.search(r"(^|/)(\.|__MACOSX/)", m.filename)]
        return _from_pictures({name: zipfile.Path(archive, name) for name in names}, shape)


def _from_pictures(files: dict[str, File], shape: Shape | None) -> tuple:
    """Read pictures, and label each with its first folder below the one that holds them all."""
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(os.cpu_count()) as threads:
        read = threads.map(lambda file: _read_picture(file, shape), files.values())
        bar = tqdm(read, "reading", len(files), leave=False, disable=len(files) < 1000)
        results = dict(zip(files, bar, strict=True))
    left_out = {name: found for name, found in results.items() if isinstance(found, str)}
    kept = {name: found for name, found in results.items() if name not in left_out}
    if not kept:
        told = f": {_listed(left_out)}" if left_out else ""
        raise ValueError(f"there is no picture in it that can be read{told}")
    pictures, own_sizes = zip(*kept.values(), strict=True)
    if len({picture.shape for picture in pictures}) > 1:
        pictures = [_fitted(Image.fromarray(picture), DEFAULT) for picture in pictures]
    images, folders = np.stack(pictures), [PurePosixPath(name).parent for name in kept]
    shared = posixpath.commonpath(folders)
    labels = [next(iter(folder.relative_to(shared).parts), NO_LABEL) for folder in folders]
    told = _resized(set(own_sizes), images.shape[1:])
    return images, np.array(labels), np.array(list(kept)), told, left_out


def _read_picture(file: File, shape: Shape | None) -> tuple[np.ndarray, Shape] | str:
    """Return grey pixels and the picture's own size, or the reason why it is left out."""
    try:
        if not file.is_file():
            return "no regular file"  # a pipe may have no end
        with file.open("rb") as opened, Image.open(opened) as picture:
            if math.prod(picture.size) > LARGEST_PICTURE:
                raise Image.DecompressionBombError
            turned = picture.getexif().get(0x0112, 1) > 4  # by a quarter
            own = picture.size if turned else picture.size[::-1]
            if max(own) > LARGEST_SIDE * min(own):
                return "far too narrow"
            target = shape or _target(own)
            # A JPEG is shrunk while it is read.
            picture.draft("L", (4 * max(target), 4 * max(target)))
            return _fitted(as_grey(ImageOps.exif_transpose(picture)), target), own
    except Image.UnidentifiedImageError:
        return "no picture"
    except Image.DecompressionBombError:
        return f"more than {LARGEST_PICTURE:,} pixels"
    except Exception:  # damaged pictures end in errors of many kinds
        return "broken"


def as_grey(picture: Image.Image) -> Image.Image:
    """Turn a picture into 8 bits of grey; what is transparent in it becomes white."""
    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    if picture.mode.startswith("I"):  # 16 bits; convert() would cut them off at 255
        return Image.fromarray((np.asarray(picture) / 256).clip(0, 255).astype("uint8"))
    if picture.mode == "F":
        raise ValueError("its pixels have no largest value")
    return picture.convert("L")


def _target(own: Shape) -> Shape:
    """Return the size that images of this size get, if none is asked for."""
    return own if 4 <= min(own) <= max(own) <= LARGEST_SIDE else DEFAULT


def _fitted(grey: Image.Image, shape: Shape) -> np.ndarray:
    """Resize in proportion into the middle of the shape; the rest has the shade of its border."""
    pixels = np.asarray(grey)
    if pixels.shape == shape:
        return pixels
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(ImageOps.pad(grey, shape[::-1], color=int(np.median(border))))


def _resized(sizes: set[Shape], shape: Shape) -> str:
    """Tell from which sizes images were brought to this shape, if they were."""
    names = [f"{height} × {width}" for height, width in sorted(sizes, key=math.prod)]
    if sizes == {shape}:
        return ""
    several = f"{len(sizes)} sizes, {names[0]} to {names[-1]}"
    return f"from {several if len(sizes) > 1 else names[0]}, resized"


def _read_arrays(path: Path, shape: Shape | None) -> tuple:
    if path.suffix.lower() == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.nbytes > LARGEST:
            raise ValueError(f"its array would take {array.nbytes:,} bytes")
        return _from_arrays({"images": array}, shape)
    with open_npz(path) as file:
        return _from_arrays({name: np.asarray(file[name]) for name in file.files}, shape)


def _read_table(path: Path, shape: Shape | None) -> tuple:
    import pandas as pd

    if path.stat().st_size > LARGEST // 4:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, and at most {LARGEST // 4:,} can")
    first = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0]
    numbers = pd.to_numeric(first[1:].dropna(), errors="coerce")
    # Names of columns: no numbers, or 0, 1, 2, …
    named = bool(numbers.isna().any() or (numbers.diff()[1:] == 1).all())
    table = pd.read_csv(path, header=0 if named else None, low_memory=False)

    def shape_of(n_pixels: int) -> Shape | None:
        square = (math.isqrt(n_pixels),) * 2
        return next((s for s in (shape, square) if s and math.prod(s) == n_pixels > 1), None)

    labels = [c for c in table.columns if str(c).lower() in LABEL_NAMES][:1]
    if not labels and shape_of(table.shape[1] - 1) and not shape_of(table.shape[1]):
        labels = [table.columns[0]]
    pixels = table.drop(columns=labels)
    if odd := [str(c) for c, kind in pixels.dtypes.items() if kind.kind not in "buif"]:
        raise ValueError(f"its column {odd[0]} holds texts, where pixels should be")
    if not (own := shape_of(n_pixels := pixels.shape[1])):
        raise ValueError(
            f"its rows have {n_pixels} pixels, which make no square; give size=(height, width)"
        )
    arrays = {"images": pixels.to_numpy().reshape(-1, *own)}
    return _from_arrays(arrays | {name: table[name].to_numpy() for name in labels}, shape)


def _read_keras(name: str) -> dict[str, np.ndarray]:
    from keras import datasets

    try:
        (x_train, y_train), (x_test, y_test) = getattr(datasets, name).load_data()
    except Exception as error:  # Keras raises a bare one if the network does not reach its server
        raise FileNotFoundError(
            f"Keras' copy of {name} is neither in its cache nor could it be downloaded: go online, "
            "or name a file or folder of your own."
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _from_arrays(arrays: dict[str, np.ndarray], shape: Shape | None) -> tuple:
    """Find images and labels among arrays, and bring them into form."""
    if {"x_train", "x_test"} <= set(arrays):
        parts = [k for k in "xy" if {f"{k}_train", f"{k}_test"} <= set(arrays)]
        arrays = {k: np.concatenate([arrays[f"{k}_train"], arrays[f"{k}_test"]]) for k in parts}
    arrays = {name: np.squeeze(a) if a.shape[1:] == (1,) else a for name, a in arrays.items()}
    stacks = {name: a for name, a in arrays.items() if a.ndim in (3, 4) and a.dtype.kind in "buif"}
    if len(stacks) != 1:
        shapes = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise ValueError(f"it must hold one array of images (n, height, width), and holds {shapes}")
    (images,) = stacks.values()
    images = images[..., 0] if images.shape[3:] == (1,) else images
    images, told = _to_uint8(images)
    rows = [a for name, a in arrays.items() if name not in stacks and a.shape == (len(images),)]
    if len(rows) > 1 or (not rows and len(arrays) > 1):
        raise ValueError(
            f"beside {len(images):,} images it must hold one label for each, or nothing"
        )
    labels = _as_labels(rows[0]) if rows else np.full(len(images), NO_LABEL)
    own = images.shape[1:]
    target = shape or _target(own)
    if target != own:
        images = np.stack([_fitted(Image.fromarray(image), target) for image in images])
        told = "; ".join(filter(None, [_resized({own}, target), told]))
    return images, labels, np.arange(len(images)).astype(str), told, {}


def _to_uint8(images: np.ndarray) -> tuple[np.ndarray, str]:
    if not images.size or max(images.shape[1:3]) > LARGEST_SIDE * min(images.shape[1:3]):
        raise ValueError(f"its images have shape {images.shape}, which is none of images")
    if images.ndim == 4 and images.shape[3] != 3:
        raise ValueError(f"its images have shape {images.shape}; colours must be three, the last")
    low, high = images.min(), images.max()
    top = next((top for top in (1, 16, 255, 65535) if high <= top), None)  # no NaN is below
    if not low >= 0 or top is None:
        raise ValueError(f"its pixels reach from {low} to {high}, and must from 0 to 1 or 255")
    if images.ndim == 4:  # as Pillow weighs them
        images = images @ np.array([0.299, 0.587, 0.114])
    if top == 255:
        return np.round(images).astype("uint8"), ""
    return np.round(images * (255 / top)).astype("uint8"), f"pixels 0 to {top} scaled to 0 to 255"


def _as_labels(labels: np.ndarray) -> np.ndarray:
    if (labels != labels).any():  # NaN alone
        raise ValueError("a label is missing, or NaN")
    whole = labels.dtype.kind in "buif" and np.isin(labels, range(256)).all()
    return labels.astype("uint8" if whole else str)


READERS = {
    "folder": _read_folder,
    ".zip": _read_zip,
    ".npz": _read_arrays,
    ".npy": _read_arrays,
    ".csv": _read_table,
}


def _split(found: tuple, seed: int) -> tuple[Part, Part, Part]:
    """Cut what a reader found into three parts of each class, and print what they are."""
    from sklearn.model_selection import train_test_split

    images, labels, files, told, left_out = found
    names, counts = np.unique(labels, return_counts=True)
    if len(names) > MOST_CLASSES:
        raise ValueError(
            f"There are {len(names):,} classes, and figures can tell {MOST_CLASSES} apart: merge "
            "some, or give the images without labels."
        )
    rare = np.isin(labels, names[counts < 3])  # too few for three parts
    left_out = left_out | dict.fromkeys(files[rare].tolist(), "fewer than 3 of its class")
    rows, n_classes = np.flatnonzero(~rare), int((counts >= 3).sum())
    if len(rows) < 7:
        told = f"; left out {len(left_out):,}: {_listed(left_out)}" if left_out else ""
        raise ValueError(f"{len(rows)} images are too few for three parts: give 7 or more{told}.")

    def cut(rows: np.ndarray, share: int) -> list[np.ndarray]:
        size = max(len(rows) // share, n_classes)
        return train_test_split(rows, test_size=size, random_state=seed, stratify=labels[rows])

    rest, test = cut(rows, 7)
    training, validation = cut(rest, 6)
    height, width = images.shape[1:]
    classes = "without labels" if names.tolist() == [NO_LABEL] else f"in {n_classes} classes"
    print(
        f"{len(rows):,} images of {height} × {width} {classes}{f' ({told})' if told else ''}: "
        f"{len(training):,} training, {len(validation):,} validation, {len(test):,} test"
        + (f"; left out {len(left_out):,}: {_listed(left_out)}." if left_out else ".")
    )
    parts = training, validation, test
    return tuple(Part(images[part], labels[part], files[part]) for part in parts)


def _listed(left_out: dict[str, str]) -> str:
    few = [f"{' '.join(name.split())} ({reason})" for name, reason in list(left_out.items())[:5]]
    return ", ".join(few) + (" …" if len(left_out) > len(few) else "")
