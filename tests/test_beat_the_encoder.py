"""The game's Python half: what it sends to the browser, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest

from ae_helpers.numpy_layers import apply_layers
from ae_helpers.widgets.beat_the_encoder import DIGITS, SIDE, BeatTheEncoder

random = np.random.default_rng(2)
RUN = SimpleNamespace(
    encoder_weights=[(random.normal(size=(784, 2)), np.zeros(2), "linear")],
    decoder_weights=[
        (random.normal(size=(2, 16)), random.normal(size=16), "tanh"),
        (random.normal(size=(16, 784)), np.zeros(784), "sigmoid"),
    ],
)
IMAGES = random.integers(0, 256, (40, 28, 28), dtype="uint8")


def errors(points, image):
    drawn = apply_layers(RUN.decoder_weights, points)
    return ((drawn - image.reshape(784) / 255) ** 2).mean(axis=1)


def test_the_point_of_the_grid_is_the_best_that_a_search_one_by_one_finds():
    spec = BeatTheEncoder(RUN, IMAGES)._spec
    axes = [np.linspace(low, high, SIDE) for low, high in spec["ranges"]]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    assert len(spec["grid"]) == len(spec["encoder"]) == DIGITS
    for place, image in zip(spec["grid"][:5], IMAGES, strict=False):
        assert errors([place], image)[0] == pytest.approx(errors(points, image).min(), abs=1e-6)


def test_the_landscape_is_brightest_where_the_error_is_high_and_has_the_highest_z2_on_top():
    game = BeatTheEncoder(RUN, IMAGES)
    side = game._spec["side"]
    shades = np.frombuffer(game._landscapes, "uint8").reshape(DIGITS, side, side)[0]
    axes = [np.linspace(low, high, SIDE)[:: SIDE // side] for low, high in game._spec["ranges"]]
    z2 = np.linspace(*game._spec["ranges"][1], SIDE)[:: -(SIDE // side)]
    points = np.stack(np.meshgrid(axes[0], z2), axis=-1).reshape(-1, 2)
    there = errors(points, IMAGES[0])
    assert np.corrcoef(there, shades.ravel())[0, 1] > 0.999


def test_labels_colour_the_points_and_are_not_needed():
    labels = np.arange(40) % 10
    assert len(BeatTheEncoder(RUN, IMAGES, labels)._spec["colours"]) == 10
    assert len(BeatTheEncoder(RUN, IMAGES)._spec["colours"]) == 1


def test_a_dead_unit_leaves_a_plane_to_play_on():
    dead = SimpleNamespace(
        encoder_weights=[(np.zeros((784, 2)), np.zeros(2), "relu")],
        decoder_weights=RUN.decoder_weights,
    )
    for low, high in BeatTheEncoder(dead, IMAGES)._spec["ranges"]:
        assert high - low == 1


@pytest.mark.parametrize(
    ("images", "labels", "fault"),
    [
        (IMAGES[:9], None, "a game takes ten digits or more"),
        (IMAGES / 255, None, "images is float64"),
        (IMAGES.reshape(-1, 784), None, r"shape \(40, 784\)"),
        (IMAGES, np.arange(39) % 10, r"labels is int64 with shape \(39,\) for 40 images"),
        (IMAGES, np.full(40, 10), "a whole number 0 to 9"),
        (IMAGES, np.full(40, "7"), "a whole number 0 to 9"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(images, labels, fault):
    with pytest.raises(ValueError, match=fault):
        BeatTheEncoder(RUN, images, labels)


def test_a_run_for_other_images_is_refused_in_words():
    small = [(np.zeros((2, 64)), np.zeros(64), "sigmoid")]
    run = SimpleNamespace(
        encoder_weights=[(np.zeros((64, 2)), np.zeros(2), "relu")], decoder_weights=small
    )
    with pytest.raises(ValueError, match="for images of 64 pixels: the game takes 784"):
        BeatTheEncoder(run, IMAGES)


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    page = BeatTheEncoder(RUN, IMAGES).export_html(tmp_path / "game.html", "A <game>").read_text()
    assert "A &lt;game&gt;" in page and "import {" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")
