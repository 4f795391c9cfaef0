"""Checks for the exercises of notebooks 06 and 07; they belong below those in ae_helpers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises import (
    _array,
    _number,
    _short,
    _verdict,
    _whole,
)

# Notebook 06


def check_at_least_one(answer: Any, rate: float, n: int) -> None:
    """Check the probability that of n networks at least one has what each has at that rate.

    Examples
    --------
    >>> check_at_least_one(0.75, 0.5, 2)  # doctest: +ELLIPSIS
    Right: ...
    >>> check_at_least_one(1.0, 0.5, 2)  # doctest: +ELLIPSIS
    Not yet: ...
    """
    chance = _number(answer)
    truth = 1 - (1 - rate) ** n
    problem = None
    if chance is None:
        problem = "the answer is a probability, one number from 0 to 1."
    elif math.isclose(chance, 100 * truth, rel_tol=0.01) and truth > 0:
        problem = "that is in percent; give the probability itself, from 0 to 1."
    elif abs(chance - truth) > 0.005:
        hints = {
            n * rate: "that is the number to expect, not a probability.",
            rate**n: f"that is the chance that all {n} meet one.",
            1 - truth: "that is the chance that nobody meets one.",
        }
        near = [hint for value, hint in hints.items() if abs(chance - value) < 0.005]
        problem = near[0] if near else "begin with the chance that nobody meets one."
    _verdict(
        answer, problem, f"{_short(truth)}. Each seed alone rarely fails, a class often sees it."
    )


def check_lowest_seed(answer: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Check which seed of the survey's rows has the lowest ``val_loss``.

    Examples
    --------
    >>> rows = [{"seed": 0, "val_loss": 0.2}, {"seed": 1, "val_loss": 0.19}]
    >>> check_lowest_seed(1, rows)  # doctest: +ELLIPSIS
    Right: ...
    """
    losses = {row["seed"]: row["val_loss"] for row in rows}
    seed, lowest = _whole(answer), min(losses.values())
    problem = None
    if seed not in losses:
        problem = f"the answer is a seed, a whole number from {min(losses)} to {max(losses)}."
    elif losses[seed] > lowest:
        below = sum(loss < losses[seed] for loss in losses.values())
        problem = f"seed {seed} got to {losses[seed]:.4f}; seeds with a lower val_loss: {below}."
    praise = f"it got to {lowest:.4f}. The worst got to {max(losses.values()):.4f}."
    _verdict(answer, problem, praise)


def check_undo(answer: Any, matrix: np.ndarray) -> None:
    """Check the matrix that undoes another, for codes that are multiplied from the right.

    Examples
    --------
    >>> check_undo(np.diag([0.5, 2]), np.diag([2, 0.5]))  # doctest: +ELLIPSIS
    Right: ...
    """
    undo = _array(answer)
    problem = None
    if undo is None or undo.shape != matrix.shape:
        problem = f"the answer is a matrix of shape {matrix.shape}."
    elif np.allclose(undo, matrix):
        problem = "that would do the same once more."
    elif np.allclose(undo, matrix.T):
        problem = "the transpose undoes only turns and mirrorings."
    elif not np.allclose(matrix @ undo, np.eye(len(matrix)), atol=1e-3):
        problem = "a code z becomes z @ matrix, and z @ matrix @ undo should be z again."
    _verdict(answer, problem, "the decoder gets back the codes it knows, so no pixel changes.")


# Notebook 07


def check_best_model(answer: Any, scores: dict[str, float], guess: Any = ...) -> None:
    """Check which model has the lowest score.

    Parameters
    ----------
    answer
        A model's name.
    scores
        The models' names to their scores, of a measure for which low is good.
    guess
        What you guessed before you saw the scores.

    Examples
    --------
    >>> check_best_model("PCA", {"PCA": 0.06, "deep": 0.04})
    Not yet: PCA has 0.0600, and another has less.
    >>> check_best_model("deep", {"PCA": 0.06, "deep": 0.04}, guess="PCA")
    Right: deep has 0.0400. You had guessed PCA for the other measure.
    """
    best = min(scores, key=scores.get)
    name = answer if isinstance(answer, str) else None
    problem = None
    if name not in scores:
        problem = f"the answer is one of these names: {', '.join(scores)}."
    elif scores[name] > scores[best]:
        problem = f"{name} has {scores[name]:.4f}, and another has less."
    praise = f"{best} has {scores[best]:.4f}."
    if isinstance(guess, str):
        praise += f" You had guessed {guess} for the other measure."
    _verdict(answer, problem, praise)


def check_nats(answer: Any) -> None:
    """Check a loss of 0.1985 a pixel in nats an image; one decimal is enough.

    Examples
    --------
    >>> check_nats(155.6)
    Right: a perfect copy costs 45.5 of them, so 110 are left to improve.
    """
    truth, number = 784 * 0.1985, _number(answer)
    problem = None
    if number is None:
        problem = "the answer is one number."
    elif abs(number - truth / math.log(2)) < 0.5:
        problem = "these are bits; the loss is in nats already."
    elif abs(number - truth) >= 0.1:
        problem = "the loss is the mean over the pixels of an image, and you want their sum."
    _verdict(answer, problem, "a perfect copy costs 45.5 of them, so 110 are left to improve.")


def check_components(answer: Any, pca: Any, images: np.ndarray, target: float) -> None:
    """Check how many components PCA needs for a mean squared error of at most ``target``.

    Parameters
    ----------
    answer
        A number of components.
    pca
        A fitted ``sklearn.decomposition.PCA`` with enough components.
    images
        ``(n, 784)``, the images to reconstruct, from 0 to 1.
    target
        The error a pixel that is to be reached.
    """
    scores = pca.transform(images)
    errors = {}
    for count in range(1, len(pca.components_) + 1):
        flat = scores[:, :count] @ pca.components_[:count] + pca.mean_
        errors[count] = float(((images - flat) ** 2).mean())
    truth = next((count for count, error in errors.items() if error <= target), len(errors))
    count = _whole(answer)
    problem = None
    if count is None or count not in errors:
        problem = f"the answer is a whole number from 1 to {len(errors)}."
    elif count < truth:
        problem = f"with {count} the MSE is {errors[count]:.4f}, and the target is {target:.4f}."
    elif count > truth:
        problem = f"{count} are enough, but fewer are, too."
    praise = f"{truth} numbers that only add, for two that bend. With one less: "
    praise += f"{errors.get(truth - 1, math.inf):.4f}."
    _verdict(answer, problem, praise)


def check_hole(answer: Any, codes: np.ndarray, z_range: np.ndarray, far: float) -> None:
    """Check a point in the codes' range that is farther than ``far`` from every code.

    Parameters
    ----------
    answer
        A point: two numbers.
    codes
        ``(n, 2)``, codes of real images.
    z_range
        ``(2, 2)``: the lowest z₁ and z₂, then the highest.
    far
        The distance to exceed.

    Examples
    --------
    >>> codes = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> check_hole((2, 2), codes, [[0, 0], [4, 4]], far=2)
    Right: the nearest code is 2.8 away.
    >>> check_hole((9, 9), codes, [[0, 0], [4, 4]], far=2)
    Not yet: the point lies outside z_range.
    """
    point = _array(answer)
    problem, nearest = None, math.nan
    if point is None or point.size != 2:
        problem = "a point is two numbers, such as (5.0, 20.0)."
    else:
        point = point.ravel()
        nearest = float(np.sqrt(((codes - point) ** 2).sum(axis=1).min()))
        if (point < z_range[0]).any() or (point > z_range[1]).any():
            problem = "the point lies outside z_range."
        elif nearest < far:
            problem = f"a code is only {nearest:.2g} away; look for one that is {far:.2g} away."
    _verdict(answer, problem, f"the nearest code is {nearest:.2g} away.")
