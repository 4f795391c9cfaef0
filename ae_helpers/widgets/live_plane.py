"""A callback that moves the latent map on while the network trains, and keeps the film of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ae_helpers.model import quiet_start
from ae_helpers.widgets.film import Moment
from ae_helpers.widgets.latent_map import LatentExplorer
from ae_helpers.widgets.ruler import JUDGED

with quiet_start():
    import keras
    import tensorflow as tf


class LivePlane(keras.callbacks.Callback):
    """Show a training on the latent map: points and decoder move on while it runs.

    For `train`, and for Keras' own ``fit``. You may touch the map meanwhile: it decodes with the
    weights of the moment. What was shown stays as ``explorer.film``.

    Parameters
    ----------
    explorer
        The map, made with the images of all its points: two or three thousand, which costs the
        training a few hundredths of its time. Its decoder has the shape of the network's.
    in_first
        Moments in the first epoch, 1 or more; afterwards there is one at the end of each.

    Raises
    ------
    ValueError
        If the map has no images for its points, or ``in_first`` is no number of moments; when
        the training begins, if network and map do not fit.

    Examples
    --------
    >>> from ae_helpers import build_autoencoder, train
    >>> autoencoder, encoder, decoder = build_autoencoder()
    >>> autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    >>> images = np.zeros((64, 784), dtype="float32")
    >>> layers = [(*layer.get_weights(), layer.activation.__name__) for layer in decoder.layers[1:]]
    >>> originals = np.zeros((64, 28, 28), dtype="uint8")
    >>> labels = np.zeros(64, dtype=int)
    >>> explorer = LatentExplorer(layers, points=encoder(images), labels=labels, images=originals)
    >>> live = LivePlane(explorer, in_first=2)
    >>> history = train(autoencoder, images, validation_data=images, callbacks=[live],
    ...                 epochs=2, verbose=0)
    >>> [moment.epoch for moment in explorer.film]
    [0.0, 0.5, 1.0, 2.0]
    """

    def __init__(self, explorer: LatentExplorer, in_first: int = 10) -> None:
        super().__init__()
        if not isinstance(in_first, int) or in_first < 1:
            raise ValueError(
                f"in_first={in_first!r} cannot work: it must be a whole number of moments, 1 or "
                "more."
            )
        if explorer.originals is None:
            raise ValueError(
                "This map has no image for some of its points, so their codes cannot be made anew: "
                "make the LatentExplorer with images=, and with a few thousand points."
            )
        self.explorer, self.in_first = explorer, in_first

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin the film with the plane as it is before the first step."""
        code, images = self.model.get_layer("code"), self.explorer.originals
        self._layers = self.model.layers[self.model.layers.index(code) + 1 :]
        encoder = keras.Model(self.model.inputs[0], code.output)

        def look(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            codes = encoder(images)
            drawn = codes[:JUDGED]
            for layer in self._layers:
                drawn = layer(drawn)
            losses = keras.losses.binary_crossentropy(images[:JUDGED], drawn)
            return codes, tf.reduce_mean(losses)

        self._images = tf.constant(images.reshape(len(images), -1) / np.float32(255))
        # As one graph: from Python, layer by layer, it takes twice as long.
        self._look = tf.function(look, autograph=False).get_concrete_function(self._images)
        self.explorer.film = []
        self._record(0)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def stops(self, epoch: int, steps: int) -> list[int]:
        """After how many of an epoch's steps `on_train_batch_end` has something to do."""
        return [steps * k // self.in_first for k in range(1, self.in_first)] if epoch == 0 else []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Show a moment within an epoch."""
        if batch + 1 in self.stops(self._epoch, self.params["steps"]):
            self._record(self._epoch + (batch + 1) / self.params["steps"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Show the moment at the end of an epoch."""
        self._record(epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Hand the whole film to the map, for whoever opens it later."""
        self.explorer.keep_film()

    def _record(self, epoch: float) -> None:
        codes, loss = (tensor.numpy() for tensor in self._look(self._images))
        weights = np.concatenate([w.ravel() for layer in self._layers for w in layer.get_weights()])
        with np.errstate(over="ignore"):
            halves = codes.astype("float16"), weights.astype("float16")
        if not all(np.isfinite(half).all() for half in halves):
            return  # the training is going wrong, which is for `train` to tell
        self.explorer.add_moment(Moment(float(epoch), float(loss), *halves))
