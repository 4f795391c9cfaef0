"""One page with the latent map in it: opens by double click, asks nothing of a network."""

import base64
import html
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The policy lets the browser refuse any request, whatever is on the page.
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
  body {{ margin: 0 auto; max-width: 880px; padding: 24px 16px;
    font-family: system-ui, sans-serif; background: #ffffff; color: #1f2328; }}
  h1 {{ font-size: 22px; margin: 0 4px 12px; overflow-wrap: anywhere; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #14181d; color: #e6edf3; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<main id="map"><noscript>This page needs JavaScript, which is switched off here.
In JupyterLab, press "Trust HTML" above the page.</noscript></main>
<script type="application/json" id="data">{data}</script>
<script type="module">
{module}
const host = document.getElementById("map");
openPage(host, JSON.parse(document.getElementById("data").textContent));
</script>
</body>
</html>
"""


def write_page(
    path: Path, title: str, module: str, spec: Mapping[str, Any], data: Mapping[str, bytes]
) -> Path:
    """Write the page, whole or not at all, with all that it needs inlined.

    Parameters
    ----------
    path, title
        As `LatentExplorer.export_html` takes them.
    module
        The text of ``latent_map.js``.
    spec, data
        What `LatentExplorer` sends to the browser; the bytes are deflated.
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
    page = PAGE.format(title=html.escape(title), data=text, module=module)
    beside = path.with_name(f"{path.name}.part")  # so that a page that is there stays whole
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(path)
    except UnicodeEncodeError as error:
        raise ValueError(f"title={title!r} holds half a character: write it anew.") from error
    finally:
        beside.unlink(missing_ok=True)
    return path
