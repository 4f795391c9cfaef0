"""The runs of a sweep, from what is varied and what is set; checked before anything starts."""

import ast
import difflib
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ae_helpers.images import KERAS_SETS
from ae_helpers.parameters import PARAMETERS, check_params

LONGEST = 1_000_000  # values of a range; a longer one would fill the memory before it is refused
RANGE = re.compile(r"(-?\d+):(-?\d+)(?::(-?[1-9]\d*))?")


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do; two plans with the same identity are the same sweep."""

    notebook: str  # without outputs, as JSON
    identity: dict[str, Any]  # the notebook's name, the SHA-256 of its code, "vary" and "set"
    defaults: dict[str, Any]  # the notebook's own parameters; text where one is more than a value
    runs: dict[str, dict[str, Any]]  # what each run is given, by the name of its folder


def read_value(text: str) -> Any:
    """Read one value as it is typed on the command line.

    What is a value in JSON or Python (a number, true or True, null or None, a list, text in
    quotes) is that value. Everything else is a string as it stands; but one that begins with a
    quote or a bracket that does not close is a ValueError.

    Examples
    --------
    >>> [read_value(text) for text in ("8", "1e-3", "true", "[1, 2]", "relu", "007", "'8'")]
    [8, 0.001, True, [1, 2], 'relu', '007', '8']
    """
    text = text.strip()
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        # Only what JSON can hold arrives in a notebook as it was: no tuple, bytes or 1j.
        if isinstance(value, str | int | float | bool | None | list | dict):
            return value
    if text.startswith(("'", '"', "[", "{")):
        raise ValueError(
            f"{text} begins with {text[0]} but is not complete: put text in quotes of its own."
        )
    return text


def read_values(text: str) -> list[Any]:
    """Read the values of ``--vary``: separated by commas, whole ranges as ``first:end``.

    Each value is as `read_value` reads it; a comma inside quotes or brackets separates nothing.
    ``0:8`` stands for 0, 1, … 7 (the end is left out, as in Python), ``0:16:2`` for every second
    of 0 to 15. An empty value or range, or a quote or bracket that never closes, is a ValueError.

    Examples
    --------
    >>> read_values("0:4,10"), read_values("relu,linear"), read_values("'a,b',c")
    ([0, 1, 2, 3, 10], ['relu', 'linear'], ['a,b', 'c'])
    """
    values, item = [], ""
    for piece in text.split(","):
        item = f"{item},{piece}" if item else piece.strip()
        if not item:
            raise ValueError(f"{text!r} has an empty value: for empty text write ''.")
        if span := RANGE.fullmatch(item.strip()):
            numbers = range(*(int(number or 1) for number in span.groups()))
            if not numbers:
                raise ValueError(f"The range {item} is empty: its end must lie beyond its start.")
            if len(numbers[: LONGEST + 1]) > LONGEST:
                raise ValueError(f"The range {item} has more than {LONGEST:,} values.")
            values += numbers
        else:
            try:
                values.append(read_value(item))
            except ValueError:
                continue  # the comma stood inside quotes or brackets
        item = ""
    if item:
        read_value(item)  # says what is wrong with it
    return values


def make_plan(notebook: Path, vary: Mapping[str, Iterable[Any]], fixed: Mapping[str, Any]) -> Plan:
    """Lay out the runs: each combination of the values varied, with what is fixed for all.

    The last parameter varied changes fastest. What cannot work is a FileNotFoundError or a
    ValueError.
    """
    content, code = _read_notebook(notebook)
    vary = {name: [_checked(name, value) for value in values] for name, values in vary.items()}
    fixed = {name: _checked(name, value) for name, value in fixed.items()}
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
    defaults = _find_defaults(notebook.name, code)
    for name in [*vary, *fixed]:
        if name not in defaults:
            close = difflib.get_close_matches(name, defaults, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(defaults)}."
            raise ValueError(f"{notebook.name} has no parameter {name!r}: {hint}")
    # Of the code alone: outputs, ids and text may change without changing the runs.
    sha256 = hashlib.sha256(json.dumps(code).encode()).hexdigest()
    identity = {"notebook": notebook.name, "sha256": sha256, "vary": vary, "set": fixed}
    grid = [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]
    width = max(4, len(str(len(grid) - 1)))
    runs = {f"run-{i:0{width}}": fixed | values for i, values in enumerate(grid)}
    return Plan(content, identity, defaults, runs)


def _read_notebook(path: Path) -> tuple[str, list[tuple[str, list[str]]]]:
    """Read a notebook: its JSON without outputs, and each code cell's text and tags."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path}: name an .ipynb file that exists.")
    code = []
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook.setdefault("metadata", {}).pop("widgets", None)
        for cell in notebook["cells"]:
            metadata = cell.setdefault("metadata", {})
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
                code.append(("".join(cell["source"]), list(metadata.get("tags", []))))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a notebook: name an .ipynb file.") from error
    return json.dumps(notebook), code


def _find_defaults(notebook: str, code: list[tuple[str, list[str]]]) -> dict[str, Any]:
    cell = next((text for text, tags in code if "parameters" in tags), "")
    try:
        statements = ast.parse(cell).body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"The parameters of {notebook} cannot be read: {error}") from error
    defaults = {}
    for statement in statements:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    defaults[name] = _plain(name, ast.literal_eval(value))
                except (ValueError, TypeError):
                    defaults[name] = ast.unparse(value)
    if not defaults:
        raise ValueError(f"{notebook} has no cell tagged 'parameters' with `name = value` lines.")
    return defaults


def _checked(name: str, value: Any) -> Any:
    """Refuse a value that cannot work; return it as plain Python."""
    value = _plain(name, value)
    if name in PARAMETERS:
        check_params(**{name: value})
    by_name = ("auto", "keras", "sample", *KERAS_SETS)
    if name == "data_source" and value not in by_name and not Path(value).is_absolute():
        raise ValueError(
            f"data_source={value!r} cannot work in a sweep: each run has its own folder, so the "
            "file must be named by its full path."
        )
    return value


def _plain(name: str, value: Any) -> Any:
    """Turn NumPy's values into Python's; refuse what would not arrive in a notebook as it is."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=np.generic.item)
        plain = json.loads(text.encode())  # half of a surrogate pair cannot be encoded
        if plain == value:
            return plain
    except (ValueError, TypeError, RecursionError):
        pass
    raise ValueError(
        f"{name}={value!r} cannot work: it must be a finite number, text, True, False, None, or a "
        "list of these."
    )
