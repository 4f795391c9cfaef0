"""The game: find the point whose drawing comes closest to a digit, closer than the encoder's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from ae_helpers.legend import CLASS_COLOURS
from ae_helpers.numpy_layers import apply_layers, check_decoder
from ae_helpers.widgets.film import pack_layers
from ae_helpers.widgets.page import bundle, write_page

DIGITS = 30  # to be played: three games of ten rounds; the other images are points only
MOST_POINTS = 5000
SIDE = 150  # of the grid that is searched
KEPT = 3  # each third point of it is in the landscape that can be shown


class BeatTheEncoder(anywidget.AnyWidget):
    """Ten rounds against an encoder, the best point of a grid, and a walk downhill.

    A digit is shown; the reader moves a point over the plane, sees what the decoder draws there,
    and its error. Then the others' points are shown, and the lowest error wins. All of it happens
    in the browser (``beat_the_encoder.js``); only the grid was searched before, in Python.

    Parameters
    ----------
    run
        A run of `load_run` with a code of two numbers: what has its ``encoder_weights`` and
        ``decoder_weights``.
    images
        ``(n, 28, 28)`` uint8, n ≥ 10. The first 30 are played, ten a game; the codes of the first
        5,000 are the points on the map.
    labels
        ``(n,)`` whole numbers 0 to 9: they colour the points. The game needs none.

    Raises
    ------
    ValueError
        If the run, the images or the labels cannot work.

    Examples
    --------
    >>> from ae_helpers import load_run
    >>> BeatTheEncoder(load_run("article"), np.zeros((10, 28, 28), "uint8"))
    BeatTheEncoder(10 digits to play): run this cell in JupyterLab to play
    """

    _esm = bundle(Path(__file__).with_suffix(".js"))

    _spec = traitlets.Dict().tag(sync=True)
    _weights = traitlets.Bytes().tag(sync=True)
    _points = traitlets.Bytes().tag(sync=True)
    _labels = traitlets.Bytes().tag(sync=True)
    _images = traitlets.Bytes().tag(sync=True)
    _landscapes = traitlets.Bytes().tag(sync=True)

    def __init__(self, run: Any, images: np.ndarray, labels: Sequence | None = None) -> None:
        layers = check_decoder(run.decoder_weights)
        ends = run.encoder_weights[0][0].shape[0], layers[-1][1].size
        if ends != (784, 784):
            raise ValueError(f"This run is for images of {ends[0]} pixels: the game takes 784.")
        images, labels = _check_images(images), _check_labels(labels, len(images))
        flat = images.reshape(len(images), -1).astype("float32") / 255
        codes = apply_layers(run.encoder_weights, flat)
        ranges = np.percentile(codes, [0.5, 99.5], axis=0)
        room = 0.04 * np.ptp(ranges, axis=0)
        ranges += np.where(room > 0, room, 0.5) * [[-1], [1]]  # a dead unit has no range
        best, landscapes = _search(flat[:DIGITS], ranges, layers)
        shapes, weights = pack_layers(layers)
        super().__init__(
            _spec={
                "layers": shapes,
                "ranges": ranges.T.tolist(),
                "colours": CLASS_COLOURS if labels.any() else ["#888888"],
                "encoder": codes[:DIGITS].tolist(),
                "grid": best.tolist(),
                "side": SIDE // KEPT,
            },
            _weights=weights,
            _points=codes[:MOST_POINTS].astype("<f4").tobytes(),
            _labels=labels[:MOST_POINTS].tobytes(),
            _images=images[:DIGITS].tobytes(),
            _landscapes=landscapes.tobytes(),
        )

    def __repr__(self) -> str:
        n_digits = len(self._spec["encoder"])
        return f"BeatTheEncoder({n_digits} digits to play): run this cell in JupyterLab to play"

    def export_html(self, path: str | Path, title: str = "Beat the encoder") -> Path:
        """Write the game as one page that opens by double click, without Python or a network.

        Parameters, return and errors are those of `LatentExplorer.export_html`.
        """
        names = ("weights", "points", "labels", "images", "landscapes")
        data = {name: getattr(self, f"_{name}") for name in names}
        return write_page(Path(path), title, self._esm, self._spec, data)


def _search(images: np.ndarray, ranges: np.ndarray, layers: Sequence) -> tuple:
    """Find each image's best point of the grid; its errors, coarser, as bytes from low to high."""
    z1, z2 = np.linspace(*ranges, SIDE).T
    points = np.stack(np.meshgrid(z1, z2), axis=-1).reshape(-1, 2)
    drawn = apply_layers(layers, points)
    errors = (drawn**2).sum(axis=1) - 2 * images @ drawn.T + (images**2).sum(axis=1)[:, None]
    coarse = errors.reshape(-1, SIDE, SIDE)[:, ::-KEPT, ::KEPT]  # the highest z₂ on top
    low, high = (at(coarse, axis=(1, 2), keepdims=True) for at in (np.min, np.max))
    shades = (coarse - low) / np.maximum(high - low, 1e-9)
    return points[errors.argmin(axis=1)], (255 * shades).astype("uint8")


def _check_images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or len(images) < 10:
        raise ValueError(
            f"images is {images.dtype} with shape {images.shape}: a game takes ten digits or "
            "more, uint8 with shape (n, 28, 28)."
        )
    return images


def _check_labels(labels: Sequence | None, count: int) -> np.ndarray:
    if labels is None:
        return np.zeros(count, "uint8")
    labels = np.asarray(labels)
    whole = labels.dtype.kind in "iu" and np.isin(labels, range(10)).all()
    if labels.shape != (count,) or not whole:
        raise ValueError(
            f"labels is {labels.dtype} with shape {labels.shape} for {count} images: give "
            "a whole number 0 to 9 for each, or none at all."
        )
    return labels.astype("uint8")
