import os

import numpy as np
import pytest

from ae_helpers import data_name, load_mnist


@pytest.fixture(autouse=True)
def runs_dir(tmp_path, monkeypatch):
    """Every test has an empty place for runs, and leaves the reader's own alone."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("AE_RUNS_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def full_mnist():
    """The full MNIST; without it the tests are skipped, or fail where CI=true."""
    lacking = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    if not os.environ.get("AE_MNIST"):
        lacking("needs the full MNIST: name it with AE_MNIST=path/to/mnist.npz")
    parts = load_mnist()
    if data_name(*parts) != "MNIST":
        lacking("AE_MNIST names another data set than MNIST")
    return parts


@pytest.fixture
def tiny_arrays():
    """A data set in MNIST's form, as small as can be."""
    random = np.random.default_rng(0)
    return {
        "x_train": random.integers(0, 256, (20, 28, 28), dtype="uint8"),
        "y_train": (np.arange(20) % 10).astype("uint8"),
        "x_test": random.integers(0, 256, (10, 28, 28), dtype="uint8"),
        "y_test": np.arange(10).astype("uint8"),
    }
