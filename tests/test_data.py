import numpy as np
import pytest

from ae_helpers import data, data_name, load_mnist, prepare


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
    monkeypatch.setenv("AE_MNIST", str(npz()))
    (X_train, _), _ = load_mnist()
    assert len(X_train) == 20


def test_auto_falls_back_to_the_sample_without_a_network_and_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("AE_MNIST", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(data, "KERAS_URL", "http://127.0.0.1:9/mnist.npz")  # nothing listens there
    (X_train, _), _ = load_mnist()
    assert len(X_train) == 4000
    assert "could not be downloaded" in capsys.readouterr().out


def test_keras_copy_is_an_error_where_it_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(data, "KERAS_URL", "http://127.0.0.1:9/mnist.npz")
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        load_mnist("keras")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data file .*nothing\.npz"):
        load_mnist(tmp_path / "nothing.npz")


def test_a_named_file_that_is_missing_is_no_reason_to_take_other_data(monkeypatch, tmp_path):
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "nothing.npz"))
    with pytest.raises(FileNotFoundError, match="no data file"):
        load_mnist()


def test_a_folder_is_no_data_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("content", [b"", b"label,pixel\n5,0\n", b"\x80\x04."])
def test_an_empty_or_other_file_is_not_an_npz(tmp_path, content):
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not an \.npz file"):
        load_mnist(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(npz, share):
    path = npz()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="only part of one"):
        load_mnist(path)


def test_a_file_damaged_inside_is_refused(npz):
    path = npz()
    content = bytearray(path.read_bytes())
    content[300:400] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no data set this course can read"):
        load_mnist(path)


def test_pickled_objects_are_refused_unread(npz):
    path = npz(x_train=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="no data set this course can read"):
        load_mnist(path)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"y_test": None}, "it lacks y_test"),
        ({"x_train": np.zeros((20, 784), "uint8")}, r"x_train is uint8 with shape \(20, 784\)"),
        ({"x_train": np.zeros((20, 28, 28))}, "x_train is float64"),
        ({"x_test": np.zeros((0, 28, 28), "uint8")}, r"x_test is uint8 with shape \(0, 28, 28\)"),
        ({"y_train": np.arange(20, dtype="uint8")}, "y_train holds labels other than"),
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
