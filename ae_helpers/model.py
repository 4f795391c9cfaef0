"""The network: one autoencoder, and its encoder and decoder on the same layers."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ae_helpers.parameters import HIDDEN_ACTIVATIONS, LATENT_ACTIVATIONS, check_params
from ae_helpers.stages import stage

if TYPE_CHECKING:
    import keras
    import numpy as np

N_PIXELS = 784  # 28 * 28
_turned_away = threading.RLock()  # else a second thread would keep, and put back, the first's


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keep TensorFlow's start-up lines out of the notebook; ``AE_SHOW_TF_LOGS=1`` lets them pass.

    They are written by C++ code straight to file descriptor 2, so only the descriptor itself
    can be turned away. Errors raise exceptions and are seen as ever.
    """
    with _turned_away:
        sys.stderr.flush()
        kept = os.dup(2)
        if not os.environ.get("AE_SHOW_TF_LOGS"):
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        try:
            with stage("start"):
                yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def build_autoencoder(
    hidden_dim: int | Sequence[int] = 32,
    latent_dim: int = 2,
    latent_activation: str = "relu",
    hidden_activation: str = "relu",
    n_pixels: int = N_PIXELS,
) -> tuple["keras.Model", "keras.Model", "keras.Model"]:
    """Build 784 → hidden_dim → latent_dim → hidden_dim → 784, as notebook 02 does step by step.

    The layers start with Keras' own random weights (Glorot uniform, biases zero). For the same
    start twice, call ``keras.utils.set_random_seed(seed)`` right before.

    Parameters
    ----------
    hidden_dim
        Units of the two hidden layers, 1 or more. For a deeper network a list: the units
        of the encoder's hidden layers in order; the decoder has the same in reverse.
    latent_dim
        Units of the code, 1 or more.
    latent_activation
        Activation of the code: ``"relu"``, ``"linear"``, ``"tanh"`` or ``"sigmoid"``.
    hidden_activation
        Activation of the hidden layers: ``"relu"``, or ``"silu"``, its smooth relative.
    n_pixels
        Pixels of an image, height × width: 784 for MNIST's.

    Returns
    -------
    autoencoder, encoder, decoder
        Three models on shared layers: ``(n, 784) → (n, 784)``, ``(n, 784) → (n, latent_dim)``
        and ``(n, latent_dim) → (n, 784)``, float32. Train the first, and the others are trained.

    Raises
    ------
    ValueError
        If `check_params` refuses one of the parameters.

    Examples
    --------
    >>> autoencoder, encoder, decoder = build_autoencoder()
    >>> autoencoder.count_params()
    51154
    >>> deeper, _, _ = build_autoencoder(hidden_dim=[512, 256, 64], latent_activation="linear")
    >>> [layer.units for layer in deeper.layers[1:]]
    [512, 256, 64, 2, 64, 256, 512, 784]
    """
    params = check_params(
        hidden_dim=hidden_dim,
        latent_dim=latent_dim,
        latent_activation=latent_activation,
        hidden_activation=hidden_activation,
        n_pixels=n_pixels,
    )
    plan = layer_plan(params)
    with quiet_start():
        import keras
        from keras import layers

    image = tensor = keras.Input(shape=(n_pixels,), name="image")
    for name, units, activation in plan:
        tensor = layers.Dense(units, activation=activation, name=name)(tensor)
    autoencoder = keras.Model(image, tensor, name="autoencoder")
    encoder = keras.Model(image, autoencoder.get_layer("code").output, name="encoder")

    point = tensor = keras.Input(shape=(latent_dim,), name="point")
    for layer in autoencoder.layers[-(len(plan) // 2) :]:
        tensor = layer(tensor)
    decoder = keras.Model(point, tensor, name="decoder")
    return autoencoder, encoder, decoder


def layer_plan(params: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """List the layers that these parameters of `build_autoencoder` make: name, units, activation.

    The first half, up to ``"code"``, is the encoder; the second half the decoder.

    Examples
    --------
    >>> params = {"hidden_dim": [512, 256], "latent_dim": 2, "latent_activation": "linear"}
    >>> [name for name, _, _ in layer_plan(params)]
    ['encoder_hidden_1', 'encoder_hidden_2', 'code',
     'decoder_hidden_1', 'decoder_hidden_2', 'reconstruction']
    """
    widths, activation = params["hidden_dim"], params.get("hidden_activation", "relu")
    hidden = widths if isinstance(widths, list) else [widths]
    numbers = [""] if len(hidden) == 1 else [f"_{i}" for i in range(1, len(hidden) + 1)]
    layers = [
        (f"{half}_hidden{number}", width, activation)
        for half, units in (("encoder", hidden), ("decoder", hidden[::-1]))
        for number, width in zip(numbers, units, strict=True)
    ]
    layers.insert(len(hidden), ("code", params["latent_dim"], params["latent_activation"]))
    return [*layers, ("reconstruction", params.get("n_pixels", N_PIXELS), "sigmoid")]


def dense_layers(model: "keras.Model") -> list[tuple["np.ndarray", "np.ndarray", str]]:
    """Take a model's dense layers out of Keras, as `apply_layers` and the latent map take them.

    The model is a chain of `Dense` layers with the activations of `build_autoencoder`; another
    layer is a ValueError with its name. Each becomes (kernel, bias, activation): ``(inputs,
    units)`` and ``(units,)`` float32, and the activation's name.

    Examples
    --------
    >>> _, _, decoder = build_autoencoder()
    >>> [(kernel.shape, activation) for kernel, _, activation in dense_layers(decoder)]
    [((2, 32), 'relu'), ((32, 784), 'sigmoid')]
    """
    taken, known = [], dict.fromkeys((*LATENT_ACTIVATIONS, *HIDDEN_ACTIVATIONS))
    for layer in model.layers:
        kind, fault = type(layer).__name__, None
        if kind == "InputLayer":
            continue
        if kind != "Dense" or not layer.use_bias:
            fault = f"is no Dense layer with a bias ({kind}): only those"
        elif (activation := getattr(layer.activation, "__name__", None)) not in known:
            fault = f"has the activation {activation!r}: only {', '.join(known)}"
        if fault:
            raise ValueError(f"The layer {layer.name!r} {fault} can run outside Keras.")
        taken.append((*layer.get_weights(), activation))
    return taken
