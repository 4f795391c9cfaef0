"""Draw the README's pictures: `.venv/bin/python tools/make_result.py`.

``docs/result.png`` is drawn here; ``docs/film.png`` is a figure of notebook 4, as it is committed.
"""

import io
from base64 import b64decode
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
from PIL import Image

from ae_helpers import load_mnist, load_run, prepare
from ae_helpers.numpy_layers import apply_layers
from ae_helpers.plots import PALETTE, scatter_codes

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Draw the codes beside a grid of digits, and save both as one picture."""
    run = load_run("article")
    (X_train, y_train), _ = load_mnist()
    codes = apply_layers(run.encoder_weights, prepare(X_train))
    low, high = np.percentile(codes, [1, 93], axis=0)  # without the 1s far out, the rest has room
    inside = ((codes >= low) & (codes <= high)).all(axis=1)

    figure, (left, right) = plt.subplots(ncols=2, figsize=(12, 5.4))
    scatter_codes(codes[inside], y_train[inside], left, size=2)
    left.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), title="each digit is two numbers …")

    z1, z2 = (np.linspace(low[i], high[i], 15) for i in range(2))
    points = np.stack(np.meshgrid(z1, z2[::-1]), axis=-1).reshape(-1, 2).astype("float32")
    digits = apply_layers(run.decoder_weights, points).reshape(15, 15, 28, 28)
    extent = (low[0], high[0], low[1], high[1])
    right.imshow(digits.swapaxes(1, 2).reshape(420, 420), extent=extent, aspect="auto")
    right.set(xlabel="z₁", ylabel="z₂", title="… and any two numbers are a digit")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    picture = Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    picture.save(ROOT / "docs" / "result.png", optimize=True)

    notebook = nbformat.read(ROOT / "notebooks" / "04_encoder_scatter.ipynb", as_version=4)
    (strip,) = next(cell.outputs for cell in notebook.cells if cell.id == "04-film-strip")
    (ROOT / "docs" / "film.png").write_bytes(b64decode(strip.data["image/png"]))


if __name__ == "__main__":
    main()
