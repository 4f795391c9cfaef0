import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from ae_helpers import plots

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
    figure, axis = plots.new_figure(3, 2)
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
        ((40, 3), 40, r"two numbers for each image; these codes have shape \(40, 3\)"),
        ((40,), 40, r"two numbers for each image; these codes have shape \(40,\)"),
        ((40, 2), 39, r"There are 40 codes but labels of shape \(39,\)"),
        ((40, 2), 41, r"There are 40 codes but labels of shape \(41,\)"),
    ],
)
def test_a_scatter_refuses_what_it_cannot_draw(shape, labels, fault):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=fault):
        plots.scatter_codes(np.zeros(shape), np.zeros(labels, int))
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


def test_a_scatter_names_only_the_classes_there_are(codes):
    axis = plots.scatter_codes(codes[0], codes[1] % 2 * 7)
    assert [text.get_text() for text in axis.texts] == ["0", "7"]
    plt.close(axis.figure)


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


def test_a_loss_figure_has_a_curve_a_name_and_a_mark_for_each_given(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    plots.show_loss({"loss": [3, 2], "val_loss": [4, 3]}, ALT, {"mean digit": 0.2625})
    (figure,) = figures
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["loss", "val_loss"]
    assert axis.lines[0].get_xdata().tolist() == [1, 2], "epochs are counted from 1"
    assert axis.lines[1].get_linestyle() == "--"
    assert axis.texts[0].get_text() == "mean digit 0.2625"
    plt.close(figure)


def test_the_network_is_drawn_with_a_name_and_a_width_below_each_layer(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "show", lambda figure, *_: figures.append(figure))
    plots.show_network([784, 3, 1], ["image", "hidden", "code"], ALT)
    (figure,) = figures
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["⋮", "image\n784", "hidden\n3", "code\n1"]
    connections = sum(len(line.get_xdata()) == 2 for line in figure.axes[0].lines)
    assert connections == 11 * 3 + 3 * 1, "all between neighbours"
    plt.close(figure)
