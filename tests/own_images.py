"""Small sets of images that are not MNIST, made on the spot: what readers bring along."""

import numpy as np
import pandas as pd
from matplotlib.font_manager import fontManager
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits


def eight_by_eight(folder):
    """scikit-learn's digits, 8 × 8, pixels 0 to 16."""
    np.savez(
        folder / "digits.npz", images=load_digits().images[:400], labels=load_digits().target[:400]
    )
    return folder / "digits.npz"


def letters(folder, each=12):
    """The alphabet in matplotlib's fonts, a name for each class."""
    random, images, labels = np.random.default_rng(0), [], []
    files = sorted(f.fname for f in fontManager.ttflist if "DejaVuSans" in f.fname)[:4]
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for i in range(each):
            picture = Image.new("L", (28, 28))
            font = ImageFont.truetype(files[i % len(files)], 22)
            ImageDraw.Draw(picture).text((14, 14), letter, 255, font, anchor="mm")
            images.append(np.asarray(picture.rotate(random.normal(0, 8))))
            labels.append(letter)
    np.savez(folder / "letters.npz", x=images, y=labels)
    return folder / "letters.npz"


def drawn(random, kind, size):
    """One coloured picture of a kind, dark on light."""
    picture = Image.new("RGB", size, "white")
    (w, h), draw = size, ImageDraw.Draw(picture)
    x, y = random.uniform(0.1, 0.3, 2) * size
    box = (x, y, w - x, h - y)
    colour = tuple(int(c) for c in random.integers(0, 150, 3))
    {"disc": draw.ellipse, "box": draw.rectangle, "line": draw.line}[kind](box, fill=colour)
    return picture


def mixed(folder, n=500, labelled=True):
    """Pictures of many sizes, formats and kinds, with what else lies about in a folder."""
    random, place = np.random.default_rng(0), folder / ("mixed" if labelled else "unlabelled")
    for i in range(n):
        kind, ending = ("disc", "box", "line")[i % 3], ("png", "jpg", "gif", "webp")[i % 4]
        home = place / (f"{kind} <b>&$x_$</b>" if labelled else "")
        home.mkdir(parents=True, exist_ok=True)
        size = tuple(int(s) for s in random.integers(20, 160, 2))
        drawn(random, kind, size).save(home / f"{kind} {i}.{ending}")
    (place / "notes.txt").write_text("not a picture")
    (place / "cut.png").write_bytes((home / f"{kind} {n - 1}.webp").read_bytes()[:60])
    return place


def table(folder):
    """Kaggle's form: a column of labels, and 64 of pixels."""
    frame = pd.DataFrame(load_digits().data[:300].astype(int)).add_prefix("pixel")
    frame.insert(0, "label", load_digits().target[:300])
    frame.to_csv(folder / "train.csv", index=False)
    return folder / "train.csv"


def unlabelled(folder):
    return mixed(folder, 120, labelled=False)


SETS = {
    "8 × 8": eight_by_eight,
    "letters": letters,
    "mixed": mixed,
    "table": table,
    "unlabelled": unlabelled,
}
