"""Checks for the exercises of notebook 04, the plane of codes."""

from itertools import combinations
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_array, as_text, class_verdict, share_verdict, verdict


def check_second_pair(answer: Any, table: np.ndarray) -> None:
    """Check which two classes, other than 4 and 9, mix most.

    In row a, column b of the table stands how many of 100 neighbours of an a are b's.

    >>> table = np.zeros((10, 10))
    >>> table[3, 5] = 20
    >>> check_second_pair((5, 3), table)  # doctest: +ELLIPSIS
    Right: ...
    """
    scores = {(a, b): table[a, b] + table[b, a] for a, b in combinations(range(len(table)), 2)}
    four_nine = scores.pop((4, 9), 0)
    if not scores:  # own images may be all of one class
        return verdict(answer, "there are no two classes here that could mix.")
    a, b = max(scores, key=scores.get)
    praise = f"the shares of {a} and {b} add up to {scores[a, b]:.0f}, "
    praise += f"those of 4 and 9 to {four_nine:.0f}."
    return pair_verdict(answer, scores, praise)


def pair_verdict(answer: Any, scores: dict[tuple[int, int], float], praise: str) -> None:
    """Judge which pair of classes, other than 4 and 9, has the largest score."""
    answered = as_array(list(answer) if isinstance(answer, set | frozenset) else answer)
    pair = None if answered is None or answered.size != 2 else tuple(sorted(answered.ravel()))
    problem = None
    if pair == (4, 9):
        problem = "4 and 9 come first, and the question is what comes after them."
    elif pair not in scores:
        problem = "the answer is a pair of two different classes, such as (0, 6)."
    elif scores[pair] < max(scores.values()):
        problem = f"their shares add up to {scores[pair]:.0f}, and those of another pair to more."
    verdict(answer, problem, praise)


def check_nearest_label(
    answer: Any, labels: np.ndarray, y_train: np.ndarray, guess: Any = ...
) -> None:
    """Check for what share of the images the nearest neighbour's label is right.

    ``labels`` is ``(n, k)``: those of each image's neighbours, the nearest first; ``y_train`` the
    images' own.

    >>> labels = np.array([[4, 9], [9, 9], [1, 1], [4, 4]])
    >>> check_nearest_label(0.75, labels, np.array([4, 9, 1, 9]), guess=0.5)  # doctest: +ELLIPSIS
    Right: ... Your guess was 0.50, which is 0.25 too low.
    """
    truth = float(np.mean(labels[:, 0] == y_train))
    of_all = float(np.mean(labels == y_train[:, None]))
    hints = {
        1 - truth: "that is the share for which the label is wrong.",
        of_all: "that is the mean over all the neighbours, and the question is about the nearest.",
    }
    hint = "compare labels[:, 0] with y_train, image by image, and take the mean to three decimals."
    chance = np.unique(y_train, return_counts=True)[1].max() / len(y_train)
    praise = f"always naming the most frequent class would be right for {chance:.2f}."
    share_verdict(answer, truth, len(labels), 0.00051, hints, hint, praise, guess)


def check_widest_class(answer: Any, codes: np.ndarray, labels: np.ndarray) -> None:
    """Check which class covers the largest area with its middle half.

    The area is the product of its codes' ranges from the 25th to the 75th percentile.

    >>> codes = np.array([[0, 0], [1, 1], [0, 0], [9, 9]])
    >>> check_widest_class(0, codes, np.array([0, 0, 1, 1]))
    Not yet: the area of the 0s is 0.25; another has more.
    """
    scores = {}
    for digit in np.unique(labels).tolist():
        low, high = np.percentile(codes[labels == digit], [25, 75], axis=0)
        scores[digit] = float(np.prod(high - low))
    most, median = max(scores, key=scores.get), np.median(list(scores.values()))
    praise = f"the middle half of the {most}s covers {as_text(scores[most])}; "
    praise += f"the median of all classes is {as_text(median)}."
    class_verdict(answer, scores, "area", praise)
