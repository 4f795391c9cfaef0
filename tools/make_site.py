"""Build the course as a static site: the committed notebooks, read and touched without Python.

Each notebook becomes a page with the text and figures that are committed; nothing is trained.
Where a cell shows a widget, the page holds it alive. What belongs to the site alone, its template,
looks and scripts, stands in ``docs/site``.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import jinja2
import latex2mathml.converter
import nbformat
from bs4 import BeautifulSoup
from bs4.element import PageElement
from live_cells import objects_shown, pack
from nbconvert.filters import Highlight2HTML, ansi2html, markdown2html
from PIL import Image

from ae_helpers import LatentExplorer, load_mnist, load_run, prepare
from ae_helpers.numpy_layers import apply_layers

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
SOURCES = REPOSITORY / "docs" / "site"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(SOURCES), autoescape=True, undefined=jinja2.StrictUndefined
)
ORIGINALS = 2000  # of a map's originals sent to the page, taken evenly from the classes
THUMBNAIL = (480, 270)  # pixels
PLANES = {"article": "the article's", "07_deep": "a deeper network's, from chapter 7"}
# What answers in Python alone, by how its text begins, and why.
NEEDS_PYTHON = {
    "interactive": "Each move calls Keras and matplotlib, so this needs Python: run the chapter.",
    "LatentSliders": "Each move is a message to Python and back: run the chapter to try it.",
    "HBox(children=(DrawingBoard": "What you draw is encoded in Python: run the chapter to try it.",
}
WIDGET = "run this cell in JupyterLab"  # what the text of a widget says
MATHS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def build(out: Path) -> None:
    """Write the whole site into a folder, in place of what is there."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "figures").mkdir(parents=True)
    for name in ("site.css", "site.js", "live.js"):
        shutil.copy(SOURCES / name, out)
    rows = chapter_rows((REPOSITORY / "README.md").read_text())
    with own_runs_aside():
        chapters = [
            Chapter(path, rows[path.stem], out) for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        ]
        planes = [
            {"state": plane(name, out), "name": name, "title": title}
            for name, title in PLANES.items()
        ]
    common = {"chapters": chapters, "repository": repository()}
    write_page(
        out, "front.html", Page("index", "A deep autoencoder, seen whole"), planes=planes, **common
    )
    for number, chapter in enumerate(chapters):
        around = {"before": chapters[:number][-1:], "after": chapters[number + 1 :][:1]}
        write_page(out, "chapter.html", chapter, **around, **common)
    index = [section for chapter in chapters for section in chapter.sections]
    (out / "search_index.js").write_text(f"searchIndex = {json.dumps(index)};\n")


def repository() -> str:
    """Return the address of the course's repository: the one place that names its owner."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"]


def chapter_rows(readme: str) -> dict[str, dict[str, str]]:
    """Read the README's table of notebooks: title, question and minutes of each, by its name."""
    row = r"^\| \[(.+?)\]\(notebooks/(.+?)\.ipynb\) \| (.+?) \| (.+?) \| (.+?) \|$"
    return {
        name: {"title": title, "question": question, "to_read": to_read, "to_run": to_run}
        for title, name, question, to_read, to_run in re.findall(row, readme, re.MULTILINE)
    }


@contextlib.contextmanager
def own_runs_aside() -> Iterator[None]:
    """Show the shipped runs, whatever runs the builder has."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AE_RUNS_DIR"] = folder
        yield


def write_page(out: Path, template: str, page: "Page", **more: Any) -> None:
    """Fill in a template."""
    text = TEMPLATES.get_template(template).render(page=page, **more)
    (out / f"{page.slug}.html").write_text(text)


class Page:
    """What the templates ask of every page; its sections are found by the search."""

    def __init__(self, slug: str, title: str) -> None:
        self.slug, self.title = slug, title
        self.sections = []

    def prose(self, source: str) -> str:
        """Turn Markdown into HTML: links lead to the site's pages, formulas are MathML."""
        soup = parse(markdown2html(source))
        for link in soup.find_all("a", href=re.compile(r"\.ipynb$")):
            link["href"] = link["href"].removeprefix("../").replace(".ipynb", ".html")
        for anchor in soup.find_all("a", class_="anchor-link"):
            anchor.decompose()
        for table in soup.find_all("table"):
            table.wrap(soup.new_tag("div", attrs={"class": "table"}))
        for node in soup.contents:
            self.note(node)
        for text in soup.find_all(string=MATHS):
            if not text.find_parent(["code", "pre"]):
                text.replace_with(parse(MATHS.sub(as_mathml, text)))
        return str(soup)

    def note(self, node: PageElement) -> None:
        """Begin a section at a heading, and give the heading its address; or add to a section."""
        text = " ".join(node.get_text().split())
        if node.name in ("h1", "h2", "h3"):
            node["id"] = "-".join(re.findall(r"\w+", text.lower()))
            address = f"{self.slug}.html#{node['id']}"
            self.sections.append(
                {
                    "page": self.title,
                    "address": address,
                    "id": node["id"],
                    "heading": text,
                    "text": "",
                }
            )
        elif text and node.name != "pre":
            self.sections[-1]["text"] += f"{text} "


class Chapter(Page):
    """A notebook as a page; figures and widgets' data are written beside it."""

    def __init__(self, path: Path, row: dict[str, str], out: Path) -> None:
        super().__init__(path.stem, row["title"])
        self.row, self.out, self.figures = row, out, 0
        print(self.title, flush=True)
        shutil.copy(path, out)
        self.notebook = nbformat.read(path, as_version=4).cells
        self.cells = [self.cell(number, cell) for number, cell in enumerate(self.notebook)]

    def cell(self, number: int, cell: nbformat.NotebookNode) -> dict[str, Any]:
        """Return what the template shows of a cell."""
        if cell.cell_type == "markdown":
            return {"kind": "markdown", "body": self.prose(cell.source), "outputs": []}
        return {
            "kind": "code",
            "body": Highlight2HTML()(cell.source),
            "folded": "hide-input" in cell.metadata.get("tags", []),
            "outputs": list(self.outputs(number, cell.outputs)),
        }

    def outputs(self, number: int, outputs: list[nbformat.NotebookNode]) -> Iterator[dict]:
        """Return what the template shows of a cell's outputs."""
        texts = [shown_text(output) for output in outputs if WIDGET in shown_text(output)]
        if texts:
            yield self.widgets(number, "\n".join(texts))
        for output in outputs:
            data = output.get("data", {})
            if "image/png" in data:
                yield self.figure(data["image/png"]) | output.metadata["image/png"]
            elif "text/html" in data:
                self.write_linked_files(number, data["text/html"])
                yield {"kind": "html", "body": str(plain_html(data["text/html"]))}
            elif shown_text(output).strip() and WIDGET not in shown_text(output):
                yield {"kind": "text", "body": ansi2html(shown_text(output))}

    def widgets(self, number: int, text: str) -> dict[str, str]:
        """Write what a cell's widgets need to be alive; those that need Python stay a text."""
        why = [reason for begin, reason in NEEDS_PYTHON.items() if text.startswith(begin)]
        if why:
            return {"kind": "asleep", "text": text, "why": why[0]}
        widgets = self.shown(number)
        for widget in widgets:
            lighten(widget)
        return {"kind": "live", "text": text, "state": pack(widgets, self.out / "data")}

    def figure(self, png: str) -> dict[str, Any]:
        """Write a figure, and for the first also a small one for the front page."""
        self.figures += 1
        name = f"figures/{self.slug}-{self.figures}.png"
        (self.out / name).write_bytes(base64.b64decode(png))
        with Image.open(self.out / name) as picture:
            width, height = picture.size
            if self.figures == 1:
                self.picture = f"figures/{self.slug}.png"
                small = picture.convert("RGB")
                small.thumbnail(THUMBNAIL)
                small.save(self.out / self.picture, optimize=True)
        label = f"{int(self.slug[:2])}.{self.figures}"
        size = {"width": width, "height": height}
        return {"kind": "figure", "name": name, "number": self.figures, "label": label} | size

    def shown(self, number: int) -> list[Any]:
        """Run a cell, and what it needs, for what it displays."""
        sources = [cell.source for cell in self.notebook[: number + 1] if cell.cell_type == "code"]
        with contextlib.redirect_stdout(io.StringIO()):
            return objects_shown(sources)

    def write_linked_files(self, number: int, html: str) -> None:
        """Let a cell that links to a file which it writes write that file for the site, too."""
        if re.search(r'href="[\w.]+\.html"', html):
            with contextlib.chdir(self.out):
                self.shown(number)


def lighten(widget: ipywidgets.Widget) -> None:
    """Leave out most of a map's originals: with all, a page would be ten times as large."""
    if isinstance(widget, LatentExplorer):
        widget._images = widget._images[: 784 * ORIGINALS]


def plane(name: str, out: Path) -> str:
    """Pack the map of a shipped run, with the codes of all training images."""
    run = load_run(name)
    with contextlib.redirect_stdout(io.StringIO()):
        (images, labels), _ = load_mnist()
    codes = apply_layers(run.encoder_weights, prepare(images))
    explorer = LatentExplorer(run.decoder_weights, points=codes, labels=labels, images=images)
    lighten(explorer)
    return pack([explorer], out / "data")


def as_mathml(match: re.Match) -> str:
    """Write the formula of a match of MATHS."""
    display, inline = match.groups()
    kind = "block" if display else "inline"
    return latex2mathml.converter.convert(display or inline, display=kind)


def plain_html(html: str) -> BeautifulSoup:
    """Take an output's own looks away, which fit light pages only."""
    soup = parse(re.sub(r"color: #\w+; text-decoration-color: #\w+", "", html))
    for style in soup.find_all("style"):
        style.decompose()
    for node in soup.find_all(style=True):
        if node["style"] != "font-weight: bold":
            del node["style"]
    for table in soup.find_all("table"):
        del table["border"]
        table.wrap(soup.new_tag("div", attrs={"class": "table"}))
    return soup


def shown_text(output: nbformat.NotebookNode) -> str:
    """Return the text of an output, as the notebook shows it without a widget."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def parse(html: str) -> BeautifulSoup:
    """Parse a piece of HTML as it is, without a page around it."""
    return BeautifulSoup(html, "html.parser")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "site")
    out = parser.parse_args().out.resolve()
    build(out)
    print(f"The site is in {out}: open {out / 'index.html'}")


if __name__ == "__main__":
    main()
