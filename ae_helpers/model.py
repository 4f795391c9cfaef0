"""The network: one autoencoder, and its encoder and decoder on the same layers."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

N_PIXELS = 784  # 28 * 28
LATENT_ACTIVATIONS = ("relu", "linear", "tanh", "sigmoid")


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keep TensorFlow's start-up lines out of the notebook; ``AE_SHOW_TF_LOGS=1`` lets them pass.

    They are written by C++ code straight to file descriptor 2, so only the descriptor itself
    can be turned away. Errors raise exceptions and are seen as ever.
    """
    if os.environ.get("AE_SHOW_TF_LOGS"):
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def build_autoencoder(
    hidden_dim: int = 32, latent_dim: int = 2, latent_activation: str = "relu"
) -> tuple["keras.Model", "keras.Model", "keras.Model"]:
    """Build 784 → hidden_dim → latent_dim → hidden_dim → 784, as notebook 02 does step by step.

    The layers start with Keras' own random weights (Glorot uniform, biases zero). For the same
    start twice, call ``keras.utils.set_random_seed(seed)`` right before.

    Parameters
    ----------
    hidden_dim
        Units of the two hidden layers (relu), 1 or more.
    latent_dim
        Units of the code, 1 or more.
    latent_activation
        Activation of the code: ``"relu"``, ``"linear"``, ``"tanh"`` or ``"sigmoid"``.

    Returns
    -------
    autoencoder, encoder, decoder
        Three models on shared layers: ``(n, 784) → (n, 784)``, ``(n, 784) → (n, latent_dim)``
        and ``(n, latent_dim) → (n, 784)``, float32. Train the first, and the others are trained.

    Raises
    ------
    ValueError
        If a width is not a whole number from 1 up, or the activation is none of the four.

    Examples
    --------
    >>> autoencoder, encoder, decoder = build_autoencoder()
    >>> autoencoder.count_params()
    51154
    """
    for name, width in (("hidden_dim", hidden_dim), ("latent_dim", latent_dim)):
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise ValueError(f"{name}={width!r} cannot work: it must be a whole number from 1 up.")
    if latent_activation not in LATENT_ACTIVATIONS:
        raise ValueError(
            f"latent_activation={latent_activation!r} is not known: use one of "
            f"{', '.join(LATENT_ACTIVATIONS)}."
        )
    with quiet_start():
        import keras
        from keras import layers

    image = keras.Input(shape=(N_PIXELS,), name="image")
    hidden = layers.Dense(hidden_dim, activation="relu", name="encoder_hidden")(image)
    code = layers.Dense(latent_dim, activation=latent_activation, name="code")(hidden)
    hidden = layers.Dense(hidden_dim, activation="relu", name="decoder_hidden")(code)
    reconstruction = layers.Dense(N_PIXELS, activation="sigmoid", name="reconstruction")(hidden)
    autoencoder = keras.Model(image, reconstruction, name="autoencoder")
    encoder = keras.Model(image, code, name="encoder")

    point = keras.Input(shape=(latent_dim,), name="point")
    decoded = autoencoder.layers[-1](autoencoder.layers[-2](point))
    decoder = keras.Model(point, decoded, name="decoder")
    return autoencoder, encoder, decoder


def dense_layers(model: "keras.Model") -> list[tuple["np.ndarray", "np.ndarray", str]]:
    """Take a model's dense layers out of Keras, as `apply_layers` and the latent map take them.

    Parameters
    ----------
    model
        A chain of `Dense` layers with the activations relu, linear, tanh or sigmoid, such as the
        encoder, the decoder or the whole autoencoder.

    Returns
    -------
    list of (kernel, bias, activation)
        In order: kernel ``(inputs, units)`` and bias ``(units,)`` float32, and the activation's
        name.

    Raises
    ------
    ValueError
        With the layer's name, if it is of another kind or has another activation.

    Examples
    --------
    >>> _, _, decoder = build_autoencoder()
    >>> [(kernel.shape, activation) for kernel, _, activation in dense_layers(decoder)]
    [((2, 32), 'relu'), ((32, 784), 'sigmoid')]
    """
    taken = []
    for layer in model.layers:
        kind, weights = type(layer).__name__, layer.get_weights()
        if kind == "InputLayer":
            continue
        if kind != "Dense" or not layer.use_bias:
            raise ValueError(
                f"The layer {layer.name!r} is no Dense layer with a bias ({kind}): only those can "
                "run outside Keras."
            )
        activation = layer.activation.__name__
        if activation not in LATENT_ACTIVATIONS:
            raise ValueError(
                f"The layer {layer.name!r} has the activation {activation!r}: only "
                f"{', '.join(LATENT_ACTIVATIONS)} can run outside Keras."
            )
        taken.append((*weights, activation))
    return taken
