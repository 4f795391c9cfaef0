import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from ae_helpers import build_autoencoder, check_params, load_run, prepare, quiet_start, save_run
from ae_helpers.numpy_layers import apply_layers
from ae_helpers.runs import run_names

with quiet_start():
    import keras

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PARAMS = {"seed": 4, "epochs": 2, "hidden_dim": 8, "latent_dim": 3, "latent_activation": "tanh"}
HISTORY = SimpleNamespace(history={"loss": [0.5, 0.25], "val_loss": [0.75, 0.125]})


@pytest.fixture(scope="module")
def autoencoder():
    keras.utils.set_random_seed(4)
    return build_autoencoder(8, 3, "tanh")[0]


@pytest.fixture
def saved(autoencoder):
    """The folder of a run named ``mine``."""
    return save_run("mine", autoencoder, HISTORY, PARAMS, {"dead_units": 0})


def files_of(folder):
    """All that lies in a folder, hidden files too, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_comes_back_as_it_was_saved(saved, autoencoder, runs_dir):
    assert saved == runs_dir / "mine"
    run = load_run("mine")
    assert (run.name, run.params, run.history) == ("mine", PARAMS, HISTORY.history)
    assert run.metrics == {"loss": 0.25, "val_loss": 0.125, "dead_units": 0}
    arrays = [
        array
        for kernel, bias, _ in run.encoder_weights + run.decoder_weights
        for array in (kernel, bias)
    ]
    for array, original in zip(arrays, autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(array, original)


def test_a_loaded_runs_models_predict_as_the_saved_one_does(saved, autoencoder):
    images = np.random.default_rng(0).random((5, 784), dtype="float32")
    expected = autoencoder.predict(images, verbose=0)
    run = load_run("mine")
    codes = run.encoder.predict(images, verbose=0)
    np.testing.assert_allclose(run.autoencoder.predict(images, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(run.decoder.predict(codes, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(apply_layers(run.encoder_weights, images), codes, atol=1e-6)
    np.testing.assert_allclose(apply_layers(run.decoder_weights, codes), expected, atol=1e-6)


def test_loading_a_run_does_not_import_tensorflow(saved):
    code = (
        "import sys; from ae_helpers import load_run; run = load_run('mine'); run.decoder_weights; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_auto_is_your_own_run_if_there_is_one(autoencoder):
    assert load_run().name == "article"
    save_run("mine", autoencoder, HISTORY, PARAMS)
    assert load_run("auto").name == "mine"


def test_your_own_article_comes_before_the_shipped_one(autoencoder):
    save_run("article", autoencoder, HISTORY, PARAMS)
    assert load_run("article").params == PARAMS


def test_the_shipped_run_has_the_parameters_of_notebook_03():
    notebook = nbformat.read(NOTEBOOKS / "03_training.ipynb", as_version=4)
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    defaults = {}
    exec(cell.source, defaults)
    params = load_run("article").params
    assert params == {name: defaults[name] for name in params}
    unsaved = {"data_source", "run_name", "__builtins__", "__annotations__"}
    assert set(params) == set(defaults) - unsaved


def test_the_shipped_run_is_as_good_as_it_says(full_mnist):
    (X_train, _), (X_test, _) = full_mnist
    run = load_run("article")
    codes = apply_layers(run.encoder_weights, prepare(X_train))
    assert ((codes > 0).mean(axis=0) > 0.1).all(), "no unit of the code is dead"

    x = prepare(X_test).astype("float64")
    r = apply_layers(run.decoder_weights, apply_layers(run.encoder_weights, x))
    r = np.clip(r.astype("float64"), 1e-7, 1 - 1e-7)
    val_loss = -np.mean(x * np.log(r) + (1 - x) * np.log(1 - r))
    assert val_loss == pytest.approx(run.metrics["val_loss"], abs=1e-4)
    assert val_loss <= 0.1990
    assert run.history["val_loss"][-1] == pytest.approx(val_loss, abs=1e-4)
    assert (np.diff(run.history["loss"]) < 0).all(), "the loss falls in every epoch"


BAD_NAMES = [
    "",
    "..",
    "../mine",
    "a..b",
    "a/b",
    "a\\b",
    "/elsewhere/mine",
    ".hidden",
    "a b",
    "a" * 61,
]


@pytest.mark.parametrize("name", [*BAD_NAMES, None, 3])
def test_what_is_no_plain_name_is_refused(name, autoencoder, runs_dir):
    with pytest.raises(ValueError, match=r"run_name=.* cannot work"):
        load_run(name)
    with pytest.raises(ValueError, match=r"run_name=.* cannot work"):
        save_run(name, autoencoder, HISTORY, PARAMS)
    with pytest.raises(ValueError, match=r"run_name=.* cannot work"):
        check_params(run_name=name)
    assert not runs_dir.exists()


def test_no_run_can_be_saved_as_auto(autoencoder):
    with pytest.raises(ValueError, match="'auto' stands for"):
        save_run("auto", autoencoder, HISTORY, PARAMS)


def test_an_absent_run_names_those_there_are(saved):
    with pytest.raises(FileNotFoundError, match=r"no run 'yours'; there are: .*\barticle, mine\."):
        load_run("yours")


@pytest.mark.parametrize("file", ["params.json", "history.csv", "metrics.json", "weights.npz"])
def test_a_missing_file_is_named(saved, file):
    (saved / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"'mine' lacks {file}"):
        load_run("mine")


DAMAGED = {
    "params.json": [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"{}",
        b'{"hidden_dim": 8, "latent_dim": 0, "latent_activation": "tanh"}',
        b'{"hidden_dim": 8, "latent_dim": 3, "latent_activation": "tanhh"}',
    ],
    "history.csv": [b"", b"epoch,loss,val_loss\n", b"epoch,loss\n1,low\n", b"epoch\n1\n", b"\xff"],
    "metrics.json": [b"", b'{"loss": ', b"[]", b"null"],
    "weights.npz": [b"", b"PK\x03\x04", b"no archive"],
}


@pytest.mark.parametrize(
    ("file", "content"), [(file, content) for file in DAMAGED for content in DAMAGED[file]]
)
def test_a_damaged_file_is_named(saved, file, content):
    (saved / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} of the run 'mine' is damaged"):
        load_run("mine")


def test_weights_cut_or_changed_anywhere_are_refused(saved):
    whole = (saved / "weights.npz").read_bytes()
    for place in range(100, len(whole), len(whole) // 20):
        (saved / "weights.npz").write_bytes(whole[:place])
        with pytest.raises(ValueError, match="damaged"):
            load_run("mine")
    in_the_first_array = bytearray(whole)
    in_the_first_array[200:300] = bytes(100)
    (saved / "weights.npz").write_bytes(in_the_first_array)
    with pytest.raises(ValueError, match=r"weights\.npz of the run 'mine' is damaged"):
        load_run("mine")


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((784, 9), "float32"), r"'encoder_hidden' are not \(784, 8\)"),
        (np.zeros(784 * 8, "float32"), r"'encoder_hidden' are not \(784, 8\)"),
        (None, r"'encoder_hidden' are not \(784, 8\)"),
        (np.full((784, 8), np.nan, "float32"), "'encoder_hidden' are not all finite"),
        (np.full((784, 8), np.inf, "float32"), "'encoder_hidden' are not all finite"),
        (np.array([{}], dtype=object), "is damaged and cannot be read"),
    ],
)
def test_weights_that_do_not_fit_are_refused(saved, array, fault):
    with np.load(saved / "weights.npz") as file:
        weights = {**file, "encoder_hidden.kernel": array}
    np.savez(saved / "weights.npz", **{k: v for k, v in weights.items() if v is not None})
    with pytest.raises(ValueError, match=fault):
        load_run("mine")


def test_params_of_another_network_are_refused(saved):
    (saved / "params.json").write_text(json.dumps(PARAMS | {"latent_dim": 2}))
    with pytest.raises(ValueError, match=r"'code' are not \(8, 2\)"):
        load_run("mine")


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        *[({"epochs": bad}, "epochs=.*from 1 up") for bad in (0, -1, "ten", 1.0, True, None)],
        *[({"seed": bad}, "seed=.*from 0 up") for bad in (-1, 1.5, "1", False, 2**32)],
        *[({"n_train": bad}, "n_train=.*from 0 up") for bad in (-1, 0.5)],
        *[({name: 0}, f"{name}=0.*from 1 up") for name in ("batch_size", "hidden_dim")],
        ({"latent_dim": -1}, "latent_dim=-1.*from 1 up"),
        ({"latent_activation": "rellu"}, "'rellu'.*relu, linear, tanh, sigmoid"),
        ({"loss": "msee"}, "'msee'.*binary_crossentropy, mse, mae"),
        ({"optimizer": "adamm"}, "'adamm'.*adam, sgd, rmsprop, adagrad, adadelta"),
        ({"optimizer": ["adam"]}, "cannot work"),
        ({"data_source": ""}, "data_source=''.*a name"),
        ({"epoch": 3}, "no parameter 'epoch'"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(params, fault):
    with pytest.raises(ValueError, match=fault):
        check_params(seed=1, **params) if "seed" not in params else check_params(**params)


def test_numpys_whole_numbers_are_taken_and_saved_as_plain_ones(autoencoder):
    params = {name: np.int64(v) if isinstance(v, int) else v for name, v in PARAMS.items()}
    save_run("mine", autoencoder, HISTORY, params)
    assert load_run("mine").params == PARAMS
    assert {type(v) for v in check_params(seed=np.uint8(3), epochs=np.int64(2)).values()} == {int}


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        (PARAMS | {"latent_dim": 2}, r"'code' are not \(8, 2\)"),
        (PARAMS | {"epochs": 0}, "epochs=0"),
        ({"seed": 4}, "lack hidden_dim, latent_dim, latent_activation"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(saved, runs_dir, autoencoder, params, fault):
    before = files_of(runs_dir)
    with pytest.raises(ValueError, match=fault):
        save_run("mine", autoencoder, HISTORY, params)
    assert files_of(runs_dir) == before


@pytest.mark.parametrize("step", ["savez_compressed", "rename"])
def test_a_save_that_fails_leaves_the_old_run_and_no_litter(
    saved, runs_dir, autoencoder, monkeypatch, step
):
    def disk_full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    before = files_of(runs_dir)
    owner = np if step == "savez_compressed" else type(saved)
    monkeypatch.setattr(owner, step, disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert files_of(runs_dir) == before
    assert [path.name for path in runs_dir.iterdir()] == ["mine"]
    assert load_run("mine").params["seed"] == 4


def test_a_file_in_the_runs_place_is_left_alone(runs_dir, autoencoder):
    runs_dir.mkdir()
    (runs_dir / "mine").write_text("shopping list")
    with pytest.raises(OSError):
        save_run("mine", autoencoder, HISTORY, PARAMS)
    assert files_of(runs_dir) == {"mine": b"shopping list"}


def test_a_name_is_used_again_for_the_newer_run(saved, runs_dir, autoencoder):
    save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert load_run("mine").params["seed"] == 5
    assert [path.name for path in runs_dir.iterdir()] == ["mine"]
    assert run_names().count("mine") == 1


SAVER = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from ae_helpers import save_run

who = int(sys.argv[1])
shapes = {"encoder_hidden": (784, 1), "code": (1, 1), "decoder_hidden": (1, 1)}
shapes["reconstruction"] = (1, 784)
layers = [
    SimpleNamespace(name=name, get_weights=lambda s=s: [np.full(s, who), np.full(s[1:], who)])
    for name, s in shapes.items()
]
history = SimpleNamespace(history={"loss": [who]})
params = {"seed": who, "hidden_dim": 1, "latent_dim": 1, "latent_activation": "relu"}
for _ in range(150):
    save_run("mine", SimpleNamespace(layers=layers), history, params)
"""


def test_notebooks_that_save_the_same_name_at_once_leave_one_whole_run(runs_dir):
    savers = [subprocess.Popen([sys.executable, "-c", SAVER, str(who)]) for who in (1, 2, 3)]
    assert [saver.wait(60) for saver in savers] == [0, 0, 0]
    assert [path.name for path in runs_dir.iterdir()] == ["mine"]
    run = load_run("mine")
    who = run.params["seed"]
    assert run.history == {"loss": [who]}
    assert all((kernel == who).all() for kernel, _, _ in run.encoder_weights + run.decoder_weights)
