import os
import threading

import numpy as np
import pytest

from ae_helpers import build_autoencoder, quiet_start
from ae_helpers.model import dense_layers
from ae_helpers.numpy_layers import apply_layers

with quiet_start():
    import keras


def test_the_text_has_51154_parameters_in_four_parts():
    autoencoder, encoder, decoder = build_autoencoder()
    parts = [layer.count_params() for layer in autoencoder.layers]
    assert parts == [0, 25120, 66, 96, 25872]
    assert autoencoder.count_params() == 51154
    assert encoder.count_params() + decoder.count_params() == 51154


def test_encoder_and_decoder_are_the_autoencoders_layers():
    autoencoder, encoder, decoder = build_autoencoder()
    assert encoder.layers[-1] is autoencoder.layers[2]
    assert decoder.layers[-2:] == autoencoder.layers[-2:]
    images = np.random.default_rng(0).random((5, 784), dtype="float32")
    whole = autoencoder.predict(images, verbose=0)
    parts = decoder.predict(encoder.predict(images, verbose=0), verbose=0)
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_the_same_seed_gives_the_same_start():
    starts = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        starts.append(build_autoencoder()[0].get_weights()[0])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


def test_widths_and_activation_are_the_ones_given():
    _, encoder, decoder = build_autoencoder(hidden_dim=8, latent_dim=3, latent_activation="linear")
    assert encoder.layers[-1].activation.__name__ == "linear"
    assert (encoder.output.shape, decoder.input.shape) == ((None, 3), (None, 3))
    assert encoder.layers[1].units == 8


def test_a_deeper_decoder_mirrors_the_encoder():
    autoencoder, _, decoder = build_autoencoder([24, 16, 8], 2, "linear", "silu")
    assert [layer.units for layer in autoencoder.layers[1:]] == [24, 16, 8, 2, 8, 16, 24, 784]
    activations = [layer.activation.__name__ for layer in autoencoder.layers[1:]]
    assert activations == ["silu"] * 3 + ["linear"] + ["silu"] * 3 + ["sigmoid"]
    assert decoder.layers[1:] == autoencoder.layers[5:]


def test_a_list_of_one_is_the_same_network():
    one, two = (build_autoencoder(hidden_dim=h)[0] for h in (32, [32]))
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"latent_dim": 2.0}, r"latent_dim=2\.0"),
        ({"latent_dim": [2]}, r"latent_dim=\[2\]"),
        ({"hidden_dim": -1}, "hidden_dim=-1"),
        *[({"hidden_dim": bad}, "hidden_dim=") for bad in (True, [], [32, 0], "32", [[32]], None)],
        ({"latent_activation": "rellu"}, "latent_activation='rellu' cannot work"),
        ({"hidden_activation": "softmax"}, "hidden_activation='softmax' cannot work"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(given, fault):
    with pytest.raises(ValueError, match=fault):
        build_autoencoder(**given)


def test_dense_layers_are_taken_out_or_refused_by_name():
    _, _, decoder = build_autoencoder()
    points = np.random.default_rng(0).uniform(0, 20, size=(50, 2)).astype("float32")
    found = apply_layers(dense_layers(decoder), points)
    np.testing.assert_allclose(found, decoder.predict(points, verbose=0), atol=1e-5)

    def model(layer):
        return keras.Sequential([keras.Input(shape=(2,)), layer])

    with pytest.raises(ValueError, match="'odd' has the activation 'softplus'"):
        dense_layers(model(keras.layers.Dense(3, activation="softplus", name="odd")))
    with pytest.raises(ValueError, match="'leaky' has the activation None"):
        dense_layers(model(keras.layers.Dense(3, keras.layers.LeakyReLU(), name="leaky")))
    with pytest.raises(ValueError, match="'drop' is no Dense layer"):
        dense_layers(model(keras.layers.Dropout(0.5, name="drop")))
    with pytest.raises(ValueError, match="'bare' is no Dense layer with a bias"):
        dense_layers(model(keras.layers.Dense(3, use_bias=False, name="bare")))


def test_two_threads_that_start_quietly_leave_standard_error_in_place():
    kept = os.stat(2)
    inside, out = threading.Event(), threading.Event()

    def first():
        with quiet_start():
            inside.set()
            out.wait(0.2)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with quiet_start():
        out.set()
        thread.join(0.2)
    thread.join()
    assert (os.stat(2).st_dev, os.stat(2).st_ino) == (kept.st_dev, kept.st_ino)
