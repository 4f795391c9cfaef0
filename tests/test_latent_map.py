import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from ae_helpers.legend import CLASS_COLOURS, name_places
from ae_helpers.numpy_layers import apply_layers, to_uint8
from ae_helpers.widgets.film import Moment
from ae_helpers.widgets.latent_map import MAX_BYTES, LatentExplorer, latent_sliders

random = np.random.default_rng(4)
DECODER = [
    (random.normal(size=(2, 8)).astype("float32"), random.normal(size=8), "relu"),
    (random.normal(size=(8, 784)).astype("float32"), random.normal(size=784), "sigmoid"),
]
POINTS = random.uniform(0, 10, size=(60, 2)).astype("float32")
LABELS = np.repeat(np.arange(10), 6)
IMAGES = random.integers(0, 256, size=(60, 28, 28)).astype("uint8")


def explorer(**changes):
    return LatentExplorer(
        changes.pop("decoder_weights", DECODER), **({"points": POINTS, "labels": LABELS} | changes)
    )


def with_nan(array):
    array = np.array(array, dtype="float32")
    array.flat[1] = np.nan
    return array


def kernel_with_nan():
    return [(with_nan(DECODER[0][0]), DECODER[0][1], "relu"), DECODER[1]]


# -- sliders


def test_moving_a_slider_decodes_its_point():
    sliders = latent_sliders(DECODER, [[0, 0], [10, 8]])
    sliders.children[0].value = 2.5
    sliders.children[1].value = 7.5
    assert (sliders.x, sliders.y) == (2.5, 7.5)
    expected = to_uint8(apply_layers(DECODER, [[2.5, 7.5]]))[0]
    np.testing.assert_array_equal(sliders.image, expected)
    assert bytes(sliders.children[2].value).startswith(b"\x89PNG")
    sliders.x = 10
    assert sliders.children[0].value == 10


def in_the_browser(slider):
    """Return where noUiSlider, which ipywidgets shows, puts a slider's handle: on a step."""
    width = slider.max - slider.min
    step = slider.step * 100 / width
    percent = (slider.value - slider.min) * 100 / width
    return math.floor(percent / step + 0.5) * step * width / 100 + slider.min


def test_a_slider_begins_exactly_on_a_step_so_that_the_browser_has_nothing_to_tell():
    for low, width in zip(random.normal(0, 30, 200), random.exponential(50, 200), strict=True):
        sliders = latent_sliders(DECODER, [[low, low], [low + width] * 2])
        for slider in sliders.children[:2]:
            assert in_the_browser(slider) == slider.value
            assert slider.min <= low and low + width <= slider.max  # what was given is on it


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 10.1])
def test_a_slider_refuses_what_is_not_on_it(value):
    sliders = latent_sliders(DECODER, [[0, 0], [10, 8]])
    with pytest.raises(ValueError, match=r"x=.* cannot work"):
        sliders.x = value
    assert sliders.x == 5


@pytest.mark.parametrize(
    ("z_range", "message"),
    [
        ([[0, 0], [np.nan, 1]], "NaN or infinity"),
        ([[0, 0], [1, 0]], "from 0 to 0 in z₂"),
        ([[5, 0], [1, 1]], "from 5 to 1 in z₁"),
        ([0, 1], r"shape \(2,\)"),
    ],
)
def test_a_range_that_cannot_work_is_refused(z_range, message):
    with pytest.raises(ValueError, match=message):
        latent_sliders(DECODER, z_range)


def test_sliders_and_map_import_neither_tensorflow_nor_pyplot():
    code = (
        "import sys, numpy as np\n"
        "from ae_helpers.widgets.latent_map import LatentExplorer, latent_sliders\n"
        "decoder = [(np.eye(2, 784), np.zeros(784), 'relu')]\n"
        "latent_sliders(decoder, [[0, 0], [1, 1]]).x = 0.25\n"
        "LatentExplorer(decoder, points=[[0, 0]], labels=[1]).x = 0.25\n"
        "print({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- the map


def test_setting_x_and_y_decodes_that_point():
    shown = explorer()
    shown.x, shown.y = 1.5, 2.5
    np.testing.assert_array_equal(shown.image, to_uint8(apply_layers(DECODER, [[1.5, 2.5]]))[0])
    assert shown._picture == b""


def test_an_image_set_is_shown_until_the_next_move():
    shown = explorer()
    shown.image = IMAGES[3]
    assert shown._picture == IMAGES[3].tobytes()
    shown.x = 2
    assert shown._picture == b""
    np.testing.assert_array_equal(shown.image, to_uint8(apply_layers(DECODER, [[2, shown.y]]))[0])


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1000.0])
def test_the_map_refuses_a_point_that_is_not_on_it(value):
    shown = explorer()
    before = shown.y
    with pytest.raises(ValueError, match=r"y=.* cannot work"):
        shown.y = value
    assert shown.y == before


@pytest.mark.parametrize(
    ("image", "kind"),
    [(np.zeros((28, 28)), r"float64 with shape \(28, 28\)"), (None, "object"), ([[0]], "int64")],
)
def test_the_map_refuses_an_image_of_another_kind(image, kind):
    shown = explorer()
    before = shown.image
    with pytest.raises(ValueError, match=f"image is {kind}.* must be uint8"):
        shown.image = image
    assert shown.image is before


def test_a_number_of_a_code_can_be_set_as_it_is():
    shown = explorer()
    shown.x, shown.y = POINTS[7]
    assert (shown.x, shown.y) == tuple(POINTS[7])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_weights": kernel_with_nan()}, "layer 1 are not all finite"),
        ({"decoder_weights": DECODER[:1]}, "from 2 inputs to 8 units"),
        ({"decoder_weights": [(np.zeros((3, 784)), np.zeros(784), "relu")]}, "latent_dim=2"),
        ({"points": with_nan(POINTS)}, "points holds NaN"),
        ({"points": POINTS[:0], "labels": LABELS[:0]}, "at least one digit"),
        ({"points": np.zeros((60, 3))}, r"points has shape \(60, 3\)"),
        ({"labels": LABELS[:-1]}, r"\(59,\) for 60 points"),
        ({"labels": LABELS / 2}, "give whole numbers or texts"),
        ({"labels": [f"class {i}" for i in range(60)]}, "60 classes: .* of at most 30 classes"),
        ({"labels": np.arange(60)}, "60 classes: .* of at most 30 classes"),
        ({"images": IMAGES[:-1]}, r"\(59, 28, 28\) for 60 points"),
        ({"images": IMAGES / 255}, "float64"),
    ],
)
def test_a_map_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


@pytest.mark.parametrize("points", [[[3, 4]], [[3, 4]] * 5, [[0, 1], [0, 2], [0, 3]]])
def test_points_without_width_still_make_a_map(points):
    shown = explorer(points=points, labels=[7] * len(points))
    for low, high in shown._spec["ranges"]:
        assert high > low
    assert shown.x == points[0][0]


def test_points_labels_and_originals_stay_together():
    shown = explorer(images=IMAGES)
    points = np.frombuffer(shown._points, "<f4").reshape(-1, 2)
    images = np.frombuffer(shown._images, "uint8").reshape(-1, 28, 28)
    labels = np.frombuffer(shown._labels, "uint8")
    places = [int(np.flatnonzero((point == POINTS).all(axis=1))[0]) for point in points]
    assert sorted(places) == list(range(60))
    np.testing.assert_array_equal(images, IMAGES[places])
    np.testing.assert_array_equal(labels, LABELS[places])


def test_more_than_10_mb_of_originals_are_thinned_evenly():
    most = MAX_BYTES // 784
    count = most + 2000
    labels = np.sort(np.arange(count) % 10)
    shown = explorer(
        points=random.normal(size=(count, 2)),
        labels=labels,
        images=np.zeros((count, 28, 28), dtype="uint8"),
    )
    assert len(shown._images) == most * 784 <= 10_000_000
    assert len(shown._labels) == count
    sent = np.bincount(np.frombuffer(shown._labels, "uint8")[:most])
    assert sent.max() - sent.min() <= 1


def test_a_class_keeps_its_colour_when_others_are_missing():
    few = explorer(labels=np.where(LABELS < 5, 8, 3))._spec["classes"]
    assert [(c["name"], c["colour"]) for c in few] == [
        ("3", CLASS_COLOURS[3]),
        ("8", CLASS_COLOURS[8]),
    ]


def test_names_have_colours_in_their_order_and_the_map_knows_where_they_stand():
    classes = explorer(labels=np.where(LABELS < 5, "shoe", "bag"))._spec["classes"]
    assert [c["name"] for c in classes] == ["bag", "shoe"]
    assert [c["colour"] for c in classes] == list(CLASS_COLOURS[:2])
    expected = name_places(POINTS, (LABELS < 5).astype(int))
    np.testing.assert_array_equal([c["place"] for c in classes], expected)


# -- the page


def read_data(page):
    """Return what the page's data block holds; it must be the only one."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def test_a_page_holds_its_titles_and_labels_as_text(tmp_path):
    evil = "</script><b>x"
    file = explorer(labels=[evil] * 60).export_html(tmp_path / "map.html", title=evil)
    page = file.read_text(encoding="utf-8")
    assert evil not in page
    assert "<title>&lt;/script&gt;&lt;b&gt;x</title>" in page
    assert page.count("</script>") == 2
    assert read_data(page)["spec"]["classes"][0]["name"] == evil


def test_a_page_is_packed(tmp_path):
    count = 2000
    # As compressible as MNIST is: four fifths black.
    images = random.integers(0, 256, size=(count, 28, 28)).astype("uint8")
    images[:, :, :22] = 0
    data = {"points": random.normal(size=(count, 2)), "labels": np.arange(count) % 10}
    full = explorer(**data, images=images).export_html(tmp_path / "full.html")
    assert full.stat().st_size <= images.nbytes / 2


def test_a_page_tells_a_reader_in_jupyterlab_what_to_press(tmp_path):
    page = explorer().export_html(tmp_path / "map.html").read_text(encoding="utf-8")
    (told,) = re.findall("<noscript>(.*?)</noscript>", page, re.DOTALL)
    assert '"Trust HTML"' in told


@pytest.mark.parametrize(
    ("name", "title", "error", "told"),
    [
        ("nowhere/map.html", "A map", FileNotFoundError, "There is no folder"),
        (".", "A map", IsADirectoryError, "is a folder: name a file"),
        ("map.html", 5, ValueError, "title=5 cannot work"),
        ("map.html", "half of a \ud83d", ValueError, "half a character"),
    ],
)
def test_a_page_that_cannot_be_written_leaves_the_one_that_is_there(
    tmp_path, name, title, error, told
):
    (tmp_path / "map.html").write_text("the old one")
    with pytest.raises(error, match=told):
        explorer().export_html(tmp_path / name, title=title)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["the old one"]


def test_a_full_disk_leaves_the_page_that_is_there(tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "map.html").write_text("the old one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(OSError):
            explorer().export_html(tmp_path / "map.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["the old one"]


# -- own images


WIDE_DECODER = [(np.eye(2, 96, dtype="float32"), np.zeros(96, "float32"), "sigmoid")]


def test_images_that_are_no_squares_give_the_map_its_shape():
    shown = explorer(decoder_weights=WIDE_DECODER, images=IMAGES[:, :8, :12])
    assert shown.image.shape == tuple(shown._spec["shape"]) == (8, 12)
    with pytest.raises(ValueError, match=r"96 pixels is not 9 × 9: give shape=\(height, width\)"):
        explorer(decoder_weights=WIDE_DECODER)
    sliders = latent_sliders(WIDE_DECODER, [[0, 0], [1, 1]], shape=(8, 12))
    assert sliders.image.shape == (8, 12)


def test_thirty_classes_have_thirty_colours():
    classes = explorer(labels=np.arange(60) % 30 + 100)._spec["classes"]
    assert [c["name"] for c in classes] == [str(n) for n in range(100, 130)]
    assert len({c["colour"] for c in classes}) == 30


def test_files_stay_with_their_points():
    files = np.array([f"{i}.png" for i in range(60)])
    shown = explorer(files=files, images=IMAGES)
    assert shown._spec["files"] == files[shown._order].tolist()
    with pytest.raises(ValueError, match=r"files has shape \(59,\) for 60 points"):
        explorer(files=files[1:])


def test_the_codes_of_a_film_come_in_the_order_of_the_maps_points():
    shown = explorer()
    shown.film = [Moment(0.0, 0.3, POINTS.astype("float16"), np.zeros(3 * 8 + 9 * 784, "float16"))]
    start = 4 + int.from_bytes(shown._film[:4], "little")  # behind the text and its length
    codes = np.frombuffer(shown._film, "<f2", POINTS.size, start)
    points = np.frombuffer(shown._points, "<f4").astype("float16")
    np.testing.assert_array_equal(codes, points)
    assert not np.array_equal(points.reshape(-1, 2), POINTS.astype("float16"))


def test_the_image_is_that_of_the_film_shown_and_a_refused_film_changes_nothing():
    shown = explorer()
    own = shown.image
    black = np.full(3 * 8 + 9 * 784, -100, "float16")
    moment = Moment(0.0, 0.3, POINTS.astype("float16"), black)
    shown.film = [moment]
    assert not shown.image.any() and own.any()
    with pytest.raises(ValueError, match="weights and the map's decoder"):
        shown.film = [moment._replace(weights=black[1:])]
    assert len(shown.film) == 1
    shown.film = []
    np.testing.assert_array_equal(shown.image, own)
    shown.add_moment(moment)
    assert not shown.image.any()


@pytest.mark.parametrize("images", [IMAGES.reshape(60, 784), IMAGES[..., None]])
def test_images_of_a_wrong_form_are_refused_in_words(images):
    with pytest.raises(ValueError, match=r"images is uint8 with shape .* for 60 points"):
        explorer(images=images)


def test_what_the_browser_selects_are_places_among_the_points_given():
    shown, heard = explorer(), []
    assert shown.selected.tolist() == []
    shown.observe(lambda change: heard.append(change.new.tolist()), "selected")
    chosen = np.array([4, 11, 30])
    places = [int(np.flatnonzero(shown._order == i)[0]) for i in (30, 4, 11)]
    shown._selected = memoryview(np.array(places, "<u4").tobytes())
    assert shown.selected.tolist() == chosen.tolist() == heard[-1]
    with pytest.raises(Exception, match="read-only"):
        shown.selected = chosen
