"""Train an autoencoder as `fit` does, but with each epoch as one compiled program."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.compiled import compiled_epoch, dense_chain, keras, tf
from ae_helpers.optimizers import checked_settings, slot_variables

# The losses by the names Keras has for them, as functions and as classes.
LOSSES = {
    "binary_crossentropy": "binary_crossentropy",
    "BinaryCrossentropy": "binary_crossentropy",
    "mean_squared_error": "mse",
    "MeanSquaredError": "mse",
    "mean_absolute_error": "mae",
    "MeanAbsoluteError": "mae",
}


def train(
    autoencoder: "keras.Model",
    images: np.ndarray,
    *,
    validation_data: np.ndarray,
    epochs: int = 10,
    batch_size: int = 32,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    verbose: int = 1,
) -> "keras.callbacks.History":
    """Train a compiled autoencoder to return its input.

    The recipe is that of ``autoencoder.fit(images, images, batch_size=batch_size,
    epochs=epochs, validation_data=(validation_data, validation_data))``: the loss and the
    optimizer of ``compile``, a fresh shuffle each epoch, the last short batch included, the
    validation at each epoch's end. Only the first epoch takes longer: it is compiled first.

    The shuffles are seeded as Keras seeds its own, from Python's ``random``, so after
    ``keras.utils.set_random_seed(seed)`` they are the same again.

    Parameters
    ----------
    autoencoder
        A compiled Keras model of dense layers (and PReLU layers) one after another. Losses:
        binary_crossentropy, mse, mae. Optimizers: adam, sgd, rmsprop, adagrad, adadelta.
    images
        ``(n, inputs)`` float32, as `prepare` makes them; float64 is rounded to float32.
    validation_data
        Images to validate on, the same form.
    epochs
        Rounds through all images, 1 or more.
    batch_size
        Images a step, 1 or more.
    callbacks
        Keras callbacks that act at the beginning or end of an epoch or of the training, such
        as EarlyStopping, ModelCheckpoint, ReduceLROnPlateau. They are not called for batches.
    verbose
        1 prints a line an epoch, 0 nothing.

    Returns
    -------
    keras.callbacks.History
        ``history.history["loss"]`` and ``["val_loss"]``: a float an epoch. The weights and the
        optimizer of ``autoencoder`` have moved on, so that ``train`` or ``fit`` can continue.
        After an interrupt they are those of the last epoch that was completed.

    Raises
    ------
    ValueError
        If an argument cannot work, or the loss is no longer a finite number; the weights are
        then those of the epoch before.

    Examples
    --------
    >>> from ae_helpers import build_autoencoder
    >>> autoencoder, encoder, decoder = build_autoencoder()
    >>> autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    >>> images = np.zeros((64, 784), dtype="float32")
    >>> history = train(autoencoder, images, validation_data=images, epochs=2, verbose=0)
    >>> sorted(history.history), len(history.history["loss"])
    (['loss', 'val_loss'], 2)
    """
    chain, variables, loss, rule, settings = checked_model(autoencoder)
    images = checked_images("images", images, autoencoder)
    validation = checked_images("validation_data", validation_data, autoencoder)
    check_counts(epochs=epochs, batch_size=batch_size)
    optimizer = autoencoder.optimizer
    slots = slot_variables(optimizer, variables)
    run_epoch = compiled_epoch(chain, loss, rule, settings, batch_size)
    shuffle = shuffler()

    steps = -(-len(images) // batch_size)
    images, validation = tf.constant(images), tf.constant(validation)
    autoencoder.stop_training = False
    history = keras.callbacks.History()
    hooks = keras.callbacks.CallbackList(
        [*callbacks, history], model=autoencoder, epochs=epochs, steps=steps, verbose=0
    )
    hooks.on_train_begin()
    for epoch in range(epochs):
        hooks.on_epoch_begin(epoch)
        new_weights, new_slots, *losses = run_epoch(
            images,
            shuffle(len(images)),
            validation,
            [v.value for v in variables],
            {name: [v.value for v in slots[name]] for name in slots},
            tf.cast(optimizer.iterations.value, tf.int32),
            optimizer.learning_rate.value,
        )
        logs = dict(zip(("loss", "val_loss"), map(float, losses), strict=True))
        check_finite(logs, epoch)
        changes = list(zip(variables, new_weights, strict=True))
        for name in slots:
            changes += zip(slots[name], new_slots[name], strict=True)
        _assign([*changes, (optimizer.iterations, optimizer.iterations + steps)])
        if verbose:
            print(progress_line(epoch, epochs, logs), flush=True)
        hooks.on_epoch_end(epoch, logs)
        if autoencoder.stop_training:
            break
    hooks.on_train_end()
    return history


def progress_line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    """One line of text for an epoch that is done (counted from 0).

    Examples
    --------
    >>> progress_line(2, 10, {"loss": 0.20124, "val_loss": 0.2009})
    'epoch  3/10  loss 0.2012  val_loss 0.2009'
    """
    counted = f"{epoch + 1:{len(str(epochs))}}/{epochs}"
    return f"epoch {counted}  loss {logs['loss']:.4f}  val_loss {logs['val_loss']:.4f}"


def shuffler() -> Any:
    """Make a function that shuffles; ``keras.utils.set_random_seed`` fixes what it will give."""
    # As Keras seeds its own generators: from Python's, which set_random_seed has set.
    generator = np.random.default_rng(random.randrange(2**31))
    return lambda n: generator.permutation(n).astype("int32")


def checked_model(autoencoder: "keras.Model") -> tuple:
    """Read chain, weights, loss, and the optimizer's rule and settings from a compiled model."""
    if not isinstance(autoencoder, keras.Model):
        raise ValueError(
            f"train() was given a {type(autoencoder).__name__} in place of the autoencoder: "
            "give it the Keras model."
        )
    if not autoencoder.compiled:
        raise ValueError(
            "The autoencoder is not compiled: call "
            'autoencoder.compile(optimizer="adam", loss="binary_crossentropy") first.'
        )
    chain, variables = dense_chain(autoencoder)
    inputs, outputs = autoencoder.input_shape[-1], autoencoder.output_shape[-1]
    if inputs != outputs:
        raise ValueError(
            f"{autoencoder.name!r} takes {inputs} numbers and returns {outputs}: train() trains "
            "a model to return its input, so give it the whole autoencoder."
        )
    config = autoencoder.get_compile_config()
    for extra in ("metrics", "weighted_metrics", "loss_weights"):
        if config.get(extra):
            raise ValueError(
                f"train() reports loss and val_loss only: compile the autoencoder without {extra}."
            )
    return chain, variables, _loss_name(autoencoder.loss), *checked_settings(autoencoder.optimizer)


def _loss_name(given: Any) -> str:
    loss = given if isinstance(given, list | dict) or given is None else keras.losses.get(given)
    is_object = isinstance(loss, keras.losses.Loss)
    name = LOSSES.get(type(loss).__name__ if is_object else getattr(loss, "__name__", None))
    if name is None:
        raise ValueError(
            f"train() does not know the loss {given!r}: compile the autoencoder with one of "
            f"{', '.join(dict.fromkeys(LOSSES.values()))}, or use fit()."
        )
    if is_object and any(
        value != type(loss)().get_config()[setting]
        for setting, value in loss.get_config().items()
        if setting != "name"
    ):
        raise ValueError(
            f"train() knows {name} only with Keras' own settings: compile the autoencoder with "
            f'loss="{name}", or use fit().'
        )
    return name


def checked_images(name: str, images: Any, autoencoder: "keras.Model") -> np.ndarray:
    """Return the images as float32 rows as wide as the model's input, or say what is wrong."""
    if isinstance(images, tuple | list) and len(images) == 2 and np.ndim(images[0]) == 2:
        raise ValueError(
            f"{name} was given a pair: give the images only, they are their own targets."
        )
    images = np.asarray(images)
    width = autoencoder.input_shape[-1]
    if images.dtype.kind != "f":
        raise ValueError(
            f"{name} is {images.dtype}, and train() takes float32 in [0, 1]: make it by prepare()."
        )
    if images.ndim != 2 or images.shape[1] != width or len(images) == 0:
        raise ValueError(
            f"{name} has the shape {images.shape}, and the autoencoder takes (n, {width}) with "
            "at least one image; prepare() makes such rows of images."
        )
    if not np.isfinite(images).all():
        raise ValueError(
            f"{name} holds NaN or infinity, from which nothing can be learned: give finite numbers."
        )
    return images.astype("float32", copy=False)


def check_counts(**counts: Any) -> None:
    """Refuse a count that is not a whole number from 1 up."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name}={count!r} cannot work: it must be a whole number from 1 up.")


def check_finite(logs: dict[str, float], epoch: int) -> None:
    """Stop when a loss is no longer a finite number."""
    for name, value in logs.items():
        if not math.isfinite(value):
            raise ValueError(
                f"The {name} became {value} in epoch {epoch + 1}, most often because the learning "
                "rate is too high: lower it; the weights are those before that epoch."
            )


def _assign(changes: list[tuple["keras.Variable", tf.Tensor]]) -> None:
    """Write an epoch's results: all of them, also if the reader interrupts just now."""
    try:
        for variable, value in changes:
            variable.assign(value)
    except KeyboardInterrupt:
        for variable, value in changes:
            variable.assign(value)
        raise
