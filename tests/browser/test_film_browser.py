"""The film of a training in a real browser: the exported page, and live in a real JupyterLab."""

import re
from pathlib import Path

import numpy as np
import pytest
from lab import settle, wait_until
from test_map import pixels, place

from ae_helpers.numpy_layers import apply_layers, to_uint8
from ae_helpers.widgets import film
from ae_helpers.widgets.film import Moment
from ae_helpers.widgets.latent_map import LatentExplorer

MODULE = Path(film.__file__).with_suffix(".js").read_text(encoding="utf-8")
random = np.random.default_rng(4)
LABELS = np.arange(60) % 10
EPOCHS = [0, 0.2, 0.4, 0.7, 1, 2]
MOMENTS = [
    Moment(
        epoch,
        0.27 - 0.03 * epoch,
        (random.normal(size=(60, 2)) * (1 + epoch)).astype("float16"),
        random.normal(size=3 * 8 + 9 * 784).astype("float16"),
    )
    for epoch in EPOCHS
]
LIVE = """import numpy as np
from ae_helpers import LatentExplorer, LivePlane, build_autoencoder, prepare, train
from ae_helpers.data import read_sample
(images, labels), _ = read_sample()
pixels = np.tile(prepare(images), (5, 1))
autoencoder, encoder, decoder = build_autoencoder(latent_activation="linear")
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
layers = [(*l.get_weights(), l.activation.__name__) for l in autoencoder.layers[-2:]]
codes = encoder.predict(pixels[:1000], verbose=0)
explorer = LatentExplorer(layers, points=codes, labels=labels[:1000], images=images[:1000])
explorer"""
TRAIN = """live = [LivePlane(explorer)]
train(autoencoder, pixels, validation_data=pixels[:500], epochs=15, callbacks=live, verbose=0)
print("done", len(explorer.film))"""


def make_map():
    decoder = [
        (random.normal(size=(2, 8)), random.normal(size=8), "relu"),
        (random.normal(size=(8, 784)), random.normal(size=784), "sigmoid"),
    ]
    images = random.integers(0, 256, size=(60, 28, 28)).astype("uint8")
    points = random.normal(size=(60, 2))
    explorer = LatentExplorer(decoder, points=points, labels=LABELS, images=images)
    explorer.film = MOMENTS
    return explorer


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return make_map().export_html(tmp_path_factory.mktemp("page") / "film.html")


@pytest.fixture
def open_page(open_alone, html):
    def open_it(**options):
        page = open_alone(html, **options)
        page.locator(".film").wait_for()
        return page

    return open_it


def said(page):
    return page.locator(".film .moment").text_content()


def assert_shows(page, number):
    """The map decodes with the weights of a moment of the film."""
    settle(page)
    kernel, bias, second, last = np.split(MOMENTS[number].weights.astype("float32"), [16, 24, 6296])
    layers = [(kernel.reshape(2, 8), bias, "relu"), (second.reshape(8, 784), last, "sigmoid")]
    expected = to_uint8(apply_layers(layers, [place(page)]))[0].astype(int)
    assert np.ptp(expected) > 100
    assert np.abs(pixels(page, ".decoded") - expected).mean() < 2
    assert said(page).startswith("Before" if number == 0 else f"Epoch {EPOCHS[number]} ")


def test_the_film_is_moved_by_keyboard(open_page):
    page = open_page(reduced_motion="reduce")
    assert_shows(page, 5)
    slider = page.get_by_role("slider", name="Moment of the training")
    slider.focus()
    for key, number in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("End", 5)):
        page.keyboard.press(key)
        assert_shows(page, number)
    assert slider.get_attribute("aria-valuetext") == "Epoch 2 · loss 0.2100"
    before = place(page)
    page.locator(".map").press("ArrowRight")
    assert_shows(page, 5)
    assert place(page) != before


def test_it_plays_when_it_is_opened_and_pauses_by_keyboard(open_page):
    page = open_page()
    page.locator(".film .moment", has_text="Epoch 0.").wait_for()
    page.get_by_role("button", name="Pause").press("Enter")
    stopped = said(page)
    page.wait_for_timeout(800)
    assert said(page) == stopped
    page.get_by_role("button", name="Play", exact=True).press("Space")
    page.locator(".film .moment", has_text="Epoch 2").wait_for()
    page.get_by_role("button", name="Play", exact=True).wait_for()


def test_nothing_moves_by_itself_for_whoever_asked_for_less_motion(open_page):
    page = open_page(reduced_motion="reduce")
    page.wait_for_timeout(800)
    assert said(page) == "Epoch 2 · loss 0.2100"
    page.get_by_role("button", name="Play", exact=True).click()
    page.locator(".film .moment", has_text="Before").wait_for()


def test_a_map_without_a_film_has_no_slider_for_it(open_alone, tmp_path):
    explorer = make_map()
    explorer.film = []
    page = open_alone(explorer.export_html(tmp_path / "map.html"))
    page.locator(".plot").wait_for()
    assert page.locator(".film").is_hidden()


def test_half_precision_is_read_as_numpy_writes_it(new_page):
    bits = np.arange(0x7C00, dtype="<u2")
    bits = np.concatenate([bits, bits | 0x8000])
    found = new_page().evaluate(
        """async ([source, bytes]) => {
          const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const { readMoments } = await import(url);
          return [...readMoments(new Uint8Array(bytes), { all: (bytes.length - 6) / 2 })[0].all];
        }""",
        [MODULE, [2, 0, 0, 0, *b"{}", *bits.tobytes()]],
    )
    np.testing.assert_array_equal(found, bits.view("<f2").astype("float32"))


def test_the_map_moves_on_while_the_training_runs_and_may_be_touched(lab_page, lab):
    lab.open(lab_page, LIVE, TRAIN, "print(explorer.x, explorer.moment)")
    lab.run(lab_page, 0)
    lab_page.locator(".plot").wait_for()
    assert lab_page.locator(".film").is_hidden()
    lab.run(lab_page, 1, wait=False)
    lab_page.locator(".film .moment", has_text=re.compile("Epoch [1-9]")).wait_for(timeout=60_000)
    before = place(lab_page)
    lab_page.locator(".map").press("Shift+ArrowRight")
    settle(lab_page)
    assert place(lab_page) != before
    assert lab.text(lab_page, 1) == "", "all this while the training runs"
    wait_until(lab_page, lambda: "done 25" in lab.text(lab_page, 1))
    lab_page.locator(".film .moment", has_text="Epoch 15").wait_for()
    slider = lab_page.get_by_role("slider", name="Moment of the training")
    slider.press("Home")
    assert lab_page.locator(".film .moment").text_content().startswith("Before")
    wait_until(lab_page, lambda: lab.run(lab_page, 2).split()[1] == "0")
    x = float(lab.run(lab_page, 2).split()[0])
    assert x == pytest.approx(place(lab_page)[0], abs=0.01)
