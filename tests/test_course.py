import course
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def write(tmp_path):
    """Write a notebook of code cells into the folder ``notebooks``."""

    def write(name, *sources):
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(exist_ok=True)
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
        return path

    return write


def test_clean_removes_what_differs_from_run_to_run():
    outputs = [
        new_output("stream", name="stdout", text="kept"),
        new_output("display_data", {WIDGET: {"model_id": "3f"}, "text/plain": "kept"}),
        new_output("display_data", {"image/png": "kept"}, metadata={"image/png": {"alt": "kept"}}),
    ]
    code = new_code_cell("x: int = 1", outputs=outputs, execution_count=3)
    code.metadata = {"tags": ["parameters"], "papermill": {"duration": 3.1}, "execution": {}}
    text = new_markdown_cell("# Text", metadata={"papermill": {}, "tags": []})
    metadata = KERNEL | {"papermill": {"input_path": "elsewhere.ipynb"}, "widgets": {}}
    notebook = new_notebook(cells=[code, text], metadata=metadata)

    course.clean(notebook)

    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.metadata for cell in notebook.cells] == [{"tags": ["parameters"]}, {}]
    assert code.execution_count == 3
    assert code.source == "x: int = 1"
    stream, widget, figure = code.outputs
    assert stream.text == "kept"
    assert widget.data == {"text/plain": "kept"}
    assert figure.data == {"image/png": "kept"}
    assert figure.metadata == {"image/png": {"alt": "kept"}}
    nbformat.validate(notebook)


@pytest.mark.parametrize(
    ("tags", "text"),
    [([], "Box(children=(Slider(…"), (["nbval-ignore-output"], "Box: run this cell in JupyterLab")],
)
def test_clean_shortens_a_widgets_text_only_where_it_is_not_compared(tags, text):
    shown = {WIDGET: {"model_id": "3f"}, "text/plain": "Box(children=(Slider(…"}
    code = new_code_cell("", outputs=[new_output("display_data", shown)], metadata={"tags": tags})
    course.clean(new_notebook(cells=[code]))
    assert code.outputs[0].data == {"text/plain": text}


def test_clean_refuses_what_a_cell_wrote_to_stderr():
    cell = new_code_cell("", outputs=[new_output("stream", name="stderr", text="Warning: 3")])
    with pytest.raises(RuntimeError, match="writes to stderr: Warning: 3"):
        course.clean(new_notebook(cells=[cell]))


def test_asserts_are_counted_where_they_stand(write):
    path = write(
        "01_a.ipynb",
        "assert True\nif True:\n    assert 1, 'nested'",
        "# assert in a comment\nprint('assert in a text')\n%pip --version",
        "assert all(\n    [True]\n)",
    )
    assert course.count_asserts(path) == 3


def test_a_course_goes_on_after_failures_and_says_which_failed(write, tmp_path, monkeypatch, capfd):
    write("01_bad.ipynb", "x = 1", "assert x == 2, 'x should be 2'", "print('never reached')")
    write("02_dead.ipynb", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    good = "import os\nassert os.environ['AE_RUNS_DIR'].endswith('runs')\nassert True"
    calm = "import logging\nassert logging.getLogger('tornado.general').getEffectiveLevel() == 50"
    path = write("03_good.ipynb", good, calm, "print('reached')")
    before = path.read_bytes()
    monkeypatch.setattr(course, "NOTEBOOKS", path.parent)

    assert course.run_course(tmp_path / "out") is False

    printed = capfd.readouterr()  # what kernels write to the terminal, too
    assert printed.err == "", "no line of noise"
    first, second, third, blank, *table = printed.out.splitlines()
    assert [line.split(" ... ")[0] for line in (first, second, third)] == [
        "[1/3] 01_bad",
        "[2/3] 02_dead",
        "[3/3] 03_good",
    ]
    assert blank == ""
    assert [(row[0], *row[2:]) for row in (line.split(maxsplit=3) for line in table)] == [
        ("notebook", "checks", "result"),
        ("01_bad", "1", "cell 2 failed: AssertionError: x should be 2"),
        ("02_dead", "0", "DeadKernelError: Kernel died"),
        ("03_good", "3", "ok"),
    ]
    executed = nbformat.read(tmp_path / "out" / path.name, as_version=4)
    assert executed.cells[-1].outputs[0].text == "reached\n"
    assert path.read_bytes() == before, "the notebook itself is not touched"


@pytest.mark.parametrize(("all_ran", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_ran(monkeypatch, all_ran, code):
    monkeypatch.setattr("sys.argv", ["course", "run", "--out", "elsewhere"])
    monkeypatch.setattr(course, "run_course", lambda out: all_ran and str(out) == "elsewhere")
    assert course.main() == code


@pytest.mark.parametrize("fault", ["1 / 0", "import sys; print('odd', file=sys.stderr)"])
def test_refresh_leaves_a_notebook_that_fails_as_it_was(write, fault):
    path = write("01_bad.ipynb", "print('new')", fault)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError|writes to stderr: odd"):
        course.refresh([path])
    assert path.read_bytes() == before


def test_refresh_writes_the_outputs_and_not_the_traces_of_the_run(write):
    path = write("01_good.ipynb", "print('new')")
    course.refresh([path])
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].outputs[0].text == "new\n"
    assert notebook.cells[0].execution_count == 1
    assert "papermill" not in path.read_text()
    kept = path.read_bytes()
    course.refresh([path])
    assert path.read_bytes() == kept, "the same again, so that git sees no change"
