"""Checks for the exercises of notebook 06, why results differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_array, as_text, as_whole, number_verdict, verdict


def check_at_least_one(answer: Any, rate: float, n: int) -> None:
    """Check the probability that of n networks at least one has what each has at that rate.

    Examples
    --------
    >>> check_at_least_one(0.75, 0.5, 2)  # doctest: +ELLIPSIS
    Right: ...
    >>> check_at_least_one(1.0, 0.5, 2)  # doctest: +ELLIPSIS
    Not yet: ...
    """
    truth = 1 - (1 - rate) ** n
    hints = {
        100 * truth: "that is in percent; give the probability itself, from 0 to 1.",
        n * rate: "that is the number to expect, not a probability.",
        rate**n: f"that is the chance that all {n} meet one.",
        1 - truth: "that is the chance that nobody meets one.",
    }
    hint = "begin with the chance that nobody meets one."
    praise = f"{as_text(truth)}. Each seed alone rarely fails, a class often sees it."
    what = "a probability, one number from 0 to 1"
    number_verdict(answer, truth, 0.005, what, hints, hint, praise)


def check_lowest_seed(answer: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Check which seed of the survey's rows has the lowest ``val_loss``.

    Examples
    --------
    >>> rows = [{"seed": 0, "val_loss": 0.2}, {"seed": 1, "val_loss": 0.19}]
    >>> check_lowest_seed(1, rows)  # doctest: +ELLIPSIS
    Right: ...
    """
    losses = {row["seed"]: row["val_loss"] for row in rows}
    seed, lowest = as_whole(answer), min(losses.values())
    problem = None
    if seed not in losses:
        problem = f"the answer is a seed, a whole number from {min(losses)} to {max(losses)}."
    elif losses[seed] > lowest:
        below = sum(loss < losses[seed] for loss in losses.values())
        problem = f"seed {seed} got to {losses[seed]:.4f}; seeds with a lower val_loss: {below}."
    praise = f"it got to {lowest:.4f}. The worst got to {max(losses.values()):.4f}."
    verdict(answer, problem, praise)


def check_undo(answer: Any, matrix: np.ndarray) -> None:
    """Check the matrix that undoes another, for codes that are multiplied from the right.

    Examples
    --------
    >>> check_undo(np.diag([0.5, 2]), np.diag([2, 0.5]))  # doctest: +ELLIPSIS
    Right: ...
    """
    undo = as_array(answer)
    problem = None
    if undo is None or undo.shape != matrix.shape:
        problem = f"the answer is a matrix of shape {matrix.shape}."
    elif np.allclose(undo, matrix):
        problem = "that would do the same once more."
    elif np.allclose(undo, matrix.T):
        problem = "the transpose undoes only turns and mirrorings."
    elif not np.allclose(matrix @ undo, np.eye(len(matrix)), atol=1e-3):
        problem = "a code z becomes z @ matrix, and z @ matrix @ undo should be z again."
    verdict(answer, problem, "the decoder gets back the codes it knows, so no pixel changes.")
