"""Checks for the exercises of notebook 02, the model."""

import math
from itertools import pairwise
from typing import Any

from ae_helpers.exercises.answers import count_verdict, number_verdict, verdict


def check_parameter_count(answer: Any) -> None:
    """Check the number of parameters of the network 784 → 64 → 3 → 64 → 784.

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
    count_verdict(answer, weights + biases, hints, hint, praise)


def check_first_half(answer: Any, autoencoder: Any) -> None:
    """Check a Keras model: it is made of the autoencoder's first hidden layer and no other.

    >>> check_first_half("encoder_hidden", None)
    Not yet: this is no model; make one with keras.Model(where it begins, where it ends).
    """
    layers, problem = getattr(answer, "layers", None), None
    if not isinstance(layers, list):
        problem = "this is no model; make one with keras.Model(where it begins, where it ends)."
        return verdict(answer, problem)
    own = [layer for layer in layers if type(layer).__name__ != "InputLayer"]
    if not any(layer is autoencoder.layers[1] for layer in own):
        problem = "its layers are not the autoencoder's; end it at autoencoder.layers[1].output."
    elif len(own) > 1:
        problem = f"it goes on to the layer {own[-1].name!r}; end it one layer after the image."
    praise = "you can cut a network after any layer; the encoder is cut one layer later."
    return verdict(answer, problem, praise)


def check_negative_bias(answer: Any) -> None:
    """Check the mean pixel of the untrained network with all of the last biases at −100.

    >>> check_negative_bias(-100)
    Not yet: after the last layer's sigmoid a pixel lies between 0 and 1.
    """
    mean_pixel = 1 / (1 + math.exp(100))
    hints = {-100: "after the last layer's sigmoid a pixel lies between 0 and 1."}
    hint = "each sum is now near −100; follow the sigmoid far to the left."
    praise = f"the sigmoid of −100 is {mean_pixel:.0e}, black. "
    praise += "That is how the network paints paper."
    number_verdict(answer, mean_pixel, 0.05, "the mean of a pixel, one number", hints, hint, praise)
