"""Checks for the exercises of notebook 10, your own data and what an autoencoder is good for."""

import math
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import class_verdict, count_verdict, mean_by_class, share_verdict


def check_price(
    answer: Any, of_ordinary: np.ndarray, of_odd: np.ndarray, caught: float = 0.9
) -> None:
    """Check the share of ordinary images above the limit that catches this share of the odd ones.

    >>> check_price(0.25, of_ordinary=[1, 2, 3, 8], of_odd=np.arange(5, 15), caught=0.9)
    Right: a limit of 5.9 catches 0.9 of the odd ones, and rings for so many ordinary ones.
    """
    of_ordinary = np.asarray(of_ordinary)
    limit, too_high = np.quantile(of_odd, [1 - caught, caught])
    truth = float(np.mean(of_ordinary > limit))
    hints = {
        1 - truth: "that is the share of ordinary images that pass in peace.",
        float(np.mean(of_ordinary > too_high)): (
            "that limit catches too few: it must lie below most of the odd ones' errors."
        ),
        1 - caught: "that is the share of the odd ones that slips through.",
    }
    hint = "take the limit from the odd ones' errors, and the mean of a comparison with it."
    praise = f"a limit of {limit:.3g} catches {caught:.3g} of the odd ones, "
    praise += "and rings for so many ordinary ones."
    share_verdict(answer, truth, len(of_ordinary), 0.005, hints, hint, praise)


def check_hardest_search(
    answer: Any, found: np.ndarray, labels: np.ndarray, guess: Any = ...
) -> None:
    """Check for which class the images found most often have another label.

    ``found`` ``(n, k)`` has the labels of what was found for n queries, ``labels`` ``(n,)`` theirs.

    >>> check_hardest_search(4, found=[[4, 9], [9, 9], [9, 9]], labels=[4, 4, 9])
    Right: of what is found for a 4, a share of 0.75 is something else.
    """
    labels = np.asarray(labels)
    shares = mean_by_class(np.asarray(found) != labels[:, None], labels)
    hardest = max(shares, key=shares.get)
    praise = f"of what is found for a {hardest}, a share of {shares[hardest]:.3g} "
    praise += "is something else."
    class_verdict(answer, shares, "share of wrong finds", praise, guess)


def check_break_even(answer: Any, per_image: float, rival: float, decoder: int) -> None:
    """Check from how many images on a code and its decoder together take fewer bytes than a rival.

    >>> check_break_even(101, per_image=2, rival=12, decoder=1000)
    Right: with one image less the rival is no larger, and from there on the decoder pays.
    """
    truth = math.floor(decoder / (rival - per_image)) + 1
    hints = {
        truth - 1: "nearly: with so many the rival is still no larger.",
        truth + 1: "nearly: one image less is enough, too.",
        math.floor(decoder / rival) + 1: "each image has its own bytes too, beside the decoder.",
    }
    hint = "with n images it is the decoder and n codes against n times the rival's bytes."
    praise = "with one image less the rival is no larger, and from there on the decoder pays."
    count_verdict(answer, truth, hints, hint, praise)
