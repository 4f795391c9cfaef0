"""The course's terms: a page of them, and a link to it where a chapter first uses one."""

import re
from collections.abc import Callable
from pathlib import Path

from bs4 import BeautifulSoup

NO_PLACE = ["a", "code", "pre", "h1", "h2", "h3", "em"]  # for a link to a term


class Terms:
    """The terms of ``docs/site/glossary.md``.

    Each has a heading: ``## epoch, epochs`` is a term, and the other forms in which a text may
    name it; ``## code: a code, codes`` is found in these forms alone.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        heading = re.compile(r"^## (([^,:\n]+)(?::|,|$).*)$", re.MULTILINE)
        self.term_of = {
            form.lower(): term
            for line, term in heading.findall(text)
            for form in re.split(r", ", line.removeprefix(f"{term}: "))
        }
        self.page = heading.sub(r"## \2", text)  # a heading is the term alone
        longest_first = sorted(self.term_of, key=len, reverse=True)
        self.pattern = re.compile(
            rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE
        )

    def links_at_first_use(self) -> Callable[[BeautifulSoup], None]:
        """Return what links the terms of a page's prose, given to it piece by piece, once each."""
        linked = set()

        def link(soup: BeautifulSoup) -> None:
            for text in soup.find_all(string=self.pattern):
                if text.find_parent(NO_PLACE):
                    continue
                parts, end = [], 0
                for found in self.pattern.finditer(text):
                    term = self.term_of[found[0].lower()]
                    if term in linked or text[: found.start()].count("$") % 2:  # in a formula
                        continue
                    linked.add(term)
                    address = f"glossary.html#{slug(term)}"
                    anchor = soup.new_tag("a", href=address, attrs={"class": "term"})
                    anchor.string = found[0]
                    parts += [text[end : found.start()], anchor]
                    end = found.end()
                if parts:
                    text.replace_with(*parts, text[end:])

        return link


def slug(term: str) -> str:
    """Return a term's address within the page."""
    return "-".join(re.findall(r"\w+", term.lower()))
