"""Train a Keras model as `fit` does, but with each epoch as one compiled program.

`fit` starts every batch anew from Python, and each start costs more than the batch's arithmetic.
Here Keras' own `train_step` runs in a loop within one program.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ae_helpers.model import quiet_start

with quiet_start():
    import keras
    import tensorflow as tf

ROWS = 500  # images validated at a time, so that the memory does not grow with the data


def train(
    autoencoder: "keras.Model",
    images: np.ndarray,
    *,
    targets: np.ndarray | None = None,
    validation_data: np.ndarray | tuple[np.ndarray, np.ndarray],
    epochs: int = 10,
    batch_size: int = 32,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    verbose: int = 1,
) -> "keras.callbacks.History":
    """Train a compiled model, by default to return its input.

    The recipe is that of ``autoencoder.fit(images, targets, batch_size=batch_size,
    epochs=epochs, validation_data=validation_data)``: whatever loss, optimizer and metrics were
    compiled, a fresh shuffle each epoch, the last short batch included, the validation at each
    epoch's end. Only the first epoch takes longer: it is compiled first.

    The shuffles are seeded as Keras seeds its own, from Python's ``random``, so after
    ``keras.utils.set_random_seed(seed)`` they are the same again.

    Parameters
    ----------
    autoencoder
        A compiled Keras model with one input and one output.
    images
        ``(n, inputs)`` float32, as `prepare` makes them; float64 is rounded to float32. In
        general ``(n, ...)``, as the model's input takes it.
    targets
        What the model should return for each image, ``(n, ...)``: clean images, or labels. By
        default the images themselves.
    validation_data
        Images to validate on; where `targets` are given, a pair of images and targets.
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
    check_counts(epochs=epochs, batch_size=batch_size)
    check_compiled(autoencoder)
    data = _tensors(autoencoder, "images", images, targets)
    validation = _tensors(autoencoder, "validation_data", validation_data, targets is not None)
    optimizer = autoencoder.optimizer
    if not optimizer.built:
        optimizer.build(autoencoder.trainable_variables)
    n, n_validation = len(data[0]), len(validation[0])
    train_epoch = over_batches(
        lambda rows: autoencoder.train_step(_take(data, rows)), n, batch_size
    )
    test_epoch = over_batches(
        lambda rows: autoencoder.test_step(_take(validation, rows)), n_validation, ROWS
    )
    shuffle, in_order = shuffler(), tf.range(n_validation)
    state = autoencoder.variables + optimizer.variables

    autoencoder.stop_training = False
    history = keras.callbacks.History()
    hooks = keras.callbacks.CallbackList(
        [*callbacks, history],
        model=autoencoder,
        epochs=epochs,
        steps=-(-n // batch_size),
        verbose=0,
    )
    hooks.on_train_begin()
    for epoch in range(epochs):
        hooks.on_epoch_begin(epoch)
        before = [variable.value.numpy() for variable in state]
        try:
            logs = _measured(autoencoder, lambda: train_epoch(shuffle(n)))
            validated = _measured(autoencoder, lambda: test_epoch(in_order))
            logs |= {f"val_{name}": value for name, value in validated.items()}
            check_finite(logs, epoch)
        except BaseException:
            _put_back(state, before)
            raise
        if verbose:
            counted = f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}"
            print(counted, *(f"{k} {v:.4f}" for k, v in logs.items()), sep="  ", flush=True)
        hooks.on_epoch_end(epoch, logs)
        if autoencoder.stop_training:
            break
    optimizer.finalize_variable_values(autoencoder.trainable_variables)
    hooks.on_train_end()
    return history


def over_batches(step: Callable[[tf.Tensor], Any], n: int, batch_size: int) -> Callable:
    """Make one program that calls ``step(rows)`` for each batch of an order of n images.

    Parameters
    ----------
    step
        Takes the numbers of a batch's images, int32; what it does, it does to variables.
    n, batch_size
        Images in all and in a batch; what is left over makes a last, shorter batch.

    Returns
    -------
    callable
        Takes the order of the images, ``(n,)`` int32. Its first call compiles.
    """
    full, rest = divmod(n, batch_size)

    @tf.function(jit_compile=True, autograph=False)
    def epoch(order: tf.Tensor) -> None:
        def body(i: tf.Tensor) -> list[tf.Tensor]:
            step(tf.slice(order, [i * batch_size], [batch_size]))
            return [i + 1]

        if full:
            tf.while_loop(lambda i: i < full, body, [0])
        if rest:
            step(order[-rest:])

    # Traced here, once: TensorFlow would take a new program in every training for a mistake.
    return epoch.get_concrete_function(tf.TensorSpec([n], tf.int32))


def shuffler() -> Callable[[int], tf.Tensor]:
    """Make a function that shuffles; ``keras.utils.set_random_seed`` fixes what it will give."""
    # As Keras seeds its own generators: from Python's, which set_random_seed has set.
    generator = np.random.default_rng(random.randrange(2**31))
    return lambda n: tf.constant(generator.permutation(n).astype("int32"))


def check_compiled(autoencoder: Any) -> None:
    """Refuse what is no model, or not compiled."""
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


def check_counts(**counts: Any) -> None:
    """Refuse a count that is not a whole number from 1 up."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name}={count!r} cannot work: it must be a whole number from 1 up.")


def check_finite(logs: dict[str, float], epoch: int) -> None:
    """Stop when a loss is no longer a finite number."""
    for name, value in logs.items():
        if "loss" in name and not math.isfinite(value):
            raise ValueError(
                f"The {name} became {value} in epoch {epoch + 1}, most often because the learning "
                "rate is too high: lower it; the weights are those before that epoch."
            )


def checked_images(name: str, images: Any, autoencoder: "keras.Model") -> np.ndarray:
    """Return the images as float32 rows as the model's input takes them, or say what is wrong."""
    if isinstance(images, tuple | list) and len(images) == 2 and np.ndim(images[0]) > 1:
        raise ValueError(
            f"{name} was given a pair: give the images only, they are their own targets, or give "
            "targets= too."
        )
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise ValueError(
            f"{name} is {images.dtype}, and train() takes float32 in [0, 1]: make it by prepare()."
        )
    if not autoencoder.built:
        autoencoder.build(images.shape)
    takes = getattr(autoencoder, "input_shape", images.shape)[1:]
    has = images.shape[1:]
    fits = len(takes) == len(has) and all(a in (None, b) for a, b in zip(takes, has, strict=True))
    if not fits or len(images) == 0:
        raise ValueError(
            f"{name} has the shape {images.shape}, and the autoencoder takes "
            f"(n, {', '.join(map(str, takes))}) with at least one image; prepare() makes such rows "
            "of images."
        )
    return checked_floats(name, images)


def checked_floats(name: str, values: np.ndarray) -> np.ndarray:
    """Return the numbers as float32, or say that they are none."""
    low, high = values.min(), values.max()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name} holds NaN or infinity, from which nothing can be learned: give finite numbers."
        )
    largest = max(-low, high)
    if largest > np.finfo("float32").max:
        raise ValueError(
            f"{name} holds {largest:g}, which is too large for float32: scale the numbers to "
            "[0, 1], as prepare() does."
        )
    return values.astype("float32", copy=False)


def _tensors(
    autoencoder: "keras.Model", name: str, images: Any, targets: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Check images and their targets, and copy them to TensorFlow, once."""
    if targets is True:  # of a pair
        if not isinstance(images, tuple | list) or len(images) != 2:
            raise ValueError(
                f"{name} was given a {type(images).__name__}: where targets= are given it must be "
                "a pair (images, targets), as for fit()."
            )
        images, targets = images
    elif targets is False:
        targets = None
    given, name_of_targets = targets is not None, f"the targets of {name}"
    images = checked_images(name, images, autoencoder)
    if given:
        targets = np.asarray(targets)
        if len(targets) != len(images):
            raise ValueError(
                f"{name} has {len(images)} images and {len(targets)} targets: give each its own."
            )
        if targets.dtype.kind == "f":
            targets = checked_floats(name_of_targets, targets)
    else:
        targets, name_of_targets = images, name
        takes, returns = (
            " × ".join(map(str, getattr(autoencoder, shape, (None,))[1:]))
            for shape in ("input_shape", "output_shape")
        )
        if takes != returns:
            raise ValueError(
                f"{autoencoder.name!r} takes {takes} numbers and returns {returns}: without "
                "targets= train() trains a model to return its input, so give it the whole "
                "autoencoder."
            )
    loss = autoencoder.loss
    loss = getattr(loss, "__name__", getattr(loss, "name", loss))
    if loss == "binary_crossentropy" and not 0 <= targets.min() <= targets.max() <= 1:
        raise ValueError(
            f"{name_of_targets} reach from {targets.min():g} to {targets.max():g}, and with "
            "binary_crossentropy they must be in [0, 1]: scale the images by prepare()."
        )
    tensor = tf.constant(images)
    return tensor, tf.constant(targets) if given else tensor


def _take(data: tuple[tf.Tensor, ...], rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return tuple(tf.gather(part, rows) for part in data)


def _measured(model: "keras.Model", run: Callable[[], Any]) -> dict[str, float]:
    """Run an epoch; what Keras measured in it, by name."""
    model.reset_metrics()
    run()
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _put_back(variables: list["keras.Variable"], values: list[np.ndarray]) -> None:
    """Write the values of before: all of them, also if the reader interrupts once more."""
    while True:
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            return
        except KeyboardInterrupt:
            continue
