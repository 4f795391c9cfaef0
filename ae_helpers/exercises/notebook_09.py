"""Checks for the exercises of notebook 09, parameterized runs."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import (
    as_text,
    as_whole,
    count_verdict,
    number_verdict,
    verdict,
)
from ae_helpers.sweep.grid import read_values


def check_run_count(answer: Any, *vary: str) -> None:
    """Check the number of runs of a sweep over values as they stand on the command line.

    Examples
    --------
    >>> check_run_count(5, "0:3", "relu,linear")
    Not yet: you added; each value of one goes with each value of the other.
    >>> check_run_count(6, "0:3", "relu,linear")
    Right: every combination is one run, with a process and a folder of its own.
    """
    counts = [len(read_values(text)) for text in vary]
    steps_left_out = [len(read_values(re.sub(r"(\d:\d+):\d+", r"\1", text))) for text in vary]
    ranges_closed = [count + (":" in text) for count, text in zip(counts, vary, strict=True)]
    hints = {
        int(np.prod(steps_left_out)): "a range may have a step, as in Python's range(0, 20, 2).",
        int(np.prod(ranges_closed)): "the end of a range is left out, as in Python.",
        sum(counts): "you added; each value of one goes with each value of the other.",
    }
    hint = "count the values of each, one by one; then every value goes with every other."
    praise = "every combination is one run, with a process and a folder of its own."
    count_verdict(answer, int(np.prod(counts)), hints, hint, praise)


def check_values(answer: Any, text: str) -> None:
    """Check the list of Python values that a notebook gets of a text on the command line.

    Examples
    --------
    >>> check_values([7, True], "7,true")
    Right: each has the type that it will have in the notebook.
    >>> check_values([7, "true"], "7,true")
    Not yet: value 2 is not the text 'true'.
    """
    truth = read_values(text)
    problem = None
    if not isinstance(answer, list | tuple):
        problem = "the answer is a list of Python values."
    elif len(answer) != len(truth):
        problem = f"your list has {len(answer)} values, and these are {len(truth)}."
    else:
        for i, (given, value) in enumerate(zip(answer, truth, strict=True), start=1):
            if type(given) is not type(value) or given != value:
                what = "the text" if isinstance(given, str) else f"the {type(given).__name__}"
                problem = f"value {i} is not {what} {given!r}."
                break
    verdict(answer, problem, "each has the type that it will have in the notebook.")


def check_wins(answer: Any, losses: Sequence[float], other_losses: Sequence[float]) -> None:
    """Check in what share of all pairs, each of one kind with each of the other, ``losses`` wins.

    Examples
    --------
    >>> check_wins(0.75, [1, 2], [2.5, 1.5])
    Right: 0.75 of the pairs. Which of two kinds is better, one pair does not tell you.
    """
    wins = np.asarray(losses)[:, None] < np.asarray(other_losses)
    truth = float(wins.mean())
    hints = {
        1 - truth: "these are the pairs in which the other one is lower.",
        float(np.diag(wins).mean()): "you paired equal seeds only; take each with each.",
        float(wins.sum()): f"that is the number of pairs; divide it by the {wins.size} there are.",
        100 * truth: "that is in percent; give the share itself, from 0 to 1.",
    }
    hint = "compare each loss of one with each loss of the other."
    praise = f"{as_text(truth)} of the pairs. Which of two kinds is better, one pair does not tell "
    what = "a share, one number from 0 to 1"
    number_verdict(answer, truth, 0.005, what, hints, hint, praise + "you.")


def check_own_sweep(answer: Any, parameter: str, values: Sequence[int], guess: Any = ...) -> None:
    """Check a sweep that varies one parameter: its rows, as `sweep` returns them.

    Examples
    --------
    >>> row = {"status": "done", "seed": 1}
    >>> rows = [row | {"width": 4, "val_loss": 0.3}, row | {"width": 8, "val_loss": 0.2}]
    >>> check_own_sweep(rows, "width", [4, 8], guess=8)
    Right: val_loss is 0.300 with 4, 0.200 with 8. You saw it coming.
    >>> check_own_sweep(rows[:1], "width", [4, 8])
    Not yet: width should take the values 4, 8, once each.
    """
    needed = {"status", parameter, "val_loss"}
    rows = answer if isinstance(answer, list) else []
    if not rows or not all(isinstance(row, dict) and needed <= set(row) for row in rows):
        verdict(answer, "the answer is what sweep() returns, the rows of its table.", "")
        return
    problem, praise = None, ""
    if sorted(repr(row[parameter]) for row in rows) != sorted(map(repr, values)):
        problem = f"{parameter} should take the values {', '.join(map(str, values))}, once each."
    elif any(row["status"] != "done" for row in rows):
        problem = "a run failed: its error is in its row."
    else:
        losses = {row[parameter]: row["val_loss"] for row in rows}
        praise = ", ".join(f"{losses[value]:.3f} with {value}" for value in values)
        praise = f"val_loss is {praise}."
        if guessed := as_whole(guess):
            lowest = guessed == min(losses, key=losses.get)
            praise += " You saw it coming." if lowest else f" You had guessed {guessed}."
    verdict(answer, problem, praise)
