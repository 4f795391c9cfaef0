"""Checks for the exercises of notebook 03, training."""

import math
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import count_verdict, number_verdict


def check_grey_loss(answer: Any) -> None:
    """Check the binary cross-entropy of answering 0.5; two decimals are enough.

    Examples
    --------
    >>> check_grey_loss(-0.69)
    Not yet: a loss is never below 0; look for the minus sign in front of the formula.
    """
    truth = -math.log(0.5)
    hints = {
        -truth: "a loss is never below 0; look for the minus sign in front of the formula.",
        1: "this is its value in bits; the loss takes the natural logarithm.",
    }
    hint = "put r = 0.5 into the formula, to two decimals; it does not matter what x is."
    praise = "log 2, for black, grey and white pixels alike; so the untrained network starts here."
    number_verdict(answer, truth, 0.005, "the loss, one number", hints, hint, praise)


def check_mean_digit_mse(answer: Any, X_train_flat: np.ndarray, X_test_flat: np.ndarray) -> None:
    """Check the mse of the mean training image on the test images, both ``(n, 784)``.

    Examples
    --------
    >>> check_mean_digit_mse(0.5, np.full((2, 784), 0.25), np.full((3, 784), 0.75))
    Not yet: that is the root of it; the mse is without the root.
    """
    truth = float(np.mean((X_test_flat - X_train_flat.mean(axis=0)) ** 2))
    what = "the mse, one number (take the mean over pixels and images)"
    hints = {
        math.sqrt(truth): "that is the root of it; the mse is without the root.",
        truth * X_test_flat.shape[1]: "that is the sum over an image's pixels; the mse takes "
        "their mean.",
    }
    hint = "the mse is the mean of (image - mean digit)² over all pixels and images."
    praise = f"a network trained on mse has to get below {truth:.3f}."
    number_verdict(answer, truth, 0.001, what, hints, hint, praise)


def check_steps(answer: Any, n_images: int, batch_size: int, epochs: int) -> None:
    """Check the number of steps that the optimizer takes in all.

    Examples
    --------
    >>> check_steps(6, n_images=100, batch_size=32, epochs=2)
    Not yet: the last batch of each epoch is short, but it gives a step too.
    """
    an_epoch = math.ceil(n_images / batch_size)
    hints = {
        an_epoch: "that is one epoch; the optimizer goes through the images more often.",
        n_images * epochs: "a step comes after each batch, not after each image.",
        n_images // batch_size * epochs: "the last batch of each epoch is short, but it gives a "
        "step too.",
    }
    hint = "count the batches of an epoch, with the short one, and multiply by the epochs."
    praise = f"{an_epoch:,} an epoch. Double the batch size, and it takes half as many."
    count_verdict(answer, an_epoch * epochs, hints, hint, praise)
