"""How pytest runs the notebooks: with which data, in which order, where their runs go."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ae_helpers import data_name, load_mnist
from ae_helpers.sweep.run import THREADS

OUTPUT_TIMEOUT = 60  # seconds; nbval waits 5 for a cell's output, too few on a busy machine
CELL_TIMEOUT = 600  # seconds

# It trains for minutes; tests/test_choose_recipe.py runs it with smaller recipes.
collect_ignore = ["tools/recipe.ipynb"]

# So that no worker begins a long file when the others have nothing left to do. The worker of
# test_site.py builds the site, which test_access.py looks at later.
LONGEST_FIRST = [
    "notebooks/09_parameterized_runs.ipynb",
    "notebooks/06_why_results_differ.ipynb",
    "notebooks/10_your_own_data.ipynb",
    "tests/browser/test_site.py",
    "tests/test_training.py",
    "tests/browser/test_map.py",
    "tests/browser/test_access.py",
    "tests/test_papermill.py",
    "notebooks/08_limits.ipynb",
    "notebooks/07_comparing_models.ipynb",
    "notebooks/03_training.ipynb",
    "notebooks/05_decoder_grid.ipynb",
    "notebooks/04_encoder_scatter.ipynb",
]


def pytest_configure(config: pytest.Config) -> None:
    """Compare the notebooks' text with the committed one only where the data are the same."""
    if hasattr(config, "workerinput"):  # one of several workers: the others want a core too
        os.environ.update(dict.fromkeys(THREADS, "1"))
    if not (config.option.nbval or config.option.nbval_lax):
        return
    config.option.nbval_cell_timeout = CELL_TIMEOUT
    if data_name(*load_mnist()) == "MNIST":
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError(
            "CI=true holds the notebooks' text against the committed one, and that needs the full "
            "MNIST, which these data are not: name it with AE_MNIST=path/to/mnist.npz."
        )
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first, and lengthen a wait that nbval fixes in its code."""
    places = {config.rootpath / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
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
