"""The runs of a sweep are laid out as typed, and what cannot work is refused before it starts."""

import json

import numpy as np
import pytest
from sweep_notebooks import write_notebook, write_training

from ae_helpers.sweep.grid import make_plan, read_value, read_values


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("8", 8),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("2.0", 2.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("007", "007"),
        ("1.2.3", "1.2.3"),
        ("relu", "relu"),
        ("'8'", "8"),
        ('"true"', "true"),
        ("''", ""),
        ("a,b", "a,b"),
        ("[1, 2.5, true]", [1, 2.5, True]),
        ("['a', None]", ["a", None]),
        ("(1, 2)", "(1, 2)"),
        ("(" * 500, "(" * 500),
        ("it's “né” \\ 数", "it's “né” \\ 数"),
    ],
)
def test_a_value_keeps_the_type_it_is_typed_with(typed, value):
    assert (type(read_value(typed)), read_value(typed)) == (type(value), value)


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("0:8", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("0:16:5", [0, 5, 10, 15]),
        ("3:0:-1", [3, 2, 1]),
        ("-2:1", [-2, -1, 0]),
        ("0:2,10", [0, 1, 10]),
        ("relu, linear", ["relu", "linear"]),
        ("007,7,7.0", ["007", 7, 7.0]),
        ("'a,b',c", ["a,b", "c"]),
        ("[1,2],[3]", [[1, 2], [3]]),
        ("it's,b", ["it's", "b"]),
        ("'0:8'", ["0:8"]),
        ("''", [""]),
    ],
)
def test_values_are_separated_by_commas_outside_quotes_and_brackets(typed, values):
    assert read_values(typed) == values
    assert [type(value) for value in read_values(typed)] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "empty value"),
        ("a,,b", "empty value"),
        ("a,", "empty value"),
        ("5:5", "range 5:5 is empty"),
        ("8:0", "range 8:0 is empty"),
        ("0:10000000000000000000000", "more than 1,000,000 values"),
        ("'a,b", "not complete"),
        ("[1,2", "not complete"),
        ("{[1]: 2}", "not complete"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(typed, message):
    with pytest.raises(ValueError, match=message):
        read_values(typed)


def test_a_list_in_two_languages_is_refused_not_taken_for_text():
    with pytest.raises(ValueError, match="begins with"):
        read_value("[1, null, None]")


def test_there_is_one_run_for_each_combination(tmp_path):
    notebook = write_training(tmp_path / "n.ipynb")
    plan = make_plan(notebook, {"scale": [0.5, 2.0], "seed": range(3)}, {"fail_at": 7})
    assert list(plan.runs) == [f"run-000{i}" for i in range(6)]
    assert plan.runs["run-0001"] == {"fail_at": 7, "scale": 0.5, "seed": 1}
    assert [(run["scale"], run["seed"]) for run in plan.runs.values()][2:4] == [(0.5, 2), (2.0, 0)]


def test_the_names_of_many_runs_sort_as_their_numbers(tmp_path):
    plan = make_plan(write_training(tmp_path / "n.ipynb"), {"seed": range(10_001)}, {})
    assert list(plan.runs) == sorted(plan.runs)


def test_numpy_values_arrive_as_plain_python(tmp_path):
    notebook = write_training(tmp_path / "n.ipynb")
    scales = [np.float64(1), [np.int64(1), [np.bool_(True)]], {"a": np.float32(0.5)}]
    plan = make_plan(notebook, {"seed": np.arange(2), "scale": scales}, {})
    assert type(plan.runs["run-0000"]["seed"]) is int
    assert json.dumps([run["scale"] for run in plan.runs.values()][:3]) == (
        '[1.0, [1, [true]], {"a": 0.5}]'
    )


def test_a_set_that_keras_has_needs_no_path(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", "data_source = 'auto'")
    assert len(make_plan(notebook, {"data_source": ["auto", "fashion_mnist"]}, {}).runs) == 2


def test_the_notebooks_own_values_are_read_and_what_is_more_is_text(tmp_path):
    parameters = (
        "import os\na: int | None = -1  # = 2\nb = [\n  1, None]\nc = 2 * 3\nd: str\ne = (1,)"
    )
    notebook = write_notebook(tmp_path / "n.ipynb", parameters)
    defaults = make_plan(notebook, {"a": [1]}, {}).defaults
    assert defaults == {"a": -1, "b": [1, None], "c": "2 * 3", "e": "(1,)"}


@pytest.mark.parametrize(
    ("vary", "fixed", "message"),
    [
        ({}, {"seed": 1}, "nothing to vary"),
        ({"seed": []}, {}, "seed has no values"),
        ({"seed": [1, 2, 1]}, {}, "the value 1 twice"),
        ({"seed": [1]}, {"seed": 2}, "both varied and set"),
        ({"seed": [-1]}, {}, "seed=-1 cannot work"),
        ({"seed": [True]}, {}, "seed=True cannot work"),
        ({"epochs": [0]}, {}, "epochs=0 cannot work"),
        ({"optimizer": ["adm"]}, {}, "optimizer='adm' cannot work"),
        ({"scale": [float("nan")]}, {}, "finite"),
        ({"scale": [[1.0, float("inf")]]}, {}, "finite"),
        ({"scale": [(1, 2)]}, {}, "cannot work"),
        ({"scale": [[(1, 2)]]}, {}, "cannot work"),
        ({"scale": [{1: 2}]}, {}, "cannot work"),
        ({"scale": [np.arange(2)]}, {}, "cannot work"),
        ({"scale": ["\udcff"]}, {}, "cannot work"),
        ({"sede": [1]}, {}, "no parameter 'sede': did you mean 'seed'"),
        ({"data_source": ["fashion.npz"]}, {}, "full path"),
    ],
)
def test_a_grid_that_cannot_work_is_refused(tmp_path, vary, fixed, message):
    with pytest.raises(ValueError, match=message):
        make_plan(write_training(tmp_path / "n.ipynb"), vary, fixed)


@pytest.mark.parametrize(
    ("cell", "message"),
    [("# nothing here", "no cell tagged 'parameters'"), ("seed = 1 2", "cannot be read")],
)
def test_a_notebook_without_parameters_is_refused(tmp_path, cell, message):
    notebook = write_notebook(tmp_path / "n.ipynb", cell)
    with pytest.raises(ValueError, match=message):
        make_plan(notebook, {"seed": [1]}, {})


@pytest.mark.parametrize("content", ["hello", "[]", '{"cells": 3}', '{"cells": [{"a": 1}]}'])
def test_what_is_no_notebook_is_refused(tmp_path, content):
    (tmp_path / "n.ipynb").write_text(content)
    with pytest.raises(ValueError, match="not a notebook"):
        make_plan(tmp_path / "n.ipynb", {"seed": [1]}, {})


def test_a_notebook_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no notebook"):
        make_plan(tmp_path / "other.ipynb", {"seed": [1]}, {})


def test_outputs_do_not_make_another_sweep_but_code_does(tmp_path):
    notebook = write_training(tmp_path / "n.ipynb")
    before = make_plan(notebook, {"seed": [1]}, {}).identity
    content = json.loads(notebook.read_text())
    content["cells"][1]["execution_count"] = 7
    notebook.write_text(json.dumps(content))
    assert make_plan(notebook, {"seed": [1]}, {}).identity == before
    content["cells"][1]["source"] = "1"
    notebook.write_text(json.dumps(content))
    assert make_plan(notebook, {"seed": [1]}, {}).identity != before
