"""Checks for the exercises of notebook 07, comparing models."""

import math
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_array, as_whole, number_verdict, verdict


def check_best_model(answer: Any, scores: dict[str, float], guess: Any = ...) -> None:
    """Check which of the models, named in ``scores``, has the lowest score.

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
    verdict(answer, problem, praise)


def check_nats(answer: Any) -> None:
    """Check a loss of 0.1985 a pixel in nats an image; one decimal is enough.

    Examples
    --------
    >>> check_nats(155.6)
    Right: a perfect copy costs 45.5 of them, so 110 are left to improve.
    """
    truth = 784 * 0.1985
    hints = {truth / math.log(2): "these are bits; the loss is in nats already."}
    hint = "the loss is the mean over the pixels of an image, and you want their sum."
    praise = "a perfect copy costs 45.5 of them, so 110 are left to improve."
    number_verdict(answer, truth, 0.1, "one number", hints, hint, praise)


def check_components(answer: Any, pca: Any, images: np.ndarray, target: float) -> None:
    """Check how many components PCA needs for a mean squared error of at most ``target``.

    ``pca`` is a fitted ``sklearn.decomposition.PCA`` with enough components, and the images to
    reconstruct are ``(n, 784)``, from 0 to 1.
    """
    scores = pca.transform(images)
    errors = {}
    for count in range(1, len(pca.components_) + 1):
        flat = scores[:, :count] @ pca.components_[:count] + pca.mean_
        errors[count] = float(((images - flat) ** 2).mean())
    truth = next((count for count, error in errors.items() if error <= target), len(errors))
    count = as_whole(answer)
    problem = None
    if count is None or count not in errors:
        problem = f"the answer is a whole number from 1 to {len(errors)}."
    elif count < truth:
        problem = f"with {count} the MSE is {errors[count]:.4f}, and the target is {target:.4f}."
    elif count > truth:
        problem = f"{count} are enough, but fewer are, too."
    praise = f"{truth} numbers that only add, for two that bend. With one less: "
    praise += f"{errors.get(truth - 1, math.inf):.4f}."
    verdict(answer, problem, praise)


def check_hole(answer: Any, codes: np.ndarray, z_range: np.ndarray, far: float) -> None:
    """Check a point in the codes' range that is farther than ``far`` from every code.

    The codes are ``(n, 2)``; ``z_range`` is ``(2, 2)``: the lowest z₁ and z₂, then the highest.

    Examples
    --------
    >>> codes = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> check_hole((2, 2), codes, [[0, 0], [4, 4]], far=2)
    Right: the nearest code is 2.8 away.
    >>> check_hole((9, 9), codes, [[0, 0], [4, 4]], far=2)
    Not yet: the point lies outside z_range.
    """
    point = as_array(answer)
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
    verdict(answer, problem, f"the nearest code is {nearest:.2g} away.")
