"""The runs of a sweep, from what is varied and what is set; checked before anything starts."""

import ast
import difflib
import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ae_helpers.runs import check_params

COURSE_PARAMS = (
    *("data_source", "run_name", "seed", "epochs", "batch_size", "hidden_dim", "latent_dim"),
    *("latent_activation", "loss", "optimizer", "n_train"),
)

LONGEST = 1_000_000  # values of a range; a longer one would fill the memory before it is refused
OPENERS = ("'", '"', "[", "{")
RANGE = re.compile(r"(-?\d+):(-?\d+)(?::(-?[1-9]\d*))?")


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do; two plans with the same identity are the same sweep.

    Attributes
    ----------
    notebook : str
        The notebook without outputs, as JSON.
    identity : dict
        The notebook's name, the SHA-256 of its code, and the ``vary`` and ``set`` of the sweep.
    runs : list of dict
        The parameters given to each run, in order: the last one varied changes fastest.
    """

    notebook: str
    identity: dict[str, Any]
    runs: list[dict[str, Any]]

    @property
    def names(self) -> list[str]:
        """The runs' names, ``run-0000`` onwards: the names of their folders."""
        width = max(4, len(str(len(self.runs) - 1)))
        return [f"run-{i:0{width}}" for i in range(len(self.runs))]


def read_value(text: str) -> Any:
    """Read one value as it is typed on the command line.

    Parameters
    ----------
    text
        What is a value in JSON or Python (a number, true or True, null or None, a list, text in
        quotes) is that value. Everything else is a string as it stands.

    Returns
    -------
    int, float, bool, None, str, list or dict

    Raises
    ------
    ValueError
        If it begins with a quote or a bracket that does not close.

    Examples
    --------
    >>> [read_value(text) for text in ("8", "1e-3", "true", "[1, 2]", "relu", "007", "'8'")]
    [8, 0.001, True, [1, 2], 'relu', '007', '8']
    """
    text = text.strip()
    try:
        return _parse(text)
    except ValueError:
        if text[:1] in OPENERS:
            raise ValueError(
                f"{text} begins with {text[0]} but is not complete: put text in quotes of its own."
            ) from None
        return text


def read_values(text: str) -> list[Any]:
    """Read the values of ``--vary``: separated by commas, whole ranges as ``first:end``.

    Parameters
    ----------
    text
        Values as `read_value` reads them; a comma inside quotes or brackets separates nothing.
        ``0:8`` stands for 0, 1, … 7 (the end is left out, as in Python), ``0:16:2`` for every
        second of 0 to 15.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If there is an empty value, an empty range, or a quote or bracket that never closes.

    Examples
    --------
    >>> read_values("0:4,10"), read_values("relu,linear"), read_values("'a,b',c")
    ([0, 1, 2, 3, 10], ['relu', 'linear'], ['a,b', 'c'])
    """
    values, item = [], ""
    for piece in text.split(","):
        item = f"{item},{piece}" if item else piece.strip()
        if item[:1] in OPENERS and not _is_complete(item.strip()):
            continue  # the comma stood inside quotes or brackets
        if not item:
            raise ValueError(f"{text!r} has an empty value: for empty text write ''.")
        if span := RANGE.fullmatch(item.strip()):
            first, end, step = (int(number or 1) for number in span.groups())
            numbers = range(first, end, step)
            if not numbers:
                raise ValueError(f"The range {item} is empty: its end must lie beyond its start.")
            if len(numbers[: LONGEST + 1]) > LONGEST:
                raise ValueError(f"The range {item} has more than {LONGEST:,} values.")
            values += numbers
        else:
            values.append(read_value(item))
        item = ""
    if item:
        read_value(item)  # says what is wrong with it
    return values


def make_plan(notebook: Path, vary: Mapping[str, Iterable[Any]], fixed: Mapping[str, Any]) -> Plan:
    """Lay out the runs: each combination of the values varied, with what is set for all.

    Parameters
    ----------
    notebook
        The notebook's file.
    vary
        A parameter's name to its values.
    fixed
        A parameter's name to the one value that all runs have.

    Returns
    -------
    Plan

    Raises
    ------
    FileNotFoundError
        If there is no such notebook.
    ValueError
        If it is no notebook, there is nothing to vary, a parameter is named twice, has a value
        twice, or a value cannot work.
    """
    content = _read_notebook(notebook)
    vary = {name: [_plain(name, value) for value in values] for name, values in vary.items()}
    fixed = {name: _plain(name, value) for name, value in fixed.items()}
    if not vary:
        raise ValueError("There is nothing to vary: name at least one parameter and its values.")
    for name, values in vary.items():
        if not values:
            raise ValueError(f"{name} has no values: there would be no run.")
        if name in fixed:
            raise ValueError(f"{name} is both varied and set: leave out one.")
        texts = Counter(json.dumps(value) for value in values)  # 1, 1.0 and true are three
        text, times = texts.most_common(1)[0]
        if times > 1:
            raise ValueError(f"{name} has the value {text} twice: each run is made once.")
    for name, values in [*vary.items(), *((name, [value]) for name, value in fixed.items())]:
        for value in values:
            _check_value(name, value)
    identity = {
        "notebook": notebook.name,
        "sha256": _code_sha256(content),
        "vary": vary,
        "set": fixed,
    }
    runs = [
        fixed | dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())
    ]
    return Plan(content, identity, runs)


def find_defaults(plan: Plan) -> dict[str, Any]:
    """Read the notebook's own parameters, and refuse those of the plan that it does not have.

    Parameters
    ----------
    plan
        What `make_plan` returned.

    Returns
    -------
    dict
        The parameters of the cell tagged ``parameters``, with their defaults.

    Raises
    ------
    ValueError
        If the notebook has no parameters, or not those that the plan gives it.
    """
    from ae_helpers.sweep.run import import_papermill

    papermill = import_papermill()
    import nbformat

    name = plan.identity["notebook"]
    try:
        node = nbformat.v4.upgrade(nbformat.from_dict(json.loads(plan.notebook)))
        found = papermill.inspect_notebook(node)
    except (ValueError, AttributeError, papermill.exceptions.PapermillException) as error:
        raise ValueError(f"The parameters of {name} cannot be read: {error}") from error
    if not found:
        raise ValueError(f"{name} has no cell tagged 'parameters' with `name = value` lines.")
    for given in plan.runs[0]:
        if given not in found:
            close = difflib.get_close_matches(given, found, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(found)}."
            raise ValueError(f"{name} has no parameter {given!r}: {hint}")
    defaults = {key: parameter["default"] for key, parameter in found.items()}
    return {key: _parse(text) if _is_complete(text) else text for key, text in defaults.items()}


def _parse(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError):
            continue
        # Only what JSON can hold arrives in a notebook as it was: no tuple, bytes or 1j.
        if isinstance(value, str | int | float | bool | None | list | dict):
            return value
    raise ValueError(text)


def _is_complete(text: str) -> bool:
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def _read_notebook(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path}: name an .ipynb file that exists.")
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not a notebook: name an .ipynb file.") from error
    notebook["metadata"].pop("widgets", None)
    return json.dumps(notebook)


def _code_sha256(notebook: str) -> str:
    """Hash the code cells alone: outputs, ids and text may change without changing the runs."""
    code = [
        ["".join(cell["source"]), cell["metadata"].get("tags", [])]
        for cell in json.loads(notebook)["cells"]
        if cell["cell_type"] == "code"
    ]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def _plain(name: str, value: Any) -> Any:
    """Turn NumPy's numbers into Python's; refuse what would not arrive as it is."""
    if hasattr(value, "item"):
        value = value.item()
    parts = value if isinstance(value, list) else [value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value} cannot work: it must be a finite number.")
    if isinstance(value, list | dict):
        parts = value if isinstance(value, list) else [*value, *value.values()]
        for part in parts:
            _plain(name, part)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(
            f"{name}={value!r} cannot work: it must be a number, text, True, False, None, "
            "or a list of these."
        )
    return value


def _check_value(name: str, value: Any) -> None:
    if name in COURSE_PARAMS:
        check_params(**{name: value})
    by_name = ("auto", "keras", "sample")
    if name == "data_source" and value not in by_name and not Path(value).is_absolute():
        raise ValueError(
            f"data_source={value!r} cannot work in a sweep: each run has its own folder, so the "
            "file must be named by its full path."
        )
