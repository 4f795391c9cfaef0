"""Checks for the exercises of notebook 01, the data."""

from typing import Any

import numpy as np

from ae_helpers.data import prepare
from ae_helpers.exercises.answers import as_text, class_verdict, classes_of, count_verdict, verdict


def check_empty_pixels(answer: Any, images: np.ndarray) -> None:
    """Check the number of pixels that are black in all images ``(n, height, width)``.

    Examples
    --------
    >>> images = np.zeros((5, 28, 28), "uint8")
    >>> images[:, 10, 10] = 255
    >>> check_empty_pixels(783, images)  # doctest: +ELLIPSIS
    Right: ...
    """
    used = int((images.max(axis=0) > 0).sum())
    n_pixels = images[0].size
    hints = {
        used: "these are the pixels with ink in at least one image; you want the others.",
        int((images == 0).sum()): f"you counted in all images; count each of the {n_pixels} once.",
        int((images[0] == 0).sum()): "these are black in the first image; look at all of them.",
    }
    hint = "a pixel counts if its largest value over all images is 0."
    praise = f"so the network is given {n_pixels}, but at most {used} of them tell it anything."
    count_verdict(answer, n_pixels - used, hints, hint, praise)


def check_most_ink(answer: Any, images: np.ndarray, labels: np.ndarray, guess: Any = ...) -> None:
    """Check which class of the images ``(n, height, width)`` has the largest mean pixel.

    Examples
    --------
    >>> images = np.stack([np.full((28, 28), 9), np.full((28, 28), 5)]).astype("uint8")
    >>> check_most_ink(7, images, np.array([7, 3]), guess=3)  # doctest: +ELLIPSIS
    Right: ... Your guess was 3: it comes in place 2.
    """
    scores = {digit: float(images[labels == digit].mean()) for digit in classes_of(labels)}
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = (
        f"the mean pixel of the {most}s is {as_text(scores[most])}; the {least}s need the least "
        f"ink, {as_text(scores[least])}."
    )
    class_verdict(answer, scores, "mean pixel", praise, guess)


def check_most_varied(answer: Any, images: np.ndarray, labels: np.ndarray) -> None:
    """Check in which class the first 300 images and the next 300 are farthest apart.

    The distance is the mean squared difference of a pixel (0–1), over all pairs, as in the
    notebook. Classes with 300 images or fewer do not count.

    Examples
    --------
    >>> check_most_varied("the 2s", np.zeros((9, 28, 28), "uint8"), np.zeros(9, int))
    Not yet: no class has more than 300 images here: load more data.
    """
    scores = {
        digit: _mean_distance(images[labels == digit])
        for digit in classes_of(labels)
        if (labels == digit).sum() > 300
    }
    if not scores:
        verdict(answer, "no class has more than 300 images here: load more data.", "")
        return
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = (
        f"the mean distance of two {most}s is {scores[most]:.2f}; two {least}s are the most "
        f"alike, {scores[least]:.2f}."
    )
    class_verdict(answer, scores, "mean distance", praise)


def _mean_distance(images: np.ndarray) -> float:
    a, b = prepare(images[:300]), prepare(images[300:600])
    squares = (a**2).sum(axis=1).mean() + (b**2).sum(axis=1).mean()
    return float(squares - 2 * a.mean(axis=0) @ b.mean(axis=0)) / a.shape[1]
