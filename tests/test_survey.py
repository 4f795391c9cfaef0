"""The survey of seeds: what is shipped, and how it is made."""

from types import SimpleNamespace

import numpy as np
import pytest
import survey as module
from survey import (
    COLUMNS,
    SEEDS,
    SURVEY,
    live_units,
    make_network,
    read_survey,
    survey,
)

from ae_helpers.training import keras


def test_the_shipped_survey_is_whole_and_small():
    rows = read_survey()
    for kind, n_seeds in SEEDS.items():
        seeds = [row["seed"] for row in rows if row["network"] == kind]
        assert sorted(seeds) == list(range(n_seeds)), f"{kind}: each of {n_seeds} seeds once"
    assert SURVEY.stat().st_size < 100_000
    for row in rows:
        assert (row["live"] < 2) == (row["died_in"] is not None), row
        assert row["live_at_start"] == 2 and 0.18 < row["val_loss"] < 0.25, row


def test_the_loss_gives_every_dead_unit_of_the_shipped_survey_away():
    rows = [row for row in read_survey() if row["network"] == "relu"]
    highest_live = max(row["val_loss"] for row in rows if row["live"] == 2)
    assert highest_live + 0.01 < min(row["val_loss"] for row in rows if row["live"] < 2)


def test_each_kind_of_network_is_what_its_name_says():
    # What the two numbers of the code come from, and start weights before and behind them.
    codes = {"relu": "relu", "linear": "linear", "he": "relu", "prelu": "PReLU"}
    for kind in SEEDS:
        layers = make_network(kind).layers
        prelus = [layer for layer in layers if isinstance(layer, keras.layers.PReLU)]
        dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
        assert [layer.units for layer in dense] == [32, 2, 32, 784]
        assert codes[kind] == ("PReLU" if prelus else dense[1].activation.__name__)
        assert all(layer.alpha.numpy() == pytest.approx(0.25) for layer in prelus)
        assert len(prelus) == (3 if kind == "prelu" else 0)
        # With two inputs He's standard deviation is 1, and Keras' usual one a quarter of that.
        spread = dense[2].kernel.numpy().std()
        assert 0.7 < spread < 1.3 if kind in ("he", "prelu") else spread < 0.4


def test_a_unit_lives_if_it_gives_more_than_one_value():
    assert live_units(np.array([[[0.0, 1e-6], [2.0, 3.0]]])).tolist() == [[1, 2]]


@pytest.fixture
def tiny(monkeypatch, tmp_path, tiny_arrays):
    np.savez(tmp_path / "tiny.npz", **tiny_arrays)
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "tiny.npz"))
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # a program a core takes as long to compile
    return tmp_path / "survey.csv"


def test_a_survey_goes_on_where_it_stopped(tiny):
    survey("linear", 1, tiny, epochs=1)
    first = tiny.read_text()
    survey("linear", 3, tiny, epochs=1)
    assert tiny.read_text().startswith(first), "what is there is not trained again"
    rows = read_survey(tiny)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["network"], row["seed"], row["live"]) for row in rows] == [
        ("linear", 0, 2),
        ("linear", 1, 2),
        ("linear", 2, 2),
    ]


def test_a_unit_that_dies_is_dated(tiny, monkeypatch):
    many = SimpleNamespace(
        seeds=[0, 1],
        code_range=np.array([[[1, 1], [1, 0], [1, 0]], [[1, 1], [1, 0], [1, 1]]], dtype=float),
        history={"loss": np.ones((2, 2)), "val_loss": np.ones((2, 2))},
    )

    monkeypatch.setattr("ae_helpers.train_many", lambda *args, **kwargs: many, raising=False)
    survey("relu", 2, tiny, epochs=2)
    assert [(row["live"], row["died_in"]) for row in read_survey(tiny)] == [(1, 1), (2, None)]


def test_other_data_do_not_get_into_the_shipped_survey(tiny, monkeypatch, capsys):
    before = SURVEY.read_bytes()
    monkeypatch.setattr("sys.argv", ["survey"])
    with pytest.raises(SystemExit):
        module.main()
    assert "give --out a file" in capsys.readouterr().err
    assert SURVEY.read_bytes() == before
    monkeypatch.setattr("sys.argv", ["survey", "--kinds", "linear", "--seeds", "0", "--out", "x"])
    module.main()
