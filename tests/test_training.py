"""train() and train_many(): the same training as Keras' own, and a sentence for what cannot be."""

import contextlib
import io
import json

import numpy as np
import pytest

from ae_helpers import build_autoencoder, load_run, save_run, train, train_many
from ae_helpers.training import _shuffler, keras

RANDOM = np.random.default_rng(0)
# Compiling takes nearly all the time: tests share a training where they can, and only few have
# a last short batch, which is compiled by itself. Here are four batches of 24.
IMAGES = (RANDOM.random((96, 30)) * (RANDOM.random((96, 30)) > 0.7)).astype("float32")
TEST_IMAGES = IMAGES[:50]
LABELS, TEST_LABELS = np.arange(96) % 3, np.arange(50) % 3


def small_model(optimizer="adam", loss="binary_crossentropy", *, last="sigmoid", code=None):
    """30 → code → 30: quick, and the arithmetic is that of 784 and more layers."""
    keras.utils.set_random_seed(7)
    layers = [
        *(code() if code else [keras.layers.Dense(3, "relu")]),
        keras.layers.Dense(30, last),
    ]
    model = keras.Sequential([keras.Input(shape=(30,)), *layers])
    model.compile(optimizer=optimizer, loss=loss)
    return model


def run(model, images=IMAGES, **kwargs):
    kwargs = {"validation_data": TEST_IMAGES, "epochs": 1, "batch_size": 24, "verbose": 0} | kwargs
    keras.utils.set_random_seed(3)
    return train(model, images, **kwargs)


def fit_on_the_same_order(model, images=IMAGES, targets=None, epochs=1, turns=1, eager=True):
    """Train by Keras' own loop on the order of images that `run` has."""
    keras.utils.set_random_seed(3)
    model.run_eagerly = eager  # the same steps; for so few, compiling them would take longer
    shuffle, history = _shuffler(), {"loss": [], "val_loss": []}
    targets = images if targets is None else targets
    orders = turns * [shuffle(len(images)) for _ in range(epochs)]
    for order in orders:
        epoch = model.fit(
            images[order],
            targets[order],
            batch_size=24,
            shuffle=False,
            validation_data=(images[:50], targets[:50]),
            verbose=0,
        )
        for name, values in history.items():
            values += epoch.history[name]
    return history


def largest_difference(model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return max(np.abs(np.subtract(a, b)).max() for a, b in pairs)


class Cloud(keras.layers.Layer):
    """The middle of a variational autoencoder, with a loss of its own and, if asked, noise."""

    def __init__(self, noise):
        super().__init__()
        self.noise, self.generator = noise, keras.random.SeedGenerator(5)

    def call(self, mean):
        self.add_loss(keras.ops.mean(mean**2))
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.generator)
        return mean + self.noise * noise


CODES = {
    "add_loss": lambda: [keras.layers.Dense(3), Cloud(noise=0.0)],
    "prelu, frozen": lambda: [keras.layers.Dense(3, trainable=False), keras.layers.PReLU()],
    "batch normalisation": lambda: [keras.layers.Dense(3), keras.layers.BatchNormalization()],
    "regularizer": lambda: [keras.layers.Dense(3, kernel_regularizer="l2")],
    "plain": None,
}
KINDS = {
    "rmsprop, mse": ("rmsprop", "mse", "prelu, frozen"),
    "nadam, huber": ("nadam", "huber", "add_loss"),
    "adamw, clipped, averaged": (
        keras.optimizers.AdamW(clipnorm=0.1, use_ema=True),
        "mse",
        "plain",
    ),
    "a rate that falls": (
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.8)),
        lambda x, y: keras.ops.mean(keras.ops.abs(x - y) ** 1.5, axis=-1),
        "regularizer",
    ),
}


@pytest.fixture(scope="module")
def plain():
    """A model after two epochs, its history, and what was printed."""
    model = small_model()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        history = run(model, epochs=2, verbose=1)
    return model, history, printed.getvalue()


@pytest.fixture(scope="module")
def normalised():
    """A model after two epochs, with weights that are not trained too, and its history."""
    model = small_model(momentum(), code=CODES["batch normalisation"])
    return model, run(model, epochs=2)


def momentum():
    """An optimizer that keeps something from step to step, and is quickly compiled."""
    return keras.optimizers.SGD(0.5, momentum=0.5)


@pytest.fixture(scope="module")
def with_a_short_batch():
    """A model after two epochs that end in a batch of 17, and its history."""
    model = small_model()
    return model, run(model, IMAGES[:89], epochs=2)


def check_that_fit_ends_there(model, history, theirs, images=IMAGES, largest=1e-5):
    expected = fit_on_the_same_order(theirs, images, epochs=len(history.epoch))
    assert largest_difference(model, theirs) < largest
    for key, values in expected.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_any_optimizer_loss_and_layer_end_where_fit_ends_on_the_same_order(name):
    optimizer, loss, code = KINDS[name]
    config = keras.optimizers.serialize(keras.optimizers.get(optimizer))
    ours, theirs, start = (
        small_model(keras.optimizers.deserialize(config), loss, code=CODES[code]) for _ in range(3)
    )
    epochs = 1 if "averaged" in name else 2  # fit() puts the average in place after each call
    history = run(ours, epochs=epochs)
    assert largest_difference(ours, start) > 1e-4, "nothing was trained"
    check_that_fit_ends_there(ours, history, theirs)
    steps = 4 * epochs
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == steps


def test_adam_and_the_last_short_batch_end_as_in_fit(plain, with_a_short_batch):
    check_that_fit_ends_there(*plain[:2], small_model())
    check_that_fit_ends_there(*with_a_short_batch, small_model(), IMAGES[:89])


def test_what_a_layer_keeps_without_training_it_is_as_by_fit(normalised):
    theirs = small_model(momentum(), code=CODES["batch normalisation"])
    # Batch normalisation divides by small deviations, which enlarges rounding errors.
    check_that_fit_ends_there(*normalised, theirs, largest=1e-4)


def test_a_step_is_traced_once_for_whole_batches_and_the_rest():
    model, traced = small_model("sgd"), []
    step = model.train_step
    model.train_step = lambda batch: traced.append(batch) or step(batch)
    run(model, IMAGES[:50], epochs=2)
    assert len(traced) == 1 and int(model.optimizer.iterations) == 2 * 3


def test_dropout_and_drawn_codes_are_random_while_training_and_seeded():
    def trained():
        layers = keras.layers
        code = [layers.Dense(3), layers.Dropout(0.5), Cloud(noise=1.0)]
        model = small_model(momentum(), code=lambda: code)
        return model, run(model, epochs=3).history

    (first, history), (again, same) = trained(), trained()
    assert largest_difference(first, again) == 0 and history == same
    calm = small_model(momentum(), code=CODES["add_loss"])
    fit_on_the_same_order(calm, epochs=3)
    assert largest_difference(first, calm) > 1e-4
    assert history["loss"][-1] < history["loss"][0]


def test_targets_of_their_own_clean_images_or_labels():
    noisy = np.clip(IMAGES + 0.2, 0, 1)
    ours, theirs = small_model(momentum()), small_model(momentum())
    run(ours, noisy, targets=IMAGES, validation_data=(noisy[:50], TEST_IMAGES))
    fit_on_the_same_order(theirs, noisy, IMAGES)
    assert largest_difference(ours, theirs) < 1e-5

    def classifier():
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax")])
        model.compile(momentum(), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    ours, theirs = classifier(), classifier()
    measured = run(ours, targets=LABELS, validation_data=(TEST_IMAGES, TEST_LABELS)).history
    fit_on_the_same_order(theirs, targets=LABELS)
    assert largest_difference(ours, theirs) < 1e-5
    assert list(measured) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_train_and_fit_can_take_turns():
    ours, theirs = small_model("rmsprop"), small_model("rmsprop")
    for turn in (fit_on_the_same_order, run, fit_on_the_same_order):
        turn(ours, **({} if turn is run else {"eager": False}))
    fit_on_the_same_order(theirs, turns=3)
    assert largest_difference(ours, theirs) < 1e-5


def test_an_epoch_has_a_new_shuffle_that_follows_from_the_seed():
    def orders(seed):
        keras.utils.set_random_seed(seed)
        shuffle = _shuffler()
        return np.stack([shuffle(100) for _ in range(2)])

    first, second = orders(1)
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any() and (first != np.arange(100)).any()
    assert (orders(1) == [first, second]).all() and (orders(2) != [first, second]).any()


def test_history_is_that_of_fit_and_each_epoch_prints_a_line(plain):
    model, history, printed = plain
    first, second = printed.splitlines()
    assert first.startswith("epoch 1/2  loss 0.") and "  val_loss 0." in second
    assert history.epoch == [0, 1] and history.model is model and model.history is history
    assert list(history.history) == ["loss", "val_loss"]
    assert all(type(value) is float for value in history.history["loss"])
    json.dumps(history.history)


# --- Callbacks, interrupts, NaN


def test_callbacks_act_at_the_ends_of_epochs(tmp_path):
    model = small_model(keras.optimizers.SGD(0.5))
    halt = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 1 else 0.0)
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    path = tmp_path / "{epoch}.weights.h5"
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    losses = run(model, epochs=9, callbacks=[halt, stop, save]).history["val_loss"]
    assert len(losses) == 3 and losses[0] == losses[1] == losses[2]
    saved = small_model()
    saved.load_weights(tmp_path / "1.weights.h5")
    assert largest_difference(saved, model) == 0 < largest_difference(saved, small_model())
    assert len(run(model).epoch) == 1, "the next training must start afresh"


@pytest.mark.parametrize("n_images", [96, 89])
def test_the_same_seed_gives_the_same_training_also_when_a_callback_looks_within_an_epoch(
    n_images, plain, with_a_short_batch, capsys
):
    class Watcher(keras.callbacks.Callback):
        def stops(self, epoch, steps):
            return [0, 1, 3, steps] if epoch == 0 else []

        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, int(self.model.optimizer.iterations)))

    seen, model = [], small_model()
    unwatched = plain[0] if n_images == 96 else with_a_short_batch[0]
    run(model, IMAGES[:n_images], epochs=2, callbacks=[Watcher()])
    assert capsys.readouterr().out == "", "verbose=0 prints no line"
    assert seen == [(0, 1), (2, 3)]
    assert int(model.optimizer.iterations) == 8
    assert largest_difference(model, unwatched) == 0


@pytest.mark.parametrize("moment", ["between", "within"])
def test_an_interrupt_leaves_the_epochs_done(moment, normalised):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2 and moment == "between":
                raise KeyboardInterrupt
            if epoch == 2:  # as Ctrl-C comes when the epoch has run and is not yet measured
                self.model.get_metrics_result = interrupt

    def interrupt():
        raise KeyboardInterrupt

    model = small_model(momentum(), code=CODES["batch normalisation"])
    with pytest.raises(KeyboardInterrupt):
        run(model, epochs=9, callbacks=[Interrupt()])
    two_epochs, _ = normalised
    assert largest_difference(model, two_epochs) == 0
    states = zip(model.optimizer.variables, two_epochs.optimizer.variables, strict=True)
    assert all(np.array_equal(a, b) for a, b in states)
    assert int(model.optimizer.iterations) == 8 and model.history.epoch == [0, 1]


def test_a_loss_that_is_not_finite_stops_with_the_weights_before():
    model = small_model(keras.optimizers.SGD(1e30), "mse", last="linear")
    with pytest.raises(ValueError, match=r"loss became (nan|inf) in epoch 1, most often because"):
        run(model)
    assert largest_difference(model, small_model(last="linear")) == 0


# --- Wrong arguments: they work as in Keras, or one sentence


def test_float64_and_a_batch_larger_than_the_data_work():
    first, second = (small_model(keras.optimizers.SGD(1.0)) for _ in range(2))
    wide = {"validation_data": TEST_IMAGES.astype("float64"), "batch_size": 5000}
    run(first, IMAGES.astype("float64"), **wide)
    run(second, batch_size=96)
    assert largest_difference(first, second) < 1e-6


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"images": (IMAGES * 255).astype("uint8")}, "images is uint8.*prepare"),
        ({"images": IMAGES * 300}, r"from 0 to \d+.*must be in \[0, 1\].*prepare"),
        ({"images": IMAGES[:, :20]}, r"\(96, 20\).*takes \(n, 30\)"),
        ({"images": IMAGES.reshape(-1, 5, 6)}, r"\(96, 5, 6\).*takes \(n, 30\)"),
        ({"images": IMAGES[:0]}, "at least one image"),
        ({"images": np.where(IMAGES > 0.9, np.nan, IMAGES)}, "images holds NaN or infinity"),
        ({"images": IMAGES.astype("float64") * 1e300}, "images holds NaN or infinity"),
        ({"validation_data": np.full_like(IMAGES, np.inf)}, "validation_data holds NaN"),
        ({"validation_data": IMAGES[:0]}, "validation_data.*at least one image"),
        ({"validation_data": (IMAGES, IMAGES)}, "give the images only"),
        ({"targets": LABELS}, "a pair"),
        (
            {"targets": IMAGES * np.nan, "validation_data": (TEST_IMAGES, TEST_IMAGES)},
            "images holds NaN or infinity",
        ),
        (
            {"targets": IMAGES[:9], "validation_data": (TEST_IMAGES, TEST_IMAGES)},
            r"\(9, 30\) for 96 images",
        ),
        ({"epochs": 0}, "epochs=0 cannot work"),
        ({"epochs": 2.5}, "epochs=2.5 cannot work"),
        ({"batch_size": True}, "batch_size=True cannot work"),
    ],
)
def test_wrong_arguments_get_a_sentence(kwargs, says):
    model = small_model()
    with pytest.raises(ValueError, match=says):
        run(model, **({"images": IMAGES} | kwargs))
    assert largest_difference(model, small_model()) == 0


@pytest.mark.parametrize("loss", ["bce", "BinaryCrossentropy", keras.losses.BinaryCrossentropy()])
def test_cross_entropy_by_any_name_takes_images_from_0_to_1(loss):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\] for binary_crossentropy"):
        run(small_model(loss=loss), IMAGES * 300)


def test_a_model_that_is_not_ready_is_refused():
    for thing in (keras.Sequential([keras.Input((30,)), keras.layers.Dense(30)]), IMAGES):
        with pytest.raises(ValueError, match="not compiled"):
            run(thing)
    _, encoder, _ = build_autoencoder()
    encoder.compile(optimizer="adam", loss="mse")
    images = np.zeros((9, 784), "float32")
    with pytest.raises(ValueError, match="takes 784 numbers and returns 2"):
        run(encoder, images, validation_data=images)


# --- train_many

WIDE = np.resize(IMAGES, (72, 784))


def make_model(optimizer="adam", **network):
    def make():
        autoencoder, _, _ = build_autoencoder(**({"hidden_dim": 6} | network))
        autoencoder.compile(optimizer=optimizer, loss="binary_crossentropy")
        return autoencoder

    return make


def make_prelu():
    layers = [keras.layers.Dense(2), keras.layers.PReLU("he_normal", name="code")]
    model = keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(784, "sigmoid")])
    model.compile(optimizer="rmsprop", loss=keras.losses.MeanSquaredError())
    return model


def many(seeds, make, images=WIDE, **kwargs):
    kwargs = {"validation_data": WIDE[:20], "epochs": 2, "batch_size": 24, "verbose": 0} | kwargs
    return train_many(seeds, make, images, **kwargs)


@pytest.fixture(params=[1])
def cores(request, monkeypatch):
    """So many programs, each of which takes as long to compile; one if the test does not say."""
    monkeypatch.setattr("dask.system.cpu_count", lambda: request.param)


@pytest.mark.parametrize(
    ("make", "seeds", "n_images", "cores"),
    [
        (make_model(hidden_dim=2), [9], 70, 1),  # with a last short batch
        # Three stacks, of which the last is padded, take turns in two programs.
        (make_model("sgd", latent_activation="linear", latent_dim=3), [4, 0, 2, 5, 9], 72, 2),
        (make_prelu, [4, 9, 2], 72, 1),
    ],
    ids=["adam", "sgd, linear code", "prelu, rmsprop, mse"],
    indirect=["cores"],
)
def test_each_of_many_is_what_train_makes_of_its_seed(make, seeds, n_images, cores):
    images, i = WIDE[:n_images], seeds.index(9)
    together = many(seeds, make, images)
    keras.utils.set_random_seed(9)
    alone = make()
    history = train(
        alone, images, validation_data=WIDE[:20], epochs=2, batch_size=24, verbose=0
    ).history
    assert largest_difference(alone, together.model(9)) < 1e-5
    for name, losses in history.items():
        assert together.history[name].shape == (len(seeds), 2)
        np.testing.assert_allclose(together.history[name][i], losses, rtol=1e-4)
        np.testing.assert_allclose(together.history_of(9).history[name], losses, rtol=1e-4)
    codes = together.codes(WIDE[:20])
    encoder = keras.Model(alone.inputs[0], alone.get_layer("code").output)
    np.testing.assert_allclose(codes[i], encoder(WIDE[:20]), atol=1e-4)
    assert together.seeds == seeds and all(len(array) == len(seeds) for array in together.weights)
    assert together.code_range.shape == (len(seeds), 3, codes.shape[-1])
    np.testing.assert_allclose(together.code_range[:, -1], np.ptp(codes, axis=1), atol=1e-4)


def test_models_of_many_are_there_by_seed_and_can_be_saved(cores, capsys):
    together = many([3, 8], make_model(), verbose=1)
    assert "2 seeds, 3 to 8  epoch 2/2  val_loss" in capsys.readouterr().out
    with pytest.raises(ValueError, match="Seed 7 was not trained"):
        together.model(7)
    params = {"hidden_dim": 6, "latent_dim": 2, "latent_activation": "relu", "seed": 8}
    save_run("eight", together.model(8), together.history_of(8), params)
    run_of_8 = load_run("eight")
    np.testing.assert_array_equal(run_of_8.decoder_weights[-1][0], together.weights[-2][1])
    assert run_of_8.metrics["val_loss"] == pytest.approx(together.history["val_loss"][1, -1])


def odd(what):
    def make():
        image = keras.Input((784,))
        settings = {"trainable": what != "frozen", "use_bias": what != "no bias"}
        if what == "regularized":
            settings["kernel_regularizer"] = "l2"
        if what == "kept small":
            settings["activity_regularizer"] = "l2"
        code = keras.layers.Dense(784, name="unnamed" if what == "no code" else "code", **settings)
        x = code(keras.layers.Dropout(0.1, name="drop")(image) if what == "dropout" else image)
        if what == "twice":
            x = code(x)
        if what == "skip":
            x = keras.layers.Add(name="sum")([x, image])
        model = keras.Model(image, keras.layers.Dense(784, "sigmoid")(x))
        model.compile(keras.optimizers.Adam(clipnorm=1.0 if what == "clipped" else None), "mse")
        return model

    return make


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("dropout", "the layer 'drop'"),
        ("skip", "the layer 'sum'"),
        ("twice", "connected in another way"),
        ("frozen", "the layer 'code'"),
        ("no bias", "the layer 'code'"),
        ("regularized", "the layer 'code'"),
        ("kept small", "the layer 'code'"),
        ("no code", "without a code"),
        ("clipped", "clipnorm"),
    ],
)
def test_models_that_cannot_go_side_by_side_are_refused(what, says, monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: None)  # half a second each
    with pytest.raises(ValueError, match=f"train_many.. cannot take .*{says}.*use train"):
        many([0], odd(what))


def test_many_refuse_what_cannot_work():
    with pytest.raises(ValueError, match="no seeds"):
        many([], make_model())
    with pytest.raises(ValueError, match="seed=-1 cannot work"):
        many([0, -1], make_model())
    with pytest.raises(ValueError, match="loss of seed 0 became"):
        many([0], make_model(keras.optimizers.SGD(1e30), latent_activation="linear"))
