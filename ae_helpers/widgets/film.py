"""The film of a training: what the latent map shows one moment after another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ae_helpers.numpy_layers import DenseLayer


class Moment(NamedTuple):
    """The plane at one moment of a training."""

    epoch: float  # epochs done: 0.3 is three tenths of the first one
    loss: float  # mean binary cross-entropy of digits shown, with the weights of this moment
    codes: np.ndarray  # (n, 2) float16, the codes of the digits shown
    weights: np.ndarray  # (m,) float16: kernel, bias, kernel, bias, … of the decoder


def save_film(path: str | Path, film: Sequence[Moment]) -> None:
    """Write a film, such as ``explorer.film``, as one ``.npz``; a file that is there is replaced.

    Examples
    --------
    >>> moments = [Moment(epoch, 0.25, np.zeros((3, 2)), np.zeros(9)) for epoch in (0, 0.5, 1)]
    >>> path = getfixture("tmp_path") / "film.npz"
    >>> save_film(path, moments)
    >>> [moment.epoch for moment in load_film(path)]
    [0.0, 0.5, 1.0]
    """
    arrays = (np.stack(values) for values in zip(*film, strict=True))
    np.savez_compressed(path, **dict(zip(Moment._fields, arrays, strict=True)))


def load_film(path: str | Path) -> list[Moment]:
    """Read a film that `save_film` wrote."""
    with np.load(path, allow_pickle=False) as file:
        epochs, losses, codes, weights = (file[name] for name in Moment._fields)
    return list(map(Moment, epochs.tolist(), losses.tolist(), codes, weights))


def pack_layers(layers: Sequence[DenseLayer]) -> tuple[list, bytes]:
    """Return layers for ``latent_map.js``: inputs, units and activation of each; all weights."""
    shapes = [[*kernel.shape, activation] for kernel, _, activation in layers]
    parts = [part.astype("<f4").tobytes() for layer in layers for part in layer[:2]]
    return shapes, b"".join(parts)


def read_weights(layers: Sequence[DenseLayer], weights: np.ndarray) -> list[DenseLayer]:
    """Cut the weights of a moment into layers of the shapes of these."""
    size = sum(kernel.size + bias.size for kernel, bias, _ in layers)
    if weights.shape != (size,):
        raise ValueError(
            f"A moment has {weights.size:,} weights and the map's decoder {size:,}: give the "
            "film of a network like the map's."
        )
    read, rest = [], weights.astype("float32")
    for kernel, bias, activation in layers:
        of_kernel, of_bias, rest = np.split(rest, [kernel.size, kernel.size + bias.size])
        read.append((of_kernel.reshape(kernel.shape), of_bias, activation))
    return read


def pack_moment(moment: Moment, order: np.ndarray, **more: Any) -> bytes:
    """Write a moment for ``film.js``: the length of a JSON text, the text, codes, weights."""
    text = json.dumps({"epoch": moment.epoch, "loss": moment.loss, **more}).encode()
    halves = [np.asarray(part, "<f2").tobytes() for part in (moment.codes[order], moment.weights)]
    return b"".join([len(text).to_bytes(4, "little"), text, *halves])
