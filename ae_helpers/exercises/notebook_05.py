"""Checks for the exercises of notebook 05, drawing from the plane."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_array, as_number, as_whole, read_guess, verdict
from ae_helpers.numpy_layers import DenseLayer, apply_layers


def check_point_of(digit: int, answer: Any, codes: np.ndarray, labels: np.ndarray) -> None:
    """Check a point: of the 50 nearest training images, a quarter or more are the digit.

    A quarter, because a decoder can draw a clear 3 where 3s, 5s and 8s share their ground.

    Examples
    --------
    >>> check_point_of(3, (0.1, 0), np.array([[0, 0], [9, 9]]), np.array([3, 7]))
    Right: of the 2 training images nearest to your point, 1 are 3s.
    """
    point = as_array(answer)
    if point is None or point.size != codes.shape[1]:
        verdict(answer, f"a point is {codes.shape[1]} numbers, such as (5.0, 20.0).", "")
        return
    near = _nearest_labels(point, codes, labels)
    found, (most_frequent, most) = near[digit], near.most_common(1)[0]
    problem = None
    if found < near.total() / 4:
        problem = (
            f"of the {near.total()} training images nearest to your point, {found} are {digit}s, "
            f"and {most} are {most_frequent}s. Move on."
        )
    praise = f"of the {near.total()} training images nearest to your point, {found} are {digit}s."
    verdict(answer, problem, praise)


def _nearest_labels(point: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> Counter:
    distance = ((codes - point.ravel()) ** 2).sum(axis=1)
    return Counter(labels[np.argsort(distance)[:50]].tolist())


def check_middle(
    answer: Any,
    decoder_weights: Sequence[DenseLayer],
    codes: np.ndarray,
    labels: np.ndarray,
    guess: Any = ...,
) -> None:
    """Check the decoded middle between the mean codes of the 0s and of the 1s: an image.

    ``guess`` is the class that the reader expected.

    Examples
    --------
    >>> decoder = [(np.ones((2, 784)), np.zeros(784), "sigmoid")]
    >>> codes, labels = np.array([[-1, 0], [1, 0]]), np.array([0, 1])
    >>> check_middle(np.full((28, 28), 0.5), decoder, codes, labels, guess=7)  # doctest: +ELLIPSIS
    Right: ... Your guess was 7; of the 2 training images nearest to it, 0 are 7s.
    """
    means = np.stack([codes[labels == digit].mean(axis=0) for digit in (0, 1)])
    middle = means.mean(axis=0)
    truth = apply_layers(decoder_weights, middle[None]).reshape(28, 28)
    mixed = apply_layers(decoder_weights, means).mean(axis=0).reshape(28, 28)
    image = as_array(answer)
    problem = None
    if image is None or image.size != truth.size:
        problem = "the answer is one image, an array of 28 × 28 numbers."
    elif image.shape != truth.shape:
        problem = f"one image has these pixels, but its shape is {image.shape}: reshape it."
    elif image.max() > 1:
        problem = "its pixels should lie between 0 and 1, as the decoder draws them."
    elif np.abs(image - truth).max() >= 0.02:
        problem = "decode the middle of the two mean codes, (mean of 0s + mean of 1s) / 2."
        if np.abs(image - mixed).max() < 0.02:
            problem = "you mixed two drawn images; mix the two codes, and draw once."
    near, (guessed, remark) = _nearest_labels(middle, codes, labels), read_guess(guess)
    if guessed is not None:
        remark = (
            f" Your guess was {guessed:g}; of the {near.total()} training images nearest to it, "
            f"{near[guessed]} are {guessed:g}s."
        )
    verdict(answer, problem, "you drew it from two numbers that belong to no image." + remark)


def check_worst_image(answer: Any, images: np.ndarray, reconstructions: np.ndarray) -> None:
    """Check at which index, from 0, an image ``(n, 784)`` differs most from its reconstruction.

    Examples
    --------
    >>> check_worst_image(2, np.eye(3), np.diag([1, 0.5, 0]))  # doctest: +ELLIPSIS
    Right: ...
    """
    errors = ((images - reconstructions) ** 2).mean(axis=1)
    index, number = as_whole(answer), as_number(answer)
    problem = None
    if index is None and number is not None and abs(number - errors.max()) < 1e-4:
        problem = "that is its error; the question is at which index it stands."
    elif index is None or not 0 <= index < len(errors):
        problem = f"the answer is an index, a whole number from 0 to {len(errors) - 1}."
    elif errors[index] == errors.min():
        problem = "that is the image that comes back best."
    elif errors[index] < errors.max():
        problem = f"its error is {errors[index]:.3f}, and that of another image is larger."
    times = errors.max() / errors.mean()
    praise = f"its error is {times:.1f} times the mean. Look at it: does it look like its label?"
    verdict(answer, problem, praise)
