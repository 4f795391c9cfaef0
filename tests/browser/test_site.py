"""The site: the same text and figures as the notebooks, alive, with no request elsewhere."""

import base64
import functools
import http.server
import re
import threading

import make_site
import nbformat
import pytest
from bs4 import BeautifulSoup
from lab import settle
from nbconvert.filters import strip_ansi

NOTEBOOKS = sorted(make_site.NOTEBOOKS.glob("*.ipynb"))
SLUGS = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built once, in a folder below another."""
    out = tmp_path_factory.mktemp("site") / "course"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AE_RUNS_DIR", "")  # the builder sets it
        make_site.build(out)
    return out


@pytest.fixture(scope="session")
def served(site):
    """The site on a local server, under a path."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=site.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/course"
        server.shutdown()


# ---- Against the notebooks ----


def shown_by(markdown):
    """What Markdown shows, without its formulas, and the marks of lists, tables and code."""
    text = make_site.MATHS.sub(" ", markdown)
    text = re.sub(r"^```\w+$", "```", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"^(\d+\.|[-|:]+) ", "", text, flags=re.MULTILINE)


def letters_of(text):
    """The letters and digits alone: blocks need no space between them, and marks are no text."""
    return "".join(re.findall(r"[^\W_]+", text))


def shown_in(cell):
    """What a code cell's outputs hold: texts as words, figures as bytes with their alt text."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            yield base64.b64decode(data["image/png"]), output.metadata["image/png"]["alt"]
        elif "text/html" in data:
            html = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
            yield BeautifulSoup(html, "html.parser").get_text().split()
        else:
            yield strip_ansi(output.get("text") or data.get("text/plain", "")).split()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=SLUGS)
def test_a_page_holds_every_text_and_figure_of_its_notebook_and_nothing_else(site, path):
    page = BeautifulSoup((site / f"{path.stem}.html").read_text(), "html.parser")
    article = page.find("article")
    for added in article.find_all(class_="added"):
        added.decompose()
    for formula in article.find_all("math"):
        formula.decompose()
    sections = article.find_all("section", class_="cell")
    cells = nbformat.read(path, as_version=4).cells
    assert len(sections) == len(cells)
    for cell, section in zip(cells, sections, strict=True):
        if cell.cell_type == "markdown":
            assert letters_of(section.extract().get_text()) == letters_of(shown_by(cell.source))
            continue
        assert section.find(class_="highlight").extract().get_text().rstrip("\n") == cell.source
        texts = [word for shown in shown_in(cell) if isinstance(shown, list) for word in shown]
        figures = [shown for shown in shown_in(cell) if not isinstance(shown, list)]
        assert section.get_text().split() == texts
        pictures = [((site / i["src"]).read_bytes(), i["alt"]) for i in section.find_all("img")]
        assert pictures == figures
        section.extract()
    assert article.get_text().split() == []


def test_every_link_within_the_site_leads_somewhere(site):
    pages = {path.name: path.read_text() for path in site.glob("*.html")}
    for name, text in pages.items():
        nodes = BeautifulSoup(text, "html.parser").find_all(["a", "link", "script", "img"])
        links = [node.get("href") or node.get("src") or "" for node in nodes]
        for link in (link for link in links if not re.match("https?:|data:", link)):
            file, _, place = link.partition("#")
            assert not file or (site / file).exists(), f"{name}: {link}"
            if place and (file or name) in pages:
                assert f'id="{place}"' in pages[file or name], f"{name}: {link}"


# ---- In a browser ----


def open_all(page, address, names):
    """Open pages one after the other, wake their widgets; return requests and complaints."""
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
    for name in names:
        page.goto(f"{address}/{name}")
        for place in page.locator(".live:visible").all():
            place.scroll_into_view_if_needed()
        page.wait_for_function(
            "() => [...document.querySelectorAll('.live')]"
            ".every(host => host.offsetParent === null || host.matches('.opened'))"
        )
    return requests, complaints


@pytest.mark.parametrize("way", ["from a folder", "under a path of a server"])
def test_every_page_is_alive_and_asks_nothing_of_others(site, served, new_page, way):
    address = site.as_uri() if way == "from a folder" else served
    names = sorted(path.name for path in site.glob("*.html"))
    page = new_page()
    requests, complaints = open_all(page, address, names)
    elsewhere = {u for u in requests if not u.startswith((address, "data:", "blob:"))}
    assert elsewhere == set()
    assert complaints == []


def decoded(page):
    """The pixels of the visible map's digit."""
    settle(page)
    return page.locator(".decoded canvas:visible").first.evaluate("canvas => canvas.toDataURL()")


def test_the_front_page_answers_the_pointer_and_switches_between_planes(site, new_page):
    page = new_page(viewport={"width": 1400, "height": 900})
    page.goto((site / "index.html").as_uri())
    plot = page.locator(".plot").first
    plot.wait_for()
    box = plot.bounding_box()
    assert box["y"] + box["height"] < 900, "the map is in the first screenful"
    before = decoded(page)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    after = decoded(page)
    assert before != after
    page.get_by_label("deeper").check()
    page.locator("#plane-07_deep .plot").wait_for()
    assert page.locator(".plot:visible").count() == 1
    assert decoded(page) not in (before, after)


def test_the_sliders_of_a_page_move_its_map_and_follow_it(site, new_page):
    page = new_page()
    page.goto((site / "05_decoder_grid.html").as_uri())
    page.locator(".live").first.scroll_into_view_if_needed()
    slider = page.get_by_role("slider", name="z₁").first
    slider.wait_for()
    before = decoded(page)
    slider.press("Home")
    assert decoded(page) != before
    page.locator(".map").focus()
    page.keyboard.press("Shift+ArrowRight")
    settle(page)
    assert float(slider.input_value()) > float(slider.get_attribute("min"))


def test_the_search_finds_a_section_by_its_words(site, new_page):
    page = new_page()
    page.goto((site / "index.html").as_uri())
    page.get_by_label("Search").fill("how map became fast")
    link = page.locator("#found a").first
    assert "05 Drawing from the plane: How the map became fast" in link.inner_text()
    link.click()
    assert page.url.endswith("05_decoder_grid.html#how-the-map-became-fast")
