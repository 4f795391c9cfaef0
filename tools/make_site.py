"""Build the course as a static site: the committed notebooks, read and touched without Python.

Each notebook becomes a page with the text and figures that are committed; nothing is trained.
Where a cell shows a widget, the page holds it alive. What belongs to the site alone, its template,
looks and scripts, stands in ``docs/site``.
"""

import argparse
import contextlib
import functools
import io
import itertools
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jinja2
import numpy as np
from glossary import Terms
from site_pages import Chapter, Page, write_widgets

from ae_helpers import LatentExplorer, Playground, data, load_run, prepare
from ae_helpers.numpy_layers import apply_layers

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
SOURCES = REPOSITORY / "docs" / "site"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(SOURCES), autoescape=True, undefined=jinja2.StrictUndefined
)
PLANES = {
    "article": "the article's network",
    "07_deep": "a deeper one",
    "07_vae": "a variational one, both from chapter 7",
}


def build(out: Path) -> list[Chapter]:
    """Write the whole site into a folder, in place of what is there; return its chapters."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "figures").mkdir(parents=True)
    for name in ("site.css", "site.js", "guesses.js", "live.js"):
        shutil.copy(SOURCES / name, out)
    rows = chapter_rows((REPOSITORY / "README.md").read_text())
    terms = Terms(SOURCES / "glossary.md")
    with nothing_of_the_builder():
        chapters = [
            Chapter(path, rows[path.stem], out, terms) for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        ]
        planes = [
            {"files": plane(name, out), "name": name, "title": title}
            for name, title in PLANES.items()
        ]
    common = {"chapters": chapters, "repository": repository(), "home": home()}
    front = Page("index", "A deep autoencoder, seen whole")
    write_page(out, "front.html", front, planes=planes, files=planes[0]["files"], **common)
    for number, chapter in enumerate(chapters):
        around = {"before": chapters[:number][-1:], "after": chapters[number + 1 :][:1]}
        write_page(out, "chapter.html", chapter, **around, **common)
    playground = Page("playground", "Watch it learn")
    files = write_widgets([Playground()], out)
    write_page(out, "playground.html", playground, files=files, **common)
    glossary = Page("glossary", "The course's words")
    write_page(out, "text.html", glossary, body=glossary.prose(terms.page), **common)
    teaching = Page("teaching", "Teaching with the course")
    text = (SOURCES.parent / "teaching.md").read_text().replace(home(), "")  # also in a folder
    write_page(out, "text.html", teaching, body=teaching.prose(text), **common)
    pages = [*chapters, glossary, teaching]
    index = [section for page in pages for section in page.sections]
    (out / "search_index.js").write_text(f"searchIndex = {json.dumps(index)};\n")
    return chapters


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


def home() -> str:
    """Return the address at which the code host's pages show the site."""
    owner, name = repository().split("/")[-2:]
    return f"https://{owner}.github.io/{name}/"


@contextlib.contextmanager
def nothing_of_the_builder() -> Iterator[None]:
    """Show the shipped runs, whatever runs the builder has, and let nothing be downloaded.

    The digits are read once for all chapters. Where MNIST is not at hand, the sample takes its
    place in what moves and in what is checked.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AE_RUNS_DIR"] = folder
        keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        at_hand = os.environ.get("AE_MNIST") or (keras_home / "datasets" / "mnist.npz").exists()
        if not at_hand:
            sample = Path(folder) / "sample.npz"
            (x_train, y_train), (x_test, y_test) = data.read_sample()
            np.savez(sample, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
            os.environ["AE_MNIST"] = str(sample)
        try:
            with mock.patch.object(data, "load_mnist", reading_once(data.load_mnist)):
                yield
        finally:
            if not at_hand:
                del os.environ["AE_MNIST"]


def reading_once(load: Callable) -> Callable:
    """Make a `load_mnist` that unpacks the digits once; what would change them is an error."""

    @functools.cache
    def read() -> tuple[tuple, str]:
        with contextlib.redirect_stdout(io.StringIO()) as told:
            parts = load()
        for array in itertools.chain(*parts):
            array.flags.writeable = False
        return parts, told.getvalue()

    def load_once(source: str = "auto", return_files: bool = False) -> tuple:
        if source != "auto":
            return load(source, return_files)
        parts, told = read()
        print(told, end="")
        return (*parts, None) if return_files else parts  # digits have no files of their own

    return load_once


def write_page(out: Path, template: str, page: Page, **more: Any) -> None:
    """Fill in a template."""
    text = TEMPLATES.get_template(template).render(page=page, **more)
    (out / f"{page.slug}.html").write_text(text)


def plane(name: str, out: Path) -> list[str]:
    """Pack the map of a shipped run, with the codes of all training images, into files."""
    run = load_run(name)
    with contextlib.redirect_stdout(io.StringIO()):
        (images, labels), _ = data.load_mnist()
    codes = apply_layers(run.encoder_weights, prepare(images))
    explorer = LatentExplorer(run.decoder_weights, points=codes, labels=labels, images=images)
    return write_widgets([explorer], out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "site")
    out = parser.parse_args().out.resolve()
    build(out)
    print(f"The site is in {out}: open {out / 'index.html'}")


if __name__ == "__main__":
    main()
