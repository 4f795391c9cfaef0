"""Train an autoencoder."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def train(
    autoencoder: "keras.Model",
    images: np.ndarray,
    *,
    validation_data: np.ndarray,
    epochs: int = 10,
    batch_size: int = 32,
) -> "keras.callbacks.History":
    """Train a compiled autoencoder to return its input."""
    return autoencoder.fit(
        images,
        images,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(validation_data, validation_data),
        verbose=0,
    )
