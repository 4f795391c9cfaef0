"""Your own digit: drawn on a board in the notebook, or read from an image file."""

import os
import warnings
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image, ImageOps

from ae_helpers.images import as_grey

SIDE = 112  # pixels of the board: 4 × 28
LONGEST = 2000  # pixels of a photograph's longer side; a larger one is shrunk while it is read
BOX = 20 / 28  # MNIST's digits fill a box of 20 × 20 pixels in the 28 × 28


class DrawingBoard(anywidget.AnyWidget):
    """A board to draw a digit on with the pointer, and a button that clears it.

    Parameters
    ----------
    shape
        Height and width of the image that it gives.

    Traits
    ------
    pixels : bytes
        The drawing as the browser sends it, one grey level a pixel, row by row; empty at first.
        ``board.observe(function, "pixels")`` calls a function whenever it changes.

    Examples
    --------
    >>> board = DrawingBoard()
    >>> board.image.shape, board.image.max()
    ((28, 28), np.uint8(0))
    """

    _esm = Path(__file__).with_name("drawing_board.js")
    pixels = traitlets.CBytes(b"").tag(sync=True)  # C: the browser sends a memoryview
    _side = traitlets.Int(SIDE).tag(sync=True)

    def __init__(self, shape: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        self.shape = shape

    @property
    def image(self) -> np.ndarray:
        """The drawing in MNIST's form: ``(28, 28)`` uint8, 0 (black) to 255 (white)."""
        if not self.pixels:
            return np.zeros(self.shape, "uint8")
        return as_mnist(np.frombuffer(self.pixels, "uint8").reshape(SIDE, SIDE), self.shape)

    @traitlets.validate("pixels")
    def _check_pixels(self, proposal: dict) -> bytes:
        value = proposal["value"]
        if len(value) not in (0, SIDE * SIDE):
            raise ValueError(
                f"pixels has {len(value)} bytes, and must have {SIDE * SIDE}, or none for an "
                "empty board."
            )
        return value

    def __repr__(self) -> str:
        state = "with a drawing" if any(self.pixels) else "empty"
        return f"DrawingBoard({state}): run this cell in JupyterLab to draw on it"


def as_mnist(grey: np.ndarray, shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """Bring a light shape on black into the form of MNIST's digits.

    As LeCun et al. did (1998): scaled to fit a box of 20 × 20 pixels without a change of its
    proportions, then set into 28 × 28 with its centre of mass in the middle.
    It takes ``(height, width)`` uint8, 0 (black) to 255 (white), and returns ``(28, 28)`` uint8,
    all black if nothing was drawn; anything else is a ValueError. Another shape has a box of the
    same share.

    Examples
    --------
    >>> grey = np.zeros((100, 50), "uint8")
    >>> grey[5:45, 10:14] = 255
    >>> np.argwhere(as_mnist(grey))[[0, -1]].tolist()  # an upright stroke, 20 × 2, in the middle
    [[4, 13], [23, 14]]
    """
    grey = np.asarray(grey)
    if grey.dtype != np.uint8 or grey.ndim != 2:
        raise ValueError(
            f"The drawing is {grey.dtype} with shape {grey.shape}; it must be uint8 with shape "
            "(height, width)."
        )
    page = np.zeros(shape, "uint8")
    if not grey.any():
        return page
    rows, columns = grey.any(axis=1).nonzero()[0], grey.any(axis=0).nonzero()[0]
    drawn = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = BOX * min(shape)
    height, width = (max(1, round(box * n / max(drawn.shape))) for n in drawn.shape)
    small = np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BOX))
    weight = small.astype(float) + 1e-9  # a faint dot may have vanished: then its middle counts
    centre = np.average(np.indices(small.shape), axis=(1, 2), weights=weight)
    middle = (np.array(shape) - 1) / 2
    top, left = np.clip(np.round(middle - centre), 0, np.subtract(shape, small.shape)).astype(int)
    page[top : top + height, left : left + width] = small
    return page


def read_digit(path: str | os.PathLike, shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """Read a digit from an image file: a photograph of one on paper, a scan, a drawing.

    Parameters
    ----------
    path
        Any format that Pillow reads. One digit, dark on light or light on dark; which of the two
        is told by the image's border.
    shape
        Height and width of the image wanted.

    Returns
    -------
    numpy.ndarray
        As `as_mnist` makes it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no image, or a far too large one, or nothing stands out on it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no image file {path}: name one that exists.")
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            opened = Image.open(path)
        with opened:
            small = opened if opened.mode in ("L", "RGB", "RGBA") else as_grey(opened)
            small.thumbnail((LONGEST, LONGEST))
            picture = as_grey(ImageOps.exif_transpose(small))  # upright, as it was taken
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large to be read safely: save it smaller.") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not an image that can be read: use a PNG or JPEG.") from error
    grey = np.asarray(picture, dtype=float)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    if ink.max() < 32:
        raise ValueError(f"Nothing stands out on {path}: use an image with one clear digit.")
    ink /= ink.max()
    ink[ink < 0.3] = 0  # shadows and the paper's grain
    return as_mnist((255 * ink).astype("uint8"), shape)
