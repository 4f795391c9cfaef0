"""Networks with more than two hidden layers: built, saved and loaded as the others are."""

from types import SimpleNamespace

import numpy as np
import pytest

from ae_helpers.model import build_autoencoder
from ae_helpers.runs import check_params, load_run, save_run
from ae_helpers.widgets.latent_map import apply_layers

PARAMS = {"hidden_dim": [24, 16, 8], "latent_dim": 2, "latent_activation": "linear"}
SILU = PARAMS | {"hidden_activation": "silu"}
HISTORY = SimpleNamespace(history={"loss": [0.3, 0.2], "val_loss": [0.3, 0.25]})


@pytest.fixture
def images():
    return np.random.default_rng(1).random((7, 784)).astype("float32")


@pytest.fixture(autouse=True)
def empty_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("AE_RUNS_DIR", str(tmp_path))
    return tmp_path


def test_the_decoder_mirrors_the_encoder_and_shares_its_layers(images):
    autoencoder, encoder, decoder = build_autoencoder(**PARAMS)
    assert [layer.units for layer in autoencoder.layers[1:]] == [24, 16, 8, 2, 8, 16, 24, 784]
    assert [layer.activation.__name__ for layer in autoencoder.layers[1:]] == [
        *["relu"] * 3,
        "linear",
        *["relu"] * 3,
        "sigmoid",
    ]
    expected = autoencoder.predict(images, verbose=0)
    codes = encoder.predict(images, verbose=0)
    assert decoder.predict(codes, verbose=0) == pytest.approx(expected, abs=1e-6)
    assert decoder.layers[-1] is autoencoder.layers[-1]


def test_a_list_of_one_is_the_same_network():
    one, two = (build_autoencoder(hidden_dim=h)[0] for h in (32, [32]))
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
    assert one.count_params() == two.count_params() == 51_154


@pytest.mark.parametrize("params", [PARAMS, SILU])
def test_a_deep_run_comes_back_as_it_was(images, params):
    autoencoder, _, _ = build_autoencoder(**params)
    save_run("deep", autoencoder, HISTORY, params, {"seconds": 1.5})
    run = load_run("deep")
    expected = autoencoder.predict(images, verbose=0)
    assert (run.autoencoder.predict(images, verbose=0) == expected).all()
    assert run.params == params
    assert [kernel.shape[1] for kernel, _, _ in run.encoder_weights] == [24, 16, 8, 2]
    assert run.metrics == {"loss": 0.2, "val_loss": 0.25, "seconds": 1.5}
    in_numpy = apply_layers(run.decoder_weights, apply_layers(run.encoder_weights, images))
    assert in_numpy == pytest.approx(expected, abs=1e-5)


def test_float16_takes_half_the_space_and_three_digits(images, empty_runs):
    autoencoder, _, _ = build_autoencoder(**PARAMS)
    sizes = {}
    for dtype in ("float32", "float16"):
        save_run(dtype, autoencoder, HISTORY, PARAMS, weights_dtype=dtype)
        sizes[dtype] = (empty_runs / dtype / "weights.npz").stat().st_size
    assert sizes["float16"] < 0.6 * sizes["float32"]
    kernel, bias, _ = load_run("float16").encoder_weights[0]
    exact, _, _ = load_run("float32").encoder_weights[0]
    assert kernel.dtype == bias.dtype == np.float32
    assert kernel == pytest.approx(exact, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("hidden_dim", [[], [32, 0], [32, True], [1.5], "32", None, [[32]], -1])
def test_widths_that_cannot_work_are_refused(hidden_dim):
    with pytest.raises(ValueError, match="hidden_dim="):
        check_params(hidden_dim=hidden_dim)
    with pytest.raises(ValueError, match="hidden_dim="):
        build_autoencoder(hidden_dim=hidden_dim)


def test_a_tuple_of_widths_is_built_saved_and_loaded_as_a_list_is():
    params = PARAMS | {"hidden_dim": (24, np.int64(16), 8)}
    autoencoder, _, _ = build_autoencoder(**PARAMS | {"hidden_dim": (24, 16, 8)})
    save_run("deep", autoencoder, HISTORY, params)
    assert load_run("deep").params == PARAMS


def test_only_the_hidden_layers_can_be_several():
    with pytest.raises(ValueError, match="latent_dim="):
        check_params(latent_dim=[2])
    with pytest.raises(ValueError, match="latent_dim="):
        build_autoencoder(latent_dim=[2])


def test_weights_of_another_depth_are_refused():
    autoencoder, _, _ = build_autoencoder(**PARAMS)
    with pytest.raises(ValueError, match="encoder_hidden'"):
        save_run("wrong", autoencoder, HISTORY, PARAMS | {"hidden_dim": 24})


def test_hidden_layers_take_relu_or_silu_only():
    autoencoder, _, _ = build_autoencoder(**SILU)
    kinds = [layer.activation.__name__ for layer in autoencoder.layers[1:]]
    assert kinds == ["silu"] * 3 + ["linear"] + ["silu"] * 3 + ["sigmoid"]
    for refuses in (build_autoencoder, check_params):
        with pytest.raises(ValueError, match="hidden_activation='softmax'"):
            refuses(hidden_activation="softmax")
