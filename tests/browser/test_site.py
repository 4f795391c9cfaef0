"""The site: the same text and figures as the notebooks, alive, with no request elsewhere."""

import base64
import itertools
import math
import re
import zlib
from pathlib import Path

import make_site
import nbformat
import page_checks
import pytest
import site_pages
from bs4 import BeautifulSoup
from lab import settle, wake
from nbconvert.filters import strip_ansi
from nbformat.v4 import new_code_cell, new_notebook, new_output

NOTEBOOKS = sorted(make_site.NOTEBOOKS.glob("*.ipynb"))
SLUGS = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="session")
def pages(site):
    """All pages, read once, by their file's name."""
    names = sorted(path.name for path in site.glob("*.html"))
    return {name: BeautifulSoup((site / name).read_text(), "html.parser") for name in names}


# ---- Against the notebooks ----


def shown_by(markdown):
    """What Markdown shows, without its formulas, and the marks of lists, tables and code."""
    text = site_pages.MATHS.sub(" ", markdown)
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


def test_every_link_within_the_site_leads_somewhere(site, pages):
    places = {name: {node["id"] for node in page.find_all(id=True)} for name, page in pages.items()}
    for name, page in pages.items():
        nodes = page.find_all(["a", "link", "script", "img"])
        links = [node.get("href") or node.get("src") or "" for node in nodes]
        for link in (link for link in links if not re.match("https?:|data:", link)):
            file, _, place = link.partition("#")
            assert not file or (site / file).exists(), f"{name}: {link}"
            a_state = "=" in place  # as index.html#z=18,77, which the page reads itself
            if place and not a_state and (file or name) in pages:
                assert place in places[file or name], f"{name}: {link}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=SLUGS)
def test_below_each_exercise_stands_its_solution_with_all_that_it_shows(site, path):
    page = BeautifulSoup((site / f"{path.stem}.html").read_text(), "html.parser")
    for formula in page.find_all("math"):
        formula.decompose()
    shown = [solution.extract() for solution in page.find_all("details", class_="solution")]
    cells = nbformat.read(path.parent / "solutions" / path.name, as_version=4).cells
    starts = [i for i, cell in enumerate(cells) if re.match(r"\*\*\d+\.\*\*", cell.source)]
    assert len(shown) == len(starts) >= 3
    for solution, start, end in zip(shown, starts, [*starts[1:], len(cells)], strict=True):
        letters = letters_of(solution.get_text())
        for cell in cells[start + 1 : end]:
            if cell.cell_type == "markdown":
                assert letters_of(shown_by(cell.source)) in letters
            else:
                assert letters_of(cell.source) in letters
                texts = [t for t in shown_in(cell) if isinstance(t, list)]
                assert all(letters_of(" ".join(text)) in letters for text in texts)
        figures = [
            t
            for cell in cells[start:end]
            if "outputs" in cell
            for t in shown_in(cell)
            if isinstance(t, tuple)
        ]
        pictures = [((site / i["src"]).read_bytes(), i["alt"]) for i in solution.find_all("img")]
        assert pictures == figures


def test_a_widget_of_a_new_cell_comes_alive_without_more_ado(tmp_path):
    widget = "Playground('seed=5&code=tanh')"
    source = f"from ae_helpers import Playground\n{widget}"
    text = f"{widget}: run this cell in JupyterLab to move it"
    output = new_output("display_data", {"text/plain": text})
    path = tmp_path / "99_new.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source, outputs=[output])]), path)
    (shown,) = site_pages.NotebookPage(path, "New", tmp_path).cells[0]["outputs"]
    assert shown["kind"] == "live"
    written = (tmp_path / "data" / f"{shown['state']}.js").read_text()
    packed = re.fullmatch(r'aeData\["\w+"\] = "(.+)";\n', written)[1]
    assert '"kind": "AnyModel"' in zlib.decompress(base64.b64decode(packed)).decode()


def test_each_word_of_the_glossary_is_linked_where_a_chapter_first_uses_it(pages):
    words = {heading["id"] for heading in pages["glossary.html"].find_all("h2")}
    linked = set()
    for slug in SLUGS:
        terms = pages[f"{slug}.html"].find_all("a", class_="term")
        links = [link["href"].partition("#")[2] for link in terms]
        assert len(links) == len(set(links)), f"{slug} links a word twice"
        linked |= set(links)
    assert linked == words


# ---- In a browser ----


def left(request):
    """Tell whether a worker was still being started when its page was left."""
    return request.url.startswith("blob:") and request.failure == "net::ERR_ABORTED"


def open_all(page, address, names):
    """Open pages one after the other, wake their widgets; return requests and complaints."""
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on(
        "requestfailed", lambda request: None if left(request) else complaints.append(request.url)
    )
    for name in names:
        page.goto(f"{address}/{name}")
        wake(page)
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


def test_the_front_page_asks_at_once_for_what_its_map_needs_and_for_nothing_else(site, new_page):
    page = new_page()
    page.goto((site / "index.html").as_uri())
    wake(page)
    named = page.locator("link[rel=preload]").evaluate_all("links => links.map(l => l.href)")
    run = page.evaluate("() => [...document.scripts].map(script => script.src)")
    assert len(named) > 4
    assert sorted(named) == sorted(address for address in run if "/data/" in address)


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


# ---- Guesses and answers ----

ODD_ANSWERS = ["", "?", "no idea", "5 and 8", "51,154", "68 %", "7 8 9", "-3", "1e3", ".5", "1e400"]
TYPE = """([name, answers]) => (async () => {
  const form = document.querySelector(`[data-check=${name}]`);
  const { answer, guess } = form.elements;
  const said = [];
  for (const [text, guessed] of answers) {
    answer.value = text;
    if (guess) guess.value = guessed;
    form.querySelector("output").textContent = "";
    form.requestSubmit();
    while (!form.querySelector("output").textContent) await new Promise((go) => setTimeout(go));
    said.push([answer.value, guess?.value ?? "", form.querySelector("output").textContent]);
  }
  return said;
})()"""


def answers_around(judge):
    """Answers on both sides of each place where the line changes, and between them."""
    baked = page_checks.bake(judge)
    if judge.asked == "class":
        return ["", *map(str, baked["classes"])]
    if judge.asked == "pair":
        return [*ODD_ANSWERS, *(pair.replace(",", " and ") for pair in baked["pairs"])]
    starts = baked.get("whole", baked["other"])[0]
    if len(starts) > 60:
        starts = starts[:: len(starts) // 60]
    if judge.asked == "whole":
        near = [number + step for number in starts for step in (-1, 0, 1)]
        near += [page_checks.right_answer(judge)]
        near += [start + 0.5 for start in baked["other"][0]]
    else:
        near = [math.nextafter(number, to) for number in starts for to in (-math.inf, number)]
        near += [(a + b) / 2 for a, b in itertools.pairwise(starts)]
    return [*ODD_ANSWERS, *map(repr, near), *(f"{100 * number!r} %" for number in near[:9])]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_says_of_every_answer_what_python_says(built, new_page, slug):
    site, chapters = built
    page = new_page()
    page.goto((site / f"{slug}.html").as_uri())
    judges = chapters[slug].judges
    forms = page.locator("form.check").evaluate_all("forms => forms.map(f => f.dataset.check)")
    assert set(forms) == set(judges)
    for name, judge in judges.items():
        classes = judge.asked == "class"
        guesses = ["", "7", "50", "0", "3"] if judge.guesses else [""]
        typed = [[a, guesses[k % len(guesses)]] for k, a in enumerate(answers_around(judge))]
        heads = set()
        for answer, guess, said in page.evaluate(TYPE, [name, typed]):
            guessed = ... if not guess else guess if classes else f"{guess} %"
            assert said == judge(answer.strip() or ..., guessed), (name, answer, guess)
            heads.add(said.partition(":")[0])
        assert heads == {"Right", "Not yet", "Not filled in yet"}, name
        right = page_checks.right_answer(judge)
        right = right if judge.asked != "pair" else list(right)
        for answer in (right, page_checks.NO_NUMBER):  # the check from its first line on
            assert judge.whole_check(answer, ...) == judge(answer)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_calls_right_what_the_committed_solution_found(built, slug):
    chapter = built[1][slug]
    if any(cell["check"] and cell["check"]["on_sample"] for cell in chapter.cells):
        pytest.skip("the committed solutions are about the full MNIST, which is not at hand")
    path = make_site.NOTEBOOKS / "solutions" / f"{slug}.ipynb"
    for cell in nbformat.read(path, as_version=4).cells if chapter.judges else []:
        call = page_checks.check_called(cell.source) if cell.cell_type == "code" else None
        if call and call.func.id in chapter.judges:
            judge = chapter.judges[call.func.id]
            printed = "".join(output.get("text", "") for output in cell.outputs)
            assert judge(page_checks.right_answer(judge)) in printed


def test_what_a_training_of_the_solution_made_is_not_checked_in_a_page(built):
    judges = built[1]["10_your_own_data"].judges
    assert "check_price" not in judges  # it would be given the errors of an untrained network
    assert "check_hardest_search" in judges


def test_a_guess_is_kept_shown_beside_the_answer_and_saved_with_all_others(site, new_page):
    page = new_page()
    page.goto((site / "01_data.html").as_uri())
    page.locator(".guess textarea").first.fill("a grey cloud")
    echo = page.locator(".guessed", has_text="a grey cloud")
    assert echo.is_visible()
    figure = page.locator("#figure-2")
    assert figure.bounding_box()["y"] < echo.bounding_box()["y"]
    page.locator("[data-check=check_most_ink]").get_by_label("Your guess").select_option("8")
    page.goto((site / "02_model.html").as_uri())
    page.locator(".guess textarea").last.fill("noise\nor grey")
    page.goto((site / "01_data.html").as_uri())
    assert page.locator(".guess textarea").first.input_value() == "a grey cloud"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a text file").click()
    text = Path(download.value.path()).read_text()
    order = ["01 The data", "a grey cloud", "most ink", "My guess: 8", "02 The model", "or grey"]
    places = [text.find(part) for part in order]
    assert -1 not in places
    assert places == sorted(places)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget them").click()
    assert page.locator(".guess textarea").first.input_value() == ""
    assert not echo.is_visible()


def test_where_the_browser_keeps_nothing_a_page_still_works_and_says_so(site, new_page):
    page = new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })"
    )
    page.goto((site / "01_data.html").as_uri())
    page.locator(".guess textarea").first.fill("a grey cloud")
    assert page.locator(".guessed", has_text="a grey cloud").is_visible()
    assert "keeps nothing" in page.locator("#guesses").inner_text()
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


# ---- Reading ----


def test_no_prose_scrolls_sideways_on_a_phone(site, new_page):
    page = new_page(viewport={"width": 360, "height": 740})
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path.name


def test_on_paper_a_chapter_has_its_figures_and_address_and_no_answers(site, new_page):
    page = new_page()
    page.goto((site / "01_data.html").as_uri())
    page.emulate_media(media="print")
    page.wait_for_function("() => [...document.images].every((img) => img.complete)")  # none lazy
    assert page.locator("figure img:visible").count() == 4
    hidden = page.locator(".solution, .check, .guess, header, nav, .run")
    assert hidden.count() > 9
    assert not any(place.is_visible() for place in hidden.all())
    address = page.locator(".address")
    assert address.is_visible()
    assert address.inner_text() == f"{make_site.home()}01_data.html"


def test_on_paper_nothing_is_cut_off_at_the_right(site, new_page):
    page = new_page(viewport={"width": 660, "height": 900})  # as wide as A4 within its margins
    page.emulate_media(media="print")
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri())
        cut = "nodes => nodes.filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.innerText)"
        assert page.locator("main pre, main .table").evaluate_all(cut) == [], path.name


def test_on_paper_the_front_page_has_a_picture_in_place_of_its_map(site, new_page):
    page = new_page()
    page.goto((site / "index.html").as_uri())
    picture = page.locator(".on-paper")
    assert not picture.is_visible()
    page.emulate_media(media="print")
    picture.wait_for(state="visible")  # it is loaded only now
    assert not page.locator(".plane").first.is_visible()


def test_a_printed_sentence_is_read_on_a_phone_without_scrolling_and_a_table_keeps_its_lines(
    site, new_page
):
    page = new_page(viewport={"width": 360, "height": 740})
    page.goto((site / "03_training.html").as_uri())
    wrap = "node => getComputedStyle(node).whiteSpace"
    sentence = page.locator("pre.output", has_text="Not filled in yet").first
    assert sentence.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert page.locator("pre.output", has_text="cross-entropy").first.evaluate(wrap) == "pre"


def test_a_wide_table_keeps_the_names_of_its_rows_in_sight(site, new_page):
    page = new_page(viewport={"width": 360, "height": 740})
    page.goto((site / "07_comparing_models.html").as_uri())
    table = page.locator(".table", has_text="trustworthiness").first
    table.evaluate("node => node.scrollTo(200, 0)")
    assert table.evaluate("node => node.scrollLeft") == 200
    name, around = table.locator("tbody th").first.bounding_box(), table.bounding_box()
    assert name["x"] == around["x"]


NEAR_ONES_OPENED = """() => [...document.querySelectorAll(".live")].every((host) =>
  host.offsetParent === null || host.matches(".opened") ||
  host.getBoundingClientRect().top > innerHeight + 400)"""


def test_before_anyone_scrolls_a_page_brings_at_most_one_and_a_half_megabytes(served, new_page):
    for slug in ["index", "playground", "glossary", *SLUGS]:
        page, answers = new_page(viewport={"width": 1400, "height": 900}), []
        page.on("response", lambda answer, kept=answers: kept.append(answer))
        page.goto(f"{served}/{slug}.html")
        page.wait_for_function(NEAR_ONES_OPENED)
        page.wait_for_load_state("networkidle")
        brought = sum(len(answer.body()) for answer in [*answers] if "blob:" not in answer.url)
        assert 20_000 < brought <= 1.5e6, f"{slug}: {brought:,} bytes"


def test_the_playground_trains_in_its_page(site, new_page):
    page = new_page()
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="Watch it learn").last.click()
    page.locator(".live.opened").wait_for()
    page.get_by_role("button", name="Start").click()
    page.get_by_text(re.compile(r"[Ee]poch\s+[1-9]")).first.wait_for()
