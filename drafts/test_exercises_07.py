"""The checks of notebook 07: right on the answer, not on a plausible other, calm on anything."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ae_helpers.exercises import check_best_model, check_components, check_hole, check_nats

SCORES = {"PCA": 0.0557, "text": 0.045, "deep": 0.034}
IMAGES = np.random.default_rng(1).random((60, 12)) * np.linspace(1, 0.1, 12)
FITTED = PCA(n_components=8, random_state=0).fit(IMAGES)
CODES = np.random.default_rng(1).random((50, 2)) * 0.2


def error_with(count):
    scores = FITTED.transform(IMAGES)[:, :count]
    return ((IMAGES - scores @ FITTED.components_[:count] - FITTED.mean_) ** 2).mean()


def check(name, answer):
    if name == "best_model":
        check_best_model(answer, SCORES)
    elif name == "nats":
        check_nats(answer)
    elif name == "components":
        check_components(answer, FITTED, IMAGES, (error_with(4) + error_with(5)) / 2)
    else:
        check_hole(answer, CODES, np.array([[0, 0], [1, 1]]), far=0.5)


RIGHT = {"best_model": "deep", "nats": 155.624, "components": 5, "hole": (0.9, 0.9)}
WRONG = [
    ("best_model", "PCA", "another has less"),
    ("best_model", "Deep", "one of these names"),
    ("nats", 0.1985, "you want their sum"),
    ("nats", 155.624 / np.log(2), "bits"),
    ("components", 4, "with 4 the MSE"),
    ("components", 6, "fewer are"),
    ("components", 9, "from 1 to 8"),
    ("hole", (0.1, 0.1), "a code is only"),
    ("hole", (3, 3), "outside"),
    ("hole", 0.9, "two numbers"),
]
STRANGE = [None, "", "x", [], {}, [[1], [2, 3]], np.nan, np.inf, np.zeros((3, 3)), print, 1j, True]


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_is_right(name, capsys):
    check(name, RIGHT[name])
    assert capsys.readouterr().out.startswith("Right: ")


@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_a_plausible_wrong_answer_gets_a_hint(name, answer, hint, capsys):
    check(name, answer)
    out = capsys.readouterr().out
    assert out.startswith("Not yet: ") and hint in out


@pytest.mark.parametrize("name", RIGHT)
def test_the_unfilled_cell_is_told_so(name, capsys):
    check(name, ...)
    assert capsys.readouterr().out.startswith("Not filled in yet")


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
@pytest.mark.parametrize("name", RIGHT)
def test_no_answer_raises(name, strange, capsys):
    check(name, strange)
    assert capsys.readouterr().out.startswith("Not yet: ")
