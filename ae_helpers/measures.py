"""Measures of an autoencoder on images and codes, the same for every model.

The two losses agree with Keras' to the sixth digit, so that they can be read beside a
training's ``val_loss``.
"""

import numpy as np

N_SAMPLED = 2000  # images that trustworthiness looks at; it compares each with each


def binary_crossentropy(images: np.ndarray, reconstructions: np.ndarray) -> float:
    """Average the binary cross-entropy over all pixels, as Keras' loss of that name.

    Parameters
    ----------
    images
        ``(n, n_pixels)`` float in [0, 1].
    reconstructions
        Float in [0, 1], of the same shape, or ``(n_pixels,)``: one image held against all.

    Returns
    -------
    float
        In nats a pixel. Not 0 for a perfect copy, unless every pixel is black or white.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value lies outside [0, 1], where it has no logarithm.

    Examples
    --------
    >>> round(binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """
    images, reconstructions = _as_pair(images, reconstructions)
    for name, values in (("images", images), ("reconstructions", reconstructions)):
        if not (values.min() >= 0 and values.max() <= 1):  # NaN fails this too
            raise ValueError(
                f"The {name} reach from {values.min():.3g} to {values.max():.3g}: binary "
                "cross-entropy takes values from 0 to 1 only; scale or clip them first."
            )
    edge = np.float32(1e-7)  # where Keras clips, so that log(0) does not occur
    clipped = reconstructions.clip(edge, 1 - edge)
    losses = images * np.log(clipped) + (1 - images) * np.log(1 - clipped)
    return -float(losses.mean(dtype="float64"))


def mean_squared_error(images: np.ndarray, reconstructions: np.ndarray) -> float:
    """Average the squared error over all pixels.

    Parameters
    ----------
    images
        ``(n, n_pixels)`` float.
    reconstructions
        Float, of the same shape, or ``(n_pixels,)``: one image held against all.

    Returns
    -------
    float
        The error a pixel; times ``n_pixels`` it is the squared error an image.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> mean_squared_error([[0.0, 1.0]], [[0.5, 0.5]])
    0.25
    """
    images, reconstructions = _as_pair(images, reconstructions)
    return float(np.square(images - reconstructions).mean(dtype="float64"))


def knn_accuracy(
    codes: np.ndarray,
    labels: np.ndarray,
    test_codes: np.ndarray,
    test_labels: np.ndarray,
    k: int = 5,
) -> float:
    """Guess each test image's digit from its k nearest training codes; return the share right.

    The most frequent label among the k neighbours is the guess. The labels are used for this
    alone: no autoencoder sees them.

    Parameters
    ----------
    codes, test_codes
        ``(n, latent_dim)`` float: codes of training and of test images.
    labels, test_labels
        ``(n,)`` whole numbers.
    k
        Number of neighbours, from 1 to ``len(codes)``.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If there is not one label for each code, or not enough codes for k neighbours.

    Examples
    --------
    >>> knn_accuracy([[0.0], [1.0]], [3, 7], [[0.1], [0.2]], [3, 7], k=1)
    0.5
    """
    from sklearn.neighbors import KNeighborsClassifier

    for name, given, answers in (("codes", codes, labels), ("test_codes", test_codes, test_labels)):
        if len(given) != len(answers):
            raise ValueError(f"There are {len(given)} {name} but {len(answers)} labels for them.")
    if not 1 <= k <= len(codes):
        raise ValueError(f"k={k} cannot work: it must be from 1 to {len(codes)}, the codes given.")
    return float(KNeighborsClassifier(k).fit(codes, labels).score(test_codes, test_labels))


def trustworthiness(images: np.ndarray, codes: np.ndarray, k: int = 5) -> float:
    """Measure whether neighbours in the plane are neighbours among the images too.

    Venna and Kaski (2001), by scikit-learn, on about ``N_SAMPLED`` images evenly spread over
    those given: of 10,000 test images every fifth. The time grows with the square of the number.

    Parameters
    ----------
    images
        ``(n, n_pixels)`` float.
    codes
        ``(n, latent_dim)`` float, their codes.
    k
        Number of neighbours, below half the number of images looked at.

    Returns
    -------
    float
        From 0 to 1. 1: the k nearest codes always belong to the k nearest images. About 0.5:
        the codes are as good as random.

    Raises
    ------
    ValueError
        If there is not one code for each image, or k is too large.

    Examples
    --------
    >>> line = 1.5 ** np.arange(20.0).reshape(-1, 1)
    >>> trustworthiness(line, -line)
    1.0
    """
    from sklearn.manifold import trustworthiness as of_all

    images, codes = np.asarray(images), np.asarray(codes)
    if len(images) != len(codes):
        raise ValueError(f"There are {len(images)} images but {len(codes)} codes.")
    step = max(1, len(images) // N_SAMPLED)
    return float(of_all(images[::step], codes[::step], n_neighbors=k))


def _as_pair(images: np.ndarray, reconstructions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, reconstructions = np.asarray(images), np.asarray(reconstructions)
    if images.ndim != 2 or reconstructions.shape not in (images.shape, images.shape[1:]):
        raise ValueError(
            f"Images of shape {images.shape} cannot be compared with reconstructions of shape "
            f"{reconstructions.shape}: both must be (n, n_pixels), or the second (n_pixels,)."
        )
    return images, reconstructions
