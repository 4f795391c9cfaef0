"""Dense layers in NumPy: what a trained encoder or decoder does, without TensorFlow."""

import math
from collections.abc import Sequence

import numpy as np

from ae_helpers.parameters import LARGEST_SIDE

DenseLayer = tuple[np.ndarray, np.ndarray, str]

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,  # 1 / (1 + exp(-x)), without its overflow
    "silu": lambda x: x * (1 + np.tanh(x / 2)) / 2,  # x times its sigmoid
}


def apply_layers(layers: Sequence[DenseLayer], x: np.ndarray) -> np.ndarray:
    """Pass inputs through a chain of dense layers, as Keras does, in NumPy.

    With a run's ``decoder_weights`` it decodes points, with its ``encoder_weights`` it encodes
    images. It takes microseconds for one point and needs no TensorFlow.

    Parameters
    ----------
    layers
        ``(kernel, bias, activation)`` of each layer in order: kernel ``(inputs, units)``, bias
        ``(units,)``, activation one of `ACTIVATIONS`.
    x
        ``(n, inputs)``, numbers.

    Returns
    -------
    numpy.ndarray
        ``(n, units of the last layer)`` float32.

    Raises
    ------
    ValueError
        If the layers do not fit each other, or x does not fit them, or a number is not finite.

    Examples
    --------
    >>> layer = np.array([[1, -1], [0, 2]]), np.array([0, 0.5]), "relu"
    >>> apply_layers([layer], [[3, 1]])
    array([[3., 0.]], dtype=float32)
    """
    layers = check_layers(layers)
    x = np.asarray(x, dtype="float32")
    inputs = layers[0][0].shape[0]
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ValueError(f"The inputs have shape {x.shape}; these layers take (n, {inputs}).")
    if not np.isfinite(x).all():
        raise ValueError("The inputs hold NaN or infinity; layers take finite numbers.")
    for kernel, bias, activation in layers:
        x = ACTIVATIONS[activation](x @ kernel + bias)
    return x


def check_layers(layers: Sequence[DenseLayer]) -> list[DenseLayer]:
    """Return layers, as `apply_layers` takes them, in float32; refuse what is no chain of them.

    The ValueError names the first layer that cannot work, counted from 1, and why.

    Examples
    --------
    >>> check_layers([(np.zeros((2, 3)), np.zeros(3), "softmax")])
    Traceback (most recent call last):
    ValueError: Layer 1 has the activation 'softmax': use one of relu, linear, tanh, sigmoid, silu.
    """
    if not len(layers):
        raise ValueError("There are no layers: give at least one (kernel, bias, activation).")
    checked: list[DenseLayer] = []
    for number, layer in enumerate(layers, start=1):
        if len(layer) != 3:
            raise ValueError(f"Layer {number} is not a tuple (kernel, bias, activation).")
        kernel, bias = (np.asarray(array, dtype="float32") for array in layer[:2])
        if kernel.ndim != 2 or bias.shape != kernel.shape[1:] or not kernel.size:
            raise ValueError(
                f"Layer {number} has a kernel of shape {kernel.shape} and a bias of shape "
                f"{bias.shape}: they must be (inputs, units) and (units,)."
            )
        if checked and checked[-1][1].size != kernel.shape[0]:
            raise ValueError(
                f"Layer {number} takes {kernel.shape[0]} inputs, but the layer before it has "
                f"{checked[-1][1].size} units: the two must be equal."
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"The weights of layer {number} are not all finite numbers.")
        if layer[2] not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"Layer {number} has the activation {layer[2]!r}: use one of {known}.")
        checked.append((kernel, bias, layer[2]))
    return checked


def check_decoder(decoder_weights: Sequence[DenseLayer]) -> list[DenseLayer]:
    """Check layers that lead from a point of the plane to the pixels of an image."""
    layers = check_layers(decoder_weights)
    ends = layers[0][0].shape[0], layers[-1][1].size
    if ends[0] != 2 or not 16 <= ends[1] <= LARGEST_SIDE**2:
        raise ValueError(
            f"These layers lead from {ends[0]} inputs to {ends[1]} units: give a decoder with 2 "
            f"inputs (latent_dim=2) and a unit for each of 16 to {LARGEST_SIDE**2:,} pixels."
        )
    return layers


def image_shape(n_pixels: int, shape: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the height and width of an image: those given, if they fit, else those of a square.

    Examples
    --------
    >>> image_shape(784), image_shape(96, (12, 8))
    ((28, 28), (12, 8))
    """
    height, width = shape or (math.isqrt(n_pixels),) * 2
    if height * width != n_pixels:
        raise ValueError(
            f"An image of {n_pixels} pixels is not {height} × {width}: give shape=(height, width), "
            "or, to a map, images=."
        )
    return height, width


def to_uint8(pixels: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Turn decoded pixels ``(n, 784)``, 0 to 1, into images ``(n, 28, 28)`` uint8.

    Other sizes too: of images that are no squares, give height and width.

    Examples
    --------
    >>> to_uint8(np.full((3, 784), 0.5))[0, 0, :2]
    array([128, 128], dtype=uint8)
    """
    levels = np.floor(np.clip(pixels, 0, 1) * 255 + 0.5).astype("uint8")
    return levels.reshape(-1, *image_shape(levels.shape[-1], shape))
