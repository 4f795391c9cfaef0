import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from ae_helpers import build_autoencoder, check_params, load_run, prepare, quiet_start, save_run
from ae_helpers.numpy_layers import apply_layers
from ae_helpers.runs import FILES, run_names

with quiet_start():
    import keras

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PARAMS = {"seed": 4, "epochs": 2, "hidden_dim": 8, "latent_dim": 3, "latent_activation": "tanh"}
DEEP = {"hidden_dim": [24, 16, 8], "latent_dim": 2, "latent_activation": "linear"}
DEEP |= {"hidden_activation": "silu"}
HISTORY = SimpleNamespace(history={"loss": [0.5, 0.25], "val_loss": [0.75, 0.125]})


@pytest.fixture(scope="module")
def autoencoder():
    keras.utils.set_random_seed(4)
    return build_autoencoder(8, 3, "tanh")[0]


@pytest.fixture
def saved(autoencoder):
    """The folder of a run named ``mine``."""
    return save_run("mine", autoencoder, HISTORY, PARAMS, {"dead_units": 0})


@pytest.fixture
def without_digest(saved):
    """The same run as an earlier version of the course saved it."""
    (saved / "params.json").write_text(json.dumps(PARAMS))
    return saved


def files_of(folder):
    """All that lies in a folder, hidden files too, by path; without the savers' lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".ae-lock"
    }


def arrays_of(run):
    layers = run.encoder_weights + run.decoder_weights
    return [array for kernel, bias, _ in layers for array in (kernel, bias)]


# What is saved comes back.


def test_a_run_comes_back_as_it_was_saved(saved, autoencoder, runs_dir):
    assert saved == runs_dir / "mine"
    assert {path.name for path in saved.iterdir()} == set(FILES)
    run = load_run("mine")
    assert (run.name, run.params, run.history) == ("mine", PARAMS, HISTORY.history)
    assert run.metrics == {"loss": 0.25, "val_loss": 0.125, "dead_units": 0}
    for array, original in zip(arrays_of(run), autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(array, original)


@pytest.mark.parametrize("params", [PARAMS, DEEP])
def test_a_loaded_runs_models_predict_as_the_saved_one_does(params):
    network = {name: value for name, value in params.items() if name not in ("seed", "epochs")}
    autoencoder, _, _ = build_autoencoder(**network)
    save_run("mine", autoencoder, HISTORY, params)
    run = load_run("mine")
    assert run.params == params

    images = np.random.default_rng(0).random((5, 784), dtype="float32")
    expected = autoencoder.predict(images, verbose=0)
    codes = run.encoder.predict(images, verbose=0)
    np.testing.assert_allclose(run.autoencoder.predict(images, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(run.decoder.predict(codes, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(apply_layers(run.encoder_weights, images), codes, atol=1e-5)
    np.testing.assert_allclose(apply_layers(run.decoder_weights, codes), expected, atol=1e-5)


def test_loading_a_run_does_not_import_tensorflow(saved):
    code = (
        "import sys; from ae_helpers import load_run; run = load_run('mine'); run.decoder_weights; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_run_that_an_earlier_version_saved_is_loaded(without_digest, autoencoder):
    run = load_run("mine")
    assert run.params == PARAMS
    np.testing.assert_array_equal(arrays_of(run)[0], autoencoder.get_weights()[0])


def test_float16_takes_half_the_space_and_three_digits(autoencoder):
    sizes, kernels = {}, {}
    for dtype in ("float32", "float16"):
        folder = save_run(dtype, autoencoder, HISTORY, PARAMS, weights_dtype=dtype)
        sizes[dtype] = (folder / "weights.npz").stat().st_size
        kernels[dtype] = arrays_of(load_run(dtype))[0]
    assert sizes["float16"] < 0.6 * sizes["float32"]
    assert kernels["float16"].dtype == np.float32
    assert kernels["float16"] == pytest.approx(kernels["float32"], rel=1e-3, abs=1e-7)


def test_a_tuple_and_numpys_whole_numbers_are_saved_as_json_has_them():
    params = DEEP | {"hidden_dim": (24, np.int64(16), 8), "seed": np.uint8(3)}
    autoencoder, _, _ = build_autoencoder(**DEEP | {"hidden_dim": (24, 16, 8)})
    save_run("deep", autoencoder, HISTORY, params)
    assert load_run("deep").params == DEEP | {"seed": 3}


# Which run it is.


def test_auto_is_your_own_run_if_there_is_one(autoencoder):
    assert load_run().name == "article"
    save_run("article", autoencoder, HISTORY, PARAMS)
    assert load_run("auto").params == load_run("article").params == PARAMS
    save_run("mine", autoencoder, HISTORY, PARAMS)
    assert load_run("auto").name == "mine"


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


def test_an_absent_run_names_those_there_are(saved, runs_dir):
    (runs_dir / "yours").write_text("a file is no run")
    (runs_dir / "sweep1").mkdir()  # nor is the folder of a sweep
    with pytest.raises(FileNotFoundError, match=r"no run 'yours'; there are: .*\barticle, mine\."):
        load_run("yours")


NO_NAMES = ["", "..", "../mine", "a..b", "a/b", "a\\b", "/elsewhere/mine", ".hidden", "a b"]
NO_NAMES += ["mine.", "NUL", "con.json", "lpt1"]


@pytest.mark.parametrize("name", [*NO_NAMES, "a" * 61, None, 3])
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


# What is damaged is refused.


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(saved, file):
    (saved / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"'mine' lacks {file}"):
        load_run("mine")


@pytest.mark.parametrize("file", FILES)
def test_no_bit_of_a_run_can_turn_without_being_noticed(saved, file):
    whole = (saved / file).read_bytes()
    before = load_run("mine")
    for place in range(0, len(whole), 1 + len(whole) // 20):
        turned = bytearray(whole)
        turned[place] ^= 1
        (saved / file).write_bytes(turned)
        try:
            run = load_run("mine")
        except ValueError as error:
            assert str(error).startswith("The run 'mine' is damaged (")
        else:  # a blank between names and values is another: they are what they were
            assert file == "params.json" and run.params == before.params


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("params.json", b"{"),
        ("params.json", b"[]"),
        ("params.json", b"\xff\xfe"),
        ("history.csv", b""),
        ("history.csv", b"epoch,loss,val_loss\n"),
        ("history.csv", b"epoch,loss\n1,low\n"),
        ("history.csv", b"epoch,loss\n1,0.5\n2\n"),
        ("metrics.json", b'{"loss": '),
        ("metrics.json", b"[]"),
        ("weights.npz", b""),
        ("weights.npz", b"PK\x03\x04"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(saved, file, content):
    (saved / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"'mine' is damaged \({file} cannot be read\)"):
        load_run("mine")


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("params.json", json.dumps(PARAMS | {"latent_dim": 0}), "latent_dim=0 cannot work"),
        ("params.json", json.dumps(PARAMS | {"latent_dim": 2}), r"'code' are not \(8, 2\)"),
        ("params.json", "{}", "lack hidden_dim, latent_dim, latent_activation"),
        ("history.csv", "epoch\n1\n", "a loss for each epoch"),
        ("history.csv", "epoch,loss\n1,nan\n", "finite numbers"),
    ],
)
def test_a_run_without_digest_is_refused_where_it_cannot_be_right(
    without_digest, file, content, fault
):
    (without_digest / file).write_text(content)
    with pytest.raises(ValueError, match=rf"'mine' is damaged \(.*{fault}"):
        load_run("mine")


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((784, 9), "f4"), r"'encoder_hidden' are not \(784, 8\)"),
        (None, r"'encoder_hidden' are not \(784, 8\)"),
        (np.full((784, 8), np.nan, "f4"), "'encoder_hidden' are not all finite numbers"),
        (np.full((784, 8), 1 + 1j), "'encoder_hidden' are not all finite numbers"),
        (np.array([{}], dtype=object), r"weights\.npz cannot be read"),
    ],
)
def test_weights_that_do_not_fit_are_refused(without_digest, array, fault):
    with np.load(without_digest / "weights.npz") as file:
        weights = {**file, "encoder_hidden.kernel": array}
    np.savez(without_digest / "weights.npz", **{k: v for k, v in weights.items() if v is not None})
    with pytest.raises(ValueError, match=fault):
        load_run("mine")


# What could not be loaded is not saved, and what is there is kept.


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        *[({"epochs": bad}, "epochs=.*from 1 up") for bad in (0, "ten", 1.0, True, None)],
        *[({"seed": bad}, "seed=.*from 0 up") for bad in (-1, 1.5, 2**32)],
        *[({"hidden_dim": bad}, "hidden_dim=.*list of such") for bad in ([], [8, 0], [[8]], "8")],
        ({"latent_dim": [2]}, r"latent_dim=\[2\].*from 1 up"),
        ({"latent_activation": "rellu"}, "'rellu'.*relu, linear, tanh, sigmoid"),
        ({"hidden_activation": "tanh"}, "'tanh'.*relu, silu"),
        ({"loss": "msee"}, "'msee'.*binary_crossentropy, mse, mae"),
        ({"optimizer": "adamm"}, "'adamm'.*adam, sgd, rmsprop, adagrad, adadelta"),
        ({"optimizer": ["adam"]}, "cannot work"),
        ({"data_source": ""}, "data_source=''.*a name"),
        ({"epoch": 3}, "no parameter 'epoch'"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(params, fault):
    with pytest.raises(ValueError, match=fault):
        check_params(batch_size=32, **params)


@pytest.mark.parametrize(
    ("params", "history", "fault"),
    [
        (PARAMS | {"latent_dim": 2}, HISTORY.history, r"'code' are not \(8, 2\)"),
        (PARAMS | {"hidden_dim": [8, 8]}, HISTORY.history, "'encoder_hidden_1' are not"),
        (PARAMS | {"epochs": 0}, HISTORY.history, "epochs=0"),
        ({"seed": 4}, HISTORY.history, "lack hidden_dim, latent_dim, latent_activation"),
        (PARAMS, {}, "a loss for each epoch, and holds {}"),
        (PARAMS, {"loss": []}, "a loss for each epoch"),
        (PARAMS, {"val_loss": [0.5]}, "a loss for each epoch"),
        (PARAMS, {"loss": [0.5, 0.4], "val_loss": [0.5]}, "a loss for each epoch"),
        (PARAMS, {"loss": [0.5, float("nan")]}, "finite numbers"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    saved, runs_dir, autoencoder, params, history, fault
):
    before = files_of(runs_dir)
    with pytest.raises(ValueError, match=fault):
        save_run("mine", autoencoder, SimpleNamespace(history=history), params)
    assert files_of(runs_dir) == before


@pytest.mark.parametrize("step", ["write_bytes", "rename", "the second rename"])
def test_a_save_that_fails_leaves_the_old_run_and_no_litter(
    saved, runs_dir, autoencoder, monkeypatch, step
):
    name = step.split()[-1]
    works = getattr(Path, name)

    def disk_full(path, *arguments):
        if step == "the second rename" and path.name != ".mine.ae-new":
            return works(path, *arguments)
        raise OSError(28, "No space left on device")

    before = files_of(runs_dir)
    monkeypatch.setattr(Path, name, disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert files_of(runs_dir) == before
    assert load_run("mine").params["seed"] == 4


def test_a_save_waits_while_windows_does_not_let_it_rename(saved, autoencoder, monkeypatch):
    rename, refusals = Path.rename, iter(range(3))

    def refuse(path, target):
        if next(refusals, None) is not None:
            raise PermissionError(13, "Access is denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert load_run("mine").params["seed"] == 5


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_left_alone(runs_dir, autoencoder, kind):
    runs_dir.mkdir()
    if kind == "file":
        (runs_dir / "mine").write_text("shopping list")
    else:
        (runs_dir / "list").write_text("shopping list")
        (runs_dir / "mine").symlink_to(runs_dir / "list")
    before = files_of(runs_dir)
    with pytest.raises(FileExistsError, match="mine is no run's folder: move it away"):
        save_run("mine", autoencoder, HISTORY, PARAMS)
    assert files_of(runs_dir) == before


@pytest.fixture
def bound_by_permissions(saved, monkeypatch):
    """A place for runs, and a user whom permissions bind; root, whom they do not, becomes one."""
    load_run("mine")  # imports what that user might not be able to
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("AE_RUNS_DIR", folder)
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield Path(folder)
        if root:
            os.seteuid(0)


def test_a_read_only_run_is_replaced(bound_by_permissions, autoencoder):
    folder = save_run("mine", autoencoder, HISTORY, PARAMS)
    folder.chmod(0o555)
    save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert load_run("mine").params["seed"] == 5
    assert sorted(path.name for path in folder.parent.iterdir()) == [".ae-lock", "mine"]


def test_a_file_that_may_not_be_read_is_not_called_damaged(bound_by_permissions, autoencoder):
    weights = save_run("mine", autoencoder, HISTORY, PARAMS) / "weights.npz"
    weights.chmod(0)
    with pytest.raises(PermissionError, match=r"mine.weights\.npz may not be read"):
        load_run("mine")


def test_where_nothing_may_be_written_runs_are_loaded_and_none_is_saved(
    bound_by_permissions, autoencoder
):
    save_run("mine", autoencoder, HISTORY, PARAMS)
    (bound_by_permissions / ".ae-lock").unlink()
    bound_by_permissions.chmod(0o555)
    with pytest.raises(PermissionError, match=r"'mine' cannot be saved \(.*\): name another place"):
        save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert load_run("mine").params == PARAMS
    bound_by_permissions.chmod(0o755)


# Many at once, and kills.


def test_a_name_is_used_again_for_the_newer_run(saved, runs_dir, autoencoder):
    save_run("mine", autoencoder, HISTORY, PARAMS | {"seed": 5})
    assert load_run("mine").params["seed"] == 5
    assert sorted(path.name for path in runs_dir.iterdir()) == [".ae-lock", "mine"]
    assert run_names().count("mine") == 1


def test_no_kill_and_no_crowd_loses_mixes_or_damages_a_run():
    chaos = [sys.executable, Path(__file__).with_name("chaos_runs.py"), "--kills=5", "--seconds=2"]
    done = subprocess.run(chaos, stdout=subprocess.PIPE, text=True, check=True)
    for part, found in json.loads(done.stdout).items():
        assert set(found) <= {"whole", "saves", "steps", "leftovers"}, part
        assert found["whole"] > 0 and found["leftovers"] == 0, part


def test_a_run_for_images_of_another_size_says_so_and_is_refused_for_others():
    small, encoder, _ = build_autoencoder(8, n_pixels=60)
    network = {"hidden_dim": 8, "latent_dim": 2, "latent_activation": "relu"}
    save_run("small", small, HISTORY, network)
    run = load_run("small")
    assert (run.n_pixels, run.params["n_pixels"]) == (60, 60)
    flat = np.random.default_rng(0).random((5, 60), dtype="float32")
    expected = encoder.predict(flat, verbose=0)
    np.testing.assert_allclose(apply_layers(run.encoder_weights, flat), expected, atol=1e-5)
    np.testing.assert_allclose(run.encoder.predict(flat, verbose=0), expected, atol=1e-6)
    run.check_images(np.zeros((1, 6, 10), "uint8"))
    for images in (np.zeros((3, 8, 8), "uint8"), np.zeros((3, 28, 28), "uint8")):
        with pytest.raises(ValueError, match=r"'small' is for images of 60 pixels, and these have"):
            run.check_images(images)
    run.check_images(flat)
    with pytest.raises(ValueError, match=r"these have 64 \(4 × 16\): name a run"):
        run.check_images(np.zeros((0, 4, 16), "uint8"))
    assert "n_pixels" not in load_run("article").params
