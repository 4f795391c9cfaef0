"""What a sweep shows of how far it is, on a terminal, in a notebook and in a file."""

import pytest

from ae_helpers.sweep import progress

DONE, FAILED = {"status": "done"}, {"status": "failed"}


@pytest.fixture
def wait(monkeypatch):
    """Return a function that lets time go by."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_on_a_terminal_one_line_is_written_over(wait, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    show = progress.start_progress(3, done_before=0)
    for outcome in (None, DONE, FAILED, DONE):
        show(outcome)
        wait(10)
    *steps, end = capsys.readouterr().out.split("\r")[1:]
    assert steps[0] == f"[{'.' * 30}] 0 of 3 runs done, 0 failed\x1b[K"
    assert steps[2] == f"[{'#' * 20}{'.' * 10}] 1 of 3 runs done, 1 failed, about 10 s left\x1b[K"
    assert end == f"[{'#' * 30}] 2 of 3 runs done, 1 failed\x1b[K\n"


def test_the_time_left_counts_down_between_two_runs(wait, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    show = progress.start_progress(20, done_before=10)
    left = []
    for seconds, outcome in ((20, DONE), (20, DONE), (50, None), (500, None)):
        wait(seconds)
        show(outcome)
        left.append(capsys.readouterr().out.partition("about ")[2].partition(" left")[0])
    assert left == ["3 min", "3 min", "110 s", "0 s"]


def test_in_a_notebook_the_bar_leaves_one_line(wait, capsys, monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda data, **_: Handle())
    show = progress.start_progress(2, done_before=1)
    show(None)
    show(DONE)
    assert shown == [f"[{'#' * 15}{'.' * 15}] 1 of 2 runs done, 0 failed", ""]
    assert capsys.readouterr().out == "2 of 2 runs done, 0 failed\n"


def test_in_a_file_there_are_few_lines(wait, capsys):
    show = progress.start_progress(1000, done_before=0)
    for _ in range(1000):
        show(DONE)
        wait(1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[-2:] == [
        "950 of 1000 runs done, 0 failed, about 50 s left",
        "1000 of 1000 runs done, 0 failed",
    ]
