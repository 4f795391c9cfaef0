"""Time one epoch of the course's training, and the way to val_loss 0.1985, done six ways.

    python benchmarks/training.py

All in one process on the same data, in turns, so that the ratios hold on a machine that is not
quiet. It takes about five minutes. With fewer images (``--images 6000 --epochs 0``) it is quick;
the ratios are then not those of MNIST. JAX takes part where it is installed
(``pip install jax optax``).
"""

import argparse
import contextlib
import importlib.util
import io
import statistics
import time

import numpy as np

from ae_helpers import build_autoencoder, load_mnist, prepare, quiet_start, train, train_many

with quiet_start():
    import keras

TARGET = 0.1985  # what the article reports after 10 epochs
BATCH = 32
SEEDS = 16  # models that train_many trains side by side


def make_model(**kwargs):
    """Build and compile the course's autoencoder."""
    autoencoder, _, _ = build_autoencoder()
    autoencoder.compile(optimizer="adam", loss="binary_crossentropy", **kwargs)
    return autoencoder


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch; stops at the target."""

    def on_train_begin(self, logs=None):
        """Start the clock."""
        self.seconds, self.start = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs):
        """Note the seconds, and stop at the target."""
        self.seconds.append(time.perf_counter() - self.start)
        self.start = time.perf_counter()
        self.model.stop_training = logs["val_loss"] <= TARGET


def by_fit(images, test_images, epochs, **kwargs):
    """Train by Keras' own loop."""
    keras.utils.set_random_seed(1)
    clock = Clock()
    make_model(**kwargs).fit(
        images,
        images,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(test_images, test_images),
        callbacks=[clock],
        verbose=0,
    )
    return clock.seconds


def by_train(images, test_images, epochs):
    """Train by an epoch in one program; the first includes compiling and copying the images."""
    keras.utils.set_random_seed(1)
    clock, start = Clock(), time.perf_counter()
    model = make_model()
    train(model, images, validation_data=test_images, epochs=epochs, callbacks=[clock], verbose=0)
    clock.seconds[0] += time.perf_counter() - start - sum(clock.seconds)
    return clock.seconds


class Stamps(io.StringIO):
    """Notes when each line is printed."""

    def __init__(self):
        """Start the clock."""
        super().__init__()
        self.times = [time.perf_counter()]

    def write(self, text):
        """Note the time of a line, and keep the line to ourselves."""
        if text.strip():
            self.times.append(time.perf_counter())
        return len(text)


def by_train_many(images, test_images, epochs):
    """Train many side by side; seconds a model, from the lines printed after each epoch."""
    with contextlib.redirect_stdout(Stamps()) as stamps:
        many = train_many(
            range(SEEDS), make_model, images, validation_data=test_images, epochs=epochs
        )
    reached = np.flatnonzero(many.history["val_loss"][1] <= TARGET)
    n = int(reached[0]) + 1 if len(reached) else epochs
    return (np.diff(stamps.times) / SEEDS).tolist()[:n]


def by_jax(images, test_images, epochs):
    """Train by JAX and optax, an epoch as a scan over the batches (full ones only)."""
    import jax
    import optax

    keras.utils.set_random_seed(1)
    arrays = [jax.numpy.asarray(weight) for weight in make_model().get_weights()]
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    optimizer = optax.adam(0.001, eps=1e-7)
    state, random = (layers, optimizer.init(layers)), np.random.default_rng(1)

    def loss(layers, x):
        y = x
        for kernel, bias in layers[:-1]:
            y = jax.nn.relu(y @ kernel + bias)
        kernel, bias = layers[-1]
        return optax.sigmoid_binary_cross_entropy(y @ kernel + bias, x).mean()

    @jax.jit
    def epoch(state, order, images, test_images):
        def step(state, rows):
            layers, slots = state
            gradient = jax.grad(loss)(layers, images[rows])
            updates, slots = optimizer.update(gradient, slots)
            return (optax.apply_updates(layers, updates), slots), None

        state, _ = jax.lax.scan(step, state, order)
        return state, loss(state[0], test_images)

    images, test_images = jax.numpy.asarray(images), jax.numpy.asarray(test_images)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        full = len(images) // BATCH
        order = random.permutation(len(images))[: full * BATCH].reshape(full, BATCH)
        state, val_loss = epoch(state, order, images, test_images)
        reached = float(val_loss) <= TARGET
        seconds.append(time.perf_counter() - start)
        if reached:
            break
    return seconds


def by_products(images, test_images, epochs):
    """Do only the matrix products of training and validation, in NumPy: the floor."""
    kernels = [k.astype("float32") for k in make_model().get_weights()[::2]]
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for i in range(0, len(images), BATCH):
            outputs = [images[i : i + BATCH]]
            for kernel in kernels:
                outputs.append(outputs[-1] @ kernel)
            gradient = outputs.pop()
            for kernel, x in zip(kernels[::-1], outputs[::-1], strict=True):
                x.T @ gradient
                if x is not outputs[0]:
                    gradient = gradient @ kernel.T
        for i in range(0, len(test_images), 500):
            x = test_images[i : i + 500]
            for kernel in kernels:
                x = x @ kernel
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    """Take turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn")
    parser.add_argument("--epochs", type=int, default=20, help="at most, to the target; 0: skip it")
    arguments = parser.parse_args()
    (X_train, _), (X_test, _) = load_mnist()
    images, test_images = prepare(X_train[: arguments.images]), prepare(X_test)
    fit, plain = "fit, as in the text", "matrix products in NumPy"
    ways = {
        fit: by_fit,
        "fit, jit, 100 steps at a time": lambda *a: by_fit(
            *a, jit_compile=True, steps_per_execution=100
        ),
        "train": by_train,
        f"train_many, a model of {SEEDS}": by_train_many,
        "JAX and optax": by_jax,
        plain: by_products,
    }
    if not all(importlib.util.find_spec(name) for name in ("jax", "optax")):
        print("JAX is left out: it is not installed (pip install jax optax).")
        del ways["JAX and optax"]
    first, seconds = {}, {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            epochs = way(images, test_images, 2)
            first.setdefault(name, epochs[0])
            seconds[name].append(epochs[-1])
    epoch = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{'one epoch, seconds':32}{'first':>8}{'later':>8}{'fit / it':>10}")
    for name in ways:
        print(f"{name:32}{first[name]:8.2f}{epoch[name]:8.2f}{epoch[fit] / epoch[name]:10.1f}")
    print("(first: with compiling and, of train and train_many, all other preparation)")
    if arguments.epochs:
        print(f"\n{f'to val_loss {TARGET}, seed 1':32}{'epochs':>8}{'seconds':>9}{'fit / it':>10}")
        total = {}
        del ways[plain]
        for name, way in ways.items():
            run = way(images, test_images, arguments.epochs)
            total[name] = sum(run)
            ratio = total[fit] / total[name]
            print(f"{name:32}{len(run):8}{total[name]:9.1f}{ratio:10.1f}", flush=True)


if __name__ == "__main__":
    main()
