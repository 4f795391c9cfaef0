"""train() and train_many(): the same training as Keras' own, and a sentence for what cannot be."""

import json

import numpy as np
import pytest

from ae_helpers import build_autoencoder, load_run, save_run, train, train_many
from ae_helpers.training import _shuffler, keras

RANDOM = np.random.default_rng(0)
# Eight batches of 24: a last short batch is compiled by itself, so only few tests have one.
IMAGES = (RANDOM.random((192, 30)) * (RANDOM.random((192, 30)) > 0.7)).astype("float32")
TEST_IMAGES = IMAGES[:50]
LABELS, TEST_LABELS = np.arange(192) % 3, np.arange(50) % 3


def small_model(optimizer="adam", loss="binary_crossentropy", *, last="sigmoid", code=None):
    """30 → 8 → code → 30: quick, and the arithmetic is that of 784."""
    keras.utils.set_random_seed(7)
    layers = [
        keras.layers.Dense(8, "relu"),
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


def fit_on_the_same_order(model, images=IMAGES, targets=None, epochs=1, turns=1):
    """Train by Keras' own loop on the order of images that `run` has."""
    keras.utils.set_random_seed(3)
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


KINDS = {
    "adam": ("adam", "binary_crossentropy"),
    "rmsprop, mse": ("rmsprop", "mse"),
    "nadam, huber": ("nadam", "huber"),
    "adamw, clipped, averaged": (keras.optimizers.AdamW(clipnorm=0.1, use_ema=True), "mse"),
    "a rate that falls": (
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.8)),
        lambda x, y: keras.ops.mean(keras.ops.abs(x - y) ** 1.5, axis=-1),
    ),
}
CODES = {
    "add_loss": lambda: [keras.layers.Dense(3), Cloud(noise=0.0)],
    "prelu": lambda: [keras.layers.Dense(3), keras.layers.PReLU()],
    "batch normalisation": lambda: [keras.layers.Dense(3), keras.layers.BatchNormalization()],
    "regularizer": lambda: [keras.layers.Dense(3, kernel_regularizer="l2")],
    "frozen": lambda: [keras.layers.Dense(3, trainable=False)],
}


@pytest.mark.parametrize("name", KINDS)
def test_any_optimizer_and_loss_end_where_fit_ends_on_the_same_order(name):
    optimizer, loss = KINDS[name]
    config = keras.optimizers.serialize(keras.optimizers.get(optimizer))
    ours, theirs = (small_model(keras.optimizers.deserialize(config), loss) for _ in range(2))
    history = run(ours, epochs=2).history
    expected = fit_on_the_same_order(theirs, epochs=2)
    assert largest_difference(ours, small_model()) > 1e-4, "nothing was trained"
    if "averaged" not in name:  # fit() puts the average in place after each of its two calls
        assert largest_difference(ours, theirs) < 1e-5
        for key, values in expected.items():
            np.testing.assert_allclose(history[key], values, rtol=1e-4)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 16


@pytest.mark.parametrize("name", CODES)
def test_any_layer_is_trained_as_by_fit(name):
    ours, theirs = (small_model(code=CODES[name]) for _ in range(2))
    history, expected = run(ours).history, fit_on_the_same_order(theirs)
    # Batch normalisation divides by small deviations, which enlarges rounding errors.
    assert largest_difference(ours, theirs) < (1e-4 if name == "batch normalisation" else 1e-5)
    for key, values in expected.items():
        np.testing.assert_allclose(history[key], values, rtol=1e-4)


def test_the_last_short_batch_counts_as_in_fit():
    ours, theirs = small_model(), small_model()
    history = run(ours, IMAGES[:190]).history
    expected = fit_on_the_same_order(theirs, IMAGES[:190])
    assert largest_difference(ours, theirs) < 1e-5
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
    make = make_model()
    together = many([5], make, WIDE[:70], epochs=1)
    keras.utils.set_random_seed(5)
    alone = make()
    train(alone, WIDE[:70], validation_data=WIDE[:20], epochs=1, batch_size=24, verbose=0)
    assert largest_difference(alone, together.model(5)) < 1e-5


def test_a_step_is_traced_once_for_whole_batches_and_the_rest():
    model, traced = small_model(), []
    step = model.train_step
    model.train_step = lambda batch: traced.append(batch) or step(batch)
    run(model, IMAGES[:50], epochs=2)
    assert len(traced) == 1 and int(model.optimizer.iterations) == 2 * 3


def test_dropout_and_drawn_codes_are_random_while_training_and_seeded():
    def trained():
        layers = keras.layers
        model = small_model(code=lambda: [layers.Dense(3), layers.Dropout(0.5), Cloud(noise=1.0)])
        return model, run(model, epochs=3).history

    (first, history), (again, same) = trained(), trained()
    assert largest_difference(first, again) == 0 and history == same
    calm = small_model(code=CODES["add_loss"])
    run(calm, epochs=3)
    assert largest_difference(first, calm) > 1e-4
    assert history["loss"][-1] < history["loss"][0]


def test_targets_of_their_own_clean_images_or_labels():
    noisy = np.clip(IMAGES + 0.2, 0, 1)
    ours, theirs = small_model(), small_model()
    run(ours, noisy, targets=IMAGES, validation_data=(noisy[:50], TEST_IMAGES))
    fit_on_the_same_order(theirs, noisy, IMAGES)
    assert largest_difference(ours, theirs) < 1e-5

    def classifier():
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    ours, theirs = classifier(), classifier()
    measured = run(ours, targets=LABELS, validation_data=(TEST_IMAGES, TEST_LABELS)).history
    fit_on_the_same_order(theirs, targets=LABELS)
    assert largest_difference(ours, theirs) < 1e-5
    assert list(measured) == ["accuracy", "loss", "val_accuracy", "val_loss"]


def test_train_and_fit_can_take_turns():
    ours, theirs = small_model("rmsprop"), small_model("rmsprop")
    for turn in (fit_on_the_same_order, run, fit_on_the_same_order):
        turn(ours)
    fit_on_the_same_order(theirs, turns=3)
    assert largest_difference(ours, theirs) < 1e-5


def test_the_same_seed_gives_the_same_training_with_a_new_shuffle_an_epoch(capsys):
    first, second, other = (small_model() for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        keras.utils.set_random_seed(seed)
        train(model, IMAGES, validation_data=TEST_IMAGES, epochs=1, batch_size=24, verbose=0)
    assert largest_difference(first, second) == 0 < largest_difference(first, other)
    assert capsys.readouterr().out == "", "verbose=0 prints no line"
    keras.utils.set_random_seed(1)
    shuffle = _shuffler()
    orders = shuffle(100), shuffle(100)
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert (orders[0] != orders[1]).any() and (orders[0] != np.arange(100)).any()


def test_history_is_that_of_fit_and_each_epoch_prints_a_line(capsys):
    model = small_model()
    history = run(model, epochs=2, verbose=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2  loss 0.") and "  val_loss 0." in second
    assert history.epoch == [0, 1] and history.model is model and model.history is history
    assert list(history.history) == ["loss", "val_loss"]
    assert all(type(value) is float for value in history.history["loss"])
    json.dumps(history.history)


# --- Callbacks, interrupts, NaN


def test_callbacks_act_at_the_ends_of_epochs(tmp_path):
    model = small_model(keras.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    assert len(run(model, epochs=9, callbacks=[stop]).epoch) == 2
    assert len(run(model).epoch) == 1, "the next training must start afresh"
    model = small_model(keras.optimizers.SGD(0.5))
    halt = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 1 else 0.0)
    path = tmp_path / "{epoch}.weights.h5"
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    losses = run(model, epochs=3, callbacks=[halt, save]).history["val_loss"]
    assert losses[0] == losses[1] == losses[2]
    saved = small_model()
    saved.load_weights(tmp_path / "1.weights.h5")
    assert largest_difference(saved, model) == 0 < largest_difference(saved, small_model())


@pytest.mark.parametrize("n_images", [192, 185])
def test_a_callback_may_look_within_an_epoch_and_changes_nothing(n_images):
    class Watcher(keras.callbacks.Callback):
        def stops(self, epoch, steps):
            return [0, 3, 7, steps] if epoch == 0 else []

        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, int(self.model.optimizer.iterations)))

    seen, model, other = [], small_model(), small_model()
    run(model, IMAGES[:n_images], epochs=2, callbacks=[Watcher()])
    run(other, IMAGES[:n_images], epochs=2)
    assert seen == [(2, 3), (6, 7)]
    assert int(model.optimizer.iterations) == 16
    assert largest_difference(model, other) == 0


@pytest.fixture(scope="module")
def two_epochs():
    """A model after two epochs, with weights that are not trained too."""
    model = small_model(code=CODES["batch normalisation"])
    run(model, epochs=2)
    return model


@pytest.mark.parametrize("moment", ["between", "within"])
def test_an_interrupt_leaves_the_epochs_done(moment, two_epochs):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2 and moment == "between":
                raise KeyboardInterrupt
            if epoch == 2:  # as Ctrl-C comes when the epoch has run and is not yet measured
                self.model.get_metrics_result = interrupt

    def interrupt():
        raise KeyboardInterrupt

    model = small_model(code=CODES["batch normalisation"])
    with pytest.raises(KeyboardInterrupt):
        run(model, epochs=9, callbacks=[Interrupt()])
    assert largest_difference(model, two_epochs) == 0
    states = zip(model.optimizer.variables, two_epochs.optimizer.variables, strict=True)
    assert all(np.array_equal(a, b) for a, b in states)
    assert int(model.optimizer.iterations) == 16 and model.history.epoch == [0, 1]


def test_a_loss_that_is_not_finite_stops_with_the_weights_before():
    model = small_model(keras.optimizers.SGD(1e30), "mse", last="linear")
    with pytest.raises(ValueError, match=r"loss became (nan|inf) in epoch 1, most often because"):
        run(model)
    assert largest_difference(model, small_model(last="linear")) == 0


# --- Wrong arguments: they work as in Keras, or one sentence


def test_float64_and_a_batch_larger_than_the_data_work():
    first, second = small_model(), small_model()
    wide = {"validation_data": TEST_IMAGES.astype("float64"), "batch_size": 5000}
    run(first, IMAGES.astype("float64"), **wide)
    run(second, batch_size=192)
    assert largest_difference(first, second) < 1e-6


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"images": (IMAGES * 255).astype("uint8")}, "images is uint8.*prepare"),
        ({"images": IMAGES * 300}, r"from 0 to \d+.*must be in \[0, 1\].*prepare"),
        ({"images": IMAGES[:, :20]}, r"\(192, 20\).*takes \(n, 30\)"),
        ({"images": IMAGES.reshape(-1, 5, 6)}, r"\(192, 5, 6\).*takes \(n, 30\)"),
        ({"images": IMAGES[:0]}, "at least one image"),
        ({"images": np.where(IMAGES > 0.9, np.nan, IMAGES)}, "images holds NaN or infinity"),
        ({"images": IMAGES.astype("float64") * 1e300}, "images holds NaN or infinity"),
        ({"validation_data": np.full_like(IMAGES, np.inf)}, "validation_data holds NaN"),
        ({"validation_data": IMAGES[:0]}, "validation_data.*at least one image"),
        ({"validation_data": (IMAGES, IMAGES)}, "give the images only"),
        ({"targets": LABELS}, "a pair"),
        (
            {"targets": IMAGES[:9], "validation_data": (TEST_IMAGES, TEST_IMAGES)},
            r"\(9, 30\) for 192 images",
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


@pytest.fixture
def one_core(monkeypatch):
    """One program in place of one a core, which takes as long to compile again."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.mark.parametrize(
    "make",
    [make_model(), make_model("sgd", latent_activation="linear"), make_prelu],
    ids=["adam", "sgd, linear code", "prelu, rmsprop, mse"],
)
def test_each_of_many_is_what_train_makes_of_its_seed(make, one_core):
    together = many([4, 9, 2], make)
    keras.utils.set_random_seed(9)
    alone = make()
    history = train(
        alone, WIDE, validation_data=WIDE[:20], epochs=2, batch_size=24, verbose=0
    ).history
    assert largest_difference(alone, together.model(9)) < 1e-5
    for name, losses in history.items():
        np.testing.assert_allclose(together.history[name][1], losses, rtol=1e-4)
        np.testing.assert_allclose(together.history_of(9).history[name], losses, rtol=1e-4)
    codes = together.codes(WIDE[:20])
    encoder = keras.Model(alone.inputs[0], alone.get_layer("code").output)
    np.testing.assert_allclose(codes[1], encoder(WIDE[:20]), atol=1e-4)
    np.testing.assert_allclose(together.code_range[:, -1], np.ptp(codes, axis=1), atol=1e-4)


@pytest.mark.parametrize("network", [{"hidden_dim": 2, "latent_dim": 2}, {"latent_dim": 3}])
def test_codes_are_of_the_layer_that_the_model_names(network):
    make = make_model(**network)
    together = many([0], make, epochs=1)
    model = together.model(0)
    encoder = keras.Model(model.inputs[0], model.get_layer("code").output)
    np.testing.assert_allclose(together.codes(WIDE)[0], encoder(WIDE), atol=1e-4)
    assert together.code_range.shape == (1, 2, network["latent_dim"])


def test_other_seeds_beside_it_do_not_change_a_result():
    whole, part = many(range(9), make_model()), many([8], make_model())  # nine: one is padded
    assert whole.seeds == list(range(9)) and whole.history["loss"].shape == (9, 2)
    assert whole.code_range.shape == (9, 3, 2)
    for a, b in zip(whole.weights, part.weights, strict=True):
        assert a.shape[0] == 9
        np.testing.assert_allclose(a[8], b[0], atol=1e-5)


def test_a_model_of_many_is_saved_as_a_run(runs_dir, one_core):
    together = many([3, 8], make_model())
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
        ("no code", "without a code"),
        ("clipped", "clipnorm"),
    ],
)
def test_models_that_cannot_go_side_by_side_are_refused(what, says):
    with pytest.raises(ValueError, match=f"train_many.. cannot take .*{says}.*use train"):
        many([0], odd(what))


def test_many_say_what_they_do_and_refuse_what_cannot_work(capsys, one_core):
    together = many([0, 1], make_model(), verbose=1)
    assert "2 seeds, 0 to 1  epoch 2/2  val_loss" in capsys.readouterr().out
    with pytest.raises(ValueError, match="Seed 7 was not trained"):
        together.model(7)
    with pytest.raises(ValueError, match="no seeds"):
        many([], make_model())
    with pytest.raises(ValueError, match="seed=-1 cannot work"):
        many([0, -1], make_model())
    with pytest.raises(ValueError, match="loss of seed 0 became"):
        many([0], make_model(keras.optimizers.SGD(1e30), latent_activation="linear"))
