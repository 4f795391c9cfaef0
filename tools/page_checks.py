"""Find out what an exercise's check says to every answer, so that a page can say the same.

A check of `ae_helpers.exercises` first computes what is right, then hands that to one of its
``..._verdict`` functions together with the answer. `judge_of` runs the check once, and stops it
there; `bake` asks the verdict about answers until it knows where its line changes. A page then
needs no Python: it reads the number that was typed, and looks the line up. What a check says, and
what is right, is written in Python alone.
"""

import ast
import contextlib
import inspect
import io
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from live_cells import objects_shown, statements_needed

from ae_helpers import exercises
from ae_helpers.numpy_layers import DenseLayer, apply_layers
from ae_helpers.runs import Run

# How the answer to each verdict is given in a page; an exercise with another one keeps its cell.
ASKED = {
    "number_verdict": "number",
    "share_verdict": "number",
    "count_verdict": "whole",
    "index_verdict": "whole",
    "class_verdict": "class",
    "pair_verdict": "pair",
}
NO_NUMBER = "?"
LARGE = 10**12  # no line changes beyond it
GUESSED = object()  # stands for the guess until there is one


@dataclass
class Judge:
    """What remains of a check once it has computed what is right."""

    name: str
    asked: str
    known: dict[str, Any]  # the verdict's arguments
    ask: Callable[[Any, Any], str]
    whole_check: Callable[[Any, Any], str]  # the same line, by the check itself
    guesses: bool

    def __call__(self, answer: Any, guess: Any = ...) -> str:
        """Return the line that the check prints about an answer."""
        return self.ask(answer, guess)


def judges_of(exercise_cells: Sequence[str], solution_cells: Sequence[str]) -> dict[str, Judge]:
    """Return the judge of each exercise that a page can check, by the name of its check.

    Parameters
    ----------
    exercise_cells
        The code cells of a notebook; those that end in a call of a check are its exercises.
    solution_cells
        The code cells of its solutions, which make what the checks are given. They run as far as
        they are needed.
    """
    calls = [call for call in map(check_called, exercise_cells) if call and can_check(call)]
    calls = [call for call in calls if not from_training(solution_cells, _arguments(call))]
    given = [_arguments(call) for call in calls]
    wanted = ", ".join(
        "dict(" + ", ".join(f"{name}={source}" for name, source in arguments.items()) + ")"
        for arguments in given
    )
    if not calls:
        return {}
    # The networks in NumPy, for to import TensorFlow takes seconds.
    with mock.patch.object(Run, "_models", property(numpy_models)):
        (values,) = objects_shown([*solution_cells, f"[{wanted}]"])
    return {
        call.func.id: judge_of(getattr(exercises, call.func.id), arguments)
        for call, arguments in zip(calls, values, strict=True)
    }


class NumpyModel:
    """As much of a Keras model as solutions ask for."""

    def __init__(self, layers: Sequence[DenseLayer]) -> None:
        self.layers = layers

    def predict(self, inputs: np.ndarray, **_: Any) -> np.ndarray:
        """Pass inputs through the layers; how many at a time and how loud is no matter here."""
        return apply_layers(self.layers, inputs)


def numpy_models(run: Run) -> tuple[NumpyModel, NumpyModel, NumpyModel]:
    """Return a run's autoencoder, encoder and decoder."""
    encoder, decoder = run.encoder_weights, run.decoder_weights
    return NumpyModel([*encoder, *decoder]), NumpyModel(encoder), NumpyModel(decoder)


def check_called(source: str) -> ast.Call | None:
    """Return the call of a check that a cell ends in, if it does."""
    if "ae_helpers.exercises" not in source:
        return None
    call = getattr(ast.parse(source).body[-1], "value", None)
    name = getattr(getattr(call, "func", None), "id", "")
    return call if name.startswith("check_") else None


def can_check(call: ast.Call) -> bool:
    """Whether the check ends in a verdict that a page knows how to ask for."""
    return not set(getattr(exercises, call.func.id).__code__.co_names).isdisjoint(ASKED)


def from_training(solution_cells: Sequence[str], arguments: dict[str, str]) -> bool:
    """Whether a check is given what a training of the solution made; the site trains nothing."""
    needed = statements_needed([*solution_cells, f"[{', '.join(arguments.values())}]"])
    names = (node for statement in needed for node in ast.walk(statement))
    return any(isinstance(node, ast.Name) and node.id == "keras" for node in names)


def _arguments(call: ast.Call) -> dict[str, str]:
    """Return what a check is given beside answer and guess: its source, by parameter."""
    parameters = inspect.signature(getattr(exercises, call.func.id)).parameters
    given = dict(zip(parameters, map(ast.unparse, call.args), strict=False))
    given |= {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    rest = len(call.args) - len(parameters)
    variable = [p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL]
    if variable:  # as in check_run_count(answer, *vary)
        first = list(parameters).index(variable[0])
        given[variable[0]] = f"({', '.join(map(ast.unparse, call.args[first:]))},)"
    assert variable or rest <= 0, f"too many arguments: {ast.unparse(call)}"
    return {name: source for name, source in given.items() if name not in ("answer", "guess")}


def judge_of(check: Callable, arguments: dict[str, Any]) -> Judge:
    """Run a check until it knows what is right."""
    module, stopped = sys.modules[check.__module__], []
    signature = inspect.signature(check)
    guesses = "guess" in signature.parameters

    def run(answer: Any, guess: Any) -> None:
        bound = signature.bind_partial()
        bound.arguments |= {"answer": answer} | arguments | ({"guess": guess} if guesses else {})
        bound.arguments = {name: bound.arguments[name] for name in signature.parameters}
        check(*bound.args, **bound.kwargs)

    def stopping(name: str) -> Callable:
        return lambda *given, **more: stopped.append((name, given, more))

    verdicts = {name: getattr(module, name) for name in ASKED if hasattr(module, name)}
    with mock.patch.multiple(module, **{name: stopping(name) for name in verdicts}):
        run(..., GUESSED)
    ((name, given, more),) = stopped

    def ask(answer: Any, guess: Any) -> str:
        given_now = [guess if value is GUESSED else value for value in given[1:]]
        more_now = {key: guess if value is GUESSED else value for key, value in more.items()}
        return printed(verdicts[name], answer, *given_now, **more_now)

    known = inspect.signature(verdicts[name]).bind(*given, **more).arguments
    return Judge(check.__name__, ASKED[name], known, ask, lambda *a: printed(run, *a), guesses)


def printed(function: Callable, *arguments: Any, **more: Any) -> str:
    """Return the line that a function prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        function(*arguments, **more)
    return out.getvalue().strip()


# ---- Where the line changes ----


def bake(judge: Judge) -> dict[str, Any]:
    """Return what a page has to know: the lines, and to which answers each is said.

    ``lines`` holds each line once; all else names them by their index. ``empty`` is said if
    nothing was answered, ``unread`` if it was no single number (no two, for a pair). ``pairs`` are
    the lines of two classes, the lower first; ``whole`` and ``other`` those of whole numbers and
    of all others, as `steps` returns them. ``guesses`` are the lines about the right answer after
    each guess: a class, else whole per cent.
    """
    lines = {}

    def said(answer: Any, guess: Any = ...) -> int:
        line = judge(answer, guess)
        return lines.setdefault(line, len(lines))

    def said_beside(number: float) -> int:
        """Ask about a number that is not whole, but next to it."""
        return said(math.nextafter(number, math.inf) if number == int(number) else number)

    baked = {"asked": judge.asked, "empty": said(...), "unread": said(NO_NUMBER)}
    if judge.asked == "pair":
        pairs = itertools.combinations_with_replacement(range(10), 2)
        baked["pairs"] = {f"{a},{b}": said((a, b)) for a, b in pairs}
    else:
        seeds, width = _seeds(judge.known), judge.known.get("tolerance", 0)
        samples = {LARGE, -LARGE, *(x for seed in seeds for x in _around(seed, width))}
        exact = judge.asked == "number"
        baked["other"] = steps(said if exact else said_beside, samples)
        if not exact:
            near = {int(seed) + step for seed in seeds for step in (-1, 0, 1)}
            near |= {LARGE, -LARGE, *range(len(judge.known.get("errors", range(11))))}
            baked["whole"] = steps(said, near)
    if judge.asked == "class":
        baked["classes"] = list(judge.known["scores"])
    if judge.guesses:
        right = right_answer(judge)
        percent = [f"{guess} %" for guess in range(101)]
        baked["guesses"] = [said(right, guess) for guess in baked.get("classes", percent)]
    return baked | {"lines": list(lines)}


def right_answer(judge: Judge) -> Any:
    """Return an answer that is right, of those that the verdict was given."""
    if "truth" in judge.known:
        return judge.known["truth"]
    if "errors" in judge.known:
        return int(judge.known["errors"].argmax())
    return max(judge.known["scores"], key=judge.known["scores"].get)


def steps(said: Callable[[float], int], samples: Iterable[float]) -> list[list]:
    """Find where a function changes, if it does so once at most between two samples.

    Returns the places, each the lowest number of a new value, and the values, one more.

    Examples
    --------
    >>> steps(lambda x: x > 3, [0, 10])
    [[4], [False, True]]
    """
    samples = sorted(samples)
    starts, values = [], [said(samples[0])]
    for low, high in itertools.pairwise(samples):
        value = said(high)
        if value == values[-1]:
            continue
        whole = isinstance(low, int) and isinstance(high, int)
        while low < (middle := (low + high) // 2 if whole else (low + high) / 2) < high:
            low, high = (low, middle) if said(middle) == value else (middle, high)
        starts.append(high)
        values.append(value)
    return [starts, values]


def _seeds(known: dict[str, Any]) -> set[float]:
    """Numbers of which a verdict may know: the right one, those with a hint, a sum, per cent."""
    seeds = {0, 1, *known.get("hints", {}), *known.get("scores", {})}
    seeds |= {float(max(known["errors"]))} if "errors" in known else set()
    if "truth" in known:
        seeds |= {factor * known["truth"] for factor in (1, 100, known.get("n", 1))}
    return seeds


def _around(seed: float, width: float) -> Iterable[float]:
    """Numbers at distances of all sizes from a seed, and on both sides of a tolerance."""
    sizes = [10.0**power for power in range(-12, 3)] + [0.9e-5, 1.1e-5, 0.009, 0.0099, 0.0103]
    for size in [0.0, *(abs(seed) * size for size in sizes), width / 2, width * 0.99, width * 1.01]:
        yield from (float(seed - size), float(seed + size))
