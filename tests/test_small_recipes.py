"""The file on which notebook 09 shows what choosing does to a winner's figure."""

import shutil

import numpy as np
import pytest
import small_recipes as module
from choose_recipe import FORMS
from small_recipes import FILE, RECIPES, SEEDS, read_rightly, write_file

from ae_helpers import load_mnist, load_run, prepare, split_validation
from ae_helpers.runs import PRETRAINED


def test_the_shipped_file_has_every_recipe_and_seed_once_and_says_how_it_was_made():
    with np.load(FILE) as kept:
        runs = list(zip(kept["recipe"].tolist(), kept["seed"].tolist(), strict=True))
        recipes = [" ".join(map(str, recipe)) for recipe in RECIPES]
        assert runs == [(recipe, seed) for recipe in recipes for seed in SEEDS]
        assert str(kept["how"]).startswith("python tools/small_recipes.py")
        for part in ("validation", "test"):
            hits = np.unpackbits(kept[part], axis=1, count=len(runs))
            assert len(hits) == 10_000
            assert hits.mean(axis=0).min() > 0.3 and hits.mean(axis=0).max() < 0.7
    assert FILE.stat().st_size < 250_000


def test_the_small_recipes_are_the_quick_ones_with_an_eighth_of_the_units():
    assert RECIPES[8] == ["64-32-16-8", *FORMS["quick"][8][1:]]
    for (widths, *rest), (small_widths, *small_rest) in zip(FORMS["quick"], RECIPES, strict=True):
        assert [8 * int(width) for width in small_widths.split("-")] == [
            *map(int, widths.split("-"))
        ]
        assert small_rest == rest


@pytest.fixture
def one_run(tmp_path, monkeypatch):
    """A sweep of one run, the article's network, and of 300 training images of the sample."""
    monkeypatch.setattr(module, "load_mnist", lambda: load_mnist("sample"))
    monkeypatch.setattr(module, "N_TRAIN", 300)
    shutil.copytree(PRETRAINED / "article", tmp_path / "run-0000" / "runs" / "recipe")
    return {"run": "run-0000", "recipe": ["32", "relu", 10, 32, 0.001], "seed": 1}


def test_the_file_says_of_each_unseen_image_whether_it_is_read_rightly(one_run, tmp_path):
    training_part, (X_test, y_test) = load_mnist("sample")
    (X_train, y_train), (X_val, y_val) = split_validation(*training_part)
    known = prepare(X_train[:300]), y_train[:300]
    parts = {"validation": (prepare(X_val), y_val), "test": (prepare(X_test), y_test)}
    expected = {part: read_rightly(load_run("article"), known, parts[part]) for part in parts}
    row = one_run | {"val_knn": expected["validation"].mean()}
    write_file(tmp_path / "small.npz", [row], tmp_path)
    with np.load(tmp_path / "small.npz") as kept:
        assert kept["recipe"].tolist() == ["32 relu 10 32 0.001"] and kept["seed"].tolist() == [1]
        for part, hits in expected.items():
            assert 0.4 < hits.mean() < 0.8
            assert np.array_equal(np.unpackbits(kept[part], axis=1, count=1).ravel(), hits)


def test_weights_that_are_not_those_of_the_row_are_noticed(one_run, tmp_path):
    with pytest.raises(AssertionError, match="run-0000 says"):
        write_file(tmp_path / "small.npz", [one_run | {"val_knn": 0.9}], tmp_path)


def test_other_data_do_not_get_into_the_shipped_file(tmp_path, tiny_arrays, monkeypatch, capsys):
    np.savez(tmp_path / "tiny.npz", **tiny_arrays)
    monkeypatch.setenv("AE_MNIST", str(tmp_path / "tiny.npz"))
    monkeypatch.setattr("sys.argv", ["small_recipes"])
    with pytest.raises(SystemExit):
        module.main()
    assert "the shipped file is of the full MNIST" in capsys.readouterr().err
