"""What a sweep shows of how far it is, on a terminal, in a notebook and in a file."""

import pytest

from ae_helpers.sweep import progress


@pytest.fixture
def wait(monkeypatch):
    """Return a function that lets time go by."""
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_on_a_terminal_one_line_is_written_over(wait, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    show = progress.start_progress(3, done_before=0)
    for ended, failed in ((0, 0), (1, 0), (2, 1), (3, 1)):
        show(ended, failed)
        wait(10)
    captured = capsys.readouterr()
    steps = [step.rstrip(" ") for step in captured.out.split("\r")[2:]]
    assert steps[0] == f"[{'.' * 30}] 0 of 3 runs done, 0 failed"
    assert steps[2] == f"[{'#' * 20}{'.' * 10}] 1 of 3 runs done, 1 failed, about 00:10 left"
    assert steps[-1] == f"[{'#' * 30}] 2 of 3 runs done, 1 failed\n"
    assert captured.err == ""


def test_in_a_notebook_the_bar_leaves_one_line(wait, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "_start_display", lambda: shown.append)
    show = progress.start_progress(2, done_before=1)
    show(1, 0)
    show(2, 0)
    assert shown == [f"[{'#' * 15}{'.' * 15}] 1 of 2 runs done, 0 failed", ""]
    assert capsys.readouterr() == ("2 of 2 runs done, 0 failed\n", "")


def test_in_a_file_there_are_few_lines(wait, capsys):
    show = progress.start_progress(1000, done_before=0)
    for ended in range(1, 1001):
        wait(1)
        show(ended, 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[-2:] == [
        "950 of 1000 runs done, 0 failed, about 00:50 left",
        "1000 of 1000 runs done, 0 failed",
    ]
