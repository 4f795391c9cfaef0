import numpy as np
import pytest
import traitlets
from PIL import Image, ImageDraw, ImageOps

from ae_helpers.widgets import drawing_board
from ae_helpers.widgets.drawing_board import SIDE, DrawingBoard, as_mnist, read_digit


def seven(size=(120, 160), paper=255, ink=0, mode="L"):
    """A 7 in the upper left of a page."""
    page = Image.new(mode, size, paper)
    ImageDraw.Draw(page).line([(20, 20), (60, 20), (35, 90)], fill=ink, width=8)
    return page


def centre_of_mass(image):
    rows, columns = np.indices(image.shape)
    return [float((axis * image).sum() / image.sum()) for axis in (rows, columns)]


def test_a_digit_fills_20_pixels_and_its_mass_is_in_the_middle():
    image = as_mnist(np.asarray(seven(paper=0, ink=255)))
    assert image.dtype == np.uint8 and image.shape == (28, 28)
    rows, columns = image.any(axis=1).nonzero()[0], image.any(axis=0).nonzero()[0]
    assert rows[-1] - rows[0] + 1 == 20
    assert 10 <= columns[-1] - columns[0] + 1 <= 14  # the proportions are kept
    assert centre_of_mass(image) == pytest.approx([13.5, 13.5], abs=0.55)


def test_place_and_size_of_the_drawing_do_not_matter():
    small = np.zeros((SIDE, SIDE), "uint8")
    small[5:45:, 10:18] = 255
    elsewhere = np.roll(small, (40, 30), axis=(0, 1))
    twice = small.repeat(2, axis=0).repeat(2, axis=1)
    assert (as_mnist(elsewhere) == as_mnist(small)).all()
    assert (as_mnist(twice) == as_mnist(small)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (28, 28)])
def test_any_shape_gives_28_by_28(shape):
    assert as_mnist(np.full(shape, 255, "uint8")).shape == (28, 28)
    assert not as_mnist(np.zeros(shape, "uint8")).any()


@pytest.mark.parametrize("wrong", [np.zeros((28, 28)), np.zeros((2, 28, 28), "uint8")])
def test_what_is_no_grey_picture_is_refused(wrong):
    with pytest.raises(ValueError, match="must be uint8"):
        as_mnist(wrong)


def test_sixteen_bits_of_grey_are_read(tmp_path):
    levels = np.where(np.asarray(seven()) < 128, 3000, 60000).astype("uint16")
    Image.fromarray(levels).save(tmp_path / "scan.png")
    expected = as_mnist(np.asarray(seven(paper=0, ink=255)))
    assert np.abs(read_digit(tmp_path / "scan.png").astype(int) - expected).max() <= 1


def test_dark_on_light_reads_as_light_on_dark(tmp_path):
    seven().save(tmp_path / "ink.png")
    seven(paper=0, ink=255).save(tmp_path / "chalk.png")
    seven(paper=(0, 0, 0, 0), ink=(0, 0, 0, 255), mode="RGBA").save(tmp_path / "clear.png")
    expected = as_mnist(np.asarray(seven(paper=0, ink=255)))
    for name in ("ink.png", "chalk.png", "clear.png"):
        assert (read_digit(tmp_path / name) == expected).all(), name


def test_grainy_paper_is_not_taken_for_ink(tmp_path):
    grain = np.random.default_rng(1).integers(-20, 20, (160, 120))
    photograph = (np.asarray(seven(paper=200, ink=40)) + grain).clip(0, 255).astype("uint8")
    Image.fromarray(photograph).save(tmp_path / "photograph.png")
    expected = as_mnist(np.asarray(seven(paper=0, ink=255))).astype(int)
    assert np.abs(read_digit(tmp_path / "photograph.png") - expected).mean() < 10


def test_a_turned_photograph_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    seven().rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    expected = as_mnist(np.asarray(seven(paper=0, ink=255))).astype(int)
    assert np.abs(read_digit(tmp_path / "turned.jpg") - expected).mean() < 10


def test_a_large_photograph_is_shrunk_before_it_is_looked_at(tmp_path, monkeypatch):
    sizes, transpose = [], ImageOps.exif_transpose
    monkeypatch.setattr(drawing_board, "LONGEST", 120)
    monkeypatch.setattr(
        ImageOps, "exif_transpose", lambda image: sizes.append(image.size) or transpose(image)
    )
    expected = as_mnist(np.asarray(seven(paper=0, ink=255))).astype(int)
    for name, mode in (("photo.jpg", "RGB"), ("scan.png", "1"), ("drawing.gif", "P")):
        seven().convert(mode).save(tmp_path / name)
        assert np.abs(read_digit(tmp_path / name) - expected).mean() < 10, name
    assert sizes == [(90, 120)] * 3


def test_an_image_of_very_many_pixels_is_read_or_refused_in_one_sentence(
    tmp_path, monkeypatch, recwarn
):
    page = seven()
    page.save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 0.6 * page.width * page.height)
    assert read_digit(tmp_path / "huge.png").any()
    assert not recwarn.list
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 0.4 * page.width * page.height)
    with pytest.raises(ValueError, match=r"huge\.png is too large to be read safely"):
        read_digit(tmp_path / "huge.png")


def test_a_file_that_gives_no_digit_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image file .*none\.png"):
        read_digit(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("seven")
    with pytest.raises(ValueError, match=r"text\.png is not an image"):
        read_digit(tmp_path / "text.png")
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    with pytest.raises(ValueError, match=r"Nothing stands out on .*blank\.png"):
        read_digit(tmp_path / "blank.png")


def test_the_board_gives_its_drawing_in_mnists_form():
    board, seen = DrawingBoard(), []
    board.observe(lambda _: seen.append(board.image), "pixels")
    assert not board.image.any()
    drawing = np.zeros((SIDE, SIDE), "uint8")
    drawing[20:60, 30:38] = 255
    board.pixels = memoryview(drawing.tobytes())
    assert (board.image == as_mnist(drawing)).all()
    assert (seen[0] == board.image).all()
    board.pixels = b""
    assert not board.image.any()


@pytest.mark.parametrize("wrong", [b"12", bytes(28 * 28)])
def test_the_board_refuses_pixels_of_another_size(wrong):
    with pytest.raises((ValueError, traitlets.TraitError), match=f"must have {SIDE * SIDE}"):
        DrawingBoard().pixels = wrong


def test_the_board_is_shown_without_an_address():
    board = DrawingBoard()
    assert repr(board).startswith("DrawingBoard(empty)")
    board.pixels = b"\xff" * SIDE**2
    assert "with a drawing" in repr(board)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (20, 12)])
def test_a_drawing_comes_in_the_size_that_is_asked_for(shape):
    image = as_mnist(np.asarray(seven(paper=0, ink=255)), shape)
    assert image.shape == shape
    rows = np.flatnonzero(image.any(axis=1))
    assert np.ptp(rows) + 1 == pytest.approx(min(shape) * 20 / 28, abs=1)
    assert DrawingBoard(shape).image.shape == shape
