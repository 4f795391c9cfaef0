"""The notebooks with other parameters than their own, as an experimenter runs them."""

import io
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

from ae_helpers import load_mnist, load_run

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
OTHER = {
    "seed": 3,
    "epochs": 2,
    "latent_activation": "linear",
    "loss": "mse",
    "optimizer": "adagrad",
    "batch_size": 256,
    "n_train": 2000,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for this module's runs and results."""
    return tmp_path_factory.mktemp("papermill")


@pytest.fixture(scope="module")
def run(place):
    """Run one notebook on the sample by papermill's command line; it may fail."""

    def run(name, result, cwd=place, **parameters):
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
        source = NOTEBOOKS / f"{name}.ipynb"
        command += [os.path.relpath(source, cwd), str(place / f"{result}.ipynb")]
        for parameter, value in {"data_source": "sample", **parameters}.items():
            command += ["-p", parameter, str(value)]
        env = os.environ | {"AE_RUNS_DIR": str(place / "runs")}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
        return done, nbformat.read(place / f"{result}.ipynb", as_version=4)

    return run


@pytest.fixture(scope="module")
def trained(run):
    """03 with other parameters, from the repository's root."""
    return run("03_training", "trained", cwd=NOTEBOOKS.parent, run_name="other", **OTHER)


@pytest.fixture(scope="module")
def trained_with_three(run):
    """03 with a code of three numbers, from another folder."""
    return run("03_training", "three", run_name="three", latent_dim=3, epochs=1, n_train=500)


def figures_of(notebook):
    """Every figure of a notebook, in grey."""
    encoded = [
        output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    return [np.asarray(Image.open(io.BytesIO(b64decode(png))).convert("L")) for png in encoded]


def printed_by(notebook):
    return "".join(
        output.get("text", "") for c in notebook.cells for output in c.get("outputs", [])
    )


def assert_complete(name, done, notebook):
    assert done.returncode == 0, done.stderr
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert None not in counts, "every cell was run"
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    figures = figures_of(notebook)
    committed = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert len(figures) == len(figures_of(committed)) > 0
    assert all(figure.std() > 1 for figure in figures), "none is blank"


def assert_refused(done, notebook, sentence):
    """It failed before any figure, and says why in one sentence."""
    assert done.returncode != 0
    (error,) = (
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    )
    assert (error.ename, error.evalue) == ("ValueError", sentence)
    assert not figures_of(notebook)
    ran = [cell for cell in notebook.cells if cell.get("execution_count")]
    assert len(ran) <= 5, "in the first cells"


def test_03_runs_from_the_repository_with_other_parameters(trained, place, monkeypatch):
    assert_complete("03_training", *trained)
    monkeypatch.setenv("AE_RUNS_DIR", str(place / "runs"))
    other = load_run("other")
    assert OTHER.items() <= other.params.items()
    assert other.encoder_weights[-1][2] == "linear"
    assert len(other.history["val_loss"]) == 2
    assert other.metrics["data"] == "MNIST sample"


@pytest.mark.parametrize("name", ["04_encoder_scatter", "05_decoder_grid"])
def test_04_and_05_take_that_run_by_its_name(name, trained, run):
    done, notebook = run(name, name, run_name="other")
    assert_complete(name, done, notebook)
    assert "The run 'other', trained with seed 3." in printed_by(notebook)


def test_03_runs_from_another_folder_with_a_code_of_three(trained_with_three, place, monkeypatch):
    assert_complete("03_training", *trained_with_three)
    monkeypatch.setenv("AE_RUNS_DIR", str(place / "runs"))
    assert load_run("three").encoder_weights[-1][0].shape == (32, 3)


@pytest.mark.parametrize(
    ("name", "use"),
    [("04_encoder_scatter", "draws codes of two"), ("05_decoder_grid", "draws from codes of two")],
)
def test_04_and_05_say_that_they_need_two(name, use, trained_with_three, run):
    sentence = (
        f"The run 'three' has a code of 3 numbers, and this notebook {use}: choose another run, "
        "or train one with latent_dim 2."
    )
    assert_refused(*run(name, f"{name}_three", run_name="three"), sentence)


def test_05_refuses_a_grid_of_one(run):
    done, notebook = run("05_decoder_grid", "grid", n_grid=1)
    sentence = "n_grid=1 cannot work: it must be a whole number from 2 up."
    assert_refused(done, notebook, sentence)


@pytest.mark.parametrize("name", ["01_data", "04_encoder_scatter", "05_decoder_grid"])
def test_other_data_than_mnist_are_welcome(name, run, place):
    (images, labels), (test_images, test_labels) = load_mnist("sample")
    np.savez(
        place / "other.npz",
        # The classes are mixed up, so that nothing holds of them that holds of MNIST.
        **{"x_train": images[:2000, ::-1], "y_train": (labels[:2000] + images[:2000, 14, 14]) % 10},
        **{"x_test": test_images[:, ::-1], "y_test": test_labels},
    )
    assert_complete(name, *run(name, f"{name}_other", data_source=place / "other.npz"))


def test_05_shows_its_map_within_5_seconds_and_without_tensorflow():
    cells = nbformat.read(NOTEBOOKS / "05_decoder_grid.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    to_map = next(i for i, source in enumerate(code) if "LatentExplorer(" in source) + 1
    to_python = TransformerManager().transform_cell  # a cell may hold a line like %pip
    script = ["from IPython.display import display", *map(to_python, code[:to_map])]
    script += ["import sys, time", "print({'tensorflow', 'keras'} & set(sys.modules))"]
    script += ["print(time.process_time())"]  # of this process, whatever others are doing
    command = [sys.executable, "-c", "\n".join(script)]
    done = subprocess.run(command, cwd=NOTEBOOKS, capture_output=True, text=True, check=True)
    *_, imported, seconds = done.stdout.splitlines()
    assert imported == "set()"
    assert float(seconds) <= 5


@pytest.mark.parametrize(
    ("parameter", "value", "allowed"),
    [
        ("epochs", 0, "a whole number from 1 up"),
        ("seed", 1.5, "a whole number from 0 up"),
        ("optimizer", "adamm", "one of adam, sgd, rmsprop, adagrad, adadelta"),
    ],
)
def test_03_refuses_at_once_what_cannot_work(parameter, value, allowed, run, place):
    done, notebook = run("03_training", "refused", run_name="refused", **{parameter: value})
    sentence = f"{parameter}={value!r} cannot work: it must be {allowed}."
    assert_refused(done, notebook, sentence)
    assert not (place / "runs" / "refused").exists()


def test_06_runs_with_one_seed(run):
    done, notebook = run("06_why_results_differ", "one_seed", n_seeds=1, epochs=1)
    assert_complete("06_why_results_differ", done, notebook)


def test_06_refuses_no_seeds_at_once(run):
    done, notebook = run("06_why_results_differ", "no_seeds", n_seeds=0)
    assert_refused(done, notebook, "n_seeds=0 cannot work: it must be a whole number from 1 up.")


def test_07_runs_on_the_sample_and_says_that_its_numbers_are_not_comparable(run):
    done, notebook = run("07_comparing_models", "compared")
    assert_complete("07_comparing_models", done, notebook)
    assert "numbers below are not comparable with those in the text" in printed_by(notebook)


def test_07_takes_retrain_as_true_or_false_only(run):
    refused = run("07_comparing_models", "retrain", retrain="maybe")
    assert_refused(*refused, "retrain='maybe' cannot work: it must be True or False.")
