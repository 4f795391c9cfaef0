"""Hold the notebooks' prose to what their cells show: each decimal number and each percentage.

A number stands if an output or the code, an assert mostly, has it with as many digits or more,
or if its paragraph carries its source: a link to the web, or the words "the article".
"""

import ast
import re

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_notebooks import ALL, COURSE, cells_of, outputs_of, read, texts_of

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
SOURCE = re.compile(r"https://|\bthe article\b", re.IGNORECASE)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?!\.?\w)")
# But for a "95 % interval": no finding, the name of a kind of interval.
PERCENT = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)(?: ?%| per cent\b| in (?:100|a hundred)\b)(?! (?:conf|interv))"
)


def numbers_of(path):
    """The decimal numbers and percentages in the outputs and in the code, its strings apart."""
    written = [o for o in outputs_of(path) if "image/png" not in o.get("data", {})]
    texts = [text for output in written for text in texts_of(output)]
    for cell in cells_of(path):
        tree = ast.parse(TransformerManager().transform_cell(cell.source))  # of a line like %pip
        values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        texts += [repr(value) for value in values if isinstance(value, float)]
    return DECIMAL.findall("\n".join(texts)), PERCENT.findall("\n".join(texts))


def stands(claim, numbers, in_percent=False):
    """Whether one of the numbers, rounded to the claim's digits, is the claim."""
    digits, scale = len(claim.partition(".")[2]), 100 if in_percent else 1
    precise = [n for n in numbers if len(n.partition(".")[2]) >= digits + 2 * in_percent]
    return any(abs(scale * float(n) - float(claim)) < 0.5001 * 10**-digits for n in precise)


def unshown(path):
    """List the numbers of prose and alt texts that nothing shows, each with its paragraph."""
    decimals, percentages = numbers_of(path)
    texts = [CODE.sub("", cell.source) for cell in cells_of(path, "markdown")]
    texts += [o.get("metadata", {}).get("image/png", {}).get("alt", "") for o in outputs_of(path)]
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*|])", "\n\n".join(texts)):
        if not SOURCE.search(paragraph):
            for claim in PERCENT.findall(paragraph):
                if not stands(claim, percentages) and not stands(claim, decimals, in_percent=True):
                    yield f"{claim} %: {paragraph}"
            for claim in DECIMAL.findall(PERCENT.sub("", paragraph)):
                if not stands(claim, decimals):
                    yield f"{claim}: {paragraph}"


@pytest.mark.parametrize("path", ALL, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_number_in_the_prose_is_shown_or_has_a_source(path):
    assert not list(unshown(path))


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_a_notebook_says_how_long_it_is(path):
    title, *_ = prose = [cell.source for cell in cells_of(path, "markdown")]
    ((words, cells),) = re.findall(r"minutes to read \(([\d,]+) words in (\d+) cells\)", title)
    n_words = len(CODE.sub("", " ".join(prose)).split())
    assert abs(int(words.replace(",", "")) / n_words - 1) < 0.1, f"{path.stem}: {n_words} words"
    assert int(cells) == len(read(path).cells) <= 90, f"{path.stem}: {len(read(path).cells)} cells"


def test_a_number_that_stands_nowhere_is_found(tmp_path):
    said = new_output("stream", text="PCA 0.2287, 61 in 100, 3.14 %\n")
    code = new_code_cell("grey = 0.5  # not 0.7\nprint('0.7')", outputs=[said])
    right = "PCA 0.229, or 0.2287; grey is 0.5; `x=0.7`; 61 %, 3.1 per cent; a 95 % interval"
    wrong = "- the article says 0.7\n- we say 0.7, 62 %, 60 per cent, 0.2288 and 0.22870"
    cells = [new_markdown_cell(right), new_markdown_cell(wrong), code]
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    found = [line.partition(":")[0] for line in unshown(tmp_path / "a.ipynb")]
    assert found == ["62 %", "60 %", "0.7", "0.2288", "0.22870"]
