import io
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from colorspacious import deltaE
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from ae_helpers import plots
from ae_helpers.legend import name_places
from ae_helpers.widgets.film import Moment

ALT = "What the figure shows."


@pytest.fixture
def shown(monkeypatch):
    """All that was displayed: (bundle, metadata) of each."""
    displayed = []
    monkeypatch.setattr(
        plots, "display", lambda bundle, metadata, raw: displayed.append((bundle, metadata))
    )
    return displayed


@pytest.fixture
def codes():
    return np.random.default_rng(0).random((40, 2)), np.arange(40) % 10


def picture(displayed):
    """The one figure displayed, in grey."""
    ((bundle, _),) = displayed
    displayed.clear()
    return np.asarray(Image.open(io.BytesIO(bundle["image/png"])).convert("L"))


def test_a_figure_is_shown_as_png_with_its_alt_text_and_closed(shown):
    before = plt.get_fignums()
    figure, axis = plt.subplots(figsize=(3, 2))
    axis.plot([0, 1], [1, 0])
    plots.show(figure, ALT)
    ((bundle, metadata),) = shown
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == ALT
    assert picture(shown).std() > 0
    assert plt.get_fignums() == before


def test_images_as_bytes_and_as_fractions_make_the_same_picture(shown):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype="uint8")
    plots.show_digits({"row": images}, ALT)
    as_bytes = picture(shown)
    plots.show_digits({"row": images.reshape(3, 784) / 255}, ALT)
    np.testing.assert_array_equal(picture(shown), as_bytes)


def test_one_flat_image_is_a_row_of_one(shown):
    plots.show_digits({"row": np.zeros((1, 784))}, ALT)
    alone = picture(shown)
    plots.show_digits({"row": np.zeros(784)}, ALT)
    np.testing.assert_array_equal(picture(shown), alone)


@pytest.mark.parametrize("rows", [{}, {"row": np.zeros((0, 784))}])
def test_rows_without_images_are_refused(rows):
    with pytest.raises(ValueError, match="no images to show"):
        plots.show_digits(rows, ALT)


def test_all_digits_share_one_scale(shown):
    half = np.full((1, 784), 0.5)
    plots.show_digits({"row": np.concatenate([half, half * 0, half * 2])}, ALT)
    greys = np.bincount(picture(shown).ravel(), minlength=256)
    assert greys[120:136].sum() > 1000, "a grey image stays grey, and is not stretched to white"


def test_columns_have_their_labels_and_rows_may_be_shorter(shown, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    images = np.zeros((3, 784))
    plots.show_digits({"above": images, "below": images[:2]}, ALT, labels=[7, 2, 1])
    (figure,) = figures
    assert [axis.get_title() for axis in figure.axes] == ["7", "2", "1", "", "", ""]
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["above", "below"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("shape", "labels", "fault"),
    [
        ((40, 3), np.zeros(40, int), r"two numbers for each image; .* shape \(40, 3\)"),
        ((40,), np.zeros(40, int), r"two numbers for each image; .* shape \(40,\)"),
        ((0, 2), np.zeros(0, int), r"at least one image.* shape \(0, 2\)"),
        ((40, 2), np.zeros(39, int), r"There are 40 codes but labels of shape \(39,\)"),
        ((2, 2), [1.0, 2.0], "float64 of 2 classes: give whole numbers or texts"),
        ((31, 2), np.arange(31), "of 31 classes: .* of at most 30 classes"),
    ],
)
def test_a_scatter_refuses_what_it_cannot_draw(shape, labels, fault):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=fault):
        plots.scatter_codes(np.zeros(shape), labels)
    assert plt.get_fignums() == before


def test_a_scatter_colours_and_names_each_class(codes):
    axis = plots.scatter_codes(*codes)
    assert [text.get_text() for text in axis.texts] == list("0123456789")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list("0123456789")
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("z₁", "z₂")
    points = axis.collections[0]
    np.testing.assert_allclose(points.get_offsets(), codes[0])
    colours = [to_hex(colour) for colour in points.get_facecolors()]
    assert colours == [plots.CLASS_COLOURS[label] for label in codes[1]]
    assert len(set(colours)) == 10
    plt.close(axis.figure)


# How colours look to those who lack one kind of cone (Machado et al. 2009, severity 100 %).
KINDS = "deuteranomaly", "protanomaly", "tritanomaly"
EYES = ["sRGB1", *({"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100} for kind in KINDS)]
OVERLAPPING = [(3, 8), (3, 5), (5, 8), (2, 3), (2, 6), (4, 9), (4, 7), (7, 9)]


def closest(colours):
    """Say how far apart, in CAM02-UCS, the colours of two overlapping digits are at least."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    a, b = (rgb[list(side)] for side in zip(*OVERLAPPING, strict=True))
    return min(deltaE(a, b, eye).min() for eye in EYES)


def test_digits_that_overlap_have_colours_far_apart_for_all_eyes():
    petroff = plt.color_sequences["petroff10"]
    assert sorted(plots.CLASS_COLOURS) == sorted(map(to_hex, petroff))
    assert closest(petroff) < 20, "two greys for 3 and 8: what the order is there to avoid"
    assert closest(plots.CLASS_COLOURS) > 30


def test_a_name_stands_where_its_class_has_many_and_others_have_few():
    random = np.random.default_rng(0)
    labels = np.repeat([3, 8, 9], [2000, 4000, 1000])
    codes = random.normal(size=(7000, 2))  # 3s and 8s lie on top of each other, but ...
    codes[:500] += [3, 0]  # ... a quarter of the 3s do not,
    codes[-1000:] += [[0, 20]]
    codes[-1:] *= 10  # and one 9 lies far off
    places = name_places(codes, labels)
    assert np.linalg.norm(places - [[3, 0], [0, 0], [0, 20]], axis=1).max() < 1.5


def test_a_scatter_does_not_name_a_class_of_which_hardly_a_point_is_there():
    axis = plots.scatter_codes(
        np.random.default_rng(0).random((300, 2)), np.arange(300) // 2 // 149
    )
    assert [text.get_text() for text in axis.texts] == ["0"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["0", "1"]
    plt.close(axis.figure)


def test_a_scatter_names_only_the_classes_there_are(codes):
    axis = plots.scatter_codes(codes[0], codes[1] % 2 * 7)
    assert [text.get_text() for text in axis.texts] == ["0", "7"]
    plt.close(axis.figure)


def test_names_in_a_crowd_are_pushed_apart_and_stay_in_the_plot(codes):
    # Nine classes in one place, at the edge, and one far off.
    crowd = np.where(codes[1][:, None] == 0, 100, codes[0] / 100)
    axis = plots.scatter_codes(crowd, codes[1])
    places = np.array([axis.transData.transform(text.xy) for text in axis.texts])
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + 1000 * np.eye(10)
    assert apart.min() > 15, "dots at 100 an inch; a name is some 12 wide"
    box = axis.get_window_extent()
    assert (places > box.min).all() and (places < box.max).all()
    plt.close(axis.figure)


def test_a_path_is_lettered_in_the_plane_and_above_its_images(codes, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, alt: figures.append(figure))
    path = np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])
    images = np.random.default_rng(1).random((3, 784))
    plots.show_path(*codes, path, {"decoded": images, "pixels": images}, ALT)
    (figure,) = figures
    plane, *rest = figure.axes
    lettered = [(text.get_text(), text.xy) for text in plane.texts if text.get_text().isalpha()]
    assert [letter for letter, _ in lettered] == ["a", "b", "c"]
    np.testing.assert_allclose([place for _, place in lettered], path)
    np.testing.assert_allclose(plane.lines[0].get_xydata(), path)
    assert [axis.get_title() for axis in rest] == ["a", "b", "c", "", "", ""]
    with pytest.raises(ValueError, match="path has 27 points: give at most 26"):
        plots.show_path(*codes, np.zeros((27, 2)), {"decoded": images}, ALT)
    np.testing.assert_array_equal(rest[4].images[0].get_array(), images[1].reshape(28, 28))
    plt.close(figure)


def test_a_scatter_of_a_dead_code_is_still_drawn(codes, shown):
    axis = plots.scatter_codes(np.zeros((40, 2)), codes[1])
    plots.show(axis.figure, ALT)
    assert picture(shown).std() > 0


def test_the_grid_puts_the_highest_z2_on_top_and_the_highest_z1_right(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    z1, z2 = np.array([0.0, 1.0, 2.0]), np.array([10.0, 20.0])
    points = np.stack(np.meshgrid(z1, z2), axis=-1).reshape(-1, 2)
    brightness = (points[:, 0] + points[:, 1]) / 22
    plots.show_grid(np.repeat(brightness[:, None], 784, axis=1), z1, z2, ALT)
    ((image,),) = ([axis.images[0] for axis in figure.axes] for figure in figures)
    canvas = np.asarray(image.get_array())
    assert canvas.shape == (2 * 28, 3 * 28)
    np.testing.assert_allclose(canvas[::28, ::28] * 22, [[20, 21, 22], [10, 11, 12]])
    assert tuple(image.get_extent()) == (-0.5, 2.5, 5, 25), "a digit lies around its point"
    assert image.get_clim() == (0, 1)
    plt.close(figures[0])


@pytest.mark.parametrize(("count", "zoom"), [(20, 1), (7, 2), (2, 10)])
def test_a_pixel_of_a_drawn_digit_is_a_square_of_whole_pixels(shown, count, zoom):
    images = np.random.default_rng(2).integers(0, 2, (count * count, 784)).astype(float)
    z = np.arange(count)
    plots.show_grid(images, z, z, ALT)
    found = picture(shown)
    rows = images.reshape(count, count, 28, 28)[::-1].swapaxes(1, 2)
    expected = 255 * rows.reshape(count * 28, -1).repeat(zoom, axis=0).repeat(zoom, axis=1)
    side = len(expected)
    assert any(
        np.mean(found[i : i + side, j : j + side] != expected) < 0.01  # but for the axes' lines
        for i in range(30)
        for j in range(40, found.shape[1] - side)
    )


def test_a_grid_may_be_one_column_or_one_row(shown, recwarn):
    for z1, z2 in (([3.0], [0.0, 1.0, 2.0]), ([0.0, 1.0, 2.0], [3.0]), ([3.0], [3.0])):
        plots.show_grid(np.ones((len(z1) * len(z2), 784)), np.array(z1), np.array(z2), ALT)
    assert len(shown) == 3 and not recwarn.list


def test_a_loss_figure_has_a_curve_a_name_and_a_mark_for_each_given(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    curves, marks = {"loss": [3, 2], "val_loss": [4, 3]}, {"mean digit": 0.2625}
    others = {f"series {i}": {i: 3} for i in range(9)}
    plots.show_loss(curves, ALT, marks, points={"reported": {1: 3.5, 10: 2.5}} | others)
    (figure,) = figures
    (axis,) = figure.axes
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["loss", "val_loss", "reported", *others]
    assert axis.lines[2].get_xydata().tolist() == [[1, 3.5], [10, 2.5]]
    assert axis.lines[0].get_xdata().tolist() == [1, 2], "epochs are counted from 1"
    assert axis.lines[1].get_linestyle() == "--"
    assert axis.texts[0].get_text() == "mean digit 0.2625"
    plt.close(figure)


@pytest.mark.parametrize(("count", "drawn"), [(20, 6), (3, 3)])
def test_a_film_is_drawn_as_moments_from_its_first_to_its_last(codes, monkeypatch, count, drawn):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    film = [Moment(k / 10, 0.3, codes[0] * (1 + k), np.zeros(1)) for k in range(count)]
    plots.show_film(film, codes[1], ALT)
    ((first, *_, last),) = [figure.axes for figure in figures]
    assert len(figures[0].axes) == drawn
    assert (first.get_title(), last.get_title().split("\n")[0]) == (
        "untrained\nloss 0.300",
        f"epoch {(count - 1) / 10}",
    )
    np.testing.assert_allclose(last.collections[0].get_offsets(), film[-1].codes)
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == list("0123456789")
    plt.close(figures[0])


def test_the_network_is_drawn_with_a_name_and_a_width_below_each_layer(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    plots.show_network([784, 3, 1], ["image", "hidden", "code"], ALT)
    (figure,) = figures
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["⋮", "image\n784", "hidden\n3", "code\n1", "encoder", "decoder"]
    connections = sum(line.get_color() == "0.8" for line in figure.axes[0].lines)
    assert connections == 11 * 3 + 3 * 1, "all between neighbours"
    plt.close(figure)


def luminance(colour):
    """The relative luminance of a colour, as WCAG defines it."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_every_text_of_a_figure_stands_out_from_the_paper(monkeypatch, codes):
    texts = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: texts.extend(figure.findobj(Text)))
    z, labels = codes
    images = np.random.default_rng(0).random((2, 784))
    axis = plots.scatter_codes(z, labels)
    plots.show(axis.figure, ALT)
    plots.show_digits({"row": images}, ALT, labels=[4, 9])
    plots.show_loss({"loss": [0.3, 0.2]}, ALT, marks={"mean digit": 0.26})
    plots.show_network([784, 2, 784], ["image", "code", "reconstruction"], ALT)
    shown = [text for text in texts if text.get_text() and text.get_visible()]
    assert len(shown) > 30
    plt.close("all")
    for text in shown:
        contrast = 1.05 / (luminance(text.get_color()) + 0.05)
        assert contrast >= 4.5, f"{text.get_text()}: {contrast:.1f}"


def test_thirty_classes_with_odd_names_have_a_key_each(codes):
    names = [f"${k}$ _{{" if k else "_first" for k in range(30)]
    axis = plots.scatter_codes(codes[0], np.array(names)[np.arange(len(codes[0])) % 30])
    axis.figure.canvas.draw()  # which would end in an error if "$" began a formula
    told = [text.get_text().strip() for text in axis.get_legend().get_texts()]
    assert told == sorted(names)
    colours = {to_hex(colour) for colour in axis.collections[0].get_facecolors()}
    assert len(colours) == 30
    plt.close(axis.figure)


def test_the_names_of_marks_that_are_close_do_not_lie_on_each_other(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, _: figures.append(figure))
    plots.show_loss({"loss": [0.6, 0.2]}, ALT, marks={"class mean": 0.2, "mean digit": 0.2})
    figures[0].canvas.draw()
    lower, upper = (text.get_window_extent() for text in figures[0].axes[0].texts)
    assert upper.y0 - lower.y0 > 10, "pixels"
    plt.close(figures[0])


def test_a_film_writes_the_names_of_its_classes_as_they_are(codes, shown):
    names = np.array(["$x_$ {", "cat"])[codes[1] % 2]
    plots.show_film([Moment(0.0, 0.3, codes[0], np.zeros(1))], names, ALT)
    assert len(shown) == 1  # an error, if "$" began a formula


def test_the_key_of_a_film_is_made_as_that_of_a_scatter(codes, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    names = np.array(["a" * 40, "cat"])[codes[1] % 2]
    plots.show_film([Moment(0.0, 0.3, codes[0], np.zeros(1))], names, ALT)
    (key,) = figures[0].legends
    assert key.get_title().get_text() == "class"
    assert [len(text.get_text()) for text in key.get_texts()] == [25, 3]


@pytest.mark.parametrize(("count", "name"), [(16, "no label"), (10, "a longer name for a class")])
def test_long_labels_above_a_row_of_images_do_not_meet(monkeypatch, count, name):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    plots.show_digits({"reconstruction": np.zeros((count, 784))}, ALT, labels=[name] * count)
    (figure,) = figures
    figure.canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert boxes[0].height > 5, "and can be read"
    plt.close(figure)


def test_one_class_alone_has_no_name_in_the_plane(codes):
    axis = plots.scatter_codes(codes[0], np.full(len(codes[0]), "no label"))
    assert not axis.texts
    plt.close(axis.figure)


def test_images_of_any_shape_are_drawn_and_flat_ones_must_be_squares(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    wide = np.random.default_rng(0).random((4, 8, 12))
    plots.show_digits({"wide": wide, "small": wide[:, :5, :5].reshape(4, 25)}, ALT)
    plots.show_grid(wide, np.array([0, 1]), np.array([0, 1]), ALT)
    rows, grid = figures
    assert rows.axes[0].images[0].get_array().shape == (8, 12)
    assert rows.axes[4].images[0].get_array().shape == (5, 5)
    np.testing.assert_array_equal(grid.axes[0].images[0].get_array()[:8, :12], wide[2])
    with pytest.raises(ValueError, match="Rows of 96 pixels are no square images"):
        plots.show_digits({"wide": wide.reshape(4, 96)}, ALT)
    for figure in figures:
        plt.close(figure)
