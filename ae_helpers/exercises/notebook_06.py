"""Checks for the exercises of notebook 06, why results differ."""

import math
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_array, count_verdict, number_verdict, verdict


def check_at_least_one(answer: Any, rate: float, n: int) -> None:
    """Check the probability that of n networks at least one has what each has at that rate.

    >>> check_at_least_one(0.75, 0.5, 2)  # doctest: +ELLIPSIS
    Right: ...
    """
    truth = 1 - (1 - rate) ** n
    hints = {
        100 * truth: "that is in percent; give the probability itself, from 0 to 1.",
        n * rate: "that is the number to expect, not a probability.",
        rate**n: f"that is the chance that all {n} meet one.",
        1 - truth: "that is the chance that nobody meets one.",
    }
    hint = "begin with the chance that nobody meets one."
    praise = f"{truth:.3g}. Each seed alone rarely fails, a class often sees it."
    what = "a probability, one number from 0 to 1"
    number_verdict(answer, truth, 0.005, what, hints, hint, praise)


def check_enough_seeds(answer: Any, limit: float) -> None:
    """Check how many seeds without a dead unit bring Wilson's interval below a rate.

    >>> check_enough_seeds(35, 0.1)
    Right: in 35 seeds none, and with 34 the interval would still reach to 0.1.
    """
    z_squared = 1.96**2  # the interval of 0 in n reaches from 0 to z² / (n + z²)
    truth = math.floor(z_squared * (1 / limit - 1)) + 1
    few = f"with {limit:.3g} in mind, see how far wilson(0, n) reaches for some n."
    by_thumb = "that is 3 divided by the rate, a rule of thumb; Wilson's interval is longer."
    hints = {
        round(3 / limit): by_thumb,
        round(1 / limit): "among so many you would expect one at that rate; none is no surprise.",
        truth - 1: "with one seed more the interval is below it for the first time.",
    }
    praise = f"in {truth} seeds none, and with {truth - 1} the interval would still reach to "
    praise += f"{limit:.3g}."
    many = "so many are enough, but fewer would do."
    count_verdict(answer, truth, hints, few, praise, too_many=many)


def check_undo(answer: Any, matrix: np.ndarray) -> None:
    """Check the matrix that undoes another, for codes that are multiplied from the right.

    >>> check_undo(np.diag([0.5, 2]), np.diag([2, 0.5]))  # doctest: +ELLIPSIS
    Right: ...
    """
    undo = as_array(answer)
    problem = None
    if undo is None or undo.shape != matrix.shape:
        problem = f"the answer is a matrix of shape {matrix.shape}."
    elif not np.allclose(matrix @ undo, np.eye(len(matrix)), atol=1e-3):
        problem = "a code z becomes z @ matrix, and z @ matrix @ undo should be z again."
        if np.allclose(undo, matrix):
            problem = "that would do the same once more."
        elif np.allclose(undo, matrix.T):
            problem = "the transpose undoes only turns and mirrorings."
    verdict(answer, problem, "the decoder gets back the codes it knows, so no pixel changes.")
