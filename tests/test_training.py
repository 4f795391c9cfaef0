"""train(): the same training as Keras' own, and a sentence for what it cannot do."""

import inspect
import json

import numpy as np
import pytest

from ae_helpers import build_autoencoder, train, train_many
from ae_helpers.compiled import (
    FACTORS,
    _sigmoid_crossentropy,
    compiled_epoch,
    dense_chain,
    keras,
    tf,
)
from ae_helpers.optimizers import checked_settings, slot_variables
from ae_helpers.training import shuffler

RANDOM = np.random.default_rng(0)
IMAGES = (RANDOM.random((200, 784)) * (RANDOM.random((200, 784)) > 0.7)).astype("float32")
TEST_IMAGES = IMAGES[:50]
SMALL = IMAGES[:, :30]  # images of 30 pixels: quick, and the arithmetic is the same

OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta")
LOSSES = ("binary_crossentropy", "mse", "mae")


def small_model(last="sigmoid", code="relu", seed=7, width=30):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(shape=(width,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3, activation=code),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(width, activation=last),
        ]
    )


def compiled(optimizer="adam", loss="binary_crossentropy", **kwargs):
    model = small_model(**kwargs)
    model.compile(optimizer=optimizer, loss=loss)
    return model


def run(model, images=SMALL, **kwargs):
    kwargs = {"validation_data": SMALL[:50], "epochs": 1, "batch_size": 16, "verbose": 0} | kwargs
    return train(model, images, **kwargs)


def largest_difference(model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


def follow_keras(optimizer, loss, last="sigmoid", steps=200, batch_size=8):
    """Train one model here and one by train_on_batch, on the same batches; return both."""
    n = steps * batch_size
    images = np.resize(SMALL, (n, 30))
    order = np.random.default_rng(1).permutation(n).astype("int32")
    config = keras.optimizers.serialize(keras.optimizers.get(optimizer))

    def fresh():
        return compiled(keras.optimizers.deserialize(config), loss, last=last)

    ours, theirs = fresh(), fresh()
    chain, variables = dense_chain(ours)
    slots = slot_variables(ours.optimizer, variables)
    name = {"mean_squared_error": "mse"}.get(loss, loss)
    epoch = compiled_epoch(chain, name, *checked_settings(ours.optimizer), batch_size)
    weights, new_slots, _, val_loss = epoch(
        tf.constant(images),
        tf.constant(order),
        tf.constant(SMALL[:50]),
        [v.value for v in variables],
        {name: [v.value for v in slots[name]] for name in slots},
        tf.constant(0),
        ours.optimizer.learning_rate.value,
    )
    for variable, weight in zip(variables, weights, strict=True):
        variable.assign(weight)
    for name, values in new_slots.items():
        for variable, value in zip(slots[name], values, strict=True):
            variable.assign(value)
    for i in range(0, n, batch_size):
        batch = images[order[i : i + batch_size]]
        theirs.train_on_batch(batch, batch)
    return ours, theirs, float(val_loss)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_200_steps_end_where_keras_ends(optimizer, loss):
    ours, theirs, val_loss = follow_keras(optimizer, loss)
    start = small_model()
    assert largest_difference(ours, start) > 1e-4, "nothing was trained"
    assert largest_difference(ours, theirs) < 1e-4
    assert val_loss == pytest.approx(theirs.evaluate(SMALL[:50], SMALL[:50], verbose=0), rel=1e-4)
    slots = zip(ours.optimizer.variables[2:], theirs.optimizer.variables[2:], strict=True)
    for mine, keras_own in slots:
        np.testing.assert_allclose(mine.numpy(), keras_own.numpy(), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Adam(0.002, beta_1=0.8, beta_2=0.99, epsilon=1e-4, amsgrad=True),
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        keras.optimizers.RMSprop(0.0005, rho=0.8, momentum=0.5, centered=True, epsilon=1e-3),
        keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.3),
        keras.optimizers.Adadelta(0.5, rho=0.9, epsilon=1e-5),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_an_optimizers_own_settings_count(optimizer):
    ours, theirs, _ = follow_keras(optimizer, "binary_crossentropy")
    assert largest_difference(ours, theirs) < 1e-4


@pytest.mark.parametrize("last", ["linear", "relu", "tanh"])
def test_crossentropy_without_a_sigmoid_is_clipped_as_by_keras(last):
    # Outside 0 to 1 the gradient is up to 1e7: one tiny step, compared by how far it went.
    slow = keras.optimizers.SGD(1e-6)
    ours, theirs, _ = follow_keras(slow, "binary_crossentropy", last=last, steps=1)
    moved = largest_difference(theirs, small_model(last))
    assert moved > 1e-6
    assert largest_difference(ours, theirs) < 1e-3 * moved


@pytest.mark.parametrize("n", [1, FACTORS, FACTORS + 1, 500])
@pytest.mark.parametrize("size", [0, 1, 1000])  # 0: all factors are 2, their product the largest
def test_the_mean_crossentropy_is_that_of_tensorflow_for_any_batch_and_any_logits(n, size):
    logits = tf.constant(size * np.random.default_rng(n).standard_normal((n, 30)), tf.float32)
    x = tf.constant(np.resize(SMALL, (n, 30)))
    ours = tf.reduce_mean(_sigmoid_crossentropy(logits, x))
    expected = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_an_epoch_ends_as_fit_without_shuffle_on_the_same_order():
    """Last short batch, means of the losses, counted steps: all as fit has them."""
    ours, theirs = compiled(), compiled()
    keras.utils.set_random_seed(3)
    history = run(ours, epochs=2, batch_size=24)  # 200 images: 8 batches and one of 8
    keras.utils.set_random_seed(3)
    shuffle = shuffler()
    for epoch in range(2):
        images = SMALL[shuffle(200)]
        expected = theirs.fit(
            images,
            images,
            batch_size=24,
            shuffle=False,
            validation_data=(SMALL[:50], SMALL[:50]),
            verbose=0,
        ).history
        for name in ("loss", "val_loss"):
            assert history.history[name][epoch] == pytest.approx(expected[name][0], rel=1e-5)
    assert largest_difference(ours, theirs) < 1e-5
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 18


def test_train_and_fit_can_take_turns():
    ours, theirs = compiled("rmsprop"), compiled("rmsprop")
    for model, turns in ((ours, "tf"), (theirs, "ff")):
        for turn in turns:
            keras.utils.set_random_seed(0)
            images = SMALL if turn == "t" else SMALL[shuffler()(200)]
            if turn == "t":
                run(model)
            else:
                model.fit(images, images, batch_size=16, shuffle=False, verbose=0)
    assert largest_difference(ours, theirs) < 1e-5


def test_ten_epochs_end_where_fit_ends_but_for_the_shuffle():
    images = np.repeat(SMALL, 5, axis=0)
    by_train = run(compiled(), images, epochs=10).history
    model = compiled()
    by_fit = model.fit(
        images,
        images,
        batch_size=16,
        epochs=10,
        validation_data=(SMALL[:50], SMALL[:50]),
        verbose=0,
    ).history
    np.testing.assert_allclose(by_train["loss"], by_fit["loss"], rtol=0.01)
    np.testing.assert_allclose(by_train["val_loss"], by_fit["val_loss"], rtol=0.02)


def test_every_epoch_has_a_shuffle_of_its_own_and_every_image():
    shuffle = shuffler()
    first, second = shuffle(100), shuffle(100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any() and (first != np.arange(100)).any()


def test_the_same_seed_gives_the_same_training():
    first, second, other = (compiled() for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        keras.utils.set_random_seed(seed)
        run(model)
    assert largest_difference(first, second) == 0
    assert largest_difference(first, other) > 0


def test_history_is_that_of_fit():
    model = compiled()
    history = run(model, epochs=3)
    assert isinstance(history, keras.callbacks.History)
    assert history.epoch == [0, 1, 2] and history.model is model and model.history is history
    assert list(history.history) == ["loss", "val_loss"]
    assert all(type(value) is float for value in history.history["loss"])
    json.dumps(history.history)


def test_a_line_an_epoch_or_nothing(capsys):
    run(compiled(), epochs=2, verbose=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2  loss 0.") and "  val_loss 0." in second
    run(compiled(), verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["encoder first", "nested", "prelu", "named activations"])
def test_any_chain_of_dense_layers_is_trained(name):
    def make():
        keras.utils.set_random_seed(5)
        image = keras.Input(shape=(784,))
        code_layer = keras.layers.Dense(2, activation="relu")
        decoder = keras.Sequential([keras.Input(shape=(2,)), keras.layers.Dense(784, "sigmoid")])
        if name == "encoder first":
            return build_autoencoder(hidden_dim=4)[0]
        if name == "nested":
            encoder = keras.Model(image, code_layer(keras.layers.Dense(5, "elu")(image)))
            return keras.Model(image, decoder(encoder(image)))
        if name == "prelu":
            hidden = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))(
                keras.layers.Dense(5, kernel_initializer="he_normal")(image)
            )
            return keras.Model(image, decoder(code_layer(hidden)))
        hidden = keras.layers.Dense(5, activation="leaky_relu")(image)
        return keras.Model(image, decoder(keras.layers.Dense(2, activation="gelu")(hidden)))

    ours, theirs = make(), make()
    for model in (ours, theirs):
        model.compile(optimizer="adam", loss="binary_crossentropy")
    keras.utils.set_random_seed(0)
    run(ours, IMAGES, validation_data=TEST_IMAGES)
    keras.utils.set_random_seed(0)
    images = IMAGES[shuffler()(200)]
    theirs.fit(images, images, batch_size=16, shuffle=False, verbose=0)
    assert largest_difference(ours, theirs) < 1e-5


# --- Callbacks, interrupts, NaN


def test_early_stopping_stops_and_restores():
    model = compiled(keras.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    assert len(run(model, epochs=9, callbacks=[stop]).epoch) == 2
    assert largest_difference(model, small_model()) == 0
    assert len(run(model, epochs=1).epoch) == 1, "the next training must start afresh"


def test_reduce_lr_on_plateau_changes_what_the_next_epoch_does():
    model = compiled(keras.optimizers.SGD(0.0))
    reduce = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)
    assert len(run(model, epochs=3, callbacks=[reduce]).history["learning_rate"]) == 3
    model = compiled(keras.optimizers.SGD(0.5))
    halt = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 1 else 0.0)
    losses = run(model, epochs=3, callbacks=[halt]).history["val_loss"]
    assert losses[0] == losses[1] == losses[2]
    assert largest_difference(model, small_model()) > 0


def test_model_checkpoint_sees_the_weights_of_its_epoch(tmp_path):
    model = compiled()
    path = tmp_path / "{epoch}.weights.h5"
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    run(model, epochs=2, callbacks=[save])
    first, last = small_model(), small_model()
    first.load_weights(tmp_path / "1.weights.h5")
    last.load_weights(tmp_path / "2.weights.h5")
    assert largest_difference(last, model) == 0 and largest_difference(first, model) > 0


def test_an_interrupt_leaves_the_epochs_done():
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    model = compiled()
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        run(model, epochs=9, callbacks=[Interrupt()])
    other = compiled()
    keras.utils.set_random_seed(0)
    run(other, epochs=2)
    assert largest_difference(model, other) == 0
    assert int(model.optimizer.iterations) == 26 and model.history.epoch == [0, 1]


def test_a_loss_that_is_not_finite_stops_with_the_weights_before():
    model = compiled(keras.optimizers.SGD(1e30), "mse", last="linear")
    with pytest.raises(ValueError, match=r"loss became (nan|inf) in epoch 1, most often because"):
        run(model)
    assert largest_difference(model, small_model("linear")) == 0


# --- Wrong arguments: they work as in Keras, or one sentence


def test_float64_and_large_batches_work():
    run(compiled(), SMALL.astype("float64"), validation_data=SMALL.astype("float64"))
    model, other = compiled(), compiled()
    for m, size in ((model, 200), (other, 5000)):
        keras.utils.set_random_seed(0)
        run(m, batch_size=size)
    assert largest_difference(model, other) < 1e-6


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"images": (SMALL * 255).astype("uint8")}, "images is uint8.*prepare"),
        ({"images": SMALL[:, :20]}, r"\(200, 20\).*takes \(n, 30\)"),
        ({"images": SMALL.reshape(-1, 5, 6)}, r"\(200, 5, 6\).*takes \(n, 30\)"),
        ({"images": SMALL[:0]}, "at least one image"),
        ({"images": np.where(SMALL > 0.9, np.nan, SMALL)}, "images holds NaN or infinity"),
        ({"validation_data": np.full_like(SMALL, np.inf)}, "validation_data holds NaN or infinity"),
        ({"validation_data": SMALL[:0]}, "validation_data.*at least one image"),
        ({"validation_data": (SMALL, SMALL)}, "give the images only"),
        ({"epochs": 0}, "epochs=0 cannot work"),
        ({"epochs": 2.5}, "epochs=2.5 cannot work"),
        ({"batch_size": -1}, "batch_size=-1 cannot work"),
        ({"batch_size": True}, "batch_size=True cannot work"),
    ],
)
def test_wrong_arguments_get_a_sentence(kwargs, says):
    with pytest.raises(ValueError, match=says):
        run(compiled(), **({"images": SMALL} | kwargs))


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        ("nadam", "optimizer Nadam.*one of adam"),
        ("adamw", "optimizer AdamW"),
        (keras.optimizers.Adam(clipnorm=1.0), "clipnorm=1.0 of Adam"),
        (keras.optimizers.SGD(weight_decay=0.1), "weight_decay=0.1 of SGD"),
        (keras.optimizers.Adam(use_ema=True), "use_ema=True of Adam"),
        (
            keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
            "batch to batch",
        ),
    ],
)
def test_what_the_optimizer_rules_cannot_do_gets_a_sentence(optimizer, says):
    with pytest.raises(ValueError, match=says):
        run(compiled(optimizer))


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ("huber", "loss 'huber'.*one of binary_crossentropy, mse, mae"),
        (None, "loss None"),
        (keras.losses.BinaryCrossentropy(label_smoothing=0.1), "own settings"),
    ],
)
def test_an_unknown_loss_gets_a_sentence(loss, says):
    with pytest.raises(ValueError, match=says):
        run(compiled(loss=loss))


@pytest.mark.parametrize(
    "loss", ["mean_squared_error", keras.losses.MeanSquaredError(), keras.losses.mean_squared_error]
)
def test_a_loss_may_come_under_its_other_names(loss):
    model, other = compiled(loss=loss), compiled(loss="mse")
    for m in (model, other):
        keras.utils.set_random_seed(0)
        run(m)
    assert largest_difference(model, other) == 0


def odd_model(what):
    image = keras.Input(shape=(784,))
    dense = keras.layers.Dense(784, name="odd", use_bias=what != "bias")
    if what == "conv":
        x = keras.layers.Reshape((28, 28, 1), name="odd")(image)
        return keras.Model(image, keras.layers.Flatten()(x))
    if what == "dropout":
        return keras.Model(
            image, keras.layers.Dense(784)(keras.layers.Dropout(0.1, name="odd")(image))
        )
    if what == "skip":
        return keras.Model(image, keras.layers.Add(name="sum")([dense(image), image]))
    if what == "frozen":
        dense.trainable = False
    if what == "regularizer":
        dense.kernel_regularizer = keras.regularizers.L2(0.1)
    return keras.Model(image, dense(image))


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("conv", "'odd' is a Reshape"),
        ("dropout", "'odd' is a Dropout"),
        ("skip", "'sum' is a Add"),
        ("frozen", "'odd' is frozen"),
        ("bias", "'odd' has no bias"),
        ("regularizer", "'odd' has a kernel_regularizer"),
    ],
)
def test_a_model_that_is_no_chain_is_refused_by_the_layers_name(what, says):
    model = odd_model(what)
    model.compile(optimizer="adam", loss="mse")
    with pytest.raises(ValueError, match=says):
        run(model)


def test_layers_in_another_connection_are_refused():
    image = keras.Input(shape=(784,))
    first, second = keras.layers.Dense(784, "relu"), keras.layers.Dense(784, "tanh")
    model = keras.Model(image, second(first(first(image))))
    model.compile(optimizer="adam", loss="mse")
    with pytest.raises(ValueError, match="connected in another way"):
        run(model)


def test_a_model_that_is_not_ready_is_refused():
    with pytest.raises(ValueError, match="not compiled"):
        run(small_model())
    with pytest.raises(ValueError, match="was given a ndarray"):
        run(SMALL)
    _, encoder, _ = build_autoencoder()
    encoder.compile(optimizer="adam", loss="mse")
    with pytest.raises(ValueError, match="takes 784 numbers and returns 2"):
        run(encoder)
    model = small_model()
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    with pytest.raises(ValueError, match="without metrics"):
        run(model)


def test_an_optimizer_of_another_model_is_refused_as_by_keras():
    model, other = compiled(), small_model()
    run(model)
    other.compile(optimizer=model.optimizer, loss="mse")
    with pytest.raises(ValueError, match="Unknown variable"):
        run(other)


def test_the_public_signature_is_the_documented_one():
    names = list(inspect.signature(train).parameters)
    assert names[:5] == ["autoencoder", "images", "validation_data", "epochs", "batch_size"]


# --- train_many


def make_model(code="relu", optimizer="adam"):
    def make():
        autoencoder, _, _ = build_autoencoder(hidden_dim=6, latent_activation=code)
        autoencoder.compile(optimizer=optimizer, loss="binary_crossentropy")
        return autoencoder

    return make


def many(seeds, make=None, **kwargs):
    kwargs = {"validation_data": TEST_IMAGES, "epochs": 2, "batch_size": 24, "verbose": 0} | kwargs
    return train_many(seeds, make or make_model(), IMAGES, **kwargs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_of_many_is_what_train_makes_of_its_seed(optimizer):
    make = make_model(optimizer=optimizer)
    together = many([4, 9, 2], make)
    keras.utils.set_random_seed(9)
    alone = make()
    history = run(alone, IMAGES, validation_data=TEST_IMAGES, epochs=2, batch_size=24)
    assert largest_difference(alone, together.model(9)) < 1e-5
    for name, losses in history.history.items():
        np.testing.assert_allclose(together.history[name][1], losses, rtol=1e-5)
        np.testing.assert_allclose(together.history_of(9).history[name], losses, rtol=1e-5)


def test_groups_do_not_change_the_results(monkeypatch):
    whole = many(range(5))
    monkeypatch.setattr("ae_helpers.seeds.GROUP", 2)
    parts = many(range(5))
    assert parts.seeds == [0, 1, 2, 3, 4]
    for a, b in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(whole.codes(IMAGES), parts.codes(IMAGES), atol=1e-3)
    assert parts.history["loss"].shape == (5, 2) and parts.code_range.shape == (5, 3, 2)


def test_codes_and_their_ranges_are_those_of_the_keras_models():
    together = many([0, 1, 2])
    codes = together.codes(TEST_IMAGES)
    for i, seed in enumerate(together.seeds):
        model = together.model(seed)
        encoder = keras.Model(model.input, model.get_layer("code").output)
        expected = encoder.predict(TEST_IMAGES, verbose=0)
        np.testing.assert_allclose(codes[i], expected, atol=1e-4)
    np.testing.assert_allclose(together.code_range[:, -1], np.ptp(codes, axis=1), atol=1e-4)


def test_a_model_of_many_is_saved_as_a_run(tmp_path, monkeypatch):
    from ae_helpers import load_run, save_run

    monkeypatch.setenv("AE_RUNS_DIR", str(tmp_path))
    together = many([3, 8])
    params = {"hidden_dim": 6, "latent_dim": 2, "latent_activation": "relu", "seed": 8}
    save_run("eight", together.model(8), together.history_of(8), params)
    run_of_8 = load_run("eight")
    np.testing.assert_array_equal(
        run_of_8.decoder_weights[-1][0], together.model(8).get_weights()[-2]
    )
    assert run_of_8.metrics["val_loss"] == pytest.approx(together.history["val_loss"][1, -1])


def test_many_say_what_they_do_and_refuse_what_cannot_work(capsys):
    many([0, 1], verbose=1)
    assert "2 seeds, 0 to 1  epoch 2/2  val_loss" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no seeds"):
        many([])
    with pytest.raises(ValueError, match="seed=-1 cannot work"):
        many([0, -1])
    with pytest.raises(ValueError, match="Seed 7 was not trained"):
        many([0]).model(7)
    with pytest.raises(ValueError, match="loss of seed 0 became"):
        many([0], make_model("linear", keras.optimizers.SGD(1e30)))
