"""Checks for the exercises of notebook 05, drawing from the plane."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import (
    NO_POINT,
    as_array,
    as_number,
    as_point,
    as_whole,
    on_guess,
    verdict,
)
from ae_helpers.numpy_layers import DenseLayer, apply_layers

# From images to each class's chance: a Keras classifier, or a function.
Classifier = Callable[[np.ndarray], Any]


def check_point_of(
    digit: int, answer: Any, decoder_weights: Sequence[DenseLayer], classifier: Classifier
) -> None:
    """Check a point: what is drawn there has a chance above 0.9 to be the digit, as it is read.

    >>> decoder = [(np.zeros((2, 784)), np.zeros(784), "sigmoid")]
    >>> check_point_of(1, (5, 0), decoder, lambda images: np.array([[0.25, 0.75]]))
    Not yet: it is read as a 1, with a chance of 0.75 only. Look around there.
    """
    point = as_point(answer)
    if point is None:
        return verdict(answer, NO_POINT)
    point = np.clip(point, -1e9, 1e9)  # farther off float32 would overflow
    chances = np.asarray(classifier(apply_layers(decoder_weights, point)))[0]
    if digit >= len(chances):
        return verdict(answer, f"there is no class {digit} among these images.")
    best = int(chances.argmax())
    told = f"it is read as a {best}, with a chance of {chances[best]:.2f}"
    if best != digit:
        problem = f"{told}; the chance of a {digit} is {chances[digit]:.2f}. Move on."
    else:
        problem = None if chances[digit] > 0.9 else f"{told} only. Look around there."
    return verdict(answer, problem, f"{told}.")


def check_middle(
    answer: Any,
    decoder_weights: Sequence[DenseLayer],
    codes: np.ndarray,
    labels: np.ndarray,
    *,
    classifier: Classifier,
    guess: Any = ...,
) -> None:
    """Check the decoded middle between the mean codes of the 0s and of the 1s: an image.

    ``guess`` is the class that the reader expected; the classifier says what it is read as.

    >>> decoder = [(np.ones((2, 784)), np.zeros(784), "sigmoid")]
    >>> codes, labels = np.array([[-1, 0], [1, 0]]), np.array([0, 1])
    >>> grey, classifier = np.full((28, 28), 0.5), lambda images: np.array([[0.25, 0.75]])
    >>> check_middle(grey, decoder, codes, labels, classifier=classifier)
    Right: you drew it from two numbers that belong to no image. It is read as a 1 (0.75).
    """
    if answer is ... or not {0, 1} <= {*labels.tolist()}:
        return verdict(answer, "it asks for 0s and 1s, and these images have not both.")
    means = np.stack([codes[labels == digit].mean(axis=0) for digit in (0, 1)])
    middle = means.mean(axis=0)
    drawn = [apply_layers(decoder_weights, points) for points in (middle[None], means)]
    side = math.isqrt(drawn[0].size)
    truth, mixed = (image.mean(axis=0).reshape(side, side) for image in drawn)
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
    chances = np.asarray(classifier(truth.reshape(1, -1)))[0]
    best = int(chances.argmax())
    praise = "you drew it from two numbers that belong to no image."
    praise += f" It is read as a {best} ({chances[best]:.2f})."
    praise += on_guess(guess, lambda guessed: f"{guessed:g}: {'' if guessed == best else 'not '}so")
    return verdict(answer, problem, praise)


def check_worst_image(answer: Any, images: np.ndarray, reconstructions: np.ndarray) -> None:
    """Check at which index, from 0, an image ``(n, 784)`` differs most from its reconstruction.

    >>> check_worst_image(2, np.eye(3), np.diag([1, 0.5, 0]))  # doctest: +ELLIPSIS
    Right: ...
    """
    index_verdict(answer, ((images - reconstructions) ** 2).mean(axis=1))


def index_verdict(answer: Any, errors: np.ndarray) -> None:
    """Judge at which index the largest of the errors ``(n,)`` stands."""
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
