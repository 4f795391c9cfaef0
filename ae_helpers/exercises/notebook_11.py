"""Checks for the exercises of notebook 11, beat the encoder."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import NO_POINT, as_point, number_verdict, share_verdict, verdict
from ae_helpers.numpy_layers import DenseLayer, apply_layers


def check_beaten(
    answer: Any, image: np.ndarray, code: np.ndarray, decoder: Sequence[DenseLayer]
) -> None:
    """Check a point from which the decoder draws an image closer than from its code.

    The image is ``(784,)``, 0 to 1; the code is the encoder's, two numbers.

    >>> decoder = [(np.eye(2, 784), np.zeros(784), "linear")]
    >>> check_beaten((1, 2), np.eye(784)[0], (0, 2), decoder)
    Right: the error is 0.0051, and the encoder's 0.00638.
    """
    point = as_point(answer)
    if point is None:
        return verdict(answer, NO_POINT)
    point = np.clip(point, -1e9, 1e9)  # farther off float32 would overflow
    points = np.concatenate([point, np.reshape(code, (1, 2))])
    own, of_code = ((image - apply_layers(decoder, points)) ** 2).mean(axis=1)
    problem = None
    if not own < of_code:
        problem = f"the error at your point is {own:.3g}, and the encoder's is {of_code:.3g}."
    return verdict(answer, problem, f"the error is {own:.3g}, and the encoder's {of_code:.3g}.")


def check_bits(answer: Any, n: int) -> None:
    """Check how many bits name one point of a grid of n × n.

    >>> check_bits(8, n=16)
    Right: a point of 16 × 16 is one of 256, and 2 to the power of 8 is 256.
    """
    truth = math.log2(n * n)
    hints = {
        math.log2(n): "that names a row only; a point has a row and a column.",
        float(n * n): "that is the number of points; how many times can you halve it?",
        math.log(n * n): "that is in nats: you took the natural logarithm.",
        truth / 8: "that is in bytes.",
    }
    praise = f"a point of {n} × {n} is one of {n * n:,}, and 2 to the power of {truth:.3g} is "
    hint = "how many times can you halve the number of points until one is left?"
    number_verdict(answer, truth, 0.1, "a number of bits", hints, hint, f"{praise}{n * n:,}.")


def check_much_closer(
    answer: Any, of_encoder: np.ndarray, of_grid: np.ndarray, guess: Any = ...
) -> None:
    """Check the share of images whose error the grid lowers by more than a tenth.

    >>> check_much_closer(0.5, [0.1, 0.1, 0.1, 0.1], [0.05, 0.08, 0.095, 0.2])
    Right: so many gain more than a tenth; 0.25 have no gain from the grid.
    """
    before, after = np.asarray(of_encoder), np.asarray(of_grid)
    truth = float(np.mean(after < 0.9 * before))
    hints = {
        float(np.mean(after < before)): "that is the share of all that gain; more than a tenth.",
        float(np.mean(before - after > 0.1)): "a tenth of the image's own error, not 0.1.",
        float(1 - after.mean() / before.mean()): "that is the mean gain; count the images.",
        1 - truth: "that is the share of the others.",
    }
    hint = "compare each image's error of the grid with 0.9 times that of the encoder."
    praise = f"so many gain more than a tenth; {np.mean(after >= before):.3g} have no gain "
    praise += "from the grid."
    share_verdict(answer, truth, len(before), 0.003, hints, hint, praise, guess)
