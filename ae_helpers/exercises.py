"""Checks for the exercises: each looks at an answer and prints one line about it.

The line begins with "Not filled in yet" (the answer is still ``...``), "Right" or "Not yet"
(with a hint). No answer raises an error, whatever its type. The right answer is computed from the
data, so that the checks hold for the full MNIST, the sample, and your own data.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ae_helpers.data import prepare
from ae_helpers.explorer import DenseLayer, apply_layers

if TYPE_CHECKING:
    import keras


def _verdict(answer: Any, problem: str | None, praise: str) -> None:
    """Print the line; an answer without a problem is right."""
    if answer is ...:
        print("Not filled in yet: put your answer in place of the dots.")
    elif problem:
        print(f"Not yet: {problem}")
    else:
        print(f"Right: {praise}")


def _array(answer: Any) -> np.ndarray | None:
    """Return an answer as an array, or None if it is not made of finite numbers."""
    try:
        array = np.asarray(answer)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor without values
        return None
    return array if array.dtype.kind in "iuf" and np.isfinite(array).all() else None


def _number(answer: Any) -> float | None:
    """Return an answer as one Python number, or None if it is not one."""
    array = _array(answer)
    return array.item() if array is not None and array.size == 1 else None


def _whole(answer: Any) -> int | None:
    """Return an answer as a whole number, or None: 3, 3.0 and NumPy's 3 are all 3."""
    number = _number(answer)
    return int(number) if number is not None and number == int(number) else None


def _count_verdict(answer: Any, truth: int, hints: dict[int, str], hint: str, praise: str) -> None:
    """Judge a count: ``hints`` knows some wrong numbers and how one comes to them."""
    count = _whole(answer)
    problem = None
    if count is None:
        problem = "the answer is a count, a whole number."
    elif count != truth:
        problem = hints.get(count, hint)
    _verdict(answer, problem, praise)


def _class_verdict(
    answer: Any, scores: dict[int, float], measure: str, praise: str, guess: Any = ...
) -> None:
    """Judge which class has the largest score; ``measure`` names the score."""
    digit, best = _whole(answer), max(scores.values(), default=0)
    problem = None
    if digit not in scores:
        problem = f"the answer is one class, a whole number out of {', '.join(map(str, scores))}."
    elif scores[digit] < best:
        problem = f"the {measure} of the {digit}s is {_short(scores[digit])}; another has more."
    guessed = _whole(guess)
    if guessed in scores:
        rank = 1 + sum(score > scores[guessed] for score in scores.values())
        ending = "you saw it coming" if rank == 1 else f"it comes in place {rank}"
        praise += f" Your guess was {guessed}: {ending}."
    _verdict(answer, problem, praise)


def _short(number: float) -> str:
    """Write a number with three digits: 0.0625 as 0.0625, 949.73 as 950, 12345 as 12,300."""
    return f"{float(f'{number:.3g}'):,g}"


def _classes(labels: np.ndarray) -> list[int]:
    return np.unique(labels).tolist()


# Notebook 01


def check_empty_pixels(answer: Any, images: np.ndarray) -> None:
    """Check the number of pixels that are black in all images ``(n, height, width)``.

    Examples
    --------
    >>> images = np.zeros((5, 28, 28), "uint8")
    >>> images[:, 10, 10] = 255
    >>> check_empty_pixels(783, images)  # doctest: +ELLIPSIS
    Right: ...
    """
    used = int((images.max(axis=0) > 0).sum())
    n_pixels = images[0].size
    hints = {
        used: "these are the pixels with ink in at least one image; you want the others.",
        int((images == 0).sum()): f"you counted in all images; count each of the {n_pixels} once.",
        int((images[0] == 0).sum()): "these are black in the first image; look at all of them.",
    }
    hint = "a pixel counts if its largest value over all images is 0."
    praise = f"so the network is given {n_pixels}, but at most {used} of them tell it anything."
    _count_verdict(answer, n_pixels - used, hints, hint, praise)


def check_most_ink(answer: Any, images: np.ndarray, labels: np.ndarray, guess: Any = ...) -> None:
    """Check which class of the images ``(n, height, width)`` has the largest mean pixel.

    Examples
    --------
    >>> images = np.stack([np.full((28, 28), 9), np.full((28, 28), 5)]).astype("uint8")
    >>> check_most_ink(7, images, np.array([7, 3]), guess=3)  # doctest: +ELLIPSIS
    Right: ... Your guess was 3: it comes in place 2.
    """
    scores = {digit: float(images[labels == digit].mean()) for digit in _classes(labels)}
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = (
        f"the mean pixel of the {most}s is {_short(scores[most])}; the {least}s need the least "
        f"ink, {_short(scores[least])}."
    )
    _class_verdict(answer, scores, "mean pixel", praise, guess)


def check_most_varied(answer: Any, images: np.ndarray, labels: np.ndarray) -> None:
    """Check in which class the first 300 images and the next 300 are farthest apart.

    The distance is the mean squared difference of a pixel (0–1), over all pairs, as in the
    notebook. Classes with 300 images or fewer do not count.

    Examples
    --------
    >>> check_most_varied("the 2s", np.zeros((9, 28, 28), "uint8"), np.zeros(9, int))
    Not yet: no class has more than 300 images here: load more data.
    """
    scores = {
        digit: _mean_distance(images[labels == digit])
        for digit in _classes(labels)
        if (labels == digit).sum() > 300
    }
    if not scores:
        _verdict(answer, "no class has more than 300 images here: load more data.", "")
        return
    most, least = max(scores, key=scores.get), min(scores, key=scores.get)
    praise = (
        f"the mean distance of two {most}s is {scores[most]:.2f}; two {least}s are the most "
        f"alike, {scores[least]:.2f}."
    )
    _class_verdict(answer, scores, "mean distance", praise)


def _mean_distance(images: np.ndarray) -> float:
    a, b = prepare(images[:300]), prepare(images[300:600])
    squares = (a**2).sum(axis=1).mean() + (b**2).sum(axis=1).mean()
    return float(squares - 2 * a.mean(axis=0) @ b.mean(axis=0)) / a.shape[1]


# Notebook 02


def check_parameter_count(answer: Any) -> None:
    """Check the number of parameters of the network 784 → 64 → 3 → 64 → 784.

    Examples
    --------
    >>> check_parameter_count(51_154)
    Not yet: that is the network of this notebook, 784 → 32 → 2 → 32 → 784.
    """
    layers = list(pairwise([784, 64, 3, 64, 784]))
    weights, biases = sum(n_in * n_out for n_in, n_out in layers), sum(n for _, n in layers)
    hints = {
        weights: "the weights are right; now add the biases, one for each unit.",
        weights + biases + 784: "the input has no biases: it is given, not computed.",
        51_154: "that is the network of this notebook, 784 → 32 → 2 → 32 → 784.",
    }
    hint = "add up four layers, each with inputs × units weights and one bias a unit."
    outer = 100 * (2 * 784 * 64 + 64 + 784) / (weights + biases)
    praise = f"{outer:.1f} % of them sit in the outer two layers."
    _count_verdict(answer, weights + biases, hints, hint, praise)


def check_first_half(answer: Any, autoencoder: "keras.Model") -> None:
    """Check a model: it is made of the autoencoder's first hidden layer and no other.

    Examples
    --------
    >>> check_first_half("encoder_hidden", None)
    Not yet: this is no model; make one with keras.Model(where it begins, where it ends).
    """
    layers = getattr(answer, "layers", None)
    problem = None
    if not isinstance(layers, list):
        problem = "this is no model; make one with keras.Model(where it begins, where it ends)."
    else:
        first = autoencoder.layers[1]
        own = [layer for layer in layers if type(layer).__name__ != "InputLayer"]
        if not any(layer is first for layer in own):
            problem = (
                "its layers are not the autoencoder's; end it at autoencoder.layers[1].output."
            )
        elif len(own) > 1:
            problem = f"it goes on to the layer {own[-1].name!r}; end it one layer after the image."
    praise = "you can cut a network after any layer; the encoder is cut one layer later."
    _verdict(answer, problem, praise)


def check_negative_bias(answer: Any) -> None:
    """Check the mean pixel of the untrained network with all of the last biases at −100.

    Examples
    --------
    >>> check_negative_bias(0)  # doctest: +ELLIPSIS
    Right: ...
    """
    mean_pixel, number = 1 / (1 + math.exp(100)), _number(answer)
    problem = None
    if number is None:
        problem = "the answer is the mean of a pixel, one number."
    elif not 0 <= number <= 1:
        problem = "after the last layer's sigmoid a pixel lies between 0 and 1."
    elif abs(number - mean_pixel) >= 0.05:
        problem = "each sum is now near −100; follow the sigmoid far to the left."
    praise = (
        f"the sigmoid of −100 is {mean_pixel:.0e}, black. That is how the network paints paper."
    )
    _verdict(answer, problem, praise)


# Notebook 03


def check_grey_loss(answer: Any) -> None:
    """Check the binary cross-entropy of answering 0.5; two decimals are enough.

    Examples
    --------
    >>> check_grey_loss(-0.69)
    Not yet: a loss is never below 0; look for the minus sign in front of the formula.
    """
    truth, number = -math.log(0.5), _number(answer)
    problem = None
    if number is None:
        problem = "the answer is the loss, one number."
    elif number < 0:
        problem = "a loss is never below 0; look for the minus sign in front of the formula."
    elif abs(number - 1) < 0.005:
        problem = "this is its value in bits; the loss takes the natural logarithm."
    elif abs(number - truth) >= 0.005:
        problem = "put r = 0.5 into the formula, to two decimals; it does not matter what x is."
    praise = "log 2, for black, grey and white pixels alike; so the untrained network starts here."
    _verdict(answer, problem, praise)


def check_mean_digit_mse(answer: Any, X_train_flat: np.ndarray, X_test_flat: np.ndarray) -> None:
    """Check the mse of the mean training image on the test images, both ``(n, 784)``.

    Examples
    --------
    >>> check_mean_digit_mse(0.5, np.full((2, 784), 0.25), np.full((3, 784), 0.75))
    Not yet: that is the root of it; the mse is without the root.
    """
    truth = float(np.mean((X_test_flat - X_train_flat.mean(axis=0)) ** 2))
    number = _number(answer)
    problem = None
    if number is None:
        problem = "the answer is the mse, one number (take the mean over pixels and images)."
    elif abs(number - math.sqrt(truth)) < 0.005:
        problem = "that is the root of it; the mse is without the root."
    elif abs(number - truth * X_test_flat.shape[1]) < 0.5:
        problem = "that is the sum over an image's pixels; the mse takes their mean."
    elif abs(number - truth) >= 0.001:
        problem = "the mse is the mean of (image - mean digit)² over all pixels and images."
    _verdict(answer, problem, f"a network trained on mse has to get below {truth:.3f}.")


def check_steps(answer: Any, n_images: int, batch_size: int, epochs: int) -> None:
    """Check the number of steps that the optimizer takes in all.

    Examples
    --------
    >>> check_steps(6, n_images=100, batch_size=32, epochs=2)
    Not yet: the last batch of each epoch is short, but it gives a step too.
    """
    an_epoch = math.ceil(n_images / batch_size)
    hints = {
        an_epoch: "that is one epoch; the optimizer goes through the images more often.",
        n_images * epochs: "a step comes after each batch, not after each image.",
        n_images // batch_size * epochs: "the last batch of each epoch is short, but it gives a "
        "step too.",
    }
    hint = "count the batches of an epoch, with the short one, and multiply by the epochs."
    praise = f"{an_epoch:,} an epoch. Double the batch size, and it takes half as many."
    _count_verdict(answer, an_epoch * epochs, hints, hint, praise)


# Notebook 04


def check_second_pair(answer: Any, table: np.ndarray) -> None:
    """Check which two classes, other than 4 and 9, mix most.

    Parameters
    ----------
    answer
        Two different classes, in any order.
    table
        ``(10, 10)``: in row a, column b, how many of 100 neighbours of an a are b's.

    Examples
    --------
    >>> table = np.zeros((10, 10))
    >>> table[3, 5] = 20
    >>> check_second_pair((5, 3), table)  # doctest: +ELLIPSIS
    Right: ...
    """
    scores = {(a, b): table[a, b] + table[b, a] for a, b in combinations(range(len(table)), 2)}
    four_nine = scores.pop((4, 9))
    a, b = best = max(scores, key=scores.get)
    answered = _array(answer)
    pair = None if answered is None or answered.size != 2 else tuple(sorted(answered.ravel()))
    problem = None
    if pair == (4, 9):
        problem = "4 and 9 come first, and the question is what comes after them."
    elif pair not in scores:
        problem = "the answer is a pair of two different classes, such as (0, 6)."
    elif scores[pair] < scores[best]:
        problem = f"their shares add up to {scores[pair]:.0f}, and those of another pair to more."
    praise = (
        f"the shares of {a} and {b} add up to {scores[best]:.0f}, those of 4 and 9 to "
        f"{four_nine:.0f}."
    )
    _verdict(answer, problem, praise)


def check_nearest_label(
    answer: Any, labels: np.ndarray, y_train: np.ndarray, guess: Any = ...
) -> None:
    """Check for what share of the images the nearest neighbour's label is right.

    Parameters
    ----------
    answer, guess
        Shares from 0 to 1.
    labels
        ``(n, k)``: the labels of each image's k nearest neighbours, the nearest first.
    y_train
        ``(n,)``: the images' own labels.

    Examples
    --------
    >>> labels = np.array([[4, 9], [9, 9], [1, 1], [4, 4]])
    >>> check_nearest_label(0.75, labels, np.array([4, 9, 1, 9]), guess=0.5)  # doctest: +ELLIPSIS
    Right: ... Your guess was 0.50, which is 0.25 too low.
    """
    truth, number = float(np.mean(labels[:, 0] == y_train)), _number(answer)
    problem = None
    if number is None:
        problem = "the answer is a share, one number from 0 to 1."
    elif not 0 <= number <= 1:
        problem = "a share lies between 0 and 1; take the mean where you took a sum or percent."
    elif abs(number - (1 - truth)) < 0.005 <= abs(number - truth):
        problem = "that is the share for which the label is wrong."
    elif abs(number - truth) >= 0.005:
        problem = "compare labels[:, 0] with y_train, image by image, and take the mean."
    chance = np.bincount(y_train).max() / len(y_train)
    praise = f"always naming the most frequent class would be right for {chance:.2f}."
    guessed = _number(guess)
    if guessed is not None:
        guessed = guessed / 100 if guessed > 1 else guessed  # 60 is meant as 60 %
        praise += f" Your guess was {guessed:.2f}, {_off(guessed - truth)}."
    _verdict(answer, problem, praise)


def _off(difference: float) -> str:
    if abs(difference) < 0.05:
        return "which is close"
    return f"which is {abs(difference):.2f} too {'high' if difference > 0 else 'low'}"


def check_widest_class(answer: Any, codes: np.ndarray, labels: np.ndarray) -> None:
    """Check which class covers the largest area with its middle half.

    Parameters
    ----------
    answer
        A class.
    codes
        ``(n, 2)``. The area is the product of the ranges from the 25th to the 75th percentile.
    labels
        ``(n,)``.

    Examples
    --------
    >>> codes = np.array([[0, 0], [1, 1], [0, 0], [9, 9]])
    >>> check_widest_class(0, codes, np.array([0, 0, 1, 1]))
    Not yet: the area of the 0s is 0.25; another has more.
    """
    scores = {}
    for digit in _classes(labels):
        low, high = np.percentile(codes[labels == digit], [25, 75], axis=0)
        scores[digit] = float(np.prod(high - low))
    most, median = max(scores, key=scores.get), np.median(list(scores.values()))
    praise = (
        f"the middle half of the {most}s covers {_short(scores[most])}; the median of all classes "
        f"is {_short(median)}."
    )
    _class_verdict(answer, scores, "area", praise)


# Notebook 05


def check_point_of(digit: int, answer: Any, codes: np.ndarray, labels: np.ndarray) -> None:
    """Check a point: of the 50 nearest training images, a quarter or more are the digit.

    A quarter, because a decoder can draw a clear 3 where 3s, 5s and 8s share their ground.

    Parameters
    ----------
    digit
        The class that is asked for.
    answer
        A point: two numbers.
    codes, labels
        ``(n, 2)`` and ``(n,)``: the training images' codes and classes.

    Examples
    --------
    >>> check_point_of(3, (0.1, 0), np.array([[0, 0], [9, 9]]), np.array([3, 7]))
    Right: of the 2 training images nearest to your point, 1 are 3s.
    """
    point = _array(answer)
    if point is None or point.size != codes.shape[1]:
        _verdict(answer, f"a point is {codes.shape[1]} numbers, such as (5.0, 20.0).", "")
        return
    near = _nearest_labels(point, codes, labels)
    found, (most_frequent, most) = near[digit], near.most_common(1)[0]
    problem = None
    if found < near.total() / 4:
        problem = (
            f"of the {near.total()} training images nearest to your point, {found} are {digit}s, "
            f"and {most} are {most_frequent}s. Move on."
        )
    praise = f"of the {near.total()} training images nearest to your point, {found} are {digit}s."
    _verdict(answer, problem, praise)


def _nearest_labels(point: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> Counter:
    distance = ((codes - point.ravel()) ** 2).sum(axis=1)
    return Counter(labels[np.argsort(distance)[:50]].tolist())


def check_middle(
    answer: Any,
    decoder_weights: Sequence[DenseLayer],
    codes: np.ndarray,
    labels: np.ndarray,
    guess: Any = ...,
) -> None:
    """Check the decoded middle between the mean codes of the 0s and of the 1s.

    Parameters
    ----------
    answer
        An image ``(28, 28)`` with pixels from 0 to 1.
    decoder_weights
        ``load_run(name).decoder_weights``.
    codes, labels
        ``(n, 2)`` and ``(n,)``: the training images' codes and classes.
    guess
        The class that the reader expected.

    Examples
    --------
    >>> decoder = [(np.ones((2, 784)), np.zeros(784), "sigmoid")]
    >>> codes, labels = np.array([[-1, 0], [1, 0]]), np.array([0, 1])
    >>> check_middle(np.full((28, 28), 0.5), decoder, codes, labels, guess=7)  # doctest: +ELLIPSIS
    Right: ... Your guess was 7; of the 2 training images nearest to it, 0 are 7s.
    """
    means = np.stack([codes[labels == digit].mean(axis=0) for digit in (0, 1)])
    middle = means.mean(axis=0)
    truth = apply_layers(decoder_weights, middle[None]).reshape(28, 28)
    mixed = apply_layers(decoder_weights, means).mean(axis=0).reshape(28, 28)
    image = _array(answer)
    problem = None
    if image is None or image.size != truth.size:
        problem = "the answer is one image, an array of 28 × 28 numbers."
    elif image.shape != truth.shape:
        problem = f"one image has these pixels, but its shape is {image.shape}: reshape it."
    elif image.max() > 1:
        problem = "its pixels should lie between 0 and 1, as the decoder draws them."
    elif np.abs(image - truth).max() >= 0.02:
        problem = "decode the middle of the two mean codes, (mean of 0s + mean of 1s) / 2."
        if np.abs(image - mixed).max() < 0.02:
            problem = "you mixed two drawn images; mix the two codes, and draw once."
    near, guessed = _nearest_labels(middle, codes, labels), _whole(guess)
    praise = "you drew it from two numbers that belong to no image."
    if guessed is not None:
        praise += (
            f" Your guess was {guessed}; of the {near.total()} training images nearest to it, "
            f"{near[guessed]} are {guessed}s."
        )
    _verdict(answer, problem, praise)


def check_worst_image(answer: Any, images: np.ndarray, reconstructions: np.ndarray) -> None:
    """Check which image has the largest mean squared difference from its reconstruction.

    Parameters
    ----------
    answer
        An index, counted from 0.
    images, reconstructions
        Both ``(n, 784)``, from 0 to 1.

    Examples
    --------
    >>> check_worst_image(2, np.eye(3), np.diag([1, 0.5, 0]))  # doctest: +ELLIPSIS
    Right: ...
    """
    errors = ((images - reconstructions) ** 2).mean(axis=1)
    index, number = _whole(answer), _number(answer)
    problem = None
    if index is None and number is not None and abs(number - errors.max()) < 1e-4:
        problem = "that is its error; the question is at which index it stands."
    elif index is None or not 0 <= index < len(errors):
        problem = f"the answer is an index, a whole number from 0 to {len(errors) - 1}."
    elif errors[index] == errors.min():
        problem = "that is the image that comes back best."
    elif errors[index] < errors.max():
        problem = f"its error is {errors[index]:.3f}, and that of another image is larger."
    times = errors.max() / errors.mean()
    praise = f"its error is {times:.1f} times the mean. Look at it: does it look like its label?"
    _verdict(answer, problem, praise)
