import http.server
import io
import os
import re
import threading
import zipfile

import numpy as np
import pytest

from ae_helpers import data, data_name, images, load_images, load_mnist, prepare, split_validation


@pytest.fixture
def npz(tmp_path, tiny_arrays):
    """Write the tiny data set, with some arrays replaced or left out (None)."""

    def write(**changed):
        arrays = {**tiny_arrays, **changed}
        path = tmp_path / "digits.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return write


def test_a_named_file_is_read_as_keras_reads_it(npz, tiny_arrays, capsys):
    (X_train, y_train), (X_test, y_test) = load_mnist(npz())
    for name, array in [("x_train", X_train), ("y_train", y_train), ("x_test", X_test)]:
        np.testing.assert_array_equal(array, tiny_arrays[name])
    assert y_test.dtype == np.uint8
    assert "not MNIST" in capsys.readouterr().out


def test_the_full_set_is_recognised_by_its_content(full_mnist):
    (X_train, _), (X_test, _) = full_mnist
    assert (X_train.shape, X_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert data_name(*full_mnist) == "MNIST"


def test_one_changed_pixel_is_not_mnist(full_mnist):
    (X_train, y_train), test = full_mnist
    changed = X_train.copy()
    changed[0, 0, 0] = 1
    assert data_name((changed, y_train), test) == "not MNIST"


def test_the_sample_says_that_it_is_one_and_how_to_get_the_full_set(capsys):
    load_mnist("sample")
    printed = capsys.readouterr().out
    assert "NOTICE" in printed
    assert "AE_MNIST" in printed


def test_the_sample_is_even_over_classes_mixed_and_always_the_same():
    (X_train, y_train), (X_test, y_test) = load_mnist("sample")
    assert (np.bincount(y_train) == 400).all()
    assert (np.bincount(y_test) == 100).all()
    assert set(y_test[110:120]) > {0}, "mixed, not sorted"
    again = load_mnist("sample")
    np.testing.assert_array_equal(X_train, again[0][0])
    np.testing.assert_array_equal(X_test, again[1][0])


def test_the_sample_holds_no_image_twice():
    (X_train, _), (X_test, _) = load_mnist("sample")
    images = np.concatenate([X_train, X_test]).reshape(5000, -1)
    assert len(np.unique(images, axis=0)) == 5000


def test_auto_takes_the_file_that_the_environment_names(npz, monkeypatch):
    path = npz()
    monkeypatch.setenv("HOME", str(path.parent))
    for name in (str(path), f"~/{path.name}"):
        monkeypatch.setenv("AE_MNIST", name)
        (X_train, _), _ = load_mnist()
        assert len(X_train) == 20


def test_the_last_sixth_is_for_validation_and_nothing_is_lost_or_moved():
    train, _ = load_mnist("sample")
    left, validation = split_validation(*train)
    assert (len(left[0]), len(validation[0])) == (3334, 666)
    for whole, first, last in zip(train, left, validation, strict=True):
        np.testing.assert_array_equal(np.concatenate([first, last]), whole)


def test_of_the_full_set_the_last_10000_are_for_validation(full_mnist):
    (images, labels), _ = full_mnist
    _, (X_validation, y_validation) = split_validation(images, labels)
    np.testing.assert_array_equal(X_validation, images[50000:])
    np.testing.assert_array_equal(y_validation, labels[50000:])


@pytest.mark.parametrize(("n_images", "n_labels"), [(5, 5), (60, 59), (0, 0)])
def test_what_cannot_be_split_is_refused(n_images, n_labels):
    with pytest.raises(ValueError, match=f"given {n_images} images and {n_labels} labels; it"):
        split_validation(np.zeros((n_images, 784)), np.zeros(n_labels))


class LoginPage(http.server.BaseHTTPRequestHandler):
    """Answers as a network does that wants to be logged into first."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome to our network</html>")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def login_page():
    with http.server.HTTPServer(("127.0.0.1", 0), LoginPage) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/mnist.npz"
        server.shutdown()


@pytest.mark.parametrize("obstacle", ["no network", "login page", "cache not writable", "no home"])
def test_auto_falls_back_to_the_sample_and_says_why(
    monkeypatch, tmp_path, capsys, login_page, obstacle
):
    monkeypatch.delenv("AE_MNIST", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # Nothing listens at port 9.
    url = login_page if obstacle == "login page" else "http://127.0.0.1:9/mnist.npz"
    monkeypatch.setattr(data, "KERAS_URL", url)
    reason = r"could not be downloaded \(the network does not reach"
    if obstacle == "login page":
        reason = r"could not be downloaded \(what came is another file"
    if obstacle == "cache not writable":
        # As root, whom permissions do not bind, finds it where a folder cannot be made.
        monkeypatch.setattr(os, "makedirs", refuse)
        reason = "cannot be used .*Permission denied"
    if obstacle == "no home":
        monkeypatch.delenv("KERAS_HOME")
        monkeypatch.setattr(data.Path, "home", no_home)
        reason = "cannot be used .*home"
    (X_train, _), _ = load_mnist()
    assert len(X_train) == 4000
    printed = capsys.readouterr().out
    assert re.search(reason, printed) and "NOTICE" in printed
    with pytest.raises(FileNotFoundError, match=reason):
        load_mnist("keras")


def refuse(path, *arguments, **options):
    raise PermissionError(13, "Permission denied", str(path))


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data file .*nothing\.npz"):
        load_mnist(tmp_path / "nothing.npz")


def test_a_named_file_that_is_missing_is_no_reason_to_take_other_data(monkeypatch, tmp_path):
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "nothing.npz"))
    with pytest.raises(FileNotFoundError, match="no data file"):
        load_mnist()


def test_a_folder_without_pictures_is_no_data(tmp_path):
    with pytest.raises(ValueError, match="there is no picture in it"):
        load_mnist(tmp_path)


def test_what_may_have_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "digits.npz")
    with pytest.raises(ValueError, match="is nothing that images can be read from"):
        load_mnist(tmp_path / "digits.npz")


def test_a_file_that_may_not_be_read_is_not_called_part_of_one(npz, monkeypatch):
    path = npz()
    monkeypatch.setattr(io, "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_mnist(path)


@pytest.mark.parametrize("content", [b"", b"label,pixel\n5,0\n", b"\x80\x04."])
def test_an_empty_or_other_file_is_not_an_npz(tmp_path, content):
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not an \.npz file"):
        load_mnist(path)


def test_a_truncated_file_is_refused(npz):
    path = npz()
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match="only part of one"):
            load_mnist(path)


def test_whatever_byte_of_a_file_is_changed_no_other_pixel_is_loaded(npz, tiny_arrays):
    path = npz()
    whole = path.read_bytes()
    places = [*range(0, len(whole), 1 + len(whole) // 150), *range(len(whole) - 300, len(whole))]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            (X_train, _), _ = load_mnist(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(X_train, tiny_arrays["x_train"])


def replace_member(path, name, content):
    """Write other bytes in place of one array of the archive."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()} | {name: content}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, bytes_of in members.items():
            archive.writestr(n, bytes_of)


def with_header(text):
    """Begin an .npy file with a header of our own."""
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no array", r"x_train is \|S8 with shape \(\)"),
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 28"), "EOF"),
        (with_header("3"), "dictionary"),
        (with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 28, 28)}"), "pickle"),
        # 36 GB, of which nothing is there
        (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (6000000, 784)}"), "."),
        (with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9, 784)}"), "."),
    ],
)
def test_an_array_that_is_none_is_refused_unread(npz, content, fault):
    path = npz()
    replace_member(path, "x_train.npy", content)
    with pytest.raises(ValueError, match=f"gives no images to learn from: .*{fault}"):
        load_mnist(path)


def test_an_array_of_a_gigabyte_is_refused_before_it_is_unpacked(npz, monkeypatch):
    path = npz()
    monkeypatch.setattr(images, "LARGEST", 10_000)  # for the test's sake; x_train has more
    with pytest.raises(ValueError, match=r"x_train\.npy would take 15,808 bytes"):
        load_mnist(path)


def test_an_archive_with_a_password_is_refused(npz):
    path = npz()
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1  # says that it is encrypted
            place = content.find(signature, place + 1)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"gives no images to learn from: .*password"):
        load_mnist(path)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"y_test": None}, "it lacks y_test"),
        ({"x_train": np.zeros((20, 784), "uint8")}, r"x_train is uint8 with shape \(20, 784\)"),
        ({"x_train": np.zeros((20, 28, 28))}, "x_train is float64"),
        ({"x_train": np.zeros((20, 8, 8), "uint8")}, "x_train and x_test hold images of two sizes"),
        ({"x_test": np.zeros((0, 28, 28), "uint8")}, r"x_test is uint8 with shape \(0, 28, 28\)"),
        ({"y_train": np.arange(11, 31, dtype="uint8")}, "y_train holds labels other than"),
        ({"y_train": np.full(20, -1)}, "y_train holds labels other than"),
        ({"y_train": np.full(20, 0.5)}, "y_train holds labels other than"),
        ({"y_train": np.zeros(19, "uint8")}, r"y_train has shape \(19,\) for 20 images"),
    ],
)
def test_arrays_that_do_not_fit_are_named(npz, changed, fault):
    path = npz(**changed)
    with pytest.raises(ValueError, match=fault) as error:
        load_mnist(path)
    assert str(path) in str(error.value)


def test_prepare_flattens_and_scales():
    images = np.zeros((2, 28, 28), "uint8")
    images[1, 27, 27] = 255
    flat = prepare(images)
    assert (flat.shape, flat.dtype) == ((2, 784), np.float32)
    assert (flat[1, -1], flat[1, :-1].max(), flat[0].max()) == (1, 0, 0)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 28, 28)), np.full((2, 28, 28), np.nan), np.zeros((2, 784), "uint8")]
)
def test_prepare_refuses_what_it_would_scale_wrongly(images):
    with pytest.raises(ValueError, match="it takes images as load_mnist"):
        prepare(images)


def test_other_sources_come_as_squares_with_validation_last(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 9), dtype="uint8")
    names = np.where(np.arange(70) % 2, "odd", "even")
    np.savez(tmp_path / "own.npz", pictures=images, what=names)
    (X_train, y_train), (X_test, y_test), files = load_mnist(
        tmp_path / "own.npz", return_files=True
    )
    train, validation, test = load_images(tmp_path / "own.npz")
    assert files.tolist() == [*train.files, *validation.files]
    assert (X_train.shape, X_test.shape) == ((60, 9, 9), (10, 9, 9))
    np.testing.assert_array_equal(X_test[:, 1:7], test.images)
    np.testing.assert_array_equal(X_test[:, 0], test.images[:, 0])
    _, (X_validation, y_validation) = split_validation(X_train, y_train)
    np.testing.assert_array_equal(X_validation[:, 1:7], validation.images)
    np.testing.assert_array_equal(y_validation, validation.labels)
    assert data_name((X_train, y_train), (X_test, y_test)) == "not MNIST"


def test_mnist_has_no_files():
    (X_train, _), _, files = load_mnist("sample", return_files=True)
    assert len(X_train) == 4000 and files is None


def test_mnists_form_may_hold_images_of_another_size(tmp_path, tiny_arrays):
    for part in ("x_train", "x_test"):
        tiny_arrays[part] = tiny_arrays[part][:, :8, :8]
    np.savez(tmp_path / "small.npz", **tiny_arrays)
    (X_train, _), _ = load_mnist(tmp_path / "small.npz")
    assert prepare(X_train).shape == (20, 64)
