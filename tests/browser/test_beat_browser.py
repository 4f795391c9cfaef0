"""The game in a real browser: its page by file://, with the network off."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from lab import settle

from ae_helpers import load_run
from ae_helpers.data import read_sample
from ae_helpers.numpy_layers import apply_layers
from ae_helpers.widgets.beat_the_encoder import BeatTheEncoder

RUN = load_run("07_vae")
(IMAGES, LABELS), _ = read_sample()
IMAGES, LABELS = IMAGES[:300], LABELS[:300]
NUMBER = re.compile(r"\d\.\d{4}")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    game = BeatTheEncoder(RUN, IMAGES, LABELS)
    return game, game.export_html(tmp_path_factory.mktemp("page") / "game.html")


@pytest.fixture
def open_game(open_alone, html):
    def open_it(**options):
        page = open_alone(html[1], **options)
        page.locator(".error", has_text=NUMBER).wait_for()
        return page

    return open_it


def error_at(place, k):
    drawn = apply_layers(RUN.decoder_weights, [place])
    return float(((drawn - IMAGES[k].reshape(784) / 255) ** 2).mean())


def shown_error(page):
    settle(page)
    return float(NUMBER.search(page.locator(".error").text_content())[0])


def players(page):
    texts = page.locator(".players figcaption").all_text_contents()
    return [float(NUMBER.search(text)[0]) for text in texts]


def pixels(page, which):
    """The mean of a canvas's red, row by row, 0 to 1."""
    script = """canvas => { const { width, height } = canvas;
      const copy = new OffscreenCanvas(width, height).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(0, 0, width, height).data]; }"""
    values = np.array(page.locator(f"canvas{which}").evaluate(script))
    side = int((len(values) / 4) ** 0.5)
    return values.reshape(side, side, 4)[:, :, 0].mean(axis=1) / 255


def path(page, ranges):
    """The walk's points as numbers of the plane: (n, 2)."""
    points = page.locator(".path").get_attribute("points").split()
    side = page.locator(".plot").evaluate("plot => plot.clientWidth")
    shares = np.array([point.split(",") for point in points], float) / side
    low, high = np.transpose(ranges)
    return low + np.stack([shares[:, 0], 1 - shares[:, 1]], axis=1) * (high - low)


def test_ten_rounds_by_keyboard(open_game, html):
    page, spec = open_game(), html[0]._spec
    plot = page.locator(".plot")
    start = [(low + high) / 2 for low, high in spec["ranges"]]
    assert shown_error(page) == pytest.approx(error_at(start, 0), abs=1e-4)
    sums, won, level = np.zeros(4), {"encoder": 0, "grid": 0}, 0
    for k in range(10):
        assert page.locator(".round").text_content() == f"Round {k + 1} of 10"
        plot.press("Shift+ArrowRight")
        plot.press("ArrowUp")
        spans = [high - low for low, high in spec["ranges"]]
        place = [start[0] + 0.05 * spans[0], start[1] + 0.01 * spans[1]]
        assert shown_error(page) == pytest.approx(error_at(place, k), abs=1e-4)
        assert pixels(page, ".target") == pytest.approx(IMAGES[k].mean(axis=1) / 255, abs=1e-6)
        drawn = apply_layers(RUN.decoder_weights, [place]).reshape(28, 28).mean(axis=1)
        assert pixels(page, ".drawn") == pytest.approx(drawn, abs=0.003)
        assert page.locator(".path").get_attribute("points") == ""
        plot.press("Enter")
        you, encoder, grid, walk = players(page)
        assert you == pytest.approx(error_at(place, k), abs=1e-4)
        assert encoder == pytest.approx(error_at(spec["encoder"][k], k), abs=1e-4)
        assert grid == pytest.approx(error_at(spec["grid"][k], k), abs=1e-4)
        assert walk <= you
        sums += [you, encoder, grid, walk]
        settle(page)
        assert page.locator(".marks text").all_text_contents() == ["E", "G", "D"]
        way = [error_at(place, k) for place in path(page, spec["ranges"])]
        assert way[0] == pytest.approx(you, abs=1e-4) and way[-1] == pytest.approx(walk, abs=1e-4)
        assert len(way) > 1 and np.diff(way).max() < 1e-5, "each step leads downhill"
        assert f"You {you:.4f}" in page.locator(".told").text_content(), "read aloud, too"
        moved = page.locator(".cursor").get_attribute("transform")
        plot.press("ArrowLeft")  # the round is over
        settle(page)
        assert page.locator(".cursor").get_attribute("transform") == moved
        won["encoder"] += you < encoder
        won["grid"] += you < grid
        level += you == walk
        rounds = "1 round" if k == 0 else f"{k + 1} rounds"
        assert page.locator(".score").text_content() == (
            f"Of {rounds} you beat the encoder in {won['encoder']} and the grid in {won['grid']}. "
            f"In {level} your point was a bottom already: the walk led no lower."
        )
        if k < 9:
            plot.press("Enter")
    told = [float(n) for n in NUMBER.findall(page.locator(".learned").text_content())]
    assert told == pytest.approx(sums / 10, abs=1e-4)
    assert sums[3] < 0.8 * sums[0], "the walks lead downhill"
    assert page.get_by_role("button", name="Play again").count() == 1
    plot.press("Enter")
    assert page.locator(".round").text_content() == "Round 1 of 10"
    assert shown_error(page) == pytest.approx(error_at(start, 10), abs=1e-4), "ten other digits"
    assert page.locator(".learned").text_content() == ""


def test_a_point_that_the_walk_cannot_better_is_counted(new_page, tmp_path):
    layers = [(np.zeros((2, 784)), np.zeros(784), "sigmoid")]  # grey everywhere: nowhere to go
    grey = SimpleNamespace(encoder_weights=RUN.encoder_weights, decoder_weights=layers)
    page = new_page(offline=True)
    page.goto(BeatTheEncoder(grey, IMAGES).export_html(tmp_path / "grey.html").as_uri())
    page.locator(".error", has_text=NUMBER).wait_for()
    page.locator(".plot").press("Enter")
    assert page.locator(".score").text_content() == (
        "Of 1 round you beat the encoder in 0 and the grid in 0. "
        "In 1 your point was a bottom already: the walk led no lower."
    )
    assert page.locator(".key span").count() == 0, "without labels there are no colours"


def test_a_drag_moves_the_point_and_the_landscape_comes_on_request(open_game, html):
    page = open_game()
    box = page.locator(".plot").bounding_box()
    at = [(box["x"] + share * box["width"], box["y"] + 0.3 * box["height"]) for share in (0.2, 0.7)]
    before = shown_error(page)
    page.mouse.move(*at[0])
    assert shown_error(page) == before, "a pointer that is not pressed moves nothing"
    page.mouse.down()
    page.mouse.move(*at[1], steps=5)
    page.mouse.up()
    after = shown_error(page)
    assert after != before
    page.mouse.move(*at[0])
    assert shown_error(page) == after, "nor does one that is no longer pressed"
    landscape = page.locator(".landscape")
    assert not landscape.is_visible()
    page.get_by_role("button", name="Show the landscape").click()
    assert landscape.is_visible()
    side = html[0]._spec["side"]
    dark = np.frombuffer(html[0]._landscapes, "uint8").reshape(-1, side, side)[0].mean(axis=1)
    assert pixels(page, ".landscape") == pytest.approx(1 - dark / 255, abs=0.003), "low is light"


def test_the_point_stays_on_the_plane_and_the_colours_have_a_key(open_game, html):
    page = open_game()
    for _ in range(15):
        page.locator(".plot").press("Shift+ArrowUp")
    (low, high), (_, top) = html[0]._spec["ranges"]
    assert shown_error(page) == pytest.approx(error_at([(low + high) / 2, top], 0), abs=1e-4)
    assert page.locator(".key").text_content().startswith("The dots: where the encoder puts 300")
    assert page.locator(".key span").all_text_contents() == list("0123456789")


def test_a_finger_plays_on_a_narrow_screen(open_game):
    page = open_game(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    box, seen = page.locator(".plot").bounding_box(), {shown_error(page)}
    for right, down in [(0.8, 0.3), (0.6, 0.3), (0.6, 0.2)]:
        page.touchscreen.tap(box["x"] + right * box["width"], box["y"] + down * box["height"])
        seen.add(shown_error(page))
    assert len(seen) == 4, "each tap moves the point, along z1 and along z2"
    page.get_by_role("button", name="That is my point").tap()
    assert len(players(page)) == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
