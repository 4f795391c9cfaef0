"""A real JupyterLab, a browser and its mouse, for the browser tests and benchmarks/slider.py."""

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import nbformat

READY = """name => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const status = panel?.sessionContext?.session?.kernel?.status;
  return panel?.context?.path === name && Boolean(panel.content.activeCell) && status === "idle";
}"""
OPEN = """async name => {
  const { shell, commands } = window.jupyterapp;
  for (const panel of [...shell.widgets("main")]) {
    if (panel.sessionContext?.session) await panel.sessionContext.shutdown();
    if (panel.context) panel.context.model.dirty = false;  // else JupyterLab asks about saving it
    panel.close();
  }
  await commands.execute("docmanager:open", { path: name });
}"""


def draw_line(page, canvas, points, steps):
    """Draw by mouse through points of a canvas, (0, 0) to (1, 1)."""
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=steps)
    page.mouse.up()


def settle(page):
    """Let two frames pass: what an input changed is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def wake(page):
    """Scroll to every widget of a page of the site, and wait until all of them are alive."""
    for place in page.locator(".live:visible").all():
        place.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.live')]"
        ".every(host => host.offsetParent === null || host.matches('.opened'))"
    )


def wait_until(page, holds):
    """Wait until something of the kernel holds, which the page cannot see; 30 seconds at most."""
    for _ in range(300):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come about within 30 seconds")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each request."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(folder):
    """Serve a folder on a free port, and give its address."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def start_lab(home):
    """Start a JupyterLab server on a free port, with settings of its own in the folder home."""
    (home / "work").mkdir()
    folders = {
        "HOME": home,
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
    }
    # Without these, a fresh JupyterLab first asks whether it may show news.
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True})
    )
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
                *("--IdentityProvider.token=test", f"--ServerApp.root_dir={home / 'work'}"),
                "--KernelManager.transport_encryption=auto",  # as `make lab` starts it
                "--LabApp.expose_app_in_browser=True",
            ],
            env=os.environ | {name: str(folder) for name, folder in folders.items()},
            stdout=log,
            stderr=log,
        )
    try:
        yield Lab(_address(server, home), home / "work")
    finally:
        server.terminate()
        server.wait(timeout=30)


def _address(server, home):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(json.JSONDecodeError):  # it is being written just now
                return json.loads(file.read_text())["url"]
        time.sleep(0.2)
    raise RuntimeError("JupyterLab did not start:\n" + (home / "log").read_text()[-2000:])


class Lab:
    """The server: opens notebooks made of the cells given, and runs them cell by cell."""

    def __init__(self, url, work):
        self.url, self.work = url, work

    def open(self, page, *cells):
        """Open a notebook with these code cells; nothing is run yet."""
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        self.open_notebook(page, notebook)

    def open_notebook(self, page, notebook):
        """Open a copy of a whole notebook, in place of the one before; nothing is run yet."""
        name = f"test_{time.time_ns()}.ipynb"
        nbformat.write(notebook, self.work / name)
        if page.url.startswith(self.url):  # to load JupyterLab anew takes seconds
            page.mouse.move(0, 0)
            page.evaluate(OPEN, name)
        else:
            page.goto(f"{self.url}lab/tree/{name}?token=test&reset", timeout=60_000)
        page.wait_for_function(READY, arg=name, timeout=60_000)

    def run(self, page, index, *, wait=True):
        """Run one cell of the notebook open in the page; return what it printed."""
        page.evaluate(
            """async ([index, wait]) => {
              const { content } = window.jupyterapp.shell.currentWidget;
              content.deselectAll();
              content.activeCellIndex = index;
              const done = window.jupyterapp.commands.execute("notebook:run-cell");
              if (wait) await done;
            }""",
            [index, wait],
        )
        return self.text(page, index)

    def run_all(self, page):
        """Run all cells of the notebook open in the page, and wait until they are done."""
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def show(self, page, index):
        """Scroll to a cell."""
        page.evaluate(
            """async index => {
              const { content } = window.jupyterapp.shell.currentWidget;
              content.activeCellIndex = index;
              await content.scrollToItem(index, "center");
            }""",
            index,
        )

    def text(self, page, index):
        """Return the text that a cell printed."""
        return page.evaluate(
            """index => window.jupyterapp.shell.currentWidget.content.widgets[index]
              .model.outputs.toJSON().map(output => output.text ?? "").join("")""",
            index,
        )
