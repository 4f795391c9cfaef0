"""Train many autoencoders side by side: one shape, one recipe, many random seeds."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ae_helpers.compiled import Chain, compiled_epoch, forward, keras, tf
from ae_helpers.optimizers import slot_variables
from ae_helpers.old_training import (
    check_counts,
    check_finite,
    checked_images,
    checked_model,
    shuffler,
)

GROUP = 16  # models at a time, so that memory hardly grows with their number
STACK = 2  # of these in one program, a program a core: quicker than 1, 4 or 8
ROWS = 500  # images encoded at a time


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
    _head: Chain

    def codes(self, images: np.ndarray) -> np.ndarray:
        """Encode images ``(n, inputs)`` by every model: ``(seeds, n, units)`` float32."""
        return np.concatenate(
            [
                _encode(self._head, [tf.constant(w[i : i + GROUP]) for w in self.weights], images)
                for i in range(0, len(self.seeds), GROUP)
            ]
        )

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
    rounding, whichever other seeds are trained with it. A compiled program trains two, and
    each core runs one; more than sixteen seeds are done in groups, so memory hardly grows
    with their number.

    Parameters
    ----------
    seeds
        Whole numbers from 0 up.
    make_model
        A function without arguments that returns a new, compiled autoencoder of dense layers.
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
    groups = np.array_split(seeds, -(-len(seeds) // GROUP))  # as even as can be
    done = [
        _train_group(
            group.tolist(), make_model, images, validation_data, epochs, batch_size, verbose
        )
        for group in groups
    ]
    losses, ranges, weights, heads = zip(*done, strict=True)
    return Trained(
        seeds,
        {name: np.concatenate([part[name] for part in losses]) for name in losses[0]},
        np.concatenate(ranges),
        [np.concatenate(parts) for parts in zip(*weights, strict=True)],
        make_model,
        heads[0],
    )


def _train_group(
    seeds: list[int],
    make_model: Callable[[], "keras.Model"],
    images: np.ndarray,
    validation_data: np.ndarray,
    epochs: int,
    batch_size: int,
    verbose: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, list[np.ndarray], Chain]:
    models = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model = make_model()
        models.append((model.get_weights(), shuffler()))
    chain, variables, loss, rule, settings = checked_model(model)
    images = tf.constant(checked_images("images", images, model))
    validation = tf.constant(checked_images("validation_data", validation_data, model))
    head = _head(chain, variables)
    run_epoch = compiled_epoch(chain, loss, rule, settings, batch_size)
    rate = tf.constant(model.optimizer.learning_rate.value)
    steps = -(-len(images) // batch_size)
    slots = slot_variables(model.optimizer, variables)
    stacks = [_Stack(models[i : i + STACK], slots) for i in range(0, len(models), STACK)]

    history = {"loss": [], "val_loss": []}
    ranges = [np.concatenate([stack.code_range(head, validation) for stack in stacks])]
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        for epoch in range(epochs):
            given = run_epoch, images, validation, tf.constant(epoch * steps), rate
            done = cores.map(lambda stack, given=given: stack.epoch(*given), stacks)
            for name, values in zip(history, zip(*done, strict=True), strict=True):
                history[name].append(np.concatenate(values))
            for i, seed in enumerate(seeds):
                logs = {f"{name} of seed {seed}": values[-1][i] for name, values in history.items()}
                check_finite(logs, epoch)
            ranges.append(np.concatenate([stack.code_range(head, validation) for stack in stacks]))
            if verbose:
                print(_progress_line(seeds, epoch, epochs, history["val_loss"][-1]), flush=True)
    losses = {name: np.stack(values, axis=1) for name, values in history.items()}
    weights = zip(*(stack.weights for stack in stacks), strict=True)
    return losses, np.stack(ranges, axis=1), [np.concatenate(parts) for parts in weights], head


class _Stack:
    """A few models that go through a program together, their weights stacked."""

    def __init__(
        self,
        models: list[tuple[list[np.ndarray], Callable[[int], np.ndarray]]],
        slots: dict[str, list["keras.Variable"]],
    ) -> None:
        starts, self._shuffles = zip(*models, strict=True)
        self.weights = [tf.constant(np.stack(arrays)) for arrays in zip(*starts, strict=True)]
        self._slots = {
            name: [tf.repeat(v.value[None], len(models), axis=0) for v in values]
            for name, values in slots.items()
        }

    def epoch(
        self,
        run_epoch: Callable,
        images: tf.Tensor,
        validation: tf.Tensor,
        step: tf.Tensor,
        rate: tf.Tensor,
    ) -> list[np.ndarray]:
        """Train for an epoch; the losses and validation losses, each ``(models,)`` float64."""
        order = tf.constant(np.stack([shuffle(len(images)) for shuffle in self._shuffles]))
        self.weights, self._slots, *losses = run_epoch(
            images, order, validation, self.weights, self._slots, step, rate
        )
        return [values.numpy().astype("float64") for values in losses]

    def code_range(self, head: Chain, images: tf.Tensor) -> np.ndarray:
        """Largest less smallest value of each unit of the code: ``(models, units)``."""
        return np.ptp(_encode(head, self.weights, images), axis=1)


def _progress_line(seeds: list[int], epoch: int, epochs: int, val_loss: np.ndarray) -> str:
    counted = f"{epoch + 1:{len(str(epochs))}}/{epochs}"
    which = (
        f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    )
    return f"{which}  epoch {counted}  val_loss {val_loss.min():.4f} to {val_loss.max():.4f}"


def _head(chain: Chain, variables: list["keras.Variable"]) -> Chain:
    """Cut the chain after its code: the layer with the fewest units, and a PReLU behind it."""
    widths = [v.shape[1] for v in variables if len(v.shape) == 2]
    dense = [i for i, activation in enumerate(chain) if activation != "prelu"]
    end = dense[int(np.argmin(widths))] + 1
    while end < len(chain) and chain[end] == "prelu":
        end += 1
    return chain[:end]


def _encode(head: Chain, weights: list[tf.Tensor], images: np.ndarray | tf.Tensor) -> np.ndarray:
    """Codes ``(models, n, units)``, a few images at a time: the memory stays small."""
    parts = [
        forward(head, weights, tf.constant(images[i : i + ROWS]))
        for i in range(0, len(images), ROWS)
    ]
    return np.concatenate([part.numpy() for part in parts], axis=1)


def _checked_seeds(seeds: Any) -> list[int]:
    seeds = list(seeds)
    for seed in seeds:
        is_number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not is_number or not 0 <= seed < 2**32:
            raise ValueError(f"seed={seed!r} cannot work: it must be a whole number from 0 up.")
    if not seeds:
        raise ValueError("train_many() was given no seeds: give at least one.")
    return [int(seed) for seed in seeds]
