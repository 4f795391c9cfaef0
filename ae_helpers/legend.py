"""The key to the classes in figures and in the map: their colours, and where their names stand."""

from collections.abc import Sequence

import numpy as np

# petroff10: ten colours that stay apart for most kinds of colour vision (Petroff 2021,
# arXiv:2107.02270), but some more than others. Which digit has which was found by search over all
# orders: of digits that overlap in the plane (3, 5 and 8; 2, 3 and 6; 4, 7 and 9) the closest two
# colours are as far apart as can be. In Petroff's order 3 and 8 are two greys, 2 and 6 two reds.
CLASS_COLOURS = (
    *("#b9ac70", "#a96b59", "#bd1f01", "#94a4a2", "#92dadd"),
    *("#832db6", "#3f90da", "#717581", "#ffa90e", "#e76300"),
)
# Twenty more, each found as far as can be from all before it, for three kinds of colour vision.
COLOURS = (
    *CLASS_COLOURS,
    *("#ff1ec3", "#2d4b2d", "#96005a", "#f096ff", "#0f4b69", "#00960f", "#ff87b4", "#781e00"),
    *("#00e1a5", "#009678", "#5a5aff", "#00b4c3", "#c32dd2", "#4b6900", "#ff0f4b", "#a578b4"),
    *("#f0b4a5", "#c35a87", "#784b4b", "#00695a"),
)


def class_colours(labels: Sequence) -> tuple[list[str], list[str], np.ndarray]:
    """Return the classes' names, a colour for each, and the index of each label among them.

    It takes ``(n,)`` whole numbers or texts, of at most 30 different ones; else it is a ValueError.
    Where all are from 0 to 9, each has its own colour, whichever others there are.

    Examples
    --------
    >>> names, colours, index = class_colours(["cat", "dog", "cat"])
    >>> names, len(colours), index.tolist()
    (['cat', 'dog'], 2, [0, 1, 0])
    """
    labels, colours = np.asarray(labels), np.array(COLOURS)
    values, index = np.unique(labels, return_inverse=True)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU" or len(values) > len(colours):
        raise ValueError(
            f"The labels are {labels.dtype} of {len(values)} classes: give whole numbers or texts, "
            f"of at most {len(colours)} classes, which is how many have a colour each."
        )
    own = labels.dtype.kind != "U" and values.min(initial=0) >= 0 and values.max(initial=0) <= 9
    chosen = colours[values] if own else colours[: len(values)]
    return [str(value) for value in values], chosen.tolist(), index


def name_places(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find a place for each class's name: where it has many codes, and the others few.

    The plane is cut into cells, fine where it is crowded, up to 20 along each axis. In the cell
    where count × share of the class is largest, its name stands at the median of its codes. For
    codes ``(n, 2)``, n ≥ 1, and labels ``(n,)`` it returns ``(n_classes, 2)``, in the order of
    ``numpy.unique(labels)``.

    Examples
    --------
    >>> codes = np.repeat([[0, 0], [0, 0], [0, 9], [5, 0]], [80, 70, 50, 50], axis=0)
    >>> name_places(codes, np.repeat([3, 8, 3, 8], [80, 70, 50, 50])).tolist()
    [[0.0, 9.0], [5.0, 0.0]]
    """
    n = int(np.clip((len(codes) / 50) ** 0.5, 1, 20))
    bounds = np.quantile(codes, np.arange(1, n) / n, axis=0)
    rows, columns = (np.searchsorted(*ends) for ends in zip(bounds.T, codes.T, strict=True))
    cell, places = n * rows + columns, []
    everyone = np.maximum(np.bincount(cell, minlength=n * n), 1)
    for label in np.unique(labels):
        own = labels == label
        count = np.bincount(cell[own], minlength=n * n)
        best = (count**2 / everyone).argmax()
        places.append(np.median(codes[own & (cell == best)], axis=0))
    return np.array(places)
