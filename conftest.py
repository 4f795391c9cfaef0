"""How pytest runs the notebooks: with which data, where their runs go, how long it waits."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ae_helpers import data_name, load_mnist

OUTPUT_TIMEOUT = 60  # seconds; nbval waits 5 for a cell's output, too few on a busy machine
CELL_TIMEOUT = 600  # seconds


def pytest_configure(config: pytest.Config) -> None:
    """Compare the notebooks' text with the committed one only where the data are the same."""
    if not (config.option.nbval or config.option.nbval_lax):
        return
    config.option.nbval_cell_timeout = CELL_TIMEOUT
    if data_name(*load_mnist()) != "MNIST":
        config.option.nbval_lax = True
        config.option.nbval = False


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which of the two it is."""
    if config.option.nbval:
        return (
            "notebooks: on the full MNIST; their text outputs are compared with the committed ones"
        )
    if config.option.nbval_lax:
        return (
            "notebooks: without the full MNIST they run on the sample, and no text is compared "
            "(name the full set with AE_MNIST=path/to/mnist.npz)"
        )
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lengthen a wait that nbval fixes in its code, not in an option."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = OUTPUT_TIMEOUT


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Give each notebook a place for runs of its own, made when its kernel starts."""
    if hasattr(item, "output_timeout") and item.parent.kernel is None:
        factory = item.session.config._tmp_path_factory
        os.environ["AE_RUNS_DIR"] = str(factory.mktemp(Path(item.path).stem))
    return (yield)
