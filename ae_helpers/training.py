"""Train a Keras model as `fit` does, but with each epoch as one compiled program.

`fit` starts every batch anew from Python, and each start costs more than the batch's arithmetic.
Here Keras' own `train_step` runs in a loop within one program. `train_many` stacks the weights of
several models, so that one program trains them all.
"""

import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ae_helpers.model import quiet_start

with quiet_start():
    import keras
    import tensorflow as tf

ROWS = 500  # images validated at a time, so that the memory does not grow with the data
GROUP = 16  # models of train_many at a time, so that memory hardly grows with their number
STACK = 8  # of these in one program at most, a program a core

# The optimizers that look at each weight alone, so that a stack of weights is trained as each is.
BY_WEIGHT = ("Adam", "AdamW", "Nadam", "Adamax", "SGD", "RMSprop", "Adagrad", "Adadelta", "Lion")


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
    if targets is None:
        validation_data = (validation_data,)
    elif not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
        raise ValueError(
            f"validation_data was given as {type(validation_data).__name__}: where targets= are "
            "given it must be a pair (images, targets), as for fit()."
        )
    validation = _tensors(autoencoder, "validation_data", *validation_data)
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
            logs = _measured(autoencoder, lambda: train_epoch(tf.constant(shuffle(n))))
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


def over_batches(
    step: Callable[[tf.Tensor], Any], n: int, batch_size: int, models: Sequence[int] = ()
) -> Callable:
    """Make one program that calls ``step(rows)`` for each batch of an order of n images.

    Parameters
    ----------
    step
        Takes the numbers of a batch's images, int32; what it does, it does to variables.
    n, batch_size
        Images in all and in a batch; what is left over makes a last, shorter batch.
    models
        A leading axis of orders, of batches too: ``(8,)`` for eight models side by side.

    Returns
    -------
    callable
        Takes the order of the images, ``(*models, n)`` int32. Its first call compiles.
    """
    full, rest = divmod(n, batch_size)
    first = [0] * len(models)

    @tf.function(jit_compile=True, autograph=False)
    def epoch(order: tf.Tensor) -> None:
        def body(i: tf.Tensor) -> list[tf.Tensor]:
            step(tf.slice(order, [*first, i * batch_size], [*models, batch_size]))
            return [i + 1]

        if full:
            tf.while_loop(lambda i: i < full, body, [0])
        if rest:
            step(order[..., -rest:])

    # Traced here, once: TensorFlow would take a new program in every training for a mistake.
    return epoch.get_concrete_function(tf.TensorSpec([*models, n], tf.int32))


def shuffler() -> Callable[[int], np.ndarray]:
    """Make a function that shuffles; ``keras.utils.set_random_seed`` fixes what it will give."""
    # As Keras seeds its own generators: from Python's, which set_random_seed has set.
    generator = np.random.default_rng(random.randrange(2**31))
    return lambda n: generator.permutation(n).astype("int32")


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


def _tensors(
    model: "keras.Model", name: str, images: Any, targets: Any = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Check images and their targets, and copy them to TensorFlow, once."""
    if isinstance(images, tuple | list) and len(images) == 2 and np.ndim(images[0]) > 1:
        raise ValueError(
            f"{name} was given a pair: give the images only, they are their own targets, or give "
            "targets= too."
        )
    images = _floats(name, np.asarray(images))
    if not model.built:
        model.build(images.shape)
    takes, returns, has = model.input_shape[1:], model.output_shape[1:], images.shape[1:]
    fits = len(takes) == len(has) and all(a in (None, b) for a, b in zip(takes, has, strict=True))
    if not fits:
        raise ValueError(
            f"{name} has the shape {images.shape}, and the model takes (n, "
            f"{', '.join(map(str, takes))}) with at least one image: prepare() makes such rows."
        )
    if targets is None:
        if takes != returns:
            raise ValueError(
                f"{model.name!r} takes {takes} numbers and returns {returns}: without targets= it "
                "is trained to return its input, so give the whole autoencoder."
            )
        targets, own = images, True
    else:
        name, targets, own = f"the targets of {name}", np.asarray(targets), False
        if len(targets) != len(images):
            raise ValueError(f"{name} are {len(targets)} for {len(images)} images: give one each.")
        if targets.dtype.kind == "f":
            targets = _floats(name, targets)
    loss = getattr(model.loss, "__name__", getattr(model.loss, "name", model.loss))
    if loss == "binary_crossentropy" and not 0 <= targets.min() <= targets.max() <= 1:
        raise ValueError(
            f"The values of {name} reach from {targets.min():g} to {targets.max():g}, and with "
            "binary_crossentropy they must be in [0, 1]: scale the images by prepare()."
        )
    images = tf.constant(images)
    return images, images if own else tf.constant(targets)


def _floats(name: str, values: np.ndarray) -> np.ndarray:
    """Return finite numbers as float32, or say what is wrong with them."""
    if values.dtype.kind != "f" or not len(values):
        raise ValueError(
            f"{name} is {values.dtype} with shape {values.shape}, and must be at least one image "
            "as float32 in [0, 1]: make it by prepare()."
        )
    low, high = values.min(), values.max()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name} holds NaN or infinity, from which nothing can be learned: give finite numbers."
        )
    if max(-low, high) > np.finfo("float32").max:
        raise ValueError(
            f"{name} holds {max(-low, high):g}, which is too large for float32: scale the numbers "
            "to [0, 1], as prepare() does."
        )
    return values.astype("float32", copy=False)


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


@dataclass(frozen=True)
class Trained:
    """What `train_many` returns; the first axis of every array is that of ``seeds``.

    Attributes
    ----------
    seeds : list of int
        The seeds, in the order given.
    history : dict of str to numpy.ndarray
        ``"loss"`` and ``"val_loss"``, each ``(seeds, epochs)`` float64.
    code_range : numpy.ndarray
        ``(seeds, epochs + 1, units)`` float32: largest less smallest value of each unit of the
        code over the validation images, before training and after each epoch. A unit with
        range 0 gives one and the same number for every image: it is dead.
    weights : list of numpy.ndarray
        ``(seeds, ...)`` float32, in the order of a model's ``get_weights()``.
    """

    seeds: list[int]
    history: dict[str, np.ndarray]
    code_range: np.ndarray
    weights: list[np.ndarray]
    _make_model: Callable[[], "keras.Model"]

    def codes(self, images: np.ndarray) -> np.ndarray:
        """Encode images ``(n, inputs)`` by every model: ``(seeds, n, units)`` float32."""
        model = self._make_model()
        layers, code = _chain(model)
        encoder = keras.Model(model.inputs, layers[code].output)
        codes = []
        for i in range(len(self.seeds)):
            model.set_weights([w[i] for w in self.weights])
            codes.append(encoder.predict(images, batch_size=1000, verbose=0))
        return np.stack(codes)

    def model(self, seed: int) -> "keras.Model":
        """Build the Keras model of one seed, trained; compiled with a fresh optimizer."""
        i = self._index(seed)
        model = self._make_model()
        model.set_weights([w[i] for w in self.weights])
        return model

    def history_of(self, seed: int) -> "keras.callbacks.History":
        """Give the losses of one seed in the form that `train` returns and `save_run` takes."""
        i = self._index(seed)
        history = keras.callbacks.History()
        history.history = {name: values[i].tolist() for name, values in self.history.items()}
        history.epoch = list(range(len(history.history["loss"])))
        return history

    def _index(self, seed: int) -> int:
        if seed not in self.seeds:
            raise ValueError(f"Seed {seed!r} was not trained; there are: {self.seeds}.")
        return self.seeds.index(seed)


def train_many(
    seeds: Iterable[int],
    make_model: Callable[[], "keras.Model"],
    images: np.ndarray,
    *,
    validation_data: np.ndarray,
    epochs: int = 10,
    batch_size: int = 32,
    verbose: int = 1,
) -> Trained:
    """Train one autoencoder a seed, as `train` would one after another, but side by side.

    Each model starts from its own ``keras.utils.set_random_seed(seed)`` and ``make_model()``,
    and has shuffles of its own: it ends as `train` after these two lines would end, but for
    rounding, whichever other seeds are trained with it. A compiled program trains up to eight,
    and each core runs one; more than sixteen seeds are done in groups, so memory hardly grows
    with their number.

    Parameters
    ----------
    seeds
        Whole numbers from 0 up.
    make_model
        A function without arguments that returns a new, compiled autoencoder: dense and PReLU
        layers one after another, the code's layer named ``"code"``.
    images, validation_data, epochs, batch_size
        As for `train`.
    verbose
        1 prints a line a group and epoch, 0 nothing.

    Returns
    -------
    Trained
        Losses, ranges of the code units and weights by seed; `Trained.codes` and
        `Trained.model` make codes and Keras models of them.

    Raises
    ------
    ValueError
        If an argument cannot work, or the loss of a model is no longer a finite number.

    Examples
    --------
    >>> from ae_helpers import build_autoencoder
    >>> def make_model():
    ...     autoencoder, encoder, decoder = build_autoencoder()
    ...     autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    ...     return autoencoder
    >>> images = np.zeros((64, 784), dtype="float32")
    >>> many = train_many([3, 5], make_model, images, validation_data=images, epochs=1, verbose=0)
    >>> many.history["val_loss"].shape, many.codes(images).shape
    ((2, 1), (2, 64, 2))
    """
    seeds = _checked_seeds(seeds)
    check_counts(epochs=epochs, batch_size=batch_size)
    model = make_model()
    check_compiled(model)
    check_stackable(model)
    images, _ = _tensors(model, "images", images)
    validation, _ = _tensors(model, "validation_data", validation_data)
    groups = np.array_split(seeds, -(-len(seeds) // GROUP))  # as even as can be
    done = [
        _train_group(group.tolist(), make_model, (images, validation), epochs, batch_size, verbose)
        for group in groups
    ]
    losses, ranges, weights = zip(*done, strict=True)
    losses = np.concatenate(losses, axis=1)
    return Trained(
        seeds,
        {"loss": losses[0], "val_loss": losses[1]},
        np.concatenate(ranges),
        [np.concatenate(parts) for parts in zip(*weights, strict=True)],
        make_model,
    )


def _train_group(
    seeds: list[int],
    make_model: Callable[[], "keras.Model"],
    data: tuple[tf.Tensor, tf.Tensor],
    epochs: int,
    batch_size: int,
    verbose: int,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Train a group; losses ``(2, seeds, epochs)``, ranges of the code, and weights."""
    n_stacks = max(-(-len(seeds) // STACK), min(len(seeds), os.cpu_count()))
    stacks = [
        _Stack(part.tolist(), make_model, data, batch_size)
        for part in np.array_split(seeds, n_stacks)
    ]
    losses, ranges = [], [np.concatenate([stack.validate()[1] for stack in stacks])]
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        for epoch in range(epochs):
            done = zip(*cores.map(_Stack.train_epoch, stacks), strict=True)
            loss, val_loss, code_range = map(np.concatenate, done)
            for i, seed in enumerate(seeds):
                logs = {f"loss of seed {seed}": loss[i], f"val_loss of seed {seed}": val_loss[i]}
                check_finite(logs, epoch)
            losses.append((loss, val_loss))
            ranges.append(code_range)
            if verbose:
                counted = f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}"
                low, high = val_loss.min(), val_loss.max()
                print(f"{_named(seeds)}  {counted}  val_loss {low:.4f} to {high:.4f}", flush=True)
    weights = [stack.weights() for stack in stacks]
    weights = [np.concatenate(parts) for parts in zip(*weights, strict=True)]
    return np.moveaxis(losses, 0, -1), np.stack(ranges, axis=1), weights


class _Stack:
    """Models that go through a program together: their weights have an axis of models."""

    def __init__(
        self,
        seeds: list[int],
        make_model: Callable[[], "keras.Model"],
        data: tuple[tf.Tensor, tf.Tensor],
        batch_size: int,
    ) -> None:
        starts, self._shuffles = [], []
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            model = make_model()
            starts.append(model.get_weights())
            self._shuffles.append(shuffler())
        self._images, self._validation = data
        n, loss_of = len(seeds), keras.losses.get(model.loss)
        loss_of = getattr(loss_of, "call", loss_of)  # without the mean over all models
        layers, code = _chain(model)
        self._variables = [keras.Variable(np.stack(w)) for w in zip(*starts, strict=True)]
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        optimizer.build(self._variables)
        units = layers[code].output.shape[-1]
        self._total = tf.Variable(tf.zeros(n))
        self._ends = tf.Variable(tf.zeros((2, n, units)))  # lowest and highest code

        def forward(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Losses of a batch ``(models, n, inputs)``, one a model, and the codes."""
            outputs = _apply(layers, self._variables, x)
            return tf.reduce_mean(loss_of(x, outputs[-1]), axis=-1), outputs[code]

        def train_step(rows: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                losses, _ = forward(tf.gather(self._images, rows))
                total = tf.reduce_sum(losses)  # models do not touch: one gradient for all
            gradients = tape.gradient(total, [v.value for v in self._variables])
            optimizer.apply(gradients, self._variables)
            self._total.assign_add(losses * rows.shape[1])

        def test_step(rows: tf.Tensor) -> None:
            losses, codes = forward(tf.gather(self._validation, rows))
            self._total.assign_add(losses * rows.shape[1])
            low = tf.minimum(self._ends[0], tf.reduce_min(codes, axis=1))
            high = tf.maximum(self._ends[1], tf.reduce_max(codes, axis=1))
            self._ends.assign(tf.stack([low, high]))

        self._train = over_batches(train_step, len(self._images), batch_size, [n])
        self._test = over_batches(test_step, len(self._validation), ROWS, [n])

    def train_epoch(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Train for an epoch; losses and validation losses ``(models,)``, ranges of the code."""
        n = len(self._images)
        self._total.assign(tf.zeros_like(self._total))
        self._train(tf.constant(np.stack([shuffle(n) for shuffle in self._shuffles])))
        return self._total.numpy().astype("float64") / n, *self.validate()

    def validate(self) -> tuple[np.ndarray, np.ndarray]:
        """Measure losses ``(models,)`` and ranges of the code ``(models, units)``."""
        n = len(self._validation)
        self._total.assign(tf.zeros_like(self._total))
        ends = tf.ones_like(self._ends[0]) * np.inf
        self._ends.assign(tf.stack([ends, -ends]))
        self._test(tf.tile(tf.range(n)[None], [len(self._shuffles), 1]))
        low, high = self._ends.numpy()
        return self._total.numpy().astype("float64") / n, high - low

    def weights(self) -> list[np.ndarray]:
        """Give the weights ``(models, ...)``, in the order of ``get_weights()``."""
        return [variable.numpy() for variable in self._variables]


def _apply(
    layers: list["keras.layers.Layer"], weights: Iterable[tf.Tensor], x: tf.Tensor
) -> list[tf.Tensor]:
    """Give the outputs of dense and PReLU layers, one after another, for a stack of models."""
    weights, outputs = iter(weights), []
    for layer in layers:
        if isinstance(layer, keras.layers.PReLU):
            x = tf.nn.relu(x) - next(weights)[:, None] * tf.nn.relu(-x)
        else:
            x = layer.activation(tf.matmul(x, next(weights)) + next(weights)[:, None])
        outputs.append(x)
    return outputs


def _chain(model: "keras.Model") -> tuple[list["keras.layers.Layer"], int]:
    """List the layers, and say at which the code is: ``"code"``, or a PReLU right behind it."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    names = [layer.name for layer in layers]
    if "code" not in names[:-1]:
        raise ValueError(
            f"No inner layer of the model is named 'code', only {', '.join(names)}: name the one "
            'whose outputs are the code, as in Dense(2, name="code").'
        )
    code = names.index("code")
    return layers, code + isinstance(layers[code + 1], keras.layers.PReLU)


def check_stackable(model: "keras.Model") -> None:
    """Refuse a model whose layers or optimizer cannot go through a program with others."""
    advice = "train such models one by one, with train()."
    layers, _ = _chain(model)
    for layer in layers:
        plain = type(layer) in (keras.layers.Dense, keras.layers.PReLU) and layer.trainable
        config = layer.get_config()
        extras = [key for key in config if key.endswith(("_regularizer", "_constraint"))]
        if not plain or not config.get("use_bias", True) or any(config[key] for key in extras):
            raise ValueError(
                f"train_many() stacks plain Dense and PReLU layers, and the layer {layer.name!r} "
                f"({type(layer).__name__}) is none: {advice}"
            )
    probe = np.random.default_rng(0).random((2, model.input_shape[-1]), dtype="float32")
    stacked = _apply(layers, [w[None] for w in model.get_weights()], probe[None])[-1][0]
    if not np.allclose(stacked, model(probe), atol=1e-4):
        raise ValueError(
            f"train_many() takes layers one after another, and those of {model.name!r} are "
            f"connected in another way: {advice}"
        )
    optimizer = model.optimizer
    by_weight = type(optimizer) in [getattr(keras.optimizers, name) for name in BY_WEIGHT]
    if not by_weight or optimizer.clipnorm or optimizer.global_clipnorm:
        raise ValueError(
            f"train_many() stacks weights, and this {type(optimizer).__name__} looks at more than "
            f"one weight at a time: {advice}"
        )


def _named(seeds: list[int]) -> str:
    return (
        f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    )


def _checked_seeds(seeds: Any) -> list[int]:
    seeds = list(seeds)
    for seed in seeds:
        is_number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not is_number or not 0 <= seed < 2**32:
            raise ValueError(f"seed={seed!r} cannot work: it must be a whole number from 0 up.")
    if not seeds:
        raise ValueError("train_many() was given no seeds: give at least one.")
    return [int(seed) for seed in seeds]
