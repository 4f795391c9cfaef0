"""The form of the committed notebooks; that they run is held by nbval and papermill."""

import ast
import functools
import io
import os
import re
import shutil
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
from ae_helpers.parameters import PARAMETERS

REPOSITORY = Path(__file__).parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
COURSE = sorted(NOTEBOOKS.glob("*.ipynb"))
ALL = sorted(NOTEBOOKS.rglob("*.ipynb"))

UNCOMPARED = {"nbval-ignore-output", "nbval-skip"}
LOCAL_PATH = r"(?:[A-Z]:\\|file://|~/|/(?:home|root|tmp|usr|var|mnt|opt|work|Users|content)/)"
ADDRESS = r"0x[0-9a-fA-F]{5,}"
TIMING = r"(?:\d ?(?:ms|µs|us)\b|\d ?s/(?:step|epoch)|\b\d+\.\d+ ?s(?:econds)?\b|it/s)"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@functools.cache
def read(path):
    return nbformat.read(path, as_version=4)


@functools.cache
def parameters_of(path):
    return papermill.inspect_notebook(str(path))


def cells_of(path, kind="code"):
    return [cell for cell in read(path).cells if cell.cell_type == kind]


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


def test_there_is_a_notebook_for_each_number_of_the_course():
    assert [path.stem[:2] for path in COURSE] == [f"{i:02}" for i in range(1, len(COURSE) + 1)]


# -- that they are run


def run_pytest(*arguments, cwd=REPOSITORY, **env):
    """Run pytest in a process of its own."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True)


def test_make_collects_every_notebook_and_leaves_no_test_out():
    makefile = (REPOSITORY / "Makefile").read_text()
    rest, notebooks = re.findall(r"\$\(PYTEST\) -n \d (.*)", makefile)
    assert rest == "tests ae_helpers tools --ignore=tests/test_papermill.py"
    assert notebooks.split()[-1] == "tests/test_papermill.py"
    done = run_pytest("--collect-only", "-q", *notebooks.split()[:-1])
    collected = set(re.findall(r"^(notebooks/.*\.ipynb)::", done.stdout, re.MULTILINE))
    assert collected == {path.relative_to(REPOSITORY).as_posix() for path in ALL}, done.stdout


def test_what_a_change_must_pass_is_both_sets():
    for name in (".ci/run", ".github/workflows/weekly.yml"):
        text = (REPOSITORY / name).read_text()
        assert re.search(r"make .*test test-notebooks$", text, re.MULTILINE)
    suites = (REPOSITORY / ".github/workflows/ci.yml").read_text()
    assert "suite: [test, test-notebooks]" in suites and "make ${{ matrix.suite }}" in suites


def test_the_files_to_be_run_first_are_there(pytestconfig):
    conftest = pytestconfig.pluginmanager.get_plugin(str(REPOSITORY / "conftest.py"))
    assert [name for name in conftest.LONGEST_FIRST if not (REPOSITORY / name).is_file()] == []


@pytest.fixture
def changed(tmp_path):
    """A project with our conftest.py, and a notebook that prints other text than it says."""
    shutil.copy(REPOSITORY / "conftest.py", tmp_path)
    said = nbformat.v4.new_output("stream", text="said\n")
    cell = nbformat.v4.new_code_cell("print('printed')", outputs=[said], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "changed.ipynb")
    return tmp_path


@pytest.fixture
def not_mnist(tmp_path, tiny_arrays):
    np.savez(tmp_path / "tiny.npz", **tiny_arrays)
    return str(tmp_path / "tiny.npz")


IN_A_WORKER = ("-n", "1", "--nbval", "--nbval-current-env")


def test_other_text_than_the_committed_fails_on_mnist(changed, full_mnist):
    done = run_pytest(*IN_A_WORKER, cwd=changed)
    assert "their text outputs are compared with the committed ones" in done.stdout
    assert "1 failed in" in done.stdout, done.stdout + done.stderr


def test_on_other_data_no_text_is_compared_and_pytest_says_so(changed, not_mnist):
    done = run_pytest(*IN_A_WORKER, cwd=changed, AE_MNIST=not_mnist, CI="")
    assert "no text is compared (name the full set with AE_MNIST=" in done.stdout
    assert "1 passed in" in done.stdout, done.stdout + done.stderr


def test_ci_refuses_other_data(changed, not_mnist):
    done = run_pytest(*IN_A_WORKER, cwd=changed, AE_MNIST=not_mnist, CI="true")
    assert done.returncode != 0
    assert "needs the full MNIST, which these data are not" in done.stderr


# -- their parameters


def test_one_cell_holds_the_parameters_and_papermill_reads_each_line():
    for path in ALL:
        cells = [cell for cell in cells_of(path) if "parameters" in tags_of(cell)]
        assert len(cells) == 1, path
        found = parameters_of(path)
        lines = lines_of(cells[0])
        assert len(found) == len(lines), f"{path}: one `name: type = literal  # help` a line"
        for name, parameter in found.items():
            default = ast.literal_eval(parameter["default"])
            assert parameter["inferred_type_name"] == type(default).__name__, (path, name)
            assert parameter["help"], f"{path}: {name} lacks a word on what it is"
            if name in PARAMETERS:
                check_params(**{name: default})


def test_a_parameter_means_the_same_in_every_notebook():
    defaults = {}
    for path in ALL:
        for name, parameter in parameters_of(path).items():
            default = ast.literal_eval(parameter["default"])
            defaults.setdefault(name, {}).setdefault(default, []).append(path.stem)
    # 03 saves the run, the others load it.
    assert set(defaults.pop("run_name")) == {"mine", "auto"}
    assert {n: where for n, where in defaults.items() if len({type(d) for d in where}) > 1} == {}
    sizes = ("n_train", "n_seeds")  # how many are enough differs with what they are for
    fixed = {n: where for n, where in defaults.items() if n in PARAMETERS and n not in sizes}
    assert {n: where for n, where in fixed.items() if len(where) > 1} == {}


# -- what is committed of them


def test_a_notebook_is_small_and_says_its_kernel():
    for path in ALL:
        assert path.stat().st_size < 400_000, path
        nbformat.validate(read(path))
        assert read(path).metadata.kernelspec.name == "python3", path
        assert set(read(path).metadata) <= {"kernelspec", "language_info"}, f"{path}: widget state"


def test_every_cell_was_executed_in_order():
    for path in ALL:
        counts = [cell.execution_count for cell in cells_of(path) if cell.source.strip()]
        assert counts == list(range(1, len(counts) + 1)), path


def test_outputs_hold_nothing_of_one_machine_or_one_run():
    for path in ALL:
        for output in outputs_of(path):
            assert output.output_type != "error", path
            assert output.get("name") != "stderr", path
            assert WIDGET_VIEW not in output.get("data", {}), path
            for text in texts_of(output):
                for what in (LOCAL_PATH, ADDRESS, TIMING):
                    assert not re.search(what, text), f"{path}: {text}"


def test_sources_name_no_place_of_one_machine():
    for path in ALL:
        for cell in read(path).cells:
            assert not re.search(LOCAL_PATH, cell.source), f"{path}: {cell.source}"


def test_every_figure_shows_something_and_has_a_text_for_those_who_cannot_see_it():
    for path in ALL:
        for output in outputs_of(path):
            if "image/png" not in output.get("data", {}):
                continue
            alt = output.metadata.get("image/png", {}).get("alt", "")
            assert len(alt) > 15, f"{path}: the alt text {alt!r}"
            with Image.open(io.BytesIO(b64decode(output.data["image/png"]))) as picture:
                assert np.asarray(picture.convert("L")).std() > 1, f"{path}: blank: {alt}"


def test_few_cells_are_not_compared_and_each_is_held_by_an_assert():
    for path in ALL:
        cells = cells_of(path)
        excused = [i for i, cell in enumerate(cells) if tags_of(cell) & UNCOMPARED]
        assert len(excused) <= 3, path
        for i in excused:
            assert any(has_assert(cell) for cell in cells[i : i + 2]), f"{path}: {cells[i].source}"
        comments = "".join(cell.source for cell in cells).upper()
        assert "NBVAL_" not in comments, f"{path}: tags, not comments, excuse a cell"
        others = "".join(" ".join(tags_of(cell) - UNCOMPARED) for cell in cells)
        assert "nbval-" not in others, path


# -- their form, for a reader


def test_code_cells_are_short():
    for path in ALL:
        lengths = [len(lines_of(cell)) for cell in cells_of(path)]
        assert max(lengths) <= 25, path
        if path.stem < "06":  # the text's own notebooks; the later ones may show longer steps
            assert np.mean([length <= 12 for length in lengths]) >= 0.9, (path, lengths)


def test_prose_stands_between_the_code():
    for path in COURSE:
        kinds = [cell.cell_type for cell in read(path).cells]
        assert kinds[0] == kinds[-1] == "markdown", path
        # Three belong together at times: compute, print, and an assert on what was printed.
        assert max(len(list(g)) for kind, g in groupby(kinds) if kind == "code") <= 3, path
        assert kinds.count("markdown") >= kinds.count("code"), path


def test_a_notebook_shows_figures_and_prose_follows_each():
    for path in COURSE:
        cells = read(path).cells
        drawn = [
            i
            for i, cell in enumerate(cells)
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        assert len(drawn) >= 2, path
        for i in drawn:
            following = [cell.cell_type for cell in cells[i + 1 : i + 3]]
            assert "markdown" in following, f"{path}: {cells[i].source}"


def test_a_notebook_begins_with_its_promise_and_ends_with_what_was_seen_and_exercises():
    for path in COURSE:
        prose = prose_of(path)
        assert prose.startswith(f"# {int(path.stem[:2])} · "), path
        assert "minutes to read" in prose.split("\n## ")[0], path
        headings = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
        assert headings[-2:] == ["What we saw", "Try it"], path
        assert len(headings) == len(set(headings)), f"{path}: a heading twice"


def test_a_notebook_ends_with_a_link_to_the_next():
    for path, following in pairwise(COURSE):
        assert f"]({following.name})" in cells_of(path, "markdown")[-1].source, path


def test_links_lead_to_files_of_this_repository_or_to_the_web():
    for path in ALL:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(path)):
            if not target.startswith(("https://", "#")):
                assert (path.parent / target.split("#")[0]).is_file(), f"{path}: {target}"
