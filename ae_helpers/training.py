"""Training as `fit` does it, but with each epoch as one compiled program; many seeds at once.

`fit` starts every batch from Python, which costs more than its arithmetic; here Keras' own step
goes round in a loop within the program.
"""

import gc
import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import numpy as np

from ae_helpers.model import quiet_start
from ae_helpers.parameters import check_params
from ae_helpers.stages import stage

with quiet_start():
    import keras
    import tensorflow as tf

ROWS = 500  # images validated or encoded at a time, so that memory does not grow with the data
STACK = 2  # seeds in a program: measured fastest of 1, 2, 4 and 8
# What train_many() leaves to train(): what looks at more than one number at a time, and so would
# mix the models; and what else it has no place for.
LEFT_TO_TRAIN = ("Adafactor", "Lamb", "Muon", "MultiOptimizer", "LossScaleOptimizer")
LEFT_TO_TRAIN += ("clipnorm", "global_clipnorm", "loss_scale_factor", "use_ema")
LEFT_TO_TRAIN += ("metrics", "weighted_metrics", "loss_weights")
# XLA reads it once, before its first program. By its own level, 3, it compiles half as long again;
# the programs are no faster, and the weights the same, bit for bit.
XLA_FLAGS = "--xla_backend_optimization_level=1"
Data = tuple[tf.Tensor, ...]  # images, and their targets where they are not the same


def train(
    autoencoder: keras.Model,
    images: np.ndarray,
    *,
    targets: np.ndarray | None = None,
    validation_data: np.ndarray | tuple[np.ndarray, np.ndarray],
    epochs: int = 10,
    batch_size: int = 32,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> keras.callbacks.History:
    """Train a compiled model, by default to return its input.

    The recipe is that of ``fit``: loss, optimizer and metrics as compiled, a fresh shuffle each
    epoch, the last short batch included, the validation at each epoch's end. Only the first
    epoch takes longer: it is compiled first. The shuffles are seeded as Keras seeds its own:
    ``keras.utils.set_random_seed`` gives the same ones again.

    Parameters
    ----------
    autoencoder
        A compiled Keras model with one input and one output.
    images
        ``(n, 784)`` float32 in [0, 1], as `prepare` makes them, or ``(n, ...)`` as the model
        takes them; float64 is rounded to float32.
    targets
        What to return for each image: a clean image, say, or its label; by default the image.
    validation_data
        Images to validate on; with `targets` a pair (images, targets).
    epochs, batch_size
        Rounds through all images, and images a step: 1 or more.
    callbacks
        Keras callbacks, called at the ends of epochs and of the training, not for batches. Only
        one with a method ``stops(epoch, steps)`` is called within an epoch: its
        ``on_train_batch_end``, after as many steps as each number of that list says.
    verbose
        1 prints a line an epoch, 0 nothing.

    Returns
    -------
    keras.callbacks.History
        ``history.history["loss"]`` and ``["val_loss"]``: a float an epoch. The weights and the
        optimizer of ``autoencoder`` have moved on, so that ``train`` or ``fit`` can continue.

    Raises
    ------
    ValueError
        If an argument cannot work, or the loss is no longer a finite number. Then, as after an
        interrupt, the weights are those of the last epoch that was completed.

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
    data, validation = _checked_data(autoencoder, images, targets, validation_data)
    check_params(epochs=epochs, batch_size=batch_size)
    optimizer = autoencoder.optimizer
    if not optimizer.built:
        optimizer.build(autoencoder.trainable_variables)
    state = autoencoder.variables + optimizer.variables
    train_epoch = _program(autoencoder, autoencoder.train_step, data, batch_size)
    test_epoch = _program(autoencoder, autoencoder.test_step, validation, ROWS)
    n, shuffle = len(data[0]), _shuffler()

    autoencoder.stop_training = False
    history, steps = keras.callbacks.History(), math.ceil(n / batch_size)
    hooks = keras.callbacks.CallbackList(
        [*callbacks, history], model=autoencoder, epochs=epochs, steps=steps, verbose=0
    )
    watchers = [callback for callback in callbacks if hasattr(callback, "stops")]
    hooks.on_train_begin()
    for epoch in range(epochs):
        hooks.on_epoch_begin(epoch)
        asked = {stop for watcher in watchers for stop in watcher.stops(epoch, steps)}
        stops = sorted(stop for stop in asked if 0 < stop < steps)
        before = [variable.value.numpy() for variable in state]
        try:
            trained = train_epoch(shuffle(n), stops, watchers)
            logs = {name: float(value) for name, value in trained.items()}
            logs |= {f"val_{name}": float(value) for name, value in test_epoch().items()}
            _check_finite(logs, epoch)
        except BaseException:
            _put_back(state, before)
            raise
        if verbose:
            losses = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
            print(f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}  {losses}", flush=True)
        hooks.on_epoch_end(epoch, logs)
        if autoencoder.stop_training:
            break
    optimizer.finalize_variable_values(autoencoder.trainable_variables)
    hooks.on_train_end()
    return history


@dataclass(frozen=True)
class Trained:
    """What `train_many` returns; the first axis of every array is that of ``seeds``.

    Attributes
    ----------
    seeds : list of int
        In the order given.
    history : dict of str to numpy.ndarray
        ``"loss"`` and ``"val_loss"``, each ``(seeds, epochs)`` float64.
    code_range : numpy.ndarray
        ``(seeds, epochs + 1, units)`` float32: largest less smallest value of each code unit over
        the validation images, before training and after each epoch; 0 is that of a dead unit.
    weights : list of numpy.ndarray
        ``(seeds, ...)`` float32, in the order of a model's ``get_weights()``.
    """

    seeds: list[int]
    history: dict[str, np.ndarray]
    code_range: np.ndarray
    weights: list[np.ndarray]
    _make_model: Callable[[], keras.Model]

    def codes(self, images: np.ndarray) -> np.ndarray:
        """Encode images ``(n, inputs)`` by every model: ``(seeds, n, units)`` float32."""
        model = self._make_model()
        encoder = keras.Model(model.inputs[0], model.get_layer("code").output)
        codes = []
        for weights in zip(*self.weights, strict=True):
            model.set_weights(weights)
            parts = [encoder(images[i : i + ROWS]) for i in range(0, len(images), ROWS)]
            codes.append(np.concatenate(parts))
        return np.stack(codes)

    def model(self, seed: int) -> keras.Model:
        """Build the Keras model of one seed, trained; compiled with a fresh optimizer."""
        i, model = self._index(seed), self._make_model()
        model.set_weights([array[i] for array in self.weights])
        return model

    def history_of(self, seed: int) -> keras.callbacks.History:
        """Give the losses of one seed in the form that `train` returns and `save_run` takes."""
        i, history = self._index(seed), keras.callbacks.History()
        history.history = {name: values[i].tolist() for name, values in self.history.items()}
        history.epoch = list(range(len(history.history["loss"])))
        return history

    def _index(self, seed: int) -> int:
        if seed not in self.seeds:
            raise ValueError(f"Seed {seed!r} was not trained; there are: {self.seeds}.")
        return self.seeds.index(seed)


def train_many(
    seeds: Iterable[int],
    make_model: Callable[[], keras.Model],
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
    rounding, whichever other seeds are trained with it. Each core trains two at a time.

    Parameters
    ----------
    seeds
        Whole numbers from 0 up.
    make_model
        A function without arguments that returns a new, compiled autoencoder: Dense and PReLU
        layers one after another; the one named ``"code"`` gives the code.
    images, validation_data, epochs, batch_size, verbose
        As for `train`, which also says what is a ValueError.

    Returns
    -------
    Trained
        Losses, ranges of the code units and weights by seed; `Trained.codes` and
        `Trained.model` make codes and Keras models of them.

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
    from dask.system import cpu_count  # of this container, not of the machine around it

    seeds, cores = list(seeds), cpu_count()
    for seed in seeds:
        check_params(seed=seed, epochs=epochs, batch_size=batch_size)
    if not seeds:
        raise ValueError("train_many() was given no seeds: give at least one.")
    size = min(STACK, math.ceil(len(seeds) / cores))
    padded, members = seeds + seeds[-1:] * (-len(seeds) % size), []  # to whole stacks
    for seed in padded:
        keras.utils.set_random_seed(int(seed))
        members.append((make_model(), _shuffler()))
    first = members[0][0]
    gc.collect()  # programs of an earlier call refer to themselves, and would keep its images
    data, validation = _checked_data(first, images, None, validation_data)
    idle = SimpleQueue()  # compiling takes longer than an epoch: a program a core, used in turn
    for _ in range(min(cores, len(padded) // size)):
        idle.put(stack := _Stack(first, size, data, validation, batch_size))
    parts = [stack.start(members[i : i + size]) for i in range(0, len(padded), size)]

    def run(part: SimpleNamespace, train: bool = True) -> tuple[np.ndarray, ...]:
        stack = idle.get()
        try:
            return stack.run(part, train)
        finally:
            idle.put(stack)

    def joined(parts: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:  # without the padding
        return [np.concatenate(arrays)[: len(seeds)] for arrays in zip(*parts, strict=True)]

    who = f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    measured = []
    with ThreadPoolExecutor(cores) as threads:
        *_, start_range = joined(threads.map(lambda part: run(part, train=False), parts))
        for epoch in range(epochs):
            measured.append(joined(threads.map(run, parts)))
            for name, values in zip(("loss", "val_loss"), measured[-1], strict=False):
                named = {f"{name} of seed {s}": v for s, v in zip(seeds, values, strict=True)}
                _check_finite(named, epoch)
            if verbose:
                losses = f"val_loss {values.min():.4f} to {values.max():.4f}"
                print(f"{who}  epoch {epoch + 1:{len(str(epochs))}}/{epochs}  {losses}", flush=True)
    loss, val_loss, ranges = (np.stack(values, axis=1) for values in zip(*measured, strict=True))
    code_range = np.concatenate([start_range[:, None], ranges], axis=1)
    weights = joined(part.state[: len(first.weights)] for part in parts)
    return Trained(seeds, {"loss": loss, "val_loss": val_loss}, code_range, weights, make_model)


class _Stack:
    """A program that trains models side by side: each weight has a first axis of models."""

    def __init__(
        self, model: keras.Model, size: int, data: Data, validation: Data, batch_size: int
    ) -> None:
        self.layers, self.loss = _chain(model)
        self.weights = [keras.Variable(tf.zeros((size, *w.shape))) for w in model.weights]
        self.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self.optimizer.build(self.weights)
        shape = size, model.get_layer("code").output.shape[-1]
        self.total = tf.Variable(tf.zeros(size))  # of the losses of an epoch's images
        self.low, self.high = tf.Variable(tf.zeros(shape)), tf.Variable(tf.zeros(shape))
        self.train_epoch = _program(self, self.train_step, data, batch_size, size)
        self.test_epoch = _program(self, self.test_step, validation, ROWS, size)
        self.n_images, self.n_validation = len(data[0]), len(validation[0])

    def start(self, members: Sequence[tuple[keras.Model, Callable]]) -> SimpleNamespace:
        """Lay out models to be trained: their weights, a new optimizer's state, their shuffles."""
        weights = zip(*(model.get_weights() for model, _ in members), strict=True)
        state = [*map(np.stack, weights), *(v.numpy() for v in self.optimizer.variables)]
        return SimpleNamespace(state=state, shuffles=[shuffle for _, shuffle in members])

    def run(self, part: SimpleNamespace, train: bool) -> tuple[np.ndarray, ...]:
        """Train a part for an epoch and validate it: losses, validation losses, code ranges."""
        variables, losses = self.weights + self.optimizer.variables, ()
        _put_back(variables, part.state)
        if train:
            order = np.stack([shuffle(self.n_images) for shuffle in part.shuffles])
            losses = (self.train_epoch(order)[0] / self.n_images,)
            part.state = [variable.numpy() for variable in variables]
        total, code_range = self.test_epoch()
        return *losses, total / self.n_validation, code_range

    def reset_metrics(self) -> None:
        for variable, start in ((self.total, 0), (self.low, np.inf), (self.high, -np.inf)):
            variable.assign(tf.fill(variable.shape, float(start)))

    def get_metrics_result(self) -> tuple[np.ndarray, np.ndarray]:
        return self.total.numpy().astype("float64"), (self.high - self.low).numpy()

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> None:
        with tf.GradientTape() as tape:
            losses = self.test_step(batch)  # the gradient of a vector is that of its sum
        self.optimizer.apply(tape.gradient(losses, self.weights), self.weights)

    def test_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        images, targets = batch
        codes, outputs = _forward(self.layers, self.weights, images)
        losses = self.loss(targets, outputs)  # (models, n)
        self.total.assign_add(tf.reduce_sum(losses, axis=1))
        self.low.assign(tf.minimum(self.low, tf.reduce_min(codes, axis=1)))
        self.high.assign(tf.maximum(self.high, tf.reduce_max(codes, axis=1)))
        return tf.reduce_mean(losses, axis=1)


def _forward(layers: list, weights: Iterable, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Send images ``(models, n, inputs)`` through the layers of all models: codes and outputs."""
    weights, codes = iter(weights), None
    for layer in layers:
        if isinstance(layer, keras.layers.PReLU):
            x = tf.nn.relu(x) - next(weights)[:, None] * tf.nn.relu(-x)
        else:
            x = layer.activation(x @ next(weights) + next(weights)[:, None])
        if layer.name == "code":
            codes = x
    return codes, x


def _chain(model: keras.Model) -> tuple[list, Callable]:
    """Give a model's layers and its loss for each image, or say what cannot go side by side."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    loss, optimizer = keras.losses.get(model.loss), type(model.optimizer).__name__
    settings = model.get_compile_config() | model.optimizer.get_config()
    odd = [f"the layer {layer.name!r}" for layer in layers if not _is_plain(layer)]
    odd += [name for name in LEFT_TO_TRAIN if settings.get(name) or name == optimizer]
    odd += ["a loss that is a sum"] if getattr(loss, "reduction", None) == "sum" else []
    odd += [] if "code" in [layer.name for layer in layers] else ["a model without a code"]
    if not odd:
        probe = tf.random.stateless_uniform((1, 2, model.input_shape[-1]), (0, 0))
        _, outputs = _forward(layers, [weight.value[None] for weight in model.weights], probe)
        same = np.allclose(outputs[0], model(probe[0]), atol=1e-4)
        odd += [] if same else ["layers connected in another way"]
    if odd:
        raise ValueError(
            f"train_many() cannot take {odd[0]}: it trains plain Dense and PReLU layers one after "
            'another, the one that gives the code named "code"; use train() for each seed.'
        )
    return layers, loss.call if isinstance(loss, keras.losses.Loss) else loss


def _is_plain(layer: keras.layers.Layer) -> bool:
    n_weights = {keras.layers.Dense: 2, keras.layers.PReLU: 1}.get(type(layer))
    extras = any(weight.regularizer or weight.constraint for weight in layer.weights)
    extras = extras or layer.activity_regularizer
    return len(layer.trainable_weights) == n_weights and not extras


@stage("compile")
def _program(
    model: Any, step: Callable, data: Data, batch_size: int, n_models: int = 0
) -> Callable:
    """Make a function that takes all batches through a step; it returns what the model measured.

    It takes the order of the images, ``(n,)`` or ``(n_models, n)``, by default as they stand; and
    after how many batches it shall stop for a moment, to call the watchers.
    """
    os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)
    n, models = len(data[0]), [n_models] if n_models else []
    full, rest = divmod(n, batch_size)
    in_order = np.broadcast_to(np.arange(n), [*models, n])

    if not n_models:  # with its size open, it is traced once for whole batches and for the rest
        sizes = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in data]
        signature = [(sizes[0], sizes[-1])]
        step = tf.function(step, autograph=False, input_signature=signature)

    @tf.function(jit_compile=True, autograph=False)
    def loop(order: tf.Tensor, first: tf.Tensor, last: tf.Tensor, *data: tf.Tensor) -> None:
        def batch(i: tf.Tensor, size: int = batch_size) -> list[tf.Tensor]:
            rows = tf.slice(order, [0] * len(models) + [i * batch_size], [*models, size])
            parts = [tf.gather(part, rows) for part in data]
            step((parts[0], parts[-1]))
            return [i + 1]

        if full:
            tf.while_loop(lambda i: i < tf.minimum(last, full), batch, [first])
        if rest:
            tf.cond(last > full, lambda: batch(full, rest), lambda: [full + 1])

    # Traced here, once: of a new tf.function in each training TensorFlow would warn.
    number = tf.TensorSpec((), tf.int32)
    compiled = loop.get_concrete_function(
        tf.TensorSpec(in_order.shape, tf.int32), number, number, *data
    )
    if not n_models:  # and compiled here, by a call for no batch; stacks are compiled side by side
        compiled(tf.constant(in_order, tf.int32), tf.constant(0), tf.constant(0), *data)

    @stage("train")
    def epoch(
        order: np.ndarray = in_order, stops: Sequence[int] = (), watchers: Sequence = ()
    ) -> Any:
        model.reset_metrics()
        order = tf.constant(order, tf.int32)
        for first, last in pairwise([0, *stops, full + bool(rest)]):
            for watcher in watchers if first else ():
                watcher.on_train_batch_end(first - 1)
            compiled(order, tf.constant(first), tf.constant(last), *data)
        return model.get_metrics_result()

    return epoch


def _shuffler() -> Callable[[int], np.ndarray]:
    # Seeded as Keras seeds its own: from Python's generator, which set_random_seed has set.
    return np.random.default_rng(random.randrange(2**31)).permutation


def _put_back(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    """Write the values of before: all of them, also if the reader interrupts once more."""
    while True:
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            return
        except KeyboardInterrupt:
            continue


def _check_finite(logs: dict[str, float], epoch: int) -> None:
    for name, value in logs.items():
        if "loss" in name and not math.isfinite(value):
            raise ValueError(
                f"The {name} became {value} in epoch {epoch + 1}, most often because the learning "
                "rate is too high: lower it. train() leaves the weights of before that epoch."
            )


def _checked_data(
    model: keras.Model, images: Any, targets: Any, validation_data: Any
) -> tuple[Data, Data]:
    """Check model and data; give images and targets, and those to validate on, as tensors."""
    if not getattr(model, "compiled", False):
        raise ValueError(
            f"This {type(model).__name__} is not compiled, so it cannot be trained: give the Keras "
            'model after model.compile(optimizer="adam", loss="binary_crossentropy").'
        )
    pair = isinstance(validation_data, tuple | list) and len(validation_data) == 2
    if pair == (targets is None):
        raise ValueError(
            f"validation_data is a {type(validation_data).__name__}: give the images only where "
            "they are their own targets, and a pair (images, targets) beside targets=."
        )
    to_validate = validation_data if pair else (validation_data, None)
    data = _checked("images", images, targets, model)
    return data, _checked("validation_data", *to_validate, model)


def _checked(name: str, images: Any, targets: Any, model: keras.Model) -> Data:
    images, own = np.asarray(images), targets is None
    targets = images if own else np.asarray(targets)
    if not model.built:
        model.build(images.shape)
    takes, returns = (
        getattr(model, side, images.shape)[1:] for side in ("input_shape", "output_shape")
    )
    fits = tf.TensorShape(takes).is_compatible_with(images.shape[1:])
    if images.dtype.kind != "f" or not fits or not len(images):
        raise ValueError(
            f"{name} is {images.dtype} {images.shape}, and the autoencoder takes "
            f"(n, {', '.join(map(str, takes))}) float32 in [0, 1] with at least one image: "
            "prepare() makes them."
        )
    if own and takes != returns:
        raise ValueError(
            f"{model.name!r} takes {' x '.join(map(str, takes))} numbers and returns "
            f"{' x '.join(map(str, returns))}: give the whole autoencoder, or targets=."
        )
    if targets.dtype.kind not in "biuf" or len(targets) != len(images):
        raise ValueError(
            f"The targets of {name} are {targets.dtype} {targets.shape} for {len(images)} images: "
            "give numbers, one row or one label an image."
        )
    low, high = targets.min(), targets.max()
    largest = np.abs([low, high, images.min(), images.max()], dtype="float64").max()
    if not largest <= np.finfo("float32").max:  # or not a number
        raise ValueError(
            f"{name} holds NaN or infinity (which is what float32 makes of more than 3.4e38), from "
            "which nothing can be learned: give finite numbers, as prepare() makes them."
        )
    loss = keras.losses.get(model.loss) if isinstance(model.loss, str) else model.loss
    loss = getattr(loss, "__name__", getattr(loss, "name", None))
    if loss == "binary_crossentropy" and not 0 <= low <= high <= 1:
        raise ValueError(
            f"{name} reaches from {low:g} to {high:g}, and must be in [0, 1] for "
            "binary_crossentropy: scale the images by prepare()."
        )
    parts = [images] if own else [images, targets]
    return tuple(tf.constant(p, "float32" if p.dtype.kind == "f" else None) for p in parts)
