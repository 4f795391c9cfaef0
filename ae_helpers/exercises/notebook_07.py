"""Checks for the exercises of notebook 07, comparing models."""

import math
from collections import Counter
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import class_verdict, count_verdict, mean_by_class, number_verdict


def check_hardest_class(
    answer: Any,
    codes: np.ndarray,
    labels: np.ndarray,
    test_codes: np.ndarray,
    test_labels: np.ndarray,
    guess: Any = ...,
) -> None:
    """Check of which class 5-NN on the codes reads the largest share of test digits wrongly.

    >>> codes, labels = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0), np.repeat([4, 9], 5)
    >>> check_hardest_class(9, codes, labels, codes[:6], [4, 4, 4, 4, 9, 9])
    Right: a share of 0.5 is read wrongly, most often as 4.
    """
    from sklearn.neighbors import KNeighborsClassifier  # takes a second, so only here

    read = KNeighborsClassifier(5).fit(codes, labels).predict(test_codes)
    test_labels = np.asarray(test_labels)
    wrong = read != test_labels
    shares = mean_by_class(wrong, test_labels)
    hardest = max(shares, key=shares.get)
    taken_for = Counter(read[wrong & (test_labels == hardest)].tolist()).most_common(1)
    praise = f"a share of {shares[hardest]:.3g} is read wrongly"
    praise += f", most often as {taken_for[0][0]}." if taken_for else "."
    class_verdict(answer, shares, "share read wrongly", praise, guess)


def check_nats(answer: Any) -> None:
    """Check a loss of 0.1985 a pixel in nats an image; a whole number is enough.

    >>> check_nats(225)
    Not yet: these are bits; the loss is in nats already.
    """
    truth = 784 * 0.1985
    hints = {
        truth: "nearly: keep all digits while you compute, and round at the end.",
        truth / math.log(2): "these are bits; the loss is in nats already.",
    }
    hint = "the loss is the mean over the pixels of an image, and you want their sum."
    praise = "a perfect copy costs 45.5 of them, so 110 are left to improve."
    number_verdict(answer, truth, 0.5, "one number", hints, hint, praise)


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
    hints = {
        count: f"with {count} the MSE is {error:.4f}, and the target is {target:.4f}."
        for count, error in errors.items()
        if count < truth
    }
    many = "so many are enough, but fewer are, too."
    hint = f"the answer is a whole number from 1 to {len(errors)}."
    praise = f"{truth} numbers that only add, for two that bend. With one less: "
    praise += f"{errors.get(truth - 1, math.inf):.4f}."
    count_verdict(answer, truth, hints, hint, praise, too_many=many)
