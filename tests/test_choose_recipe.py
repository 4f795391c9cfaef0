"""How the recipe of notebook 07 is chosen: with tiny networks, and on validation images only."""

import json
from collections import Counter
from itertools import combinations

import choose_recipe as module
import numpy as np
import pandas as pd
import pytest
from choose_recipe import CHOSEN, FIGURES, FORMS, RECIPE, TABLE, choose, merge, rank

import ae_helpers
from ae_helpers import check_params, load_mnist
from ae_helpers.sweep.grid import make_plan

# Whole batches only, and one batch of validation images: what is left over is compiled by itself.
SMALL = {"data_source": "sample", "n_train": 512}
N_VALIDATION = 666


def test_each_recipe_is_there_once_and_can_be_built():
    for recipes in FORMS.values():
        assert len({tuple(recipe) for recipe in recipes}) == len(recipes)
        for widths, activation, epochs, batch_size, rate in recipes:
            hidden_dim = [int(width) for width in widths.split("-")]
            check_params(hidden_dim=hidden_dim, hidden_activation=activation, epochs=epochs)
            assert batch_size in (128, 256) and rate in (0.002, 0.003)


def test_the_quick_recipes_are_half_of_all_combinations_evenly_taken():
    columns = pd.DataFrame(FORMS["quick"], columns=RECIPE).drop(columns="epochs")
    assert len(columns) == columns.nunique().prod() / 2 >= 16
    for pair in combinations(columns, 2):
        counts = Counter(zip(*(columns[name] for name in pair), strict=True))
        assert len(set(counts.values())) == 1, pair
        assert len(counts) == columns[list(pair)].nunique().prod(), pair


@pytest.fixture
def tiny(monkeypatch):
    """Two recipes of seconds, and one more seed for the better of them."""
    recipes = [["4", "relu", 1, 128, 0.002], ["64-32", "silu", 1, 32, 0.003]]
    monkeypatch.setitem(FORMS, "quick", recipes)
    monkeypatch.setattr(module, "MORE_SEEDS", [1])
    monkeypatch.setattr(module, "FINALISTS", 1)
    monkeypatch.setattr("ae_helpers.training.ROWS", N_VALIDATION)
    return recipes


@pytest.fixture
def validated_on(monkeypatch):
    """Runs are made in this process, and there are no test images; what they validated on."""
    train_part, _ = load_mnist("sample")
    monkeypatch.setattr(ae_helpers, "load_mnist", lambda _: (train_part, None), raising=False)
    seen = []

    def run(task, stop):
        names = {}
        for cell in json.loads(task["notebook"])["cells"]:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= task["params"]
        seen.append(names["X_val"])
        done = {"status": "done", "error": None, "metrics": names["metrics"]}
        return done | {"seconds": 1.0, "versions": {}}, {}

    monkeypatch.setattr("ae_helpers.sweep.run_on_worker", run)
    return seen


def test_all_recipes_have_one_seed_and_the_best_more(tiny, validated_on, tmp_path):
    table = choose("quick", tmp_path, workers=1, **SMALL)
    assert list(table) == ["form", *RECIPE, "seed", *FIGURES, "seconds"]
    assert table[RECIPE].values.tolist() == [tiny[0], tiny[1], tiny[1]]
    assert table["seed"].tolist() == [0, 0, 1]
    assert table["val_mse"].between(0.03, 0.3).all() and table["val_knn"].between(0.1, 0.9).all()
    assert len(table[FIGURES].drop_duplicates()) == 3
    ranking = rank(table).reset_index()
    assert ranking[RECIPE].values.tolist() == tiny[::-1]
    assert ranking["seeds"].tolist() == [2, 1]

    (images, _), _ = ae_helpers.load_mnist("sample")
    assert len(validated_on) == 3
    for X_val in validated_on:  # the last sixth of the training images
        assert np.array_equal(X_val, ae_helpers.prepare(images[-N_VALIDATION:]))

    again = choose("quick", tmp_path, workers=1, **SMALL)
    assert len(validated_on) == 3, "what is done is not trained again"
    pd.testing.assert_frame_equal(again, table)


def test_a_form_takes_the_place_of_its_own_rows_only(tmp_path):
    path, rows = tmp_path / "table.csv", pd.DataFrame({"seed": [0, 1]})
    for form, seeds in (("long", [0, 1]), ("quick", [7, 8]), ("quick", [0, 1])):
        merge(rows.assign(form=form, seed=seeds), path)
    table = pd.read_csv(path)
    assert table["form"].tolist() == ["quick"] * 2 + ["long"] * 2
    assert table["seed"].tolist() == [0, 1] * 2


@pytest.mark.parametrize("form", CHOSEN)
def test_the_frozen_recipe_is_the_best_of_the_shipped_table(form):
    table = pd.read_csv(TABLE)
    ranking = rank(table[table["form"] == form])
    assert list(ranking.index[0]) == CHOSEN[form]
    n_best = max(module.FINALISTS, len(FORMS[form]) // 4)
    assert ranking["seeds"].tolist() == [4] * n_best + [1] * (len(FORMS[form]) - n_best)
    assert {tuple(recipe) for recipe in FORMS[form]} == set(ranking.index)


def test_the_notebook_of_one_recipe_shows_the_frozen_one():
    defaults = make_plan(module.NOTEBOOK, {"seed": [0]}, {}).defaults
    assert defaults["recipe"] == CHOSEN["quick"]


def test_other_data_do_not_get_into_the_shipped_table(tmp_path, tiny_arrays, monkeypatch, capsys):
    np.savez(tmp_path / "tiny.npz", **tiny_arrays)
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "tiny.npz"))
    monkeypatch.setattr("sys.argv", ["choose_recipe", "--form", "quick"])
    before = TABLE.read_bytes() if TABLE.exists() else None
    with pytest.raises(SystemExit):
        module.main()
    assert "the shipped table is of the full MNIST" in capsys.readouterr().err
    assert before == (TABLE.read_bytes() if TABLE.exists() else None)
