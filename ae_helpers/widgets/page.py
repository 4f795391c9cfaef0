"""One page with the latent map in it: opens by double click, asks nothing of a network."""

import base64
import html
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))

# What the policy allows beyond that to a page that trains: a worker made of a text in the page,
# by file:// and by http alike, and WebAssembly for its loops.
WORKER = " 'wasm-unsafe-eval'; worker-src blob:"
IMPORT = re.compile(r'^import (\{.+\}) from "\./(.+)";$', re.MULTILINE)


def bundle(path: Path) -> str:
    """Return a JavaScript module as one text, with the modules beside it that it imports inside.

    A widget has one module, and a page no files beside it. Each import becomes a function around
    that module, so that its names stay its own.
    """

    def inlined(found: re.Match) -> str:
        text = bundle(path.with_name(found[2]))
        text = re.sub(r"^export (default .*)?", "", text, flags=re.MULTILINE)
        return f"const {found[1]} = (() => {{\n{text}\nreturn {found[1]};\n}})();"

    return IMPORT.sub(inlined, path.read_text(encoding="utf-8"))


def write_page(
    path: Path,
    title: str,
    module: str,
    spec: Mapping[str, Any],
    data: Mapping[str, bytes],
    worker: str = "",
) -> Path:
    """Write the page, whole or not at all, with all that it needs inlined.

    Path and title are those of `LatentExplorer.export_html`; the module is the text of
    ``latent_map.js``; spec and data are what `LatentExplorer` sends to the browser;
    the worker is "" or WORKER.
    """
    if not isinstance(title, str):
        raise ValueError(f"title={title!r} cannot work: it must be a text.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file, such as {path / 'map.html'}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    packed = {
        name: base64.b64encode(zlib.compress(content, level=9)).decode("ascii")
        for name, content in data.items()
    }
    # In a script, "</script>" and "<!--" mean something whatever surrounds them: no "<" at all.
    text = json.dumps({"spec": spec, "packed": packed}).replace("<", "\\u003c")
    page = PAGE.substitute(title=html.escape(title), data=text, module=module, worker=worker)
    beside = path.with_name(f"{path.name}.part")  # so that a page that is there stays whole
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(path)
    except UnicodeEncodeError as error:
        raise ValueError(f"title={title!r} holds half a character: write it anew.") from error
    finally:
        beside.unlink(missing_ok=True)
    return path
