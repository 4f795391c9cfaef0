"""The callback that moves the map on, and the film it leaves."""

import numpy as np
import pytest

from ae_helpers import LatentExplorer, LivePlane, build_autoencoder, load_film, prepare, train
from ae_helpers.data import read_sample
from ae_helpers.numpy_layers import apply_layers, to_uint8
from ae_helpers.runs import PRETRAINED
from ae_helpers.training import keras
from ae_helpers.widgets.film import Moment, save_film
from ae_helpers.widgets.ruler import binary_crossentropy

(IMAGES, LABELS), _ = read_sample()
IMAGES, LABELS = IMAGES[:640], LABELS[:640]
PIXELS = prepare(IMAGES)


def decoder_weights(model):
    return [(*layer.get_weights(), layer.activation.__name__) for layer in model.layers[-2:]]


def network(**changes):
    keras.utils.set_random_seed(1)
    models = build_autoencoder(**{"hidden_dim": 8, "latent_activation": "linear"} | changes)
    models[0].compile(optimizer="adam", loss="binary_crossentropy")
    return models


def make_map(models, n=100, **changes):
    shown = {"points": models[1].predict(PIXELS[:n], verbose=0), "labels": LABELS[:n]}
    shown |= {"images": IMAGES[:n]} | changes
    return LatentExplorer(decoder_weights(models[0]), **shown)


def trained(in_first=4, epochs=2, fit=False):
    models = network()
    explorer = make_map(models)
    live = LivePlane(explorer, in_first)
    if fit:
        models[0].fit(PIXELS, PIXELS, epochs=epochs, callbacks=[live], verbose=0)
    else:
        how = {"validation_data": PIXELS[:50], "epochs": epochs, "verbose": 0}
        train(models[0], PIXELS, callbacks=[live], **how)
    return models, explorer


@pytest.fixture(scope="module")
def filmed():
    """Models that were trained with a map, and the map: for tests that leave both as they are."""
    return trained()


@pytest.mark.parametrize("fit", [False, True])
def test_moments_come_within_the_first_epoch_and_at_the_end_of_each(fit, filmed):
    _, explorer = trained(fit=True) if fit else filmed
    assert [moment.epoch for moment in explorer.film] == [0, 0.25, 0.5, 0.75, 1, 2]
    losses = [moment.loss for moment in explorer.film]
    assert losses[0] > 0.6 > 0.5 > losses[-1] and losses == sorted(losses, reverse=True)


def test_the_last_moment_is_the_trained_network_in_half_precision(filmed):
    (autoencoder, encoder, decoder), explorer = filmed
    moment = explorer.film[-1]
    codes = encoder.predict(PIXELS[:100], verbose=0)
    assert moment.codes.dtype == moment.weights.dtype == np.float16
    np.testing.assert_allclose(moment.codes, codes, rtol=2e-3, atol=1e-3)
    drawn = autoencoder.predict(PIXELS[:100], verbose=0)
    assert moment.loss == pytest.approx(binary_crossentropy(PIXELS[:100], drawn), abs=1e-4)
    assert explorer.moment == len(explorer.film) - 1
    here = np.array([[explorer.x, explorer.y]])
    expected = decoder.predict(here, verbose=0).reshape(28, 28) * 255
    assert np.abs(explorer.image - expected).max() <= 1


def test_a_film_changes_nothing_of_the_training(filmed):
    (with_film, *_), _ = filmed
    plain, *_ = network()
    train(plain, PIXELS, validation_data=PIXELS[:50], epochs=2, verbose=0)
    # The generator that makes the order is the same: the map takes no random number.
    for a, b in zip(with_film.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_moment_has_the_weights_of_its_step_whichever_others_there_are(filmed):
    often, seldom = (
        {moment.epoch: moment.weights for moment in explorer.film}
        for _, explorer in (filmed, trained(in_first=2))
    )
    assert {0.5, 1} < set(seldom) < set(often)
    for epoch, weights in seldom.items():
        np.testing.assert_allclose(weights, often[epoch], atol=1e-3)


def test_the_map_shows_the_moment_that_is_set(filmed):
    _, explorer = filmed
    for number, moment in enumerate(explorer.film):
        explorer.moment = number
        kernel, bias, second, last = np.split(moment.weights.astype("float32"), [16, 24, 6296])
        layers = [(kernel.reshape(2, 8), bias, "relu"), (second.reshape(8, 784), last, "sigmoid")]
        expected = to_uint8(apply_layers(layers, [[explorer.x, explorer.y]]))[0]
        np.testing.assert_array_equal(explorer.image, expected)
    with pytest.raises(ValueError, match="moment=6 cannot work: the film has moments from 0 to 5"):
        explorer.moment = 6


def test_what_the_reader_looks_at_stays_while_the_training_goes_on(filmed):
    models, shown = filmed
    explorer, moment = make_map(models), shown.film[-1]
    explorer.film = shown.film[:3]
    assert explorer.moment == 2
    explorer.add_moment(moment)
    assert explorer.moment == 3, "at the end it goes on"
    explorer.moment = 1
    explorer.add_moment(moment)
    assert explorer.moment == 1
    explorer.film = []
    assert (explorer.moment, explorer._film) == (0, b"")


def test_a_film_is_the_same_from_disk(filmed, tmp_path):
    _, explorer = filmed
    save_film(tmp_path / "film.npz", explorer.film)
    other = make_map(network())
    other.film = load_film(tmp_path / "film.npz")
    assert other._film == explorer._film
    assert "a film of 6 moments" in repr(other)


def test_the_film_that_is_shipped_is_that_of_a_training_and_small():
    path = PRETRAINED / "04_film.npz"
    film = load_film(path)
    assert path.stat().st_size <= 1_500_000
    epochs = [moment.epoch for moment in film]
    assert len(epochs) == 20 and epochs[0] == 0 and epochs[10:] == list(range(1, 11))
    assert film[0].loss > 0.69 > 0.2 > film[-1].loss


def test_what_cannot_make_a_film_is_refused():
    models = network()
    with pytest.raises(ValueError, match="make the LatentExplorer with images="):
        LivePlane(make_map(models, images=None))
    with pytest.raises(ValueError, match="in_first=0 cannot work"):
        LivePlane(make_map(models), in_first=0)
    wider, *_ = network(hidden_dim=16)
    with pytest.raises(ValueError, match=r"weights and the map's decoder 7,080"):
        wider.fit(PIXELS, PIXELS, callbacks=[LivePlane(make_map(models))], verbose=0)
    moment = Moment(0.0, 0.3, np.zeros((7, 2)), np.zeros(7080))
    with pytest.raises(ValueError, match=r"codes of shape \(7, 2\) for the map's 100 points"):
        make_map(models).film = [moment]


def test_a_training_that_goes_wrong_is_told_as_without_a_map():
    models = network()
    models[0].compile(optimizer=keras.optimizers.SGD(1e30), loss="mse")
    explorer = make_map(models)
    live = [LivePlane(explorer)]
    with pytest.raises(ValueError, match="The loss became"):
        train(models[0], PIXELS, validation_data=PIXELS, callbacks=live, verbose=0)
    assert explorer.film[0].epoch == 0
    halves = [half for moment in explorer.film for half in (moment.codes, moment.weights)]
    assert all(np.isfinite(half).all() for half in halves), "what went wrong is not shown"
