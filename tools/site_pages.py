"""Turn Markdown and notebooks into what the site's templates show."""

import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import latex2mathml.converter
import nbformat
from bs4 import BeautifulSoup
from bs4.element import PageElement
from glossary import Terms
from live_cells import objects_shown, pack, write_script
from nbconvert.filters import Highlight2HTML, ansi2html, markdown2html
from page_checks import bake, check_called, judges_of
from PIL import Image

from ae_helpers import LatentExplorer, data, load_film, load_run
from ae_helpers.runs import PRETRAINED
from ae_helpers.widgets.film import read_weights

ORIGINALS = 2000  # of a map's originals sent to the page, taken evenly from the classes
THUMBNAIL = (480, 270)  # pixels
# What answers in Python alone, by how its text begins, and why.
NEEDS_PYTHON = {
    "interactive": "Each move calls Keras and matplotlib, so this needs Python: run the chapter.",
    "LatentSliders": "Each move is a message to Python and back: run the chapter to try it.",
    "LatentExplorer(2,000 points in 10 classes, a film": "Both are trained in the chapter: run it. "
    "Chapter 4 has a film that plays here.",
    "HBox(children=(DrawingBoard": "What you draw is encoded in Python: run the chapter to try it.",
    "LatentExplorer(6,000 points in 26": "Its network is trained in the chapter: run it to try it.",
}
FILMED = "03_training"  # its maps follow a training: the shipped film stands in for it
NO_MNIST = "It shows digits of MNIST, which were not at hand for this page: run the chapter."
WIDGET = "run this cell in JupyterLab"  # what the text of a widget says
EXERCISE = re.compile(r"^\*\*(\d+)\.\*\* .+", re.MULTILINE)
GUESS = re.compile(r"\bGuess first\b|Before you look:")
TABLE = re.compile(r"\S {2,}\S")  # columns: such a text keeps its lines, any other may be wrapped
MATHS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
TOKEN = re.compile(r'<span class="(\w+)">([^<]*)</span>')
LOOKS = Path(__file__).resolve().parents[1] / "docs" / "site" / "site.css"
COLOURED = set(re.findall(r"\.([a-z]\w*)", LOOKS.read_text()))  # kinds of tokens, among others


class Page:
    """What the templates ask of every page; its sections are found by the search."""

    def __init__(self, slug: str, title: str, terms: Terms | None = None) -> None:
        self.slug, self.title = slug, title
        self.sections = []
        self.link_terms = terms.links_at_first_use() if terms else lambda soup: None

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
        self.link_terms(soup)
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
            names = {"page": self.title, "address": address, "id": node["id"]}
            self.sections.append(names | {"heading": text, "text": ""})
        elif text and node.name != "pre":
            self.sections[-1]["text"] += f"{text} "


class NotebookPage(Page):
    """The cells of a notebook; figures and widgets' data are written beside the page."""

    def __init__(self, path: Path, title: str, out: Path, **more: Any) -> None:
        super().__init__(path.stem, title, **more)
        self.out, self.figures, self.picture = out, 0, ""
        self.notebook = nbformat.read(path, as_version=4).cells
        self.sources = [cell.source for cell in self.notebook if cell.cell_type == "code"]
        self.cells = [self.cell(number, cell) for number, cell in enumerate(self.notebook)]

    def cell(self, number: int, cell: nbformat.NotebookNode) -> dict[str, Any]:
        """Return what the template shows of a cell; a chapter adds what its reader does there."""
        shown = {"outputs": [], "folded": False} | dict.fromkeys(["guess", "check"])
        shown |= {"guessed": [], "solution": []}
        if cell.cell_type == "markdown":
            return shown | {"kind": "markdown", "body": self.prose(cell.source)}
        return shown | {
            "kind": "code",
            "body": highlighted(cell.source),
            "folded": only_draws(cell),
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
                text = shown_text(output)
                yield {"kind": "text", "body": ansi2html(text), "sentence": not TABLE.search(text)}

    def widgets(self, number: int, text: str) -> dict[str, str]:
        """Write what a cell's widgets need to be alive; those that need Python stay a text."""
        why = [reason for begin, reason in NEEDS_PYTHON.items() if text.startswith(begin)]
        if why:
            return {"kind": "asleep", "text": text, "why": why[0]}
        filmed = self.slug == FILMED
        widgets = map_of_the_film(", a film of" in text) if filmed else self.shown(number)
        if not widgets:
            return {"kind": "asleep", "text": text, "why": NO_MNIST}
        return {"kind": "live", "text": text, "state": write_widgets(widgets, self.out)[0]}

    def figure(self, png: str) -> dict[str, Any]:
        """Write a figure, and for the first also a small one for the front page."""
        self.figures += 1
        name = f"figures/{self.slug}-{self.figures}.png"
        (self.out / name).write_bytes(base64.b64decode(png))
        with Image.open(self.out / name) as picture:
            width, height = picture.size
            if self.figures == 1:
                self.picture = f"figures/{self.slug}.webp"
                small = picture.convert("RGB")
                small.thumbnail(THUMBNAIL)
                small.save(self.out / self.picture, quality=85)
        size = {"width": width, "height": height}
        return {"kind": "figure", "name": name, "number": self.figures} | size

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


class Solutions(NotebookPage):
    """The solutions of a chapter, by the number of the exercise."""

    def __init__(self, path: Path, out: Path) -> None:
        super().__init__(path, "Solutions", out)
        self.of = {}
        for cell, shown in zip(self.notebook, self.cells, strict=True):
            number = EXERCISE.search(cell.source)
            if cell.cell_type == "markdown" and number:
                self.of[number[1]] = []  # the exercise itself stands in the chapter
            elif self.of:
                next(reversed(self.of.values())).append(shown)

    def figure(self, png: str) -> dict[str, Any]:
        """Write a figure under a name that is not the chapter's."""
        self.slug, slug = f"{self.slug}-solution", self.slug
        shown = super().figure(png)
        self.slug = slug
        return shown


class Chapter(NotebookPage):
    """A notebook as a page, with what its reader guesses and answers."""

    def __init__(self, path: Path, row: dict[str, str], out: Path, terms: Terms) -> None:
        super().__init__(path, row["title"], out, terms=terms)
        print(self.title, flush=True)
        self.row = row
        shutil.copy(path, out)
        solutions = path.parent / "solutions" / path.name
        self.judges = {}
        if solutions.exists():
            self.add_exercises(Solutions(solutions, out))
        self.add_guesses()

    def add_exercises(self, solutions: Solutions) -> None:
        """Put a form, where a page can check the answer, and the solution below each exercise."""
        with contextlib.redirect_stdout(io.StringIO()) as told:
            self.judges = judges_of(self.sources, solutions.sources)
        on_sample = "NOTICE: this is the sample" in told.getvalue()
        number = question = None
        for cell, shown in zip(self.notebook, self.cells, strict=True):
            found = EXERCISE.search(cell.source)
            if cell.cell_type == "markdown":
                number, question = (found[1], found[0]) if found else (None, None)
            elif number and (call := check_called(cell.source)):
                shown["solution"] = solutions.of.get(number, [])
                if call.func.id in self.judges:
                    baked = bake(self.judges[call.func.id])
                    file = write_script(json.dumps(baked).encode(), self.out / "data")
                    wanted = {name: baked.get(name) for name in ("asked", "classes")}
                    shown["check"] = wanted | {
                        "name": call.func.id,
                        "file": file,
                        "guess": guess_asked(baked, question),
                        "on_sample": on_sample,
                        "question": plain_text(question),
                    }

    def add_guesses(self) -> None:
        """Give each question that wants a guess a field, and let the answer show the guess."""
        waiting = []
        for cell, shown in zip(self.notebook, self.cells, strict=True):
            if cell.cell_type == "code":
                if shown["outputs"] and not shown["check"]:
                    shown["guessed"], waiting = waiting, []
                continue
            paragraphs = [p for p in cell.source.split("\n\n") if GUESS.search(p)]
            if paragraphs and not EXERCISE.search(cell.source):
                question = plain_text(paragraphs[0])
                key = f"{self.slug}-{hashlib.sha256(question.encode()).hexdigest()[:8]}"
                shown["guess"] = {"key": key, "question": question}
                waiting.append(key)


def write_widgets(widgets: list[ipywidgets.Widget], out: Path) -> list[str]:
    """Write what widgets need to be alive in a page; return the files' names, as `pack` does."""
    for widget in widgets:
        lighten(widget)
    return pack(widgets, out / "data")


def map_of_the_film(ended: bool) -> list[LatentExplorer]:
    """Make the map of the shipped film's training, before its first step or with the whole film.

    Where MNIST, whose digits it shows, is not at hand there is none.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        parts = data.load_mnist()
    if data.data_name(*parts) != "MNIST":
        return []
    film = load_film(PRETRAINED / "04_film.npz")
    (images, labels), n_shown, first = parts[0], len(film[0].codes), film[0]
    layers = read_weights(load_run("article").decoder_weights, first.weights)
    shown = {"points": first.codes, "labels": labels[:n_shown], "images": images[:n_shown]}
    explorer = LatentExplorer(layers, **shown)
    if ended:
        explorer.film = film
    return [explorer]


def lighten(widget: ipywidgets.Widget) -> None:
    """Leave out most of a map's originals: with all, a page would be ten times as large."""
    if isinstance(widget, LatentExplorer):
        widget._images = widget._images[: widget.image.size * ORIGINALS]


def highlighted(code: str) -> str:
    """Colour code; what gets no colour needs no element, of which a page would have thousands."""
    html = Highlight2HTML()(code)
    return TOKEN.sub(lambda token: token[0] if token[1] in COLOURED else token[2], html)


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


def guess_asked(baked: dict[str, Any], question: str) -> str:
    """Say how a form asks for a guess, if it does; a check that knows of none keeps it as text."""
    if "guesses" in baked:
        return "class" if "classes" in baked else "percent"
    return "text" if GUESS.search(question) else ""


def only_draws(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell only builds a figure with matplotlib: the page folds its code.

    It prints nothing, and no network runs in it. One that calls a function for its figure, as
    most do, is short, and says what the figure shows.
    """
    figures = ["image/png" in output.get("data", {}) for output in cell.outputs]
    by_hand = "plt.subplot" in cell.source and ".predict(" not in cell.source
    return by_hand and bool(figures) and all(figures)


def shown_text(output: nbformat.NotebookNode) -> str:
    """Return the text of an output, as the notebook shows it without a widget."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def plain_text(markdown: str) -> str:
    """Return the words of a paragraph of Markdown."""
    return parse(markdown2html(markdown)).get_text().strip()


def parse(html: str) -> BeautifulSoup:
    """Parse a piece of HTML as it is, without a page around it."""
    return BeautifulSoup(html, "html.parser")
