"""Move through the latent space: two sliders and the digit, or the map that runs in the browser."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets
from PIL import Image

from ae_helpers.legend import class_colours, name_places
from ae_helpers.numpy_layers import DenseLayer, apply_layers, check_decoder, image_shape, to_uint8
from ae_helpers.widgets.film import Moment, pack_layers, pack_moment, read_weights
from ae_helpers.widgets.page import bundle, write_page
from ae_helpers.widgets.ruler import JUDGED, ruler

MAX_BYTES = 10_000_000  # of originals sent to the browser


class LatentSliders(ipywidgets.VBox):
    """Two sliders, z₁ and z₂, and the digit that the decoder draws for them.

    Each move is a message to Python and back: NumPy decodes, Pillow draws. That is enough for
    a slider that follows the hand, as long as no cell is running.

    Parameters
    ----------
    decoder_weights
        ``load_run(name).decoder_weights``: from 2 inputs to an image's pixels.
    z_range
        ``(2, 2)``: in row 0 the lowest z₁ and z₂, in row 1 the highest, as
        ``np.percentile(codes, [1, 99], axis=0)`` gives them.
    shape
        Height and width of an image, if it is no square.

    Attributes
    ----------
    x, y : float
        The sliders' values.
    image : numpy.ndarray
        ``(28, 28)`` uint8, the digit shown.

    Raises
    ------
    ValueError
        If weights, range or shape cannot work, or ``x`` or ``y`` is set to what no slider has.

    Examples
    --------
    >>> decoder = [(np.eye(2, 784), np.zeros(784), "sigmoid")]
    >>> sliders = latent_sliders(decoder, z_range=[[0, 0], [12.3, 9.8]])
    >>> sliders.x = 12
    >>> sliders.image.shape, sliders.image[0, 0]
    ((28, 28), np.uint8(255))
    >>> sliders
    LatentSliders(z1 from 0 to 12.3, z2 from 0 to 9.8): run this cell in JupyterLab to move them
    """

    x = traitlets.CFloat()
    y = traitlets.CFloat()
    image = traitlets.Instance(np.ndarray, read_only=True)

    def __init__(
        self,
        decoder_weights: Sequence[DenseLayer],
        z_range: np.ndarray,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._layers = check_decoder(decoder_weights)
        self._shape = image_shape(self._layers[-1][1].size, shape)
        self._ranges = _check_range(z_range)
        sliders = [_slider(*named) for named in zip(("z₁", "z₂"), self._ranges, strict=True)]
        self._digit = ipywidgets.Image(format="png", width=280, height=280)
        super().__init__([*sliders, self._digit])
        for trait, slider in zip("xy", sliders, strict=True):
            traitlets.link((slider, "value"), (self, trait))
        self._draw()
        self.observe(self._draw, names=["x", "y"])

    def __repr__(self) -> str:
        (a, b), (c, d) = self._ranges
        spans = f"z1 from {a:.3g} to {b:.3g}, z2 from {c:.3g} to {d:.3g}"
        return f"LatentSliders({spans}): run this cell in JupyterLab to move them"

    @traitlets.validate("x", "y")
    def _check_value(self, proposal: traitlets.Bunch) -> float:
        return _check_coordinate(proposal, self._ranges)

    def _draw(self, _change: traitlets.Bunch | None = None) -> None:
        # Runs on another thread than the cells: NumPy and bytes only, no pyplot, no Keras.
        decoded = apply_layers(self._layers, [[self.x, self.y]])
        self.set_trait("image", to_uint8(decoded, self._shape)[0])
        self._digit.value = to_png(self.image, size=280)


latent_sliders = LatentSliders  # a notebook asks for sliders, not for a class of them


class LatentExplorer(anywidget.AnyWidget):
    """The latent map: real digits as points, and the decoder at the point you touch.

    Everything happens in the browser (``latent_map.js``), the decoder too: a move costs one frame
    and works while the kernel is busy.

    Parameters
    ----------
    decoder_weights
        ``load_run(name).decoder_weights``: from 2 inputs to an image's pixels.
    points
        ``(n, 2)``, the codes of n real digits, n ≥ 1.
    labels
        ``(n,)``, their classes: whole numbers or texts, at most 30 different ones.
    images
        ``(n, 28, 28)`` uint8, the originals, to be shown beside what is decoded. At most 10 MB of
        them (12,755) are sent, taken evenly from the classes; the widget says so. Images that are
        no squares must be given: their height and width are the map's.
    files
        ``(n,)`` texts, where each image came from, as `load_images` gives them. They are shown
        with the images.

    Attributes
    ----------
    x, y : float
        The point shown, in units of the latent axes z₁ and z₂, within the map. Set them, and the
        map moves.
    image : numpy.ndarray
        ``(28, 28)`` uint8, the digit shown. An image that you set is shown until the next move.
    selected : numpy.ndarray
        Indices of the points inside the lasso or rectangle that was drawn last, in rising order;
        only of classes that are shown. ``images[explorer.selected]`` are their originals.
    film : list of Moment
        Other moments of the same digits, as a training runs: `LivePlane` records them. Below the
        map they have a time slider and a curve of the losses.
    moment : int
        Which moment of the film is shown, from 0.

    Raises
    ------
    ValueError
        If weights, points, labels or images cannot work, or do not fit each other; also when
        ``x``, ``y`` or ``image`` is set to something that cannot be shown.

    Examples
    --------
    >>> decoder = [(np.eye(2, 784), np.zeros(784), "sigmoid")]
    >>> explorer = LatentExplorer(decoder, points=[[0, 0], [10, 10]], labels=[3, 8])
    >>> explorer.x, explorer.y = 10, 0
    >>> explorer.image[0, :2]
    array([255, 128], dtype=uint8)
    >>> explorer
    LatentExplorer(2 points in 2 classes): run this cell in JupyterLab to move through the map
    """

    _esm = bundle(Path(__file__).with_suffix(".js"))

    x = traitlets.CFloat().tag(sync=True)
    y = traitlets.CFloat().tag(sync=True)
    image = traitlets.TraitType()  # anything comes to _check_image, None too
    selected = traitlets.Instance(np.ndarray, ((0,), "int64"), read_only=True)

    _spec = traitlets.Dict().tag(sync=True)
    _weights = traitlets.Bytes().tag(sync=True)
    _points = traitlets.Bytes().tag(sync=True)
    _labels = traitlets.Bytes().tag(sync=True)
    _images = traitlets.Bytes().tag(sync=True)
    _picture = traitlets.Bytes().tag(sync=True)  # an image set from Python, else empty
    _selected = traitlets.CBytes(b"").tag(sync=True)  # C: the browser sends a memoryview

    moment = traitlets.Int().tag(sync=True)
    _film = traitlets.Bytes().tag(sync=True)  # all moments, one after another
    _last = traitlets.Bytes().tag(sync=True)  # the newest, while a training runs
    _marks = traitlets.List().tag(sync=True)

    def __init__(
        self,
        decoder_weights: Sequence[DenseLayer],
        *,
        points: np.ndarray,
        labels: Sequence,
        images: np.ndarray | None = None,
        files: Sequence[str] | None = None,
    ) -> None:
        self._layers = self._own_layers = check_decoder(decoder_weights)
        points = _check_points(points)
        for name, given in (("labels", labels), ("files", files)):
            if given is not None and np.shape(given) != (len(points),):
                shape = np.shape(given)
                raise ValueError(
                    f"{name} has shape {shape} for {len(points)} points: give one for each."
                )
        names, colours, index = class_colours(labels)
        n_pixels = self._layers[-1][1].size
        self._shape = image_shape(n_pixels, np.shape(images)[1:] if np.ndim(images) == 3 else None)
        images = _check_images(images, len(points), self._shape)
        places = name_places(points, index).tolist()
        classes = [
            {"name": name, "colour": colour, "place": place}
            for name, colour, place in zip(names, colours, places, strict=True)
        ]
        self._ranges = [_range_of(column) for column in points.T]
        start = np.median(points, axis=0).tolist()
        self._order = order = _evenly(index)
        most = len(points) if not images.size else MAX_BYTES // n_pixels
        self._index, self._moments, self._packed, self._axes = index, [], [], self._ranges
        shapes, weights = pack_layers(self._layers)
        super().__init__(
            x=start[0],
            y=start[1],
            image=self._decode(*start),
            _spec={
                "layers": shapes,
                "ranges": self._ranges,
                "shape": self._shape,
                "files": [] if files is None else [str(files[i]) for i in order[:most]],
                "classes": classes,
                "start": start,
            },
            _weights=weights,
            _points=points[order].astype("<f4").tobytes(),
            _labels=index[order].astype("uint8").tobytes(),
            _images=images[order[:most]].tobytes(),
        )
        # The images given, if all of them were sent: the codes of a training come from them.
        self.originals = images if 0 < images.nbytes == len(self._images) else None

    def __repr__(self) -> str:
        shown = f"{len(self._labels):,} points in {len(self._spec['classes'])} classes"
        shown += f", a film of {len(self._moments)} moments" if self._moments else ""
        return f"LatentExplorer({shown}): run this cell in JupyterLab to move through the map"

    @property
    def film(self) -> list[Moment]:
        """The moments there are, in order; set it to show those of another training."""
        return [*self._moments]

    @film.setter
    def film(self, moments: Sequence[Moment]) -> None:
        for moment in moments:
            self._check_fit(moment)
        self._moments, self._packed, self._axes = [], [], self._ranges
        with self.hold_sync():
            self._film, self._last, self.moment = b"", b"", 0
            for moment in moments:
                self.add_moment(moment, show=False)
            self.keep_film()
            self.moment = max(0, len(self._moments) - 1)
            self._on_moment()

    def keep_film(self) -> None:
        """Hand the whole film to the browser, for whoever opens the map later."""
        self._film = b"".join(self._packed)

    def add_moment(self, moment: Moment, show: bool = True) -> None:
        """Add a moment at the end of the film; the map goes on to it if it was at the end."""
        self._check_fit(moment)
        codes = moment.codes.astype("float32")
        self._axes = [_range_of(c, axis) for c, axis in zip(codes.T, self._axes, strict=True)]
        both = zip(self._ranges, self._axes, strict=True)
        self._ranges = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in both]  # of any moment
        places = name_places(codes, self._index).tolist()
        more = {"number": len(self._moments), "ranges": self._axes, "places": places}
        packed = pack_moment(moment, self._order, **more)
        if not self._moments and self.originals is not None:
            self._marks = ruler(self.originals, self._index, JUDGED)
        self._moments.append(moment)
        self._packed.append(packed)
        if show:
            with self.hold_sync():
                self._last = packed
                if len(self._moments) == 1:
                    self._on_moment()  # its number, 0, is no change
                elif self.moment == len(self._moments) - 2:
                    self.moment += 1

    def _check_fit(self, moment: Moment) -> None:
        if moment.codes.shape != (len(self._order), 2):
            raise ValueError(
                f"A moment has codes of shape {moment.codes.shape} for the map's "
                f"{len(self._order)} points: give a film of the same digits."
            )
        read_weights(self._own_layers, moment.weights)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        self.keep_film()  # of a training that was interrupted, too
        return super()._repr_mimebundle_(**options)

    @traitlets.validate("moment")
    def _check_moment(self, proposal: traitlets.Bunch) -> int:
        last = max(0, len(self._moments) - 1)
        if not 0 <= proposal.value <= last:
            raise ValueError(
                f"moment={proposal.value} cannot work: the film has moments from 0 to {last}."
            )
        return proposal.value

    @traitlets.observe("moment")
    def _on_moment(self, _change: traitlets.Bunch | None = None) -> None:
        self._layers = self._own_layers  # of the network that the map was made for
        if self._moments:
            self._layers = read_weights(self._layers, self._moments[self.moment].weights)
        self.image = self._decode(self.x, self.y)

    def export_html(self, path: str | Path, title: str = "A map of digits") -> Path:
        """Write the map as one page that opens by double click, without Python or a network.

        A film of the map goes with it.

        Parameters
        ----------
        path
            The file to write, such as ``map.html``; one that is there is replaced.
        title
            The page's title and heading, plain text; it is escaped.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            If the folder to write to does not exist, or the path is a folder.
        ValueError
            If the title is no text.
        """
        data = {k: getattr(self, f"_{k}") for k in ("weights", "points", "labels", "images")}
        data["film"] = b"".join(self._packed)
        start = np.clip([self.x, self.y], *zip(*self._axes, strict=True)).tolist()
        spec = self._spec | {"start": start, "marks": self._marks, "moment": self.moment}
        return write_page(Path(path), title, self._esm, spec, data)

    @traitlets.validate("x", "y")
    def _check_value(self, proposal: traitlets.Bunch) -> float:
        return _check_coordinate(proposal, self._ranges)

    @traitlets.validate("image")
    def _check_image(self, proposal: traitlets.Bunch) -> np.ndarray:
        image = np.asarray(proposal.value)
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(
                f"image is {image.dtype} with shape {image.shape}: it must be uint8, {self._shape}."
            )
        return image

    @traitlets.observe("_selected")
    def _on_select(self, _change: traitlets.Bunch) -> None:
        self.set_trait("selected", np.sort(self._order[np.frombuffer(self._selected, "<u4")]))

    @traitlets.observe("x", "y")
    def _on_move(self, _change: traitlets.Bunch) -> None:
        self.image = self._decode(self.x, self.y)

    @traitlets.observe("image")
    def _on_image(self, _change: traitlets.Bunch) -> None:
        decoded = np.array_equal(self.image, self._decode(self.x, self.y))
        self._picture = b"" if decoded else self.image.tobytes()

    def _decode(self, x: float, y: float) -> np.ndarray:
        # Runs on another thread than the cells: NumPy and bytes only, no pyplot, no Keras.
        return to_uint8(apply_layers(self._layers, [[x, y]]), self._shape)[0]


def to_png(image: np.ndarray, size: int) -> bytes:
    """Draw an image uint8 as a PNG, its longer side of this size, each pixel a sharp square."""
    height, width = (size * side // max(image.shape) for side in image.shape)
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
    file = io.BytesIO()
    picture.save(file, format="png", compress_level=1)
    return file.getvalue()


def _slider(name: str, span: tuple[float, float]) -> ipywidgets.FloatSlider:
    low, high = span
    layout = ipywidgets.Layout(width="100%", max_width="520px")
    more = {"step": (high - low) / 256, "description": name, "layout": layout}
    return ipywidgets.FloatSlider(value=(low + high) / 2, min=low, max=high, **more)


def _check_range(z_range: np.ndarray) -> list[list[float]]:
    """Return the lowest and the highest value of z₁, then of z₂."""
    z_range = np.asarray(z_range, dtype="float64")
    if z_range.shape != (2, 2) or not np.isfinite(z_range).all():
        raise ValueError(
            f"z_range has shape {z_range.shape}, or holds NaN or infinity: give four numbers, the "
            "lowest z₁ and z₂ in row 0 and the highest in row 1."
        )
    for name, (low, high) in zip(("z₁", "z₂"), z_range.T, strict=True):
        if low >= high:
            raise ValueError(
                f"z_range goes from {low:g} to {high:g} in {name}: the lowest must be below the "
                "highest (equal ones mean that this unit gives one number for every image)."
            )
    return [_in_short_numbers(*span) for span in z_range.T.tolist()]


def _in_short_numbers(low: float, high: float) -> tuple[float, float]:
    """Widen a range by less than a millionth, to numbers of a few binary digits.

    The browser puts a slider on the nearest of its steps and tells Python if that is another
    number. With these, 256 steps and their middle are exact: nothing is told that nobody moved.
    """
    unit = 2.0 ** (math.frexp(high - low)[1] - 24)
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _check_coordinate(proposal: traitlets.Bunch, ranges: Sequence) -> float:
    name, value = proposal.trait.name, proposal.value
    low, high = ranges["xy".index(name)]
    if not low <= value <= high:  # nor is NaN
        raise ValueError(
            f"{name}={value!r} cannot work: it must be a number from {low:g} to {high:g}."
        )
    return value


def _check_points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype="float32")
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(
            f"points has shape {points.shape}: give the codes of at least one digit, (n, 2)."
        )
    if not np.isfinite(points).all():
        raise ValueError("points holds NaN or infinity: give finite codes.")
    return points


def _check_images(images: np.ndarray | None, count: int, shape: tuple[int, int]) -> np.ndarray:
    if images is None:
        return np.empty((count, 0), dtype="uint8")
    images = np.asarray(images)
    if images.shape != (count, *shape) or images.dtype != np.uint8:
        raise ValueError(
            f"images is {images.dtype} with shape {images.shape} for {count} points: give uint8 "
            f"with shape {(count, *shape)}."
        )
    return images


def _range_of(values: np.ndarray, before: tuple[float, float] = (0, 0)) -> tuple[float, float]:
    """Give the range of values some room; one of no width, as of a dead unit, becomes 1 wide.

    The range before stays while the values fill it well, so that the axes do not shake.
    """
    low, high = float(values.min()), float(values.max())
    if before[0] <= low and high <= before[1] and high - low > 0.7 * (before[1] - before[0]):
        return before
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _evenly(index: np.ndarray) -> np.ndarray:
    """Order the points so that each first part of them takes evenly from the classes."""
    rank = np.empty(len(index), dtype="int64")
    for label in np.unique(index):
        members = index == label
        rank[members] = np.arange(members.sum())
    return np.argsort(rank, kind="stable")
