"""Print the course's questions and figures as one PDF: to guess on paper, and to compare.

Each chapter begins with what it asks before it shows something; then come its exercises; its
figures start on a page of their own, so that a teacher can hand them out later. All is read from
the committed notebooks.
"""

import argparse
import base64
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag
from chromium import start_browser
from make_site import NOTEBOOKS, REPOSITORY, TEMPLATES, chapter_rows
from playwright.sync_api import Browser
from site_pages import EXERCISE, GUESS, Page, parse

SCALE = 0.16  # millimetres on paper for a figure's pixel: its smallest words can still be read


def chapters() -> list[dict[str, Any]]:
    """Return what the template shows of each notebook."""
    rows = chapter_rows((REPOSITORY / "README.md").read_text())
    return [chapter(path, rows[path.stem]) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def chapter(path: Path, row: dict[str, str]) -> dict[str, Any]:
    """Return the questions, exercises and figures of a notebook, in order."""
    page = Page(path.stem, row["title"])
    shown = row | {"guesses": [], "exercises": [], "figures": []}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            prose = plain(page.prose(cell.source))
            if EXERCISE.search(cell.source):
                shown["exercises"].append(exercise(prose))
            else:
                section = page.sections[-1]["heading"]
                shown["guesses"] += [(section, text) for text in questions(prose)]
        shown["figures"] += [
            figure(output, page.sections[-1]["heading"])
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
    return shown


def plain(html: str) -> BeautifulSoup:
    """Take the links away: on paper they lead nowhere."""
    soup = parse(html)
    for link in soup.find_all("a"):
        link.unwrap()
    return soup


def questions(prose: BeautifulSoup) -> list[str]:
    """Return each paragraph that asks for a guess, with the list that it may end in."""
    found = [paragraph for paragraph in prose.find_all("p") if GUESS.search(paragraph.get_text())]
    return ["".join(map(str, [paragraph, *list_after(paragraph)])) for paragraph in found]


def list_after(paragraph: Tag) -> list[Tag]:
    """Return the list that follows a paragraph, if one does."""
    after = paragraph.find_next_sibling()
    return [after] if after is not None and after.name in ("ul", "ol") else []


def exercise(prose: BeautifulSoup) -> str:
    """Return an exercise without the lines above the first."""
    start = next(node for node in prose.find_all("p") if node.get_text()[:1].isdigit())
    return "".join(map(str, [start, *start.find_next_siblings()]))


def figure(output: nbformat.NotebookNode, section: str) -> dict[str, Any]:
    """Return a figure with its bytes, so that the page needs no other file."""
    png = output.data["image/png"]
    pixels = int.from_bytes(base64.b64decode(png)[16:20])
    alt = output.metadata["image/png"]["alt"]
    return {"png": png, "alt": alt, "section": section, "width": SCALE * pixels}


def html() -> str:
    """Return the page that is printed; it holds all that it shows."""
    picture = base64.b64encode((REPOSITORY / "docs" / "result.png").read_bytes()).decode()
    return TEMPLATES.get_template("handout.html").render(chapters=chapters(), picture=picture)


def print_page(chromium: Browser, text: str, path: Path) -> None:
    """Print a page of HTML as a PDF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = chromium.new_page()
    page.set_content(text)
    page.pdf(path=path, prefer_css_page_size=True, print_background=True, tagged=True)
    page.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "handout.pdf")
    out = parser.parse_args().out
    with start_browser() as chromium:
        print_page(chromium, html(), out)
    print(f"The handout is {out}")


if __name__ == "__main__":
    main()
