"""Checks for the exercises of notebook 08, where not to trust it."""

from typing import Any

import numpy as np

from ae_helpers.exercises.answers import NO_POINT, as_point, as_text, share_verdict, verdict


def check_hole(
    answer: Any, codes: np.ndarray, z_range: np.ndarray, far: float, k: int = 10
) -> None:
    """Check a point in the codes' range whose ``k``-th nearest code is farther than ``far``.

    The codes are ``(n, 2)``; ``z_range`` is ``(2, 2)``: the lowest z₁ and z₂, then the highest.

    >>> codes = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> check_hole((2, 2), codes, [[0, 0], [4, 4]], far=2, k=1)
    Right: from there to code number 1 it is 2.83, and far begins at 2.
    """
    point = as_point(answer)
    if point is None:
        return verdict(answer, NO_POINT)
    if (point < z_range[0]).any() or (point > z_range[1]).any():
        return verdict(answer, "the point lies outside z_range.")
    distance = np.sort(np.linalg.norm(codes - point, axis=1))[:k][-1]
    away, limit, problem = as_text(distance), as_text(far), None
    if distance <= far:
        problem = f"code number {k} is only {away} away, not over {limit}."
    praise = f"from there to code number {k} it is {away}, and far begins at {limit}."
    return verdict(answer, problem, praise)


def check_caught(
    answer: Any, of_ordinary: np.ndarray, of_strange: np.ndarray, false_alarms: float
) -> None:
    """Check the share of strange images that a limit catches; the ordinary ones set the limit.

    >>> check_caught(0.75, np.arange(100), [50, 97, 98, 200], false_alarms=0.05)
    Right: so many are above the limit of 94; the other 0.25 slip through.
    """
    limit = np.quantile(of_ordinary, 1 - false_alarms)
    of_strange, old_limit = np.asarray(of_strange), np.quantile(of_ordinary, 0.95)
    truth = float(np.mean(of_strange > limit))
    hints = {
        float(np.mean(of_strange > old_limit)): "that is with the old limit; set a new one.",
        1 - truth: "that is the share that slips through.",
    }
    hint = "take the limit from the validation digits, and the mean of a comparison with it."
    praise = f"so many are above the limit of {limit:.3g}; "
    praise += f"the other {1 - truth:.3g} slip through."
    share_verdict(answer, truth, len(of_strange), 0.005, hints, hint, praise)


def check_any_alarm(answer: Any, alarms: np.ndarray) -> None:
    """Check the share of images for which at least one of several detectors raises an alarm.

    ``alarms`` has a row for each detector and a column for each image.

    >>> check_any_alarm(0.75, [[True, True, False, False], [False, True, True, False]])
    Right: each alone has at most 0.5; together they raise 0.75.
    """
    alarms = np.asarray(alarms, bool)
    truth, alone = float(alarms.any(axis=0).mean()), alarms.mean(axis=1)
    hints = {
        float(alone.sum()): "you added the rates; an image may raise two alarms at once.",
        float(1 - np.prod(1 - alone)): "that would hold if they rang independently of each other.",
        float(alarms.all(axis=0).mean()): "that is the share that raises all of them.",
        1 - truth: "that is the share that raises none.",
    }
    hint = "an image counts once, if one alarm or more is raised."
    praise = f"each alone has at most {alone.max():.3g}; together they raise {truth:.3g}."
    share_verdict(answer, truth, alarms.shape[1], 0.003, hints, hint, praise)
