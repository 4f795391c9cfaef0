"""The latent map in a real browser: the exported page, and the widget in a real JupyterLab."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import ae_helpers
from ae_helpers.explorer import LatentExplorer
from ae_helpers.layers import apply_layers, to_uint8

MODULE = Path(ae_helpers.__file__).with_name("explorer.js").read_text(encoding="utf-8")
IMPORT = "await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))"


def digits():
    """Make weights, codes, labels and originals, always the same; a cell below does it too."""
    random = np.random.default_rng(4)
    decoder = [
        (random.normal(size=(2, 8)), random.normal(size=8), "relu"),
        (random.normal(size=(8, 784)), random.normal(size=784), "sigmoid"),
    ]
    labels = np.arange(300) % 10
    points = np.array([labels % 4, labels // 4]).T * 3 + random.normal(0, 0.3, size=(300, 2))
    images = random.integers(0, 256, size=(300, 28, 28)).astype("uint8")
    return decoder, points, labels, images


decoder, points, labels, images = digits()
SETUP = f"""import numpy as np
{inspect.getsource(digits)}
decoder, points, labels, images = digits()
"""
WIDE = {"viewport": {"width": 1000, "height": 900}}


def pixels(page, canvas):
    """Return what a canvas shows, (28, 28)."""
    values = page.locator(f"{canvas} canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"
    )
    return np.array(values).reshape(28, 28)


def place(page):
    """Return the numbers (x, y) that the map shows."""
    text = page.locator(".place").text_content().replace("−", "-")
    return tuple(float(part.split("=")[1]) for part in text.split("   "))


def on_screen(page, shown, x, y):
    """Return where the point (x, y) is, in CSS pixels."""
    box = page.locator(".plot").bounding_box()
    (x_low, x_high), (y_low, y_high) = shown._spec["ranges"]
    return (
        box["x"] + (x - x_low) / (x_high - x_low) * box["width"],
        box["y"] + (y_high - y) / (y_high - y_low) * box["height"],
    )


def settle(page):
    """Let two frames pass: what an input changed is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def assert_shows(page, x, y, tolerance=0.05):
    """The map is at (x, y), and its digit is what NumPy decodes there."""
    settle(page)
    assert place(page) == pytest.approx((x, y), abs=tolerance)
    expected = to_uint8(apply_layers(decoder, [place(page)]))[0].astype(int)
    # The place is rounded to a few digits, so that the pixels may differ a little.
    assert np.abs(pixels(page, ".decoded") - expected).max() <= 12


@pytest.fixture(scope="module")
def shown():
    return LatentExplorer(decoder, points=points, labels=labels, images=images)


@pytest.fixture(scope="module")
def html(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return shown.export_html(folder / "map.html", title="</script><b>x")


@pytest.fixture
def open_map(new_page, html):
    """Open the exported page by file:// with the network off; no request may leave it."""

    def open_it(**options):
        page = new_page(**{**WIDE, "offline": True, **options})
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(html.as_uri())
        page.locator(".decoded figcaption", has_text="Decoded").wait_for()
        assert requests == [html.as_uri()]
        return page

    return open_it


# -- the decoder


@pytest.mark.parametrize("latent_activation", ["relu", "linear"])
def test_the_browser_decodes_as_keras_does(new_page, latent_activation):
    from ae_helpers.model import build_autoencoder, dense_layers, quiet_start

    with quiet_start():
        import keras
    keras.utils.set_random_seed(2)
    _, _, keras_decoder = build_autoencoder(latent_activation=latent_activation)
    random = np.random.default_rng(5)
    for layer in keras_decoder.layers[1:]:  # wide enough to reach black and white
        layer.set_weights([random.normal(size=part.shape) for part in layer.get_weights()])
    layers = dense_layers(keras_decoder)
    points = random.uniform(-20, 20, size=(1000, 2)).astype("float32")
    found = new_page().evaluate(
        f"""async ([source, shapes, floats, points]) => {{
          const module = {IMPORT};
          const layers = module.readLayers(shapes, new Float32Array(floats));
          return points.map(([x, y]) => [...module.decode(layers, x, y)]);
        }}""",
        [
            MODULE,
            [[*kernel.shape, activation] for kernel, _, activation in layers],
            np.concatenate([part.ravel() for layer in layers for part in layer[:2]]).tolist(),
            points.tolist(),
        ],
    )
    expected = keras_decoder.predict(points, verbose=0) * 255
    assert np.ptp(expected) > 250
    assert np.abs(np.array(found) - expected).max() <= 1


def test_the_nearest_point_is_the_nearest(new_page):
    places = np.random.default_rng(6).beta(0.4, 2, size=(3000, 2)).round(6)
    asked = np.random.default_rng(7).uniform(-0.1, 1.1, size=(500, 2))
    found = new_page().evaluate(
        f"""async ([source, places, asked]) => {{
          const module = {IMPORT};
          const [us, vs] = [0, 1].map((k) => Float64Array.from(places, (place) => place[k]));
          const grid = module.buildGrid(us, vs, [...places.keys()]);
          return asked.map(([u, v]) => module.nearest(grid, u, v));
        }}""",
        [MODULE, places.tolist(), asked.tolist()],
    )
    squares = ((asked[:, None] - places[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squares[range(500), found], squares.min(axis=1))


# -- the page


def test_the_page_opens_offline_and_shows_its_title_as_text(open_map):
    page = open_map()
    assert page.title() == "</script><b>x"
    assert page.locator("h1").text_content() == "</script><b>x"
    assert page.locator("b").count() == 0


def test_the_pointer_moves_the_point(open_map, shown):
    page = open_map()
    for x, y in [(1, 2), (5, 4)]:
        page.mouse.move(*on_screen(page, shown, x, y))
        assert_shows(page, x, y)


def test_the_arrow_keys_move_the_point(open_map, shown):
    page = open_map()
    x, y = place(page)
    (x_low, x_high), (y_low, y_high) = shown._spec["ranges"]
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert_shows(page, x + (x_high - x_low) / 100, y - (y_high - y_low) / 10)


def test_the_page_has_sliders_that_move_and_follow_the_point(open_map, shown):
    page = open_map()
    page.mouse.move(*on_screen(page, shown, 2, 2))
    settle(page)
    first, second = page.locator("input").all()
    assert float(first.input_value()) == pytest.approx(2, abs=0.05)
    second.fill("4.5")
    assert_shows(page, 2, 4.5)


def test_a_click_shows_the_digit_its_reconstruction_and_its_label(open_map, shown):
    page = open_map()
    x, y = points[17]
    near_x, near_y = on_screen(page, shown, x, y)
    page.mouse.click(near_x + 0.4, near_y - 0.4)
    assert_shows(page, x, y)
    assert page.locator(".original figcaption").text_content() == f"Chosen original: {labels[17]}"
    assert page.locator(".decoded figcaption").text_content() == "Reconstruction"
    np.testing.assert_array_equal(pixels(page, ".original"), images[17])


def test_the_legend_switches_classes_off_and_on(open_map, shown):
    page = open_map()
    x, y = points[17]
    colour = [int(shown._spec["classes"][7]["colour"][k : k + 2], 16) for k in (1, 3, 5)]

    def count():
        return page.locator(".points").evaluate(
            """(canvas, [r, g, b]) => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              let found = 0;
              for (let i = 0; i < data.length; i += 4) {
                const near = Math.hypot(data[i] - r, data[i + 1] - g, data[i + 2] - b) < 6;
                if (data[i + 3] > 200 && near) found++;
              }
              return found;
            }""",
            colour,
        )

    button = page.get_by_role("button", name="7", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    before = count()
    button.click()
    settle(page)
    assert button.get_attribute("aria-pressed") == "false"
    assert before > 20
    assert count() == 0
    page.mouse.move(*on_screen(page, shown, x, y))
    settle(page)
    assert page.locator(".original figcaption").text_content() != "Nearest original: 7"
    button.focus()
    page.keyboard.press("Space")
    settle(page)
    assert count() == before


def test_no_class_at_all_is_no_error(open_map, shown):
    page = open_map()
    for button in page.locator(".legend button").all():
        button.click()
    page.mouse.click(*on_screen(page, shown, 2, 2))
    assert_shows(page, 2, 2)
    assert page.locator(".original figcaption").text_content() == "No class is switched on"


def drag(page, shown, start, end):
    page.mouse.move(*on_screen(page, shown, *start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, shown, *end), steps=5)
    page.mouse.up()


def test_a_drag_plays_the_walk_between_its_ends(open_map, shown):
    page = open_map()
    start, end = points[0], points[7]
    page.evaluate(
        """() => {
          window.seen = [];
          const place = document.querySelector("#map").shadowRoot.querySelector(".place");
          const note = () => seen.push(place.textContent);
          new MutationObserver(note).observe(place, { childList: true });
        }"""
    )
    drag(page, shown, start, end)
    page.wait_for_timeout(200)
    page.evaluate("seen.length = 0")
    page.locator(".original figcaption", has_text="Chosen original: 7").wait_for()
    seen = [tuple(float(p.split("=")[1]) for p in t.split("   ")) for t in page.evaluate("seen")]
    assert len(seen) > 20
    xs = np.array(seen)[:, 0]
    assert (np.diff(xs) >= 0).all()
    assert_shows(page, *end)
    assert page.locator(".strip").is_visible()


def test_keys_walk_too(open_map, shown):
    page = open_map()
    page.locator(".map").focus()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    settle(page)
    end = place(page)
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert place(page)[0] < end[0] - 0.1
    page.keyboard.press("Escape")
    settle(page)
    stopped = place(page)
    page.wait_for_timeout(200)
    assert place(page) == stopped


def test_with_reduced_motion_a_walk_is_a_strip_and_no_animation(open_map, shown):
    page = open_map(reduced_motion="reduce")
    drag(page, shown, points[0], points[7])
    assert_shows(page, *points[7])
    assert page.locator(".strip").is_visible()
    assert page.locator(".walk button").is_hidden()


def test_a_finger_drags_the_point_and_taps_a_digit(open_map, shown):
    page = open_map(has_touch=True, viewport={"width": 420, "height": 900})
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        spots = [dict(zip("xy", on_screen(page, shown, *spot), strict=True)) for spot in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    page.locator(".plot").scroll_into_view_if_needed()
    send("touchStart", (1, 1))
    for x in (1.5, 2, 3, 4.5):
        send("touchMove", (x, 3))
        assert_shows(page, x, 3)
    send("touchEnd")
    page.get_by_role("button", name="Play the walk").click()
    page.wait_for_timeout(300)
    assert 1 < place(page)[0] < 4
    page.touchscreen.tap(*on_screen(page, shown, *points[17]))
    assert_shows(page, *points[17])
    assert page.locator(".original figcaption").text_content() == "Chosen original: 7"


def test_it_speaks_to_screen_readers(open_map, shown):
    page = open_map()
    widget = page.locator(".map")
    assert widget.get_attribute("aria-label") == "Latent map of 300 digits"
    page.mouse.click(*on_screen(page, shown, *points[17]))
    page.locator("[aria-live]", has_text="Reconstruction. Chosen original: 7.").wait_for(
        state="attached"
    )


def test_focus_can_be_seen(open_map):
    page = open_map()
    page.keyboard.press("Tab")
    style = page.locator(".plot").evaluate("plot => getComputedStyle(plot).outlineWidth")
    assert style == "2px"


@pytest.mark.parametrize("count", [1, 5])
def test_points_without_width_are_drawn_in_the_middle(new_page, tmp_path, count):
    one = LatentExplorer(decoder, points=[[3, 4]] * count, labels=[7] * count)
    page = new_page(**WIDE)
    page.goto(one.export_html(tmp_path / "one.html").as_uri())
    page.locator(".decoded figcaption", has_text="Decoded").wait_for()
    assert_shows(page, 3, 4)
    alpha = page.locator(".points").evaluate(
        "c => c.getContext('2d').getImageData(c.width >> 1, c.height >> 1, 1, 1).data[3]"
    )
    assert alpha > 200
    assert page.locator(".original figcaption").text_content() == "Nearest digit: 7"


# -- JupyterLab

WIDGET = f"""{SETUP}
from IPython.display import display
from ae_helpers.explorer import LatentExplorer

shown = LatentExplorer(decoder, points=points, labels=labels, images=images)
display(shown, shown.sliders())
"""


@pytest.fixture
def notebook(new_page, lab):
    """Open a notebook whose first cell, already run, shows the map and its sliders."""

    def open_it(*cells):
        page = new_page(viewport={"width": 1400, "height": 1000})
        lab.open(page, WIDGET, *cells)
        lab.run(page, 0)
        page.locator(".decoded figcaption", has_text="Decoded").wait_for()
        return page

    return open_it


def test_sliders_and_pointer_move_the_digit_while_the_kernel_is_busy(notebook, lab, shown):
    page = notebook("import time\ntime.sleep(10)\nprint('awake')", "print(shown.x, shown.y)")
    lab.run(page, 1, wait=False)
    handle = page.locator(".noUi-handle").first
    handle.focus()
    before = pixels(page, ".decoded")
    x, _ = place(page)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert place(page)[0] > x + 0.2
    assert (pixels(page, ".decoded") != before).any()
    page.mouse.move(*on_screen(page, shown, 1, 5))
    assert_shows(page, 1, 5)
    page.wait_for_timeout(200)
    # The sliders follow the map: the second one's handle says where it is.
    spoken = page.locator(".noUi-handle").nth(1).get_attribute("aria-valuenow")
    assert float(spoken) == pytest.approx(5, abs=0.1)
    assert lab.text(page, 1) == ""  # all this before the cell was done
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.length > 0"
    )
    lab.run(page, 2)
    assert [float(v) for v in lab.text(page, 2).split()] == pytest.approx([1, 5], abs=0.05)


def test_python_moves_the_map_and_sets_an_image(notebook, lab):
    page = notebook(
        "shown.x, shown.y = 2.5, 4.5",
        "shown.image = images[5]",
        "try:\n    shown.x = float('nan')\nexcept ValueError as error:\n    print(error)",
    )
    lab.run(page, 1)
    page.locator(".place", has_text="2.5").wait_for()
    assert_shows(page, 2.5, 4.5)
    lab.run(page, 2)
    page.locator(".decoded figcaption", has_text="Set from Python").wait_for()
    np.testing.assert_array_equal(pixels(page, ".decoded"), images[5])
    lab.run(page, 3)
    assert lab.text(page, 3) == "x=nan cannot work: it must be a finite number.\n"
    page.locator(".map").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".decoded figcaption", has_text="Decoded").wait_for()
    assert_shows(page, 2.5, 4.5, tolerance=0.2)


def test_the_keys_of_the_map_do_nothing_else_in_jupyterlab(notebook):
    page = notebook("1 + 1")
    state = """() => JSON.stringify([
      jupyterapp.shell.currentWidget.content.activeCellIndex,
      jupyterapp.shell.currentWidget.content.mode,
      jupyterapp.shell.currentWidget.content.widgets.length,
    ])"""
    page.locator(".map").focus()
    before = page.evaluate(state)
    for key in ("ArrowDown", "ArrowUp", "Shift+ArrowDown", "Enter", "ArrowDown", "Escape"):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate(state) == before


def test_a_long_drag_leaves_kernel_and_map_at_the_same_point(notebook, lab, shown):
    page = notebook("print(shown.x, shown.y)")
    for x in np.linspace(0, 6, 120):
        page.mouse.move(*on_screen(page, shown, x, x))
    settle(page)
    page.wait_for_timeout(500)
    lab.run(page, 1)
    assert [float(v) for v in lab.text(page, 1).split()] == pytest.approx(place(page), abs=0.01)


def test_the_kernel_slider_changes_its_digit(new_page, lab):
    """The step before the map: `latent_sliders`, decoded in the kernel."""
    page = new_page(viewport={"width": 1400, "height": 1000})
    lab.open(
        page,
        f"{SETUP}\nfrom ae_helpers import latent_sliders\n"
        "sliders = latent_sliders(decoder, [[0, 0], [9, 6]])\nsliders",
        "print(sliders.x)",
    )
    lab.run(page, 0)
    image = page.locator("img.widget-image")
    image.wait_for()
    before = image.get_attribute("src")
    handle = page.locator(".noUi-handle").first
    handle.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('img.widget-image').src !== before", arg=before
    )
    page.wait_for_timeout(500)
    lab.run(page, 1)
    assert float(lab.text(page, 1)) == pytest.approx(4.5 + 20 * 9 / 200)


def test_the_data_of_a_page_is_plain_json(html):
    text = html.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0]
    assert "<" not in text
    assert set(json.loads(text)) == {"spec", "packed"}
