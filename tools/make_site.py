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

import ipywidgets
import jinja2
import latex2mathml.converter
import nbformat
from bs4 import BeautifulSoup, NavigableString, Tag
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
MATHS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def build(out: Path) -> None:
    """Write the whole site into a folder, in place of what is there."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("site.css", "site.js", "live.js"):
        shutil.copy(SOURCES / name, out)
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    rows = chapter_rows((REPOSITORY / "README.md").read_text())
    chapters = [{"slug": path.stem, **rows[path.stem]} for path in paths]
    common = {"chapters": chapters, "repository": repository()}
    index = []
    with quiet_place():
        for number, path in enumerate(paths):
            chapter = chapters[number] | {"number": number + 1}
            soup = Chapter(path, out).page()
            around = {
                "before": chapters[number - 1] if number else None,
                "after": chapters[number + 1] if number + 1 < len(paths) else None,
            }
            write_page(out, "chapter.html", chapter, soup, index, **around, **common)
            shutil.copy(path, out)
            print(path.stem, flush=True)
        planes = [
            {"state": plane(name, out), "name": name, "title": title}
            for name, title in PLANES.items()
        ]
    for chapter in chapters:
        chapter["picture"], chapter["alt"] = thumbnail(out, chapter["slug"])
    front = {"slug": "index", "title": "A deep autoencoder, seen whole"}
    write_page(out, "front.html", front, None, index, planes=planes, **common)
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
def quiet_place() -> Iterator[None]:
    """Keep what cells print away, and the builder's own runs: the site shows the shipped ones."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AE_RUNS_DIR"] = folder
        yield


def write_page(out: Path, template: str, page: dict, soup: BeautifulSoup | None, index: list, **more):
    """Fill in a template, and note the page's sections for the search."""
    sections = list(sections_of(page, soup)) if soup else []
    index += sections
    text = TEMPLATES.get_template(template).render(
        page=page, body=str(soup or ""), sections=[s for s in sections if s["level"] == 2], **more
    )
    (out / f"{page['slug']}.html").write_text(text)


def sections_of(page: dict, soup: BeautifulSoup) -> Iterator[dict]:
    """Cut a page at its headings: address, heading and text of each section."""
    heads = soup.find_all(["h1", "h2", "h3"])
    for head in heads:
        words = []
        for node in head.find_all_next(string=True):
            parent = node.find_parent(["h1", "h2", "h3"])
            if parent is not None and parent is not head:
                break
            if not (parent or node.find_parent(["pre", "script", "button", "label", "math"])):
                words += node.split()
        yield {
            "page": page["title"],
            "address": f"{page['slug']}.html#{head['id']}",
            "id": head["id"],
            "level": int(head.name[1]),
            "heading": head.get_text(),
            "text": " ".join(words),
        }


class Chapter:
    """A notebook on its way to a page; figures and widgets' data are written beside the page."""

    def __init__(self, path: Path, out: Path) -> None:
        self.slug, self.out = path.stem, out
        self.cells = nbformat.read(path, as_version=4).cells
        self.figures = 0

    def page(self) -> BeautifulSoup:
        """Return the page's main part, cell by cell."""
        soup = BeautifulSoup("", "html.parser")
        for number, cell in enumerate(self.cells):
            section = tag("section", class_=f"cell {cell.cell_type}", id=f"cell-{number}")
            if cell.cell_type == "markdown":
                section.extend(prose(cell.source))
            else:
                section.extend(self.code(number, cell))
            soup.append(section)
        return soup

    def code(self, number: int, cell: nbformat.NotebookNode) -> Iterator[Tag]:
        source = parse(Highlight2HTML()(cell.source)).find("div")
        if "hide-input" in cell.metadata.get("tags", []):
            fold = tag("details", class_="fold")
            fold.extend([tag("summary", "Code", class_="added"), source])
            source = fold
        yield source
        texts = [shown_text(output) for output in cell.outputs]
        if any("run this cell in JupyterLab" in text for text in texts):
            yield self.widgets(number, "".join(texts))
            return
        for output in cell.outputs:
            yield from self.output(number, output)

    def output(self, number: int, output: nbformat.NotebookNode) -> Iterator[Tag]:
        data = output.get("data", {})
        if "image/png" in data:
            yield self.figure(data["image/png"], output.metadata["image/png"]["alt"])
        elif "text/html" in data:
            block = tag("div", class_="output html")
            block.extend(plain_html(data["text/html"]).contents)
            self.make_linked_files(number, block)
            yield block
        elif text := shown_text(output):
            block = tag("pre", class_="output")
            block.extend(parse(ansi2html(text)).contents)
            yield block

    def figure(self, png: str, alt: str) -> Tag:
        self.figures += 1
        content = base64.b64decode(png)
        name = f"figures/{self.slug}-{self.figures}.png"
        (self.out / "figures").mkdir(exist_ok=True)
        (self.out / name).write_bytes(content)
        width, height = Image.open(io.BytesIO(content)).size
        figure = tag("figure", class_="output", id=f"figure-{self.figures}")
        link = tag("a", href=name, class_="zoom")
        link.append(tag("img", src=name, alt=alt, width=width, height=height, loading="lazy"))
        caption = tag("figcaption", class_="added")
        label = f"Figure {int(self.slug[:2])}.{self.figures}"
        caption.append(tag("a", label, href=f"#figure-{self.figures}"))
        figure.extend([link, caption])
        return figure

    def widgets(self, number: int, text: str) -> Tag:
        """Make a place where the cell's widgets come alive; until then it holds their text."""
        why = [reason for begin, reason in NEEDS_PYTHON.items() if text.startswith(begin)]
        if why:
            block = tag("div", class_="output asleep")
            block.append(tag("pre", text))
            block.append(tag("p", why[0], class_="added"))
            return block
        host = tag("div", class_="output live", **{"data-state": self.state(number)})
        host.append(tag("pre", text))
        return host

    def shown(self, number: int) -> list:
        sources = [cell.source for cell in self.cells[: number + 1] if cell.cell_type == "code"]
        with contextlib.redirect_stdout(io.StringIO()):
            return objects_shown(sources)

    def state(self, number: int) -> str:
        widgets = self.shown(number)
        for widget in widgets:
            lighten(widget)
        return pack(widgets, self.out / "data")

    def make_linked_files(self, number: int, block: Tag) -> None:
        """Let a cell that links to a file which it writes write that file for the site, too."""
        if block.find("a", href=re.compile(r"^[\w.]+\.html$")):
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


def thumbnail(out: Path, slug: str) -> tuple[str, str]:
    """Make a small picture of a chapter's first figure; return its address and its alt text."""
    page = BeautifulSoup((out / f"{slug}.html").read_text(), "html.parser")
    first = page.find("img")
    picture = Image.open(out / first["src"]).convert("RGB")
    picture.thumbnail(THUMBNAIL)
    name = f"figures/{slug}.png"
    picture.save(out / name, optimize=True)
    return name, first["alt"]


def prose(source: str) -> list[Tag]:
    """Turn Markdown into HTML: links lead to the site's pages, formulas are MathML."""
    soup = parse(markdown2html(source))
    for link in soup.find_all("a", href=re.compile(r"\.ipynb$")):
        link["href"] = link["href"].removeprefix("../").replace(".ipynb", ".html")
    for anchor in soup.find_all("a", class_="anchor-link"):
        anchor.decompose()
    for table in soup.find_all("table"):
        table.wrap(tag("div", class_="table"))
    for text in soup.find_all(string=MATHS):
        if not text.find_parent(["code", "pre"]):
            text.replace_with(parse(MATHS.sub(as_mathml, text)))
    return soup.contents


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
        table.wrap(tag("div", class_="table"))
    return soup


def shown_text(output: nbformat.NotebookNode) -> str:
    """Return the text of an output, as the notebook shows it without a widget."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def parse(html: str) -> BeautifulSoup:
    """Parse a piece of HTML as it is, without a page around it."""
    return BeautifulSoup(html, "html.parser")


def tag(name: str, text: str = "", class_: str = "", **attributes: object) -> Tag:
    """Make an element."""
    attributes = {key: str(value) for key, value in attributes.items()}
    made = Tag(name=name, attrs=attributes | ({"class": class_} if class_ else {}))
    if text:
        made.append(NavigableString(text))
    return made


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "site")
    out = parser.parse_args().out.resolve()
    build(out)
    print(f"The site is in {out}: open {out / 'index.html'}")


if __name__ == "__main__":
    main()
