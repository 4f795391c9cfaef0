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
from own_images import SETS
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from PIL import Image

from ae_helpers import build_autoencoder, load_mnist, load_run, prepare, save_run, train

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
OTHER = {
    "seed": 3,
    "epochs": 2,
    "latent_activation": "linear",
    "loss": "mse",
    "optimizer": "adagrad",
    "batch_size": 256,
    "n_train": 1000,
}
IN_IPYTHON = TransformerManager().transform_cell  # a cell may hold a line like %pip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for this module's runs and results."""
    return tmp_path_factory.mktemp("papermill")


@pytest.fixture
def runs_dir(place, monkeypatch):
    """All tests of this module share one place for runs, in place of an empty one for each."""
    monkeypatch.setenv("AE_RUNS_DIR", str(place / "runs"))


@pytest.fixture(scope="module")
def other_data(place):
    """A data set in MNIST's form that is not MNIST."""
    (images, labels), (test_images, test_labels) = load_mnist("sample")
    np.savez(
        place / "other.npz",
        # The classes are mixed up, so that nothing holds of them that holds of MNIST.
        **{"x_train": images[:2000, ::-1], "y_train": (labels[:2000] + images[:2000, 14, 14]) % 10},
        **{"x_test": test_images[:, ::-1], "y_test": test_labels},
    )
    return place / "other.npz"


@pytest.fixture(scope="module")
def run(place):
    """Run one notebook by papermill's command line; it may fail."""

    def run(name, *, cwd=place, **parameters):
        result = place / f"{name}.ipynb"
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
        command += [os.path.relpath(NOTEBOOKS / f"{name}.ipynb", cwd), str(result)]
        for parameter, value in parameters.items():
            command += ["-p", parameter, str(value)]
        env = os.environ | {"AE_RUNS_DIR": str(place / "runs")}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
        return done, nbformat.read(result, as_version=4)

    return run


@pytest.fixture(scope="module")
def run_to_the_end(run):
    """Run one notebook so; every cell and every figure must be there. Return what it printed."""

    def run_to_the_end(name, **options):
        done, notebook = run(name, **options)
        assert done.returncode == 0, done.stderr
        assert_complete(name, notebook)
        return printed_by(notebook)

    return run_to_the_end


@pytest.fixture(scope="module")
def trained_with_three(run_to_the_end, other_data):
    """03 with other parameters and a code of three numbers, from the repository's root."""
    options = {"run_name": "three", "data_source": other_data, "latent_dim": 3, **OTHER}
    run_to_the_end("03_training", cwd=NOTEBOOKS.parent, **options)


def train_on(source, name, place):
    """Save a run on other data, as 03 does; it takes a tenth of the time."""
    (images, _), (test_images, _) = load_mnist(source)
    images, test_images = prepare(images), prepare(test_images)
    autoencoder, _, _ = build_autoencoder(latent_activation="linear", n_pixels=images.shape[1])
    autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    history = train(autoencoder, images, validation_data=test_images, epochs=2, verbose=0)
    network = {"hidden_dim": 32, "latent_dim": 2, "latent_activation": "linear"}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AE_RUNS_DIR", str(place / "runs"))
        save_run(name, autoencoder, history, network | {"seed": 3})


@pytest.fixture(scope="module")
def trained(place, other_data):
    """A run on other data."""
    train_on(other_data, "other", place)


# Strips of a film: a code of three numbers has none, 04's is of MNIST, and 06's are for the two
# ends of one start, of which one seed has one.
FILMS = {"03-film-strip", "04-film-strip", "06-step-strip"}


def figures_of(notebook):
    """Every figure of a notebook, in grey, but for the strips of a film."""
    encoded = [
        output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {}) and cell.id not in FILMS
    ]
    return [np.asarray(Image.open(io.BytesIO(b64decode(png))).convert("L")) for png in encoded]


def printed_by(notebook):
    return "".join(
        output.get("text", "") for c in notebook.cells for output in c.get("outputs", [])
    )


def assert_complete(name, notebook):
    """Every cell ran, nothing went to stderr, all figures are there and none is blank."""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert None not in counts
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    figures = figures_of(notebook)
    committed = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert len(figures) == len(figures_of(committed)) > 0
    assert all(figure.std() > 1 for figure in figures)


def refusal_of(name, first=5, **parameters):
    """Return what a notebook's first cells say to these parameters, put in as papermill does."""
    notebook = load_notebook_node(str(NOTEBOOKS / f"{name}.ipynb"))
    parameters = {"data_source": "sample", **parameters}
    cells = [c for c in parameterize_notebook(notebook, parameters).cells if c.cell_type == "code"]
    names = {}
    with pytest.raises(ValueError) as refused:
        for cell in cells[:first]:
            assert not figures_of(nbformat.v4.new_notebook(cells=[cell])), "before any figure"
            exec(IN_IPYTHON(cell.source), names)
    return str(refused.value)


# -- what works


def test_03_runs_with_other_parameters_and_data_and_a_code_of_three(trained_with_three, runs_dir):
    three = load_run("three")
    assert OTHER.items() <= three.params.items()
    assert three.encoder_weights[-1][0].shape == (32, 3)
    assert three.encoder_weights[-1][2] == "linear"
    assert len(three.history["val_loss"]) == 2
    assert three.metrics["data"] == "not MNIST"


def test_01_runs_on_other_data_than_mnist(run_to_the_end, other_data):
    run_to_the_end("01_data", data_source=other_data)


@pytest.mark.parametrize("name", ["04_encoder_scatter", "05_decoder_grid"])
def test_04_and_05_take_a_run_by_its_name_and_other_data_than_mnist(
    name, trained, run_to_the_end, other_data
):
    printed = run_to_the_end(name, run_name="other", data_source=other_data)
    assert "The run 'other', trained with seed 3." in printed


def test_06_runs_with_one_seed(run_to_the_end):
    run_to_the_end("06_why_results_differ", data_source="sample", n_seeds=1, epochs=1)


@pytest.mark.parametrize("name", ["07_comparing_models", "08_limits"])
def test_07_and_08_run_on_the_sample_and_say_that_numbers_are_not_comparable(name, run_to_the_end):
    printed = run_to_the_end(name, data_source="sample")
    assert "numbers below are not comparable with those in the text" in printed


def test_10_runs_on_own_pictures_without_labels_and_its_uses_on_the_sample(place, run_to_the_end):
    pictures = SETS["unlabelled"](place)
    printed = run_to_the_end("10_your_own_data", my_data=pictures, data_source="sample")
    assert "120 images of 28 × 28 without labels" in printed
    assert "numbers below are not comparable with those in the text" in printed


def test_05_comes_to_its_map_without_tensorflow():
    cells = nbformat.read(NOTEBOOKS / "05_decoder_grid.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    to_map = next(i for i, source in enumerate(code) if "LatentExplorer(" in source) + 1
    script = ["from IPython.display import display", *map(IN_IPYTHON, code[:to_map])]
    script += ["import sys", "print({'tensorflow', 'keras'} & set(sys.modules))"]
    command = [sys.executable, "-c", "\n".join(script)]
    done = subprocess.run(command, cwd=NOTEBOOKS, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


# -- what is refused in the first cells, before anything is trained


@pytest.mark.parametrize(
    ("name", "parameter", "value", "allowed"),
    [
        ("03_training", "epochs", 0, "a whole number from 1 up"),
        ("03_training", "seed", 1.5, "a whole number from 0 up"),
        ("03_training", "optimizer", "adamm", "one of adam, sgd, rmsprop, adagrad, adadelta"),
        ("05_decoder_grid", "n_grid", 1, "a whole number from 2 up"),
        ("06_why_results_differ", "n_seeds", 0, "a whole number from 1 up"),
        ("07_comparing_models", "retrain", "maybe", "True or False"),
        ("07_comparing_models", "all_seeds", 3, "True or False"),
        ("10_your_own_data", "retrain", 1, "True or False"),
        ("10_your_own_data", "left_out", 10, "a whole number from 0 to 9"),
    ],
)
def test_a_value_that_cannot_work_is_refused(name, parameter, value, allowed):
    refusal = refusal_of(name, **{parameter: value})
    assert refusal == f"{parameter}={value!r} cannot work: it must be {allowed}."


@pytest.mark.parametrize(
    ("name", "use"),
    [("04_encoder_scatter", "draws codes of two"), ("05_decoder_grid", "draws from codes of two")],
)
def test_04_and_05_say_that_they_need_two(name, use, trained_with_three):
    assert refusal_of(name, run_name="three") == (
        f"The run 'three' has a code of 3 numbers, and this notebook {use}: choose another run, "
        "or train one with latent_dim 2."
    )


def test_papermill_stops_at_a_refusal_and_no_run_is_left(run, place):
    done, notebook = run("03_training", run_name="refused", data_source="sample", epochs=0)
    assert done.returncode != 0
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    (error,) = (output for output in outputs if output.output_type == "error")
    assert error.evalue == "epochs=0 cannot work: it must be a whole number from 1 up."
    assert len([cell for cell in notebook.cells if cell.get("execution_count")]) <= 5
    assert not (place / "runs" / "refused").exists()


# -- own images


def test_01_to_05_run_on_digits_of_another_size(place, run_to_the_end):
    source = SETS["8 × 8"](place)
    told = run_to_the_end("01_data", data_source=source)
    assert "Here the training part has the validation images too" in told
    run_to_the_end("02_model", data_source=source)
    run_to_the_end("03_training", data_source=source, run_name="small", epochs=1)
    for notebook in ("04_encoder_scatter", "05_decoder_grid"):
        run_to_the_end(notebook, data_source=source, run_name="small")


@pytest.mark.parametrize("kind", ["letters", "mixed", "table", "unlabelled"])
def test_01_to_05_run_on_own_images_of_each_kind(kind, place, run):
    """In one kernel, so that TensorFlow starts once; each finds no name of the one before."""
    parameters = {"data_source": str(SETS[kind](place)), "run_name": kind, "epochs": 2, "seed": 3}
    cells = []
    for path in sorted(NOTEBOOKS.glob("0[1-5]_*.ipynb")):
        notebook = parameterize_notebook(load_notebook_node(str(path)), parameters)
        cells += [nbformat.v4.new_code_cell("%reset -f"), *notebook.cells]
    together = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    nbformat.write(together, place / f"{kind}.ipynb")
    done, executed = run(place / kind)
    assert done.returncode == 0, done.stderr
    assert_complete(place / kind, executed)
    assert len(figures_of(executed)) == len(figures_of(together))
    assert printed_by(executed).count(f"The run '{kind}', trained with seed 3.") == 2


@pytest.mark.parametrize("name", ["04_encoder_scatter", "05_decoder_grid"])
def test_a_run_for_another_size_is_refused(name, place):
    other = {"data_source": str(SETS["8 × 8"](place)), "run_name": "article"}
    refusal = refusal_of(name, first=6, **other)
    assert refusal == (
        "The run 'article' is for images of 784 pixels, and these have 64 (8 × 8): name a run for "
        "this size, or train one on these images with notebook 03."
    )
