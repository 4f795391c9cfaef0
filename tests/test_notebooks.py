"""The form of the committed notebooks; that they run is held by nbval and papermill."""

import ast
import io
import re
import subprocess
import sys
from base64 import b64decode
from itertools import groupby, pairwise
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

from ae_helpers import check_params

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
COURSE = sorted(NOTEBOOKS.glob("*.ipynb"))
ALL = sorted(NOTEBOOKS.rglob("*.ipynb"))

# The names that mean the same in every notebook, with their type as papermill reads it.
PARAMETERS = {
    "data_source": "str",
    "run_name": "str",
    "seed": "int",
    "epochs": "int",
    "batch_size": "int",
    "hidden_dim": "int",
    "latent_dim": "int",
    "latent_activation": "str",
    "loss": "str",
    "optimizer": "str",
    "n_train": "int",
    "n_seeds": "int",
}

UNCOMPARED = {"nbval-ignore-output", "nbval-skip"}
LOCAL_PATH = r"(?:[A-Z]:\\|file://|~/|/(?:home|root|tmp|usr|var|mnt|opt|work|Users|content)/)"
ADDRESS = r"0x[0-9a-fA-F]{5,}"
TIMING = r"(?:\d ?(?:ms|µs|us)\b|\d ?s/(?:step|epoch)|\b\d+\.\d+ ?s(?:econds)?\b|it/s)"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

every_notebook = pytest.mark.parametrize(
    "path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
course_notebook = pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)


def cells_of(path, kind="code"):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def tags_of(cell):
    return set(cell.metadata.get("tags", []))


def outputs_of(path):
    return [output for cell in cells_of(path) for output in cell.outputs]


def texts_of(output):
    """What a reader can read of an output: its stream, its plain text and its HTML."""
    data = output.get("data", {})
    return [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]


def prose_of(path):
    return "\n\n".join(cell.source for cell in cells_of(path, "markdown"))


def lines_of(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def has_assert(cell):
    tree = ast.parse(TransformerManager().transform_cell(cell.source))
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def test_make_test_collects_every_notebook():
    (arguments,) = re.findall(r"-m pytest (.*)", (REPOSITORY / "Makefile").read_text())
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments.split()]
    command += ["--ignore", "tests", "--ignore", "ae_helpers"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    collected = set(re.findall(r"^(notebooks/.*\.ipynb)::", done.stdout, re.MULTILINE))
    assert collected == {path.relative_to(REPOSITORY).as_posix() for path in ALL}, done.stdout


@every_notebook
def test_one_cell_holds_the_parameters_and_papermill_reads_each_line(path):
    cells = [cell for cell in cells_of(path) if "parameters" in tags_of(cell)]
    assert len(cells) == 1
    found = papermill.inspect_notebook(str(path))
    assert len(found) == len(lines_of(cells[0])), "one `name: type = literal  # help` a line"
    for name, parameter in found.items():
        expected = PARAMETERS.get(name, parameter["inferred_type_name"])
        default = ast.literal_eval(parameter["default"])
        assert parameter["inferred_type_name"] == expected == type(default).__name__, name
        assert parameter["help"], f"{name} has a word on what it is"
        if name in PARAMETERS:
            check_params(**{name: default})


def test_a_parameter_means_the_same_in_every_notebook():
    defaults = {}
    for path in ALL:
        for name, parameter in papermill.inspect_notebook(str(path)).items():
            default = ast.literal_eval(parameter["default"])
            defaults.setdefault(name, {}).setdefault(default, []).append(path.stem)
    # 03 saves the run, the others load it.
    assert set(defaults.pop("run_name")) == {"mine", "auto"}
    # It trains a hundred networks, so each for a shorter time.
    assert defaults["epochs"].pop(3) == ["06_why_results_differ"]
    assert {n: where for n, where in defaults.items() if len({type(d) for d in where}) > 1} == {}
    sizes = ("n_train", "n_seeds")  # how many are enough differs with what they are for
    fixed = {n: where for n, where in defaults.items() if n in PARAMETERS and n not in sizes}
    assert {n: where for n, where in fixed.items() if len(where) > 1} == {}


@every_notebook
def test_a_notebook_is_small_and_says_its_kernel(path):
    assert path.stat().st_size < 400_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}, "no widget state"


@every_notebook
def test_every_cell_was_executed_in_order(path):
    counts = [cell.execution_count for cell in cells_of(path) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_outputs_hold_nothing_of_one_machine_or_one_run(path):
    for output in outputs_of(path):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert WIDGET_VIEW not in output.get("data", {})
        for text in texts_of(output):
            for what in (LOCAL_PATH, ADDRESS, TIMING):
                assert not re.search(what, text), text


@every_notebook
def test_sources_name_no_place_of_one_machine(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not re.search(LOCAL_PATH, cell.source), cell.source


@every_notebook
def test_every_figure_shows_something_and_has_a_text_for_those_who_cannot_see_it(path):
    for output in outputs_of(path):
        if "image/png" not in output.get("data", {}):
            continue
        alt = output.metadata.get("image/png", {}).get("alt", "")
        assert len(alt) > 15, "alt text"
        with Image.open(io.BytesIO(b64decode(output.data["image/png"]))) as picture:
            assert np.asarray(picture.convert("L")).std() > 1, f"blank: {alt}"


@course_notebook
def test_a_notebook_shows_figures(path):
    assert sum("image/png" in output.get("data", {}) for output in outputs_of(path)) >= 2


@every_notebook
def test_few_cells_are_not_compared_and_each_is_held_by_an_assert(path):
    cells = cells_of(path)
    excused = [i for i, cell in enumerate(cells) if tags_of(cell) & UNCOMPARED]
    assert len(excused) <= 3
    for i in excused:
        assert any(has_assert(cell) for cell in cells[i : i + 2]), cells[i].source
    comments = "".join(cell.source for cell in cells).upper()
    assert "NBVAL_" not in comments, "tags, not comments, excuse a cell"
    assert "nbval-" not in "".join(" ".join(tags_of(c) - UNCOMPARED) for c in cells)


@every_notebook
def test_code_cells_are_short(path):
    lengths = [len(lines_of(cell)) for cell in cells_of(path)]
    assert max(lengths) <= 25
    if path.stem < "06":  # the text's own notebooks; the later ones may show longer steps
        assert np.mean([length <= 12 for length in lengths]) >= 0.9, lengths


@course_notebook
def test_prose_stands_between_the_code(path):
    kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
    assert kinds[0] == "markdown"
    assert kinds[-1] == "markdown"
    # Three belong together at times: compute, print, and an assert on what was printed.
    assert max(len(list(g)) for kind, g in groupby(kinds) if kind == "code") <= 3
    assert kinds.count("markdown") >= kinds.count("code")


@course_notebook
def test_prose_follows_every_figure(path):
    cells = nbformat.read(path, as_version=4).cells
    for i, cell in enumerate(cells):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            following = [c.cell_type for c in cells[i + 1 : i + 3]]
            assert "markdown" in following, cell.source


@course_notebook
def test_a_notebook_begins_with_its_promise_and_ends_with_what_was_seen_and_exercises(path):
    prose = prose_of(path)
    number = int(path.stem[:2])
    assert prose.startswith(f"# {number} · ")
    assert "minutes to read" in prose.split("\n## ")[0]
    headings = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
    assert headings[-2:] == ["What we saw", "Try it"]
    assert len(headings) == len(set(headings)), "no heading twice"


@pytest.mark.parametrize(
    ("path", "following"),
    list(pairwise(COURSE)),
    ids=lambda path: path.stem,
)
def test_a_notebook_ends_with_a_link_to_the_next(path, following):
    last = cells_of(path, "markdown")[-1].source
    assert f"]({following.name})" in last


@every_notebook
def test_links_lead_to_files_of_this_repository_or_to_the_web(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(path)):
        if not target.startswith(("https://", "#")):
            assert (path.parent / target.split("#")[0]).is_file(), target


def test_each_notebook_of_the_course_has_its_number_once():
    assert [path.stem[:2] for path in COURSE] == [f"{i:02}" for i in range(1, len(COURSE) + 1)]
