"""Make the file on which notebook 09 shows what a choice does to the winner's own figure.

The file that comes with the package was made by::

    python tools/small_recipes.py

It trains `recipe.ipynb` for each of the quick recipes of `choose_recipe.py`, with an eighth of the
units, on 5,000 images, and with four seeds: 64 runs, a quarter of an hour on two cores. Interrupt
it when you like: the same line goes on where it stopped. Then it asks of each run which validation
and test images 5-NN reads rightly.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from choose_recipe import FORMS, NOTEBOOK
from sklearn.neighbors import KNeighborsClassifier

from ae_helpers import data_name, load_mnist, load_run, prepare, split_validation
from ae_helpers.numpy_layers import apply_layers
from ae_helpers.runs import Run
from ae_helpers.sweep import sweep

FILE = Path(__file__).parents[1] / "ae_helpers" / "pretrained" / "09_recipes_small.npz"
N_TRAIN = 5000
SEEDS = [0, 1, 2, 3]
RECIPES = [
    ["-".join(str(int(width) // 8) for width in widths.split("-")), *rest]
    for widths, *rest in FORMS["quick"]
]
HOW = "python tools/small_recipes.py: tools/recipe.ipynb with n_train=5000, bits by np.packbits"


def read_rightly(
    run: Run, known: tuple[np.ndarray, np.ndarray], unseen: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Say of each unseen image whether its five nearest known codes vote for its digit.

    ``known`` and ``unseen`` are images ``(n, 784)`` and their labels; bool ``(n,)`` is returned.

    Examples
    --------
    >>> part = np.eye(10, 784, dtype="float32"), np.zeros(10, "uint8")
    >>> read_rightly(load_run("article"), part, part).tolist() == [True] * 10
    True
    """
    codes, unseen_codes = (apply_layers(run.encoder_weights, X) for X, _ in (known, unseen))
    return KNeighborsClassifier(5).fit(codes, known[1]).predict(unseen_codes) == unseen[1]


def write_file(path: Path, runs: list[dict], out: Path) -> None:
    """Read the runs of the sweep in ``out``, whose rows are ``runs``, and write the file."""
    training_part, (X_test, y_test) = load_mnist()
    (X_train, y_train), (X_val, y_val) = split_validation(*training_part)
    known = prepare(X_train[:N_TRAIN]), y_train[:N_TRAIN]
    parts = {"validation": (prepare(X_val), y_val), "test": (prepare(X_test), y_test)}
    right = {part: [] for part in parts}
    for row in runs:
        os.environ["AE_RUNS_DIR"] = str(out / row["run"] / "runs")
        run = load_run("recipe")
        for part, unseen in parts.items():
            right[part].append(read_rightly(run, known, unseen))
        off = right["validation"][-1].mean() - row["val_knn"]  # kept weights are float16
        assert abs(off) < 0.005, f"{row['run']} says {row['val_knn']}, and {off:+.4f} is found"
    np.savez_compressed(
        path,
        recipe=[" ".join(map(str, row["recipe"])) for row in runs],
        seed=np.array([row["seed"] for row in runs], "uint8"),
        how=HOW,
        **{part: np.packbits(rows, axis=0).T for part, rows in right.items()},  # a row an image
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/small"), help="of the sweep")
    arguments = parser.parse_args()
    if data_name(*load_mnist()) != "MNIST":
        parser.error("the shipped file is of the full MNIST: name it with AE_MNIST=mnist.npz")
    vary = {"recipe": RECIPES, "seed": SEEDS}
    runs = sweep(NOTEBOOK, vary, fixed={"n_train": N_TRAIN}, out=arguments.out, resume=True)
    if failed := [row["run"] for row in runs if row["status"] != "done"]:
        raise SystemExit(f"{', '.join(failed)} failed: try the line again.")
    write_file(FILE, runs, arguments.out)


if __name__ == "__main__":
    main()
