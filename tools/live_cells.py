"""Make the widget of a notebook's cell without running the notebook, and pack it for a page.

A widget's committed output is a line of text. `objects_shown` runs the statements that the cell
needs and no others, so that what trains stays untouched; `pack` writes the widgets' state, as
ipywidgets describes it for web pages, for ``docs/site/live.js``.
"""

import ast
import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.core.inputtransformer2 import TransformerManager
from ipywidgets.embed import dependency_state

SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda)


def objects_shown(sources: list[str]) -> list[Any]:
    r"""Run the last of some cells, and what it needs of those before; return what it displays.

    Parameters
    ----------
    sources
        The code cells of a notebook, in order, up to the one that is wanted.

    Returns
    -------
    list
        What the cell hands to ``display``, then the value of its last line if it is one.

    Examples
    --------
    >>> objects_shown(["slow = 1 / 0", "a = [1]", "a.append(2)", "display(len(a))\na"])
    [2, [1, 2]]
    >>> objects_shown(["_ = 1 / 0", "n = 1", "n += 1", "[n for _ in (1, 2)]"])
    [[2, 2]]
    """
    body = statements_needed(sources)
    if isinstance(body[-1], ast.Expr):
        body[-1].value = ast.Call(ast.Name("display", ast.Load()), [body[-1].value], [])
    shown = []
    module = ast.fix_missing_locations(ast.Module(body, []))
    exec(compile(module, "<cells>", "exec"), {"display": lambda *objects: shown.extend(objects)})
    return [thing for thing in shown if thing is not None]


def statements_needed(sources: list[str]) -> list[ast.stmt]:
    """Return the statements of the last of some cells, after those of the others that it needs."""
    to_python = TransformerManager().transform_cell
    *before, last = [ast.parse(to_python(source)).body for source in sources]
    body, needed = [*last], set().union(*map(_names_read, last))
    for statement in reversed([statement for cell in before for statement in cell]):
        if _names_bound(statement) & needed:
            if isinstance(statement, ast.ImportFrom):  # of `train`, say, TensorFlow would come
                wanted = [a for a in statement.names if (a.asname or a.name) in needed]
                statement = ast.ImportFrom(statement.module, wanted, statement.level)
            body.insert(0, statement)
            needed |= _names_read(statement)
    return body


def _names_read(node: ast.AST) -> set[str]:
    """Names whose values a statement asks for; in ``for _ in ...`` it is no earlier ``_``."""
    names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _names_bound(node: ast.AST) -> set[str]:
    """Names that a statement sets or changes: also ``a[0] = 1`` and ``a.append(1)`` change a."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _base(node.value.func) if isinstance(node.value.func, ast.Attribute) else set()
    bound = _base(node) if isinstance(getattr(node, "ctx", None), ast.Store) else set()
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, SCOPES[2:]):
            bound |= _names_bound(child)
    return bound


def _base(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def pack(widgets: list[ipywidgets.Widget], folder: Path) -> list[str]:
    """Write the state of widgets, and of all that belongs to them, for a page.

    Long values go to files of their own, named by their content: pages that show the same
    weights or points share them.

    Parameters
    ----------
    widgets
        What the page shows, in order.
    folder
        Where the files are written.

    Returns
    -------
    list of str
        The name of the file that says it all, then of those it asks for, without their ending.
    """
    models = dependency_state(widgets, drop_defaults=False)
    short = {name: f"m{number}" for number, name in enumerate(models)}  # the same at each build

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(item) for item in value]
        known = isinstance(value, str) and value.startswith("IPY_MODEL_")
        return f"IPY_MODEL_{short[value.removeprefix('IPY_MODEL_')]}" if known else value

    def apart(content: bytes) -> dict[str, str]:
        files.append(write_script(content, folder))
        return {"file": files[-1]}

    packed, files = {}, []
    for name, model in models.items():
        state = renamed(model["state"])
        if "_esm" in state:
            state["_esm"] = apart(state["_esm"].encode())
        for buffer in model.get("buffers", []):
            (key,) = buffer["path"]
            state[key] = apart(base64.b64decode(buffer["data"]))
        packed[short[name]] = {"kind": model["model_name"], "state": state}
    whole = {"views": [short[widget.model_id] for widget in widgets], "models": packed}
    first = write_script(json.dumps(whole).encode(), folder)
    return [first, *dict.fromkeys(files)]  # equal values share a file


def write_script(content: bytes, folder: Path) -> str:
    """Write a script, since a page that was opened from a folder may load nothing else."""
    name = hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"{name}.js"
    if not path.exists():
        text = base64.b64encode(zlib.compress(content)).decode()
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f'aeData["{name}"] = "{text}";\n')
    return name
