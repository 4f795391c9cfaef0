"""Checks for the exercises of notebook 09, parameterized runs."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ae_helpers.exercises.answers import as_whole, count_verdict, share_verdict, verdict
from ae_helpers.sweep.grid import read_values

# What has to be the same in all runs of a sweep of one's own, but for what it varies.
RECIPE = {"data_source", "epochs", "hidden_dim", "latent_activation", "n_train"}


def check_run_count(answer: Any, *vary: str) -> None:
    """Check the number of runs of a sweep over values as they stand on the command line.

    >>> check_run_count(5, "0:3", "relu,linear")
    Not yet: you added; each value of one goes with each value of the other.
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

    >>> check_values([7, "true"], "7,true")
    Not yet: value 2 is not the text 'true'.
    """
    truth = read_values(text)
    if not isinstance(answer, list | tuple):
        return verdict(answer, "the answer is a list of Python values.")
    if len(answer) != len(truth):
        problem = f"your list has {len(answer)} values, and these are {len(truth)}."
        return verdict(answer, problem)
    for i, (given, value) in enumerate(zip(answer, truth, strict=True), start=1):
        given = given.item() if isinstance(given, np.generic) else given
        if type(given) is not type(value) or given != value:
            what = "the text" if isinstance(given, str) else f"the {type(given).__name__}"
            return verdict(answer, f"value {i} is not {what} {given!r}.")
    return verdict(answer, None, "each has the type that it will have in the notebook.")


def check_wins(answer: Any, losses: Sequence[float], other_losses: Sequence[float]) -> None:
    """Check in what share of all pairs, each of one kind with each of the other, ``losses`` wins.

    >>> check_wins(0.75, [1, 2], [2.5, 1.5])
    Right: 0.75 of the pairs. Of two kinds so near, one pair does not tell which is better.
    """
    wins = np.asarray(losses)[:, None] < np.asarray(other_losses)
    truth = float(wins.mean())
    hints = {
        1 - truth: "these are the pairs in which the other one is lower.",
        float(np.diag(wins).mean()): "you paired equal seeds only; take each with each.",
    }
    hint = "compare each loss of one with each loss of the other."
    praise = f"{truth:.3g} of the pairs. "
    praise += "Of two kinds so near, one pair does not tell which is better."
    share_verdict(answer, truth, wins.size, 0.005, hints, hint, praise)


def check_own_sweep(answer: Any, parameter: str, values: Sequence[Any], guess: Any = ...) -> None:
    """Check a sweep over one parameter and some seeds: its rows, as `sweep` returns them.

    A table of these rows, as pandas reads it from ``results.csv``, will do too.

    >>> row = {"status": "done", "seed": 1, "epochs": 2}
    >>> rows = [row | {"width": 4, "val_loss": 0.3}, row | {"width": 8, "val_loss": 0.2}]
    >>> rows += [r | {"seed": 2} for r in rows]
    >>> check_own_sweep(rows, "width", [4, 8], guess="8")
    Right: the median val_loss is 0.300 with 4, 0.200 with 8. You saw it coming.
    """
    import pandas as pd  # takes half a second, so only here

    rows = isinstance(answer, list | tuple) and all(isinstance(row, dict) for row in answer)
    table = pd.DataFrame(answer if rows or isinstance(answer, pd.DataFrame) else [])
    if table.empty or not {"status", "seed", parameter, "val_loss"} <= set(table):
        return verdict(answer, "the answer is what sweep() returns, the rows of its table.")
    values, problem, praise = [*map(str, values)], None, ""
    groups = table.groupby(table[parameter].astype(str))
    seeds = groups["seed"].apply(sorted)
    fixed = table.reindex(columns=[*RECIPE - {parameter}]).astype(str)
    if set(seeds.index) != set(values):
        problem = f"{parameter} should take the values {', '.join(values)}."
    elif (table["status"] != "done").any():
        problem = "a run failed: its error is in its row."
    elif pd.to_numeric(table["val_loss"], errors="coerce").isna().any():
        problem = "a run has no val_loss: save it with save_run()."
    elif seeds.map(tuple).nunique() > 1 or len(set(seeds.iloc[0])) < len(seeds.iloc[0]):
        problem = "each value should have the same seeds, and each seed once."
    elif (fixed.nunique(dropna=False) > 1).any():
        problem = f"only {parameter} and the seed should differ between the runs."
    elif len(seeds.iloc[0]) < 2:
        problem = "one seed each is not enough: vary the seed too, with two or more values."
    else:
        medians = groups["val_loss"].median()[values]
        praise = ", ".join(f"{median:.3f} with {value}" for value, median in medians.items())
        praise = f"the median val_loss is {praise}.{_on_guess(guess, values, medians.idxmin())}"
    return verdict(answer, problem, praise)


def _on_guess(guess: Any, values: list[str], lowest: str) -> str:
    """Say whether a guess, in whatever form, is the value with the lowest loss."""
    if guess is ... or guess is None:
        return ""
    items = [*guess] if isinstance(guess, set | frozenset | list | tuple) else [guess]
    number = as_whole(items[0]) if len(items) == 1 else None
    guessed = " ".join(map(str, items)).strip().lower() if number is None else str(number)
    if guessed not in values:
        return f" As a guess, name one of {', '.join(values)}."
    return " You saw it coming." if guessed == lowest else f" You had guessed {guessed}."
