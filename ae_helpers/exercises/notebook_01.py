"""Checks for the exercises of notebook 01, the data."""

from typing import Any

import numpy as np

from ae_helpers.data import prepare
from ae_helpers.exercises.answers import class_verdict, count_verdict, mean_by_class, share_verdict


def check_empty_pixels(answer: Any, images: np.ndarray) -> None:
    """Check the number of pixels that are black in all images ``(n, height, width)``.

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

    >>> images = np.stack([np.full((28, 28), 9), np.full((28, 28), 5)]).astype("uint8")
    >>> check_most_ink(7, images, np.array([7, 3]), guess=3)  # doctest: +ELLIPSIS
    Right: ... Your guess was 3: it comes in place 2.
    """
    scores = mean_by_class(images, labels)
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = f"the mean pixel of the {most}s is {scores[most]:.3g}; the {least}s need the least "
    praise += f"ink, {scores[least]:.3g}."
    class_verdict(answer, scores, "mean pixel", praise, guess)


def check_nearest_image(
    answer: Any,
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    guess: Any = ...,
) -> None:
    """Check how often the nearest training image has the label of a test image, as a share.

    It is about the first 1,000 test images and the first 10,000 training images.

    >>> images, labels = np.stack([np.full((2, 2), n, "uint8") for n in (0, 9)]), np.array([3, 5])
    >>> check_nearest_image(1, images, labels, images, labels, guess="90 %")  # doctest: +ELLIPSIS
    Right: ... Your guess was 0.90, which is 0.10 too low.
    """
    known, labels = prepare(X_train[:10_000]), y_train[:10_000]
    images, own = prepare(X_test[:1000]), y_test[:1000]
    nearest = ((known**2).sum(axis=1) - 2 * images @ known.T).argmin(axis=1)
    truth = float(np.mean(labels[nearest] == own))
    hints = {1 - truth: "that is the share with another label."}
    hint = "find for each test image the lowest distance, and compare the two labels."
    praise = "a mean over all pairs hides its nearest ones, and those are mostly of one class."
    share_verdict(answer, truth, len(own), 0.003, hints, hint, praise, guess)
