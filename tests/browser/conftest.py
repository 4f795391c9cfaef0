import os
from pathlib import Path

import make_site
import pytest
from chromium import start_browser
from filelock import FileLock
from lab import serve, start_lab


@pytest.fixture(scope="session")
def browser():
    """Chromium; without one the tests are skipped, or fail where CI=true."""
    try:
        with start_browser() as chromium:
            yield chromium
    except FileNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def new_page(browser):
    """Open a fresh page: ``new_page(color_scheme="dark", ...)``; the test fails on its errors."""
    contexts, errors = [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def open_alone(new_page):
    """Open an exported page by file:// with the network off: ``open_alone(html, "#seed=5", ...)``.

    The test fails if the page asks for anything but itself and what ``may_ask`` names, or says a
    word on the console. A script runs before those of the page.
    """
    seen = []

    def open_it(html, state="", script="", may_ask=(), **options):
        page = new_page(**{"viewport": {"width": 1000, "height": 900}, "offline": True} | options)
        own = (html.as_uri(), *may_ask)

        def note(request):
            if not request.url.startswith(own):
                seen.append(request.url)

        def hear(message):
            if "willReadFrequently" not in message.text:  # about the tests, which read canvases
                seen.append(message.text)

        page.on("request", note)
        page.on("console", hear)
        page.add_init_script(script)
        page.goto(html.as_uri() + state)
        return page

    yield open_it
    assert seen == []


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab server; opens notebooks in a page, and runs their cells."""
    with start_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_page(browser):
    """One page for all that opens in JupyterLab, and the errors seen in it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page, errors
    context.close()


@pytest.fixture
def lab_page(shared_page):
    """The page to open a notebook in with ``lab.open``; the test fails on its errors."""
    page, errors = shared_page
    yield page
    found = [*errors]
    errors.clear()
    assert found == []


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The site, built by this worker in a folder below another; and its chapters by name."""
    out = tmp_path_factory.mktemp("site") / "course"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AE_RUNS_DIR", "")  # the builder sets it
        return out, {chapter.slug: chapter for chapter in make_site.build(out)}


@pytest.fixture(scope="session")
def site(request, tmp_path_factory, worker_id):
    """The folder of the site: the worker that asks first builds it for all of them."""
    own = tmp_path_factory.getbasetemp()
    common = own if worker_id == "master" else own.parent
    with FileLock(common / "site.lock"):
        told = common / "site.txt"
        if not told.exists():
            told.write_text(str(request.getfixturevalue("built")[0]))
    return Path(told.read_text())


@pytest.fixture(scope="session")
def served(site):
    """The site on a local server, under a path."""
    with serve(site.parent) as address:
        yield f"{address}/course"
