"""Read an answer of any type, and judge it in one line; what the checks have in common.

A check that ends in one of the ``..._verdict`` here works on the site, too: the builder stops it
there, and asks the verdict about all answers.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

NO_POINT = "a point is two numbers, such as (5.0, 20.0)."
NUMBER = re.compile(r"((?:(?<!\d)-)?(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(?:e-?\d+)?)\s*(%?)")


def verdict(answer: Any, problem: str | None, praise: str = "") -> None:
    """Print the line; an answer without a problem is right."""
    if answer is ...:
        print("Not filled in yet: put your answer in place of the dots.")
    elif problem:
        print(f"Not yet: {problem}")
    else:
        print(f"Right: {praise}")


def numbers_in(text: str) -> list[float]:
    """Read the numbers in a text: "5 and 8" is [5, 8], "51,154" is 51154, and "68 %" is 0.68."""
    found = NUMBER.findall(text.replace("−", "-"))
    return [float(n.replace(",", "")) / (100 if percent else 1) for n, percent in found]


def as_array(answer: Any) -> np.ndarray | None:
    """Return an answer as an array, or None if it is not made of finite numbers."""
    try:
        array = np.asarray(answer)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor without values
        return None
    if array.dtype.kind == "U":  # numbers written as text
        array = np.array(numbers_in(" ".join(array.ravel())))
    return array if array.dtype.kind in "iuf" and np.isfinite(array).all() else None


def as_number(answer: Any) -> float | None:
    """Return an answer as one Python number: 8, "8", [8], {8} and NumPy's 8 are all 8."""
    array = as_array(list(answer) if isinstance(answer, set | frozenset) else answer)
    return array.item() if array is not None and array.size == 1 else None


def as_point(answer: Any) -> np.ndarray | None:
    """Return an answer as a point ``(1, 2)``, or None if it is not two numbers."""
    array = as_array(answer)
    return array.reshape(1, 2) if array is not None and array.size == 2 else None


def as_whole(answer: Any) -> int | None:
    """Return an answer as a whole number, or None: 3.0 is one too."""
    number = as_number(answer)
    return int(number) if number is not None and number == int(number) else None


def count_verdict(
    answer: Any, truth: int, hints: dict[int, str], hint: str, praise: str, too_many: str = ""
) -> None:
    """Judge a count: ``hints`` knows some wrong numbers and how one comes to them.

    ``too_many`` is the hint for a count above the truth, if that differs from ``hint``.
    """
    count, problem = as_whole(answer), None
    if count is None:
        problem = "the answer is a count, a whole number."
    elif count != truth:
        problem = hints.get(count, too_many if too_many and count > truth else hint)
    verdict(answer, problem, praise)


def number_verdict(
    answer: Any,
    truth: float,
    tolerance: float,
    what: str,
    hints: dict[float, str],
    hint: str,
    praise: str,
    guess: Any = ...,
) -> None:
    """Judge a number near the truth; ``hints`` knows some wrong ones, ``what`` is asked for.

    A wrong number that is known, with five of its digits, is wrong however near the truth it lies.
    """
    number, problem = as_number(answer), None
    praise += on_guess(guess, lambda guessed: too_high_or_low(guessed, truth))
    if number is None:
        problem = f"the answer is {what}."
    elif not math.isclose(number, truth, rel_tol=1e-5):
        known = [v for v in hints if math.isclose(number, v, rel_tol=1e-5)]
        if abs(number - truth) >= tolerance:
            known += [v for v in hints if math.isclose(number, v, rel_tol=0.01, abs_tol=tolerance)]
            problem = hint
        problem = hints[known[0]] if known else problem
    verdict(answer, problem, praise)


def share_verdict(
    answer: Any,
    truth: float,
    n: int,
    tolerance: float,
    hints: dict[float, str],
    hint: str,
    praise: str,
    guess: Any = ...,
) -> None:
    """Judge a share of n things as `number_verdict` does, and how near a guess of it came."""
    hints = hints | {
        n * truth: f"that is a sum; divide it by the {n} there are.",
        100 * truth: "that is in percent; the answer is a share, from 0 to 1.",
    }
    number_verdict(answer, truth, tolerance, "a share, from 0 to 1", hints, hint, praise, guess)


def class_verdict(
    answer: Any, scores: dict[int, float], measure: str, praise: str, guess: Any = ...
) -> None:
    """Judge which class has the largest score; ``measure`` names the score."""
    named = {str(name): name for name in scores}  # own images may have names for classes
    label, best = named.get(str(answer), as_whole(answer)), max(scores.values(), default=0)
    problem = None
    if label not in scores:
        problem = f"the answer is one class out of {', '.join(named)}."
    elif scores[label] < best:
        problem = f"the {measure} of the {label}s is {as_text(scores[label])}; another has more."

    def judged(guessed: float) -> str:
        if guessed not in scores:
            return f"{guessed:g}, which is no class here"
        rank = 1 + sum(score > scores[guessed] for score in scores.values())
        place = "you saw it coming" if rank == 1 else f"it comes in place {rank}"
        return f"{guessed:g}: {place}"

    verdict(answer, problem, praise + on_guess(guess, judged))


def on_guess(guess: Any, judged: Callable[[float], str]) -> str:
    """Say how a guess did; 8, "8", "the 8s", [8] and {8} are all 8, and dots are no guess."""
    if guess is ...:
        return ""
    number = as_number(guess)
    if number is None:
        return " Your guess is not one number, so it is left aside."
    return f" Your guess was {judged(number)}."


def too_high_or_low(guessed: float, truth: float) -> str:
    """Judge the guess of a share: 60 is meant as 60 %."""
    guessed = guessed / 100 if guessed > 1 else guessed
    off = guessed - truth
    if abs(off) < 0.05:
        return f"{guessed:.2f}, which is close"
    return f"{guessed:.2f}, which is {abs(off):.2f} too {'high' if off > 0 else 'low'}"


def as_text(number: float) -> str:
    """Write a number with three digits: 0.0625 as 0.0625, 949.73 as 950, 12345 as 12,300."""
    return f"{float(f'{number:.3g}'):,g}"


def mean_by_class(values: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Give each class the mean of its images' values, ``(n,)`` or ``(n, ...)``."""
    return {k: float(values[labels == k].mean()) for k in np.unique(labels).tolist()}
