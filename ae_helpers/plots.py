"""Figures from arrays, in one style, which importing this module sets for matplotlib.

Whoever cannot see a figure gets its ``alt``: what it shows, in one sentence.
"""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise, product
from string import ascii_lowercase
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ae_helpers.legend import CLASS_COLOURS, class_colours, name_places

STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "image.cmap": "gray",
}
plt.rcParams.update(STYLE)

PALETTE = 128  # colours in a figure's PNG; with all of them a scatter is several times the size
FEW = 32  # enough for rows of digits, and for points without soft edges


def show(figure: Figure, alt: str, colours: int = PALETTE) -> None:
    """Show a figure in the notebook, once, with a text for those who cannot see it; close it.

    Its picture has at most so many ``colours``, of 256 that there may be.
    """
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight")
    plt.close(figure)
    picture = Image.open(drawn).convert("RGB")
    picture.quantize(colours, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    bundle = {"image/png": small.getvalue(), "text/plain": alt}
    display(bundle, metadata={"image/png": {"alt": alt}}, raw=True)


def show_digits(
    rows: Mapping[str, np.ndarray], alt: str, labels: Sequence[object] | None = None
) -> None:
    """Show images in rows, one below the other.

    Parameters
    ----------
    rows
        A row's name to its images: ``(n, height, width)``, or ``(n, pixels)`` of squares; uint8
        (0–255) or float (0–1). All rows share that scale, black to white.
    labels
        One text for each column, above the first row.

    Raises
    ------
    ValueError
        If there is no image, or flat ones that are no squares.
    """
    rows = {name: _as_unit_images(images) for name, images in rows.items()}
    n_columns = max((len(images) for images in rows.values()), default=0)
    if not n_columns:
        raise ValueError("There are no images to show: give one row with one image at least.")
    size = min(0.75, 9.0 / n_columns)
    width, height = size * n_columns + 0.9, size * len(rows) + 0.35
    figure, axes = plt.subplots(len(rows), n_columns, figsize=(width, height), squeeze=False)
    _draw_rows(axes, rows, labels)
    show(figure, alt, FEW)


def scatter_codes(
    codes: np.ndarray,
    labels: np.ndarray,
    axis: Axes | None = None,
    size: float = 4,
    name_size: float = 15,
) -> Axes:
    """Draw codes as points in the plane, coloured by class, each class named among its points.

    A class with fewer than 1 in 100 of the points is in the legend only: its name would stand
    among others.

    Parameters
    ----------
    codes
        ``(n, 2)`` float: z₁ and z₂ of each image.
    labels
        ``(n,)`` whole numbers or texts, of at most 30 classes.
    axis
        Where to draw; a new figure by default.
    size, name_size
        Area of a code's point, as matplotlib's ``s``, and height of the names, in points.

    Returns
    -------
    matplotlib.axes.Axes
        ``axis.figure`` is the figure to `show`.

    Raises
    ------
    ValueError
        If the codes are not ``(n, 2)``, n ≥ 1, or there is not one such label for each.
    """
    codes, labels = np.asarray(codes), np.asarray(labels)
    if codes.ndim != 2 or codes.shape[1] != 2 or not len(codes):
        raise ValueError(
            f"A scatter needs at least one image, and two numbers for each image; these codes "
            f"have shape {codes.shape}."
        )
    if labels.shape != (len(codes),):
        raise ValueError(f"There are {len(codes)} codes but labels of shape {labels.shape}.")
    names, colours, index = class_colours(labels)
    if axis is None:
        _, axis = plt.subplots(figsize=(7, 6))
    # In the order given, so that no class lies on top of all others.
    points = np.array(colours)[index]
    axis.scatter(*codes.T, s=size, c=points, linewidths=0, antialiased=False)
    keys = [axis.scatter([], [], s=30, c=colour) for colour in colours]
    if len(names) > 1:  # one class alone tells nothing
        _name_classes(axis, codes, index, [_shortened(name, 12) for name in names], name_size)
    (title, shown), ncols = _key_of(labels, names), math.ceil(len(names) / 16)
    beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "handletextpad": 0}
    legend = axis.legend(keys, shown, title=title, ncols=ncols, **beside)
    for text in legend.get_texts():
        text.set_parse_math(False)
    axis.set(xlabel="z₁", ylabel="z₂")
    return axis


def _name_classes(
    axis: Axes, codes: np.ndarray, index: np.ndarray, names: list[str], size: float
) -> None:
    """Write the name of each class that is frequent enough where many of its codes lie."""
    frequent = np.bincount(index) >= 0.01 * len(index)
    named, box, longest = frequent[index], axis.get_window_extent(), max(map(len, names))
    size *= 1 if longest < 3 else 0.6
    flat = min(1, 20 / (longest * size)), 1  # with x scaled by it, a gap has room for each
    places = axis.transData.transform(name_places(codes[named], index[named]))
    places = _spread((places - box.min) * flat, 20, box.size * flat) / flat + box.min
    places = axis.transData.inverted().transform(places)
    white = [patheffects.withStroke(linewidth=3, foreground="white")]
    style = {"ha": "center", "va": "center", "weight": "bold", "path_effects": white}
    for k, place in zip(np.flatnonzero(frequent), places, strict=True):
        axis.annotate(names[k], place, size=size, parse_math=False, **style)


def show_path(
    codes: np.ndarray,
    labels: np.ndarray,
    path: np.ndarray,
    rows: Mapping[str, np.ndarray],
    alt: str,
) -> None:
    """Show a path through the plane among the codes, and below it the images along the path.

    Codes and labels are those of `scatter_codes`, rows those of `show_digits`. The path is
    ``(n, 2)``: at most 26 points in order, lettered a, b, c …, with an image in each row.
    """
    if len(path) > len(ascii_lowercase):
        raise ValueError(f"The path has {len(path)} points: give at most 26, a letter for each.")
    rows = {name: _as_unit_images(images) for name, images in rows.items()}
    heights = 4.2, 0.8 * len(rows) + 0.3
    figure = plt.figure(figsize=(8, sum(heights)))
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    axis = scatter_codes(codes, labels, above.subplots(), size=2)
    axis.plot(*path.T, color="black", linewidth=1)
    letters = ascii_lowercase[: len(path)]
    for letter, point in zip(letters, path, strict=True):
        circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0.8}
        axis.annotate(letter, point, ha="center", va="center", size=9, bbox=circle)
    axes = below.subplots(len(rows), len(path), squeeze=False)
    _draw_rows(axes, rows, letters)
    show(figure, alt)


def show_grid(images: np.ndarray, z1: np.ndarray, z2: np.ndarray, alt: str) -> None:
    """Show one decoded image for each point of a grid over the plane.

    The coordinates rise along each axis. The images are ``(len(z2) * len(z1), 784)`` float in
    [0, 1], or of other sizes as for `show_digits`: row by row from the lowest z₂, as
    ``numpy.meshgrid(z1, z2)`` orders the points.
    """
    images = _as_unit_images(images)
    high, wide = images.shape[1:]
    rows = images.reshape(len(z2), len(z1), high, wide)[::-1]  # the highest z₂ on top, as in a plot
    canvas = rows.swapaxes(1, 2).reshape(len(z2) * high, len(z1) * wide)
    half1, half2 = ((z[1] - z[0]) / 2 if len(z) > 1 else 0.5 for z in (z1, z2))
    extent = (z1[0] - half1, z1[-1] + half1, z2[0] - half2, z2[-1] + half2)
    # A pixel of a digit is a whole number of pixels on the screen, so that digits stay sharp.
    zoom = max(1, 560 // max(canvas.shape)) / STYLE["figure.dpi"]
    size = zoom * np.array(canvas.shape[::-1])
    whole = size + np.array([0.8, 0.7])
    figure = plt.figure(figsize=whole, layout="none")
    axis = figure.add_axes((*[0.7, 0.6] / whole, *size / whole))
    axis.imshow(canvas, extent=extent, aspect="auto", vmin=0, vmax=1, interpolation="nearest")
    axis.set(xlabel="z₁", ylabel="z₂")
    show(figure, alt, FEW)


def show_loss(
    curves: Mapping[str, Sequence[float]],
    alt: str,
    marks: Mapping[str, float] | None = None,
    points: Mapping[str, Mapping[int, float]] | None = None,
) -> None:
    """Draw loss by epoch, with horizontal marks and single points to read it by.

    ``curves`` holds a loss for each epoch by name; what starts with ``val`` is dashed. ``marks``
    holds one loss by name, ``points`` those known at some epochs only: ``{name: {epoch: loss}}``.
    """
    figure, axis = plt.subplots(figsize=(7, 4))
    for name, losses in curves.items():
        epochs = np.arange(1, len(losses) + 1)
        style = "--" if name.startswith("val") else "-"
        axis.plot(epochs, losses, style, marker="o", markersize=4, label=name)
    for (name, losses), marker in zip((points or {}).items(), cycle("x+*dv^"), strict=False):
        axis.plot(*zip(*losses.items(), strict=True), marker, color="black", label=name, zorder=3)
    for loss in (marks or {}).values():
        axis.axhline(loss, color="0.6", linewidth=1)
    place, gap = -np.inf, 0.04 * np.ptp(axis.get_ylim())  # so that no name lies on another
    for name, loss in sorted((marks or {}).items(), key=lambda mark: mark[1]):
        place = max(place + gap, loss)
        at_the_edge = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(
            f"{name} {loss:.4f}", (1, place), (4, 0), va="center", color="0.35", **at_the_edge
        )
    axis.set(xlabel="epoch", ylabel="loss")
    axis.xaxis.get_major_locator().set_params(integer=True)
    # Below the highest mark, where least is drawn, and opaque, because it may lie on another.
    below = (0, 0, 1, 0.93)
    axis.legend(loc="best", bbox_to_anchor=below, frameon=True, framealpha=1, edgecolor="none")
    show(figure, alt)


def show_film(film: Sequence[Any], labels: np.ndarray, alt: str) -> None:
    """Draw six moments of a film side by side, from its first to its last, 2,000 codes at most.

    Each has axes of its own, as on the map: the codes of an untrained network are tiny. The
    moments are those of ``explorer.film``, the labels ``(n,)`` as `scatter_codes` takes them.
    """
    picked = np.unique(np.linspace(0, len(film) - 1, 6).round().astype(int))
    figure, axes = plt.subplots(1, len(picked), figsize=(1.6 * len(picked), 2.1), squeeze=False)
    names, of_class, index = class_colours(labels)
    colours = np.array(of_class)[index][:2000]
    for axis, k in zip(axes[0], picked, strict=True):
        codes = film[k].codes[:2000].T.astype("float32")
        axis.scatter(*codes, s=2, c=colours, linewidths=0, antialiased=False)
        epoch = f"epoch {film[k].epoch:.2g}" if k else "untrained"
        axis.set(title=f"{epoch}\nloss {film[k].loss:.3f}", xticks=[], yticks=[], box_aspect=1)
    keys = [axes[0, 0].scatter([], [], s=30, c=colour) for colour in of_class]
    title, shown = _key_of(labels, names)
    key = {"title": title, "loc": "outside right center", "handletextpad": 0}
    for text in figure.legend(keys, shown, labelspacing=0.1, **key).get_texts():
        text.set_parse_math(False)
    show(figure, alt, FEW)


def show_network(widths: Sequence[int], names: Sequence[str], alt: str) -> None:
    """Draw an autoencoder as columns of units with all their connections, a name below each.

    The widths are the units of each layer, the input first; a wide one has fewer, and dots.
    """
    most = 12
    figure, axis = plt.subplots(figsize=(7, 4))
    narrowest, last, columns = int(np.argmin(widths)), len(widths) - 1, []
    for x, (width, name) in enumerate(zip(widths, names, strict=True)):
        y = np.arange(min(width, most)) - (min(width, most) - 1) / 2
        if width > most:
            y = np.delete(y, most // 2)  # a gap for the dots
            axis.text(x, 0, "⋮", ha="center", va="center")
        colour = CLASS_COLOURS[2] if x == narrowest else CLASS_COLOURS[6]
        axis.scatter([x] * len(y), y, s=50, color=colour, edgecolors="white")
        axis.text(x, -most / 2 - 0.6, f"{name}\n{width}", ha="center", va="top")
        columns.append(y)
    for x, (left, right) in enumerate(pairwise(columns)):
        ends = np.array(list(product(left, right))).T
        axis.plot([x, x + 1], ends, color="0.8", linewidth=0.5, zorder=0)
    halves = ("encoder", 0, narrowest - 0.05), ("decoder", narrowest + 0.05, last)
    for name, left, right in halves:
        axis.plot([left, right], [most / 2 + 0.6] * 2, color="0.35", linewidth=1.5)
        axis.text((left + right) / 2, most / 2 + 0.9, name, ha="center", va="bottom")
    axis.set(xlim=(-0.5, last + 0.5), ylim=(-most / 2 - 2.6, most / 2 + 2))
    axis.set_axis_off()
    show(figure, alt)


def _draw_rows(
    axes: np.ndarray, rows: Mapping[str, np.ndarray], labels: Sequence[object] | None
) -> None:
    for axis in axes.ravel():
        axis.set_axis_off()
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            axis.imshow(image, vmin=0, vmax=1, interpolation="nearest")
        left = {"transform": row[0].transAxes, "ha": "right", "va": "center"}
        row[0].text(-0.15, 0.5, name, parse_math=False, **left)
    room = 0.85 * axes[0, 0].figure.bbox.width / axes.shape[1]  # the rows' names take some, too
    for axis, label in zip(axes[0], labels if labels is not None else (), strict=False):
        title = axis.set_title(_shortened(str(label), 12), parse_math=False)
        width = title.get_window_extent().width
        title.set_size(title.get_size() * min(1, room / max(width, 1)))


def _spread(places: np.ndarray, gap: float, size: np.ndarray) -> np.ndarray:
    """Push places ``(n, 2)`` apart until each two are a gap apart, within a box of this size."""
    angle = np.arange(len(places))
    nudge = 0.01 * np.column_stack([np.cos(angle), np.sin(angle)])  # equal ones have to part too
    for _ in range(100):
        places = places + nudge
        away = places[:, None] - places
        apart = np.linalg.norm(away, axis=-1, keepdims=True)
        push = np.clip(gap - apart, 0, None) / 2 * away / np.maximum(apart, 1e-9)
        places = np.clip(places + push.sum(axis=1), gap / 2, size - gap / 2)
    return places


def _as_unit_images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim < 3:
        side = math.isqrt(images.shape[-1])
        if side**2 != images.shape[-1]:
            raise ValueError(
                f"Rows of {images.shape[-1]} pixels are no square images: give them as an array "
                "(n, height, width)."
            )
        images = images.reshape(-1, side, side)
    return images / 255 if images.dtype == np.uint8 else images


def _key_of(labels: np.ndarray, names: Sequence[str]) -> tuple[str, list[str]]:
    """Give the title of the key to the classes, and their names as they stand in it."""
    title = "class" if np.asarray(labels).dtype.kind == "U" else "digit"
    return title, [_shortened(name, 25) for name in names]


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
