"""Checks for the exercises of notebook 03, training."""

import math
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import class_verdict, mean_by_class, number_verdict


def check_best_grey(answer: Any, X_train_flat: np.ndarray, guess: Any = ...) -> None:
    """Check the grey that costs least if it is the answer to every pixel of ``(n, 784)``.

    >>> check_best_grey(0.5, np.full((2, 784), 0.25))
    Not yet: that costs log 2, but there are more dark pixels than bright ones.
    """
    truth = float(np.mean(X_train_flat, dtype="float64"))
    hints = {
        0.5: "that costs log 2, but there are more dark pixels than bright ones.",
        0: "black costs nothing on paper, but without limit where there is ink.",
    }
    hint = "try some answers between 0 and 1, and go where the loss falls."
    praise = f"it is the mean of all pixels, {truth:.3f}, as it would be for the squared error."
    what = "a grey, one number from 0 to 1"
    number_verdict(answer, truth, 0.005, what, hints, hint, praise, guess)


def check_mean_digit_mse(answer: Any, X_train_flat: np.ndarray, X_test_flat: np.ndarray) -> None:
    """Check the mse of the mean training image on the test images, both ``(n, 784)``.

    >>> check_mean_digit_mse(0.5, np.full((2, 784), 0.25), np.full((3, 784), 0.75))
    Not yet: that is the root of it; the mse is without the root.
    """
    mean_digit = X_train_flat.mean(axis=0)
    truth = float(np.mean((X_test_flat - mean_digit) ** 2))
    what = "the mse, one number (take the mean over pixels and images)"
    hints = {
        float(np.mean((X_train_flat - mean_digit) ** 2)): "that is on the training images.",
        float(np.mean((X_test_flat - X_test_flat.mean(axis=0)) ** 2)): "that is with the mean of "
        "the test images; a network knows only the training images.",
        math.sqrt(truth): "that is the root of it; the mse is without the root.",
        truth * X_test_flat.shape[1]: "that is the sum over an image's pixels; the mse takes "
        "their mean.",
    }
    hint = "the mse is the mean of (image - mean digit)² over all pixels and images."
    praise = f"a network trained on mse has to get below {truth:.3f}."
    number_verdict(answer, truth, 0.001, what, hints, hint, praise)


def check_worst_class(
    answer: Any, images: np.ndarray, labels: np.ndarray, drawn: np.ndarray, guess: Any = ...
) -> None:
    """Check which class has the largest loss; images and reconstructions are ``(n, 784)``.

    >>> drawn = np.array([[0.1, 0.9], [0.5, 0.5]])
    >>> check_worst_class(7, np.eye(2), np.array([7, 3]), drawn, guess={7})  # doctest: +ELLIPSIS
    Right: ... Your guess was 7: you saw it coming.
    """
    r = np.clip(drawn, 1e-7, 1 - 1e-7)
    losses = -np.mean(images * np.log(r) + (1 - images) * np.log(1 - r), axis=1)
    scores = mean_by_class(losses, labels)
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = f"the loss of the {most}s is {scores[most]:.3g}; the {least}s come out best, with "
    praise += f"{scores[least]:.3g}."
    class_verdict(answer, scores, "loss", praise, guess)
