"""A whole epoch of training as one compiled program, for a chain of dense layers.

`fit` starts every batch anew from Python, and each start costs more than the batch's arithmetic.
Here one program loops over all batches of an epoch; weights and optimizer slots are values that
go round in the loop. Weights may carry a leading axis of models: then as many autoencoders train
side by side, each on batches of its own.
"""

import functools
from collections.abc import Callable
from typing import Any

from ae_helpers.model import quiet_start
from ae_helpers.optimizers import RULES

with quiet_start():
    import keras
    import tensorflow as tf

# One entry a layer: its activation for a dense layer, "prelu" for a PReLU layer.
Chain = tuple[Callable | str, ...]

VALIDATION_ROWS = 500  # images at a time, so that the memory does not grow with the data
FACTORS = 64  # numbers of at most 2 whose product is still far from the largest float32
EPSILON = 1e-7  # as Keras keeps a probability away from 0 and 1


def dense_chain(model: "keras.Model") -> tuple[Chain, list["keras.Variable"]]:
    """Read a Keras model as a chain of dense layers.

    Parameters
    ----------
    model
        Dense layers one after another, functional or sequential, also as models within the
        model; PReLU layers may stand between them.

    Returns
    -------
    chain, variables
        What each layer does, hashable; and the model's weights in the chain's order.

    Raises
    ------
    ValueError
        If the model has another layer (which is named), or is no chain.
    """
    chain, variables = [], []
    for layer in _flat(model):
        problem = _problem(layer)
        if problem:
            raise ValueError(
                f"train() works on dense layers one after another, and the layer {layer.name!r} "
                f"{problem}: use fit() for this model."
            )
        chain.append("prelu" if isinstance(layer, keras.layers.PReLU) else layer.activation)
        variables.extend(layer.trainable_variables)
    in_order = [variable.path for variable in variables]
    if not variables or in_order != [variable.path for variable in model.weights]:
        raise ValueError("train() works on dense layers that are all used once and all trained.")
    probe = tf.random.stateless_uniform((2, model.input_shape[-1]), seed=(0, 0))
    ours = forward(tuple(chain), [v.value for v in variables], probe)
    theirs = model(probe)
    if ours.shape != theirs.shape or not bool(tf.reduce_all(tf.abs(ours - theirs) < 1e-4)):
        raise ValueError(
            f"train() works on dense layers one after another, and those of {model.name!r} are "
            "connected in another way: use fit() for this model."
        )
    return tuple(chain), variables


def forward(chain: Chain, weights: list[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Send images through the chain.

    Parameters
    ----------
    chain
        As from `dense_chain`.
    weights
        Kernels ``(..., inputs, units)`` and biases ``(..., units)`` in turn.
    x
        ``(..., n, inputs)``; a model axis that is missing here or there is broadcast.
    """
    weights = iter(weights)
    for activation in chain:
        if activation == "prelu":
            slope = next(weights)[..., None, :]
            x = tf.nn.relu(x) - slope * tf.nn.relu(-x)
        else:
            x = activation(tf.matmul(x, next(weights)) + next(weights)[..., None, :])
    return x


@functools.lru_cache(maxsize=32)
def compiled_epoch(
    chain: Chain, loss: str, rule: str, settings: tuple[tuple[str, Any], ...], batch_size: int
) -> Callable:
    """Make the program of one epoch; TensorFlow compiles it at its first call for a shape.

    Parameters
    ----------
    chain
        As from `dense_chain`.
    loss
        ``"binary_crossentropy"``, ``"mse"`` or ``"mae"``.
    rule, settings
        As from `checked_settings`.
    batch_size
        Images a step; what is left over makes a last, shorter batch.

    Returns
    -------
    callable
        ``(images, order, validation, weights, slots, step, rate)`` to
        ``(weights, slots, loss, val_loss)``, all values. `order` ``(..., n)`` int32 is the order
        of the images; its leading axis, if any, is that of weights, slots and losses. `slots`
        is a dict of lists in the order of the weights. `step` counts the steps done before.
    """
    update = functools.partial(RULES[rule], dict(settings))

    def train_step(weights, slots, step, rate, x):  # noqa: ANN001, ANN202
        with tf.GradientTape() as tape:
            tape.watch(weights)
            losses = _loss(loss, chain, weights, x)
            total = tf.reduce_sum(losses)  # models do not touch each other: one gradient for all
        gradients = tape.gradient(total, weights)
        updated = [
            update(step, rate, weight, gradient, {name: slots[name][i] for name in slots})
            for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True))
        ]
        new_slots = {name: [slot[name] for _, slot in updated] for name in slots}
        return [weight for weight, _ in updated], new_slots, losses

    @tf.function(jit_compile=True, autograph=False)
    def epoch(images, order, validation, weights, slots, step, rate):  # noqa: ANN001, ANN202
        models, n = order.shape[:-1], order.shape[-1]
        full, rest = divmod(n, batch_size)

        def batch(i, size, weights, slots, total):  # noqa: ANN001, ANN202
            rows = tf.slice(order, [0] * len(models) + [i * batch_size], [*models, size])
            x = tf.gather(images, rows)
            now = tf.cast(step + i + 1, tf.float32)
            weights, slots, losses = train_step(weights, slots, now, rate, x)
            return weights, slots, total + losses * size

        def body(i, *state):  # noqa: ANN001, ANN002, ANN202
            return i + 1, *batch(i, batch_size, *state)

        state = (weights, slots, tf.zeros(models))
        if full:
            _, *state = tf.while_loop(lambda i, *_: i < full, body, (0, *state))
        if rest:
            state = batch(full, rest, *state)
        weights, slots, total = state
        return weights, slots, total / n, _mean_loss(loss, chain, weights, validation)

    def run(*arguments):  # noqa: ANN002, ANN202
        # Not epoch() itself: TensorFlow would warn of one compilation too many after the fifth
        # model or data set, however long each of them is then used.
        return epoch.get_concrete_function(*arguments)(*arguments)

    return run


def _flat(model: "keras.Model") -> list["keras.layers.Layer"]:
    layers = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            layers.extend(_flat(layer))
        elif not isinstance(layer, keras.layers.InputLayer):
            layers.append(layer)
    return layers


def _problem(layer: "keras.layers.Layer") -> str:
    """Say what in a layer a chain cannot do; nothing if all is well."""
    if type(layer) not in (keras.layers.Dense, keras.layers.PReLU):
        return f"is a {type(layer).__name__}"
    if not layer.trainable:
        return "is frozen"
    if layer.compute_dtype != "float32":
        return f"computes in {layer.compute_dtype}"
    if isinstance(layer, keras.layers.Dense) and not layer.use_bias:
        return "has no bias"
    if isinstance(getattr(layer, "activation", None), keras.layers.Layer):
        return "has a layer as its activation"
    extras = [e for e in layer.get_config() if e.endswith(("_regularizer", "_constraint"))]
    extra = next((e for e in extras if getattr(layer, e, None) is not None), None)
    return f"has a {extra}" if extra else ""


def _loss(loss: str, chain: Chain, weights: list[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Mean loss of a batch ``(..., n, pixels)``, one number a model."""
    if loss == "binary_crossentropy" and chain[-1] is keras.activations.sigmoid:
        # From the sum before the sigmoid, as Keras does: no digits are lost where it saturates.
        logits = forward((*chain[:-1], keras.activations.linear), weights, x)
        values = _sigmoid_crossentropy(logits, x)
    else:
        output = forward(chain, weights, x)
        if loss == "mse":
            values = tf.square(output - x)
        elif loss == "mae":
            values = tf.abs(output - x)
        else:
            output = tf.clip_by_value(output, EPSILON, 1 - EPSILON)
            values = -x * tf.math.log(output) - (1 - x) * tf.math.log(1 - output)
    return tf.reduce_mean(values, axis=(-2, -1))


def _sigmoid_crossentropy(logits: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """tf.nn.sigmoid_cross_entropy_with_logits, with faster logarithms; only its mean counts.

    It has log where that has log1p, and in a small batch one logarithm for a pixel of all its
    images: that of the product. What this loses is below 1e-7, and only in the value: the
    gradient is written out.
    """

    @tf.custom_gradient
    def crossentropy(logits):  # noqa: ANN001, ANN202
        small = tf.exp(-tf.abs(logits))
        n = logits.shape[-2]
        if n <= FACTORS:
            logs = tf.math.log(tf.reduce_prod(1 + small, axis=-2, keepdims=True)) / n
        else:
            logs = tf.math.log(1 + small)

        def gradient(upstream):  # noqa: ANN001, ANN202
            return upstream * (tf.where(logits >= 0, 1.0, small) / (1 + small) - x)

        return tf.maximum(logits, 0) - logits * x + logs, gradient

    return crossentropy(logits)


def _mean_loss(loss: str, chain: Chain, weights: list[tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    n = images.shape[0]
    size = min(VALIDATION_ROWS, n)

    def add(i, total):  # noqa: ANN001, ANN202
        x = tf.slice(images, [i * size, 0], [size, images.shape[1]])
        return i + 1, total + _loss(loss, chain, weights, x) * size

    models = weights[0].shape[:-2]
    _, total = tf.while_loop(
        lambda i, _: i < n // size, add, (0, tf.zeros(models)), maximum_iterations=n // size
    )
    if n % size:
        total += _loss(loss, chain, weights, images[n - n % size :]) * (n % size)
    return total / n
