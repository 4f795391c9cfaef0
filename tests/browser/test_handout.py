"""The handout: every question and every figure of the notebooks, on paper."""

import re

import handout
import nbformat
from make_site import NOTEBOOKS
from site_pages import parse


def letters_of(text):
    """The letters and digits alone, without Markdown's marks and formulas."""
    return "".join(re.findall(r"[^\W_]+", re.sub(r"\$.+?\$", "", text)))


def test_every_question_exercise_and_figure_of_a_notebook_is_in_the_handout_once():
    page = parse(handout.html())
    for formula in page.find_all("math"):
        formula.decompose()
    shown = page.find_all("section", class_="chapter")
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert len(shown) == len(notebooks)
    for path, chapter in zip(notebooks, shown, strict=True):
        cells = nbformat.read(path, as_version=4).cells
        asked = [letters_of(ask.get_text()) for ask in chapter.find_all(class_="ask")]
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        wanted = [p for text in texts for p in text.split("\n\n") if "**Guess first" in p]
        wanted += [p for text in texts for p in text.split("\n\n") if re.match(r"\*\*\d\.\*\*", p)]
        assert len(asked) == len(wanted), path
        for question, ask in zip(wanted, asked, strict=True):
            assert letters_of(re.sub(r"\]\([^)]*\)", "]", question)) in ask, path
        images = [
            output.data["image/png"].replace("\n", "")
            for cell in cells
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        printed = [i["src"].partition(",")[2].replace("\n", "") for i in chapter.find_all("img")]
        assert printed == images


def test_it_is_printed_on_some_thirty_pages_with_its_pictures_and_no_links(browser, tmp_path):
    text = handout.html()
    handout.print_page(browser, text, tmp_path / "handout.pdf")
    pdf = (tmp_path / "handout.pdf").read_bytes()
    pages = len(re.findall(rb"/Type /Page\b", pdf))
    chapters = text.count('class="chapter"')
    assert 2 * chapters < pages < 6 * chapters
    assert pdf.count(b"/Subtype /Image") >= text.count("<img")
    assert b"/URI" not in pdf
