"""The ruler that a loss is read on: what answers without a network would cost."""

import numpy as np

JUDGED = 500  # digits that a moment of a film is judged on: more would slow the training


def ruler(
    images: np.ndarray, labels: np.ndarray, judged: int | None = None
) -> list[tuple[str, float]]:
    """Measure the loss of three answers that need no network, as notebook 03 does.

    Images ``(n, 28, 28)`` uint8 and labels ``(n,)``; returns each answer's name and its loss on
    as many of the first images as are to be judged, by default all.
    """
    classes, index = np.unique(labels, return_inverse=True)
    targets = images.reshape(len(images), -1).astype("float32") / 255
    means = np.stack([targets[labels == c].mean(axis=0) for c in classes])
    answers = {"mean digit": targets.mean(axis=0), "class mean": means[index[:judged]]}
    answers["perfect copy"] = targets = targets[:judged]
    return [(name, binary_crossentropy(targets, answer)) for name, answer in answers.items()]


def binary_crossentropy(targets: np.ndarray, answer: np.ndarray) -> float:
    """Return the mean loss of answers to targets of the same shape, both in [0, 1]."""
    answer = np.clip(answer, 1e-7, 1 - 1e-7)
    losses = -targets * np.log(answer) - (1 - targets) * np.log(1 - answer)
    return float(losses.mean())
