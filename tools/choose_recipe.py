"""Choose the recipe of notebook 07's deep autoencoder, on validation images only.

The table that comes with the package was made by::

    python tools/choose_recipe.py --form quick

It trains `recipe.ipynb` for every recipe below with seed 0, and for the best quarter of them, two
at least, with seeds 1, 2 and 3 too: some 40 minutes on two cores. ``more-epochs`` was made in the
same way, afterwards and on a slower machine; of ``long`` only the first stage, in which two of the
three had a higher MSE than in ``quick``. Interrupt it when you like: the same line goes on where it
stopped.

The criterion, named before the sweep: **the lowest median of val_mse / val_knn**, the
squared error divided by the share of digits that 5-NN reads right. A recipe must be good at both,
and one per cent of either weighs the same. There is no threshold to play with, and it puts all
recipes in one order, which the choice of a quarter needs. The recipe is chosen among those with all
four seeds.

Where the recipes lie comes from a few earlier trainings, which were judged on the same validation
images.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ae_helpers import data_name, load_mnist
from ae_helpers.sweep import sweep

NOTEBOOK = Path(__file__).with_name("recipe.ipynb")
TABLE = Path(__file__).parents[1] / "ae_helpers" / "pretrained" / "07_recipes.csv"
MORE_SEEDS = [1, 2, 3]  # for the best quarter, after seed 0 for all
FINALISTS = 2  # that many at least
RECIPE = ["widths", "activation", "epochs", "batch_size", "learning_rate"]
FIGURES = ["val_mse", "val_knn"]

# Every recipe of a form has about the same time, so a small network has more epochs. Quick: half
# of all combinations of four widths, two activations, two batch sizes and two rates, chosen such
# that each value, and each pair of values of two columns, is there as often as every other.
FORMS = {
    "quick": [  # about a minute and a half a model on two cores
        ["512-128", "silu", 60, 128, 0.002],
        ["512-128", "silu", 60, 256, 0.003],
        ["512-128", "relu", 60, 128, 0.003],
        ["512-128", "relu", 60, 256, 0.002],
        ["512-256-64", "silu", 50, 128, 0.003],
        ["512-256-64", "silu", 50, 256, 0.002],
        ["512-256-64", "relu", 50, 128, 0.002],
        ["512-256-64", "relu", 50, 256, 0.003],
        ["512-256-128-64", "silu", 45, 128, 0.002],
        ["512-256-128-64", "silu", 45, 256, 0.003],
        ["512-256-128-64", "relu", 45, 128, 0.003],
        ["512-256-128-64", "relu", 45, 256, 0.002],
        ["1024-512-256", "silu", 18, 128, 0.003],
        ["1024-512-256", "silu", 18, 256, 0.002],
        ["1024-512-256", "relu", 18, 128, 0.002],
        ["1024-512-256", "relu", 18, 256, 0.003],
    ],
    "more-epochs": [  # the two best of "quick" again: 412 to 504 seconds of one processor each
        ["512-256-64", "relu", 85, 128, 0.002],
        ["512-256-128-64", "silu", 80, 256, 0.003],
    ],
    "long": [  # the three best networks of "quick": 1,053 to 1,239 seconds of one processor each
        ["512-256-64", "relu", 190, 128, 0.002],
        ["512-256-128-64", "silu", 180, 256, 0.003],
        ["1024-512-256", "silu", 72, 128, 0.003],
    ],
}

# Chosen by the shipped table, and frozen before any test image is asked.
CHOSEN = {
    "quick": ["512-256-64", "relu", 50, 128, 0.002],
    "more-epochs": ["512-256-64", "relu", 85, 128, 0.002],
}


def choose(form: str, out: Path, workers: int | None = None, **fixed: Any) -> pd.DataFrame:
    """Train the recipes of a form in two stages.

    Parameters
    ----------
    form
        A key of ``FORMS``.
    out
        The folder in which the two sweeps have theirs; what is done there is not done again.
    workers
        Runs at a time, each with one thread; by default as many as there are cores.
    **fixed
        Further parameters of the notebook, such as ``n_train``.

    Returns
    -------
    pandas.DataFrame
        One row a training: ``form``, the columns of ``RECIPE``, ``seed``, ``val_mse``,
        ``val_knn``, ``seconds`` of one processor that the training took.
    """
    recipes = FORMS[form]
    first = _train(recipes, [0], out / f"{form}-1", workers, fixed)
    best = rank(first).index[: max(FINALISTS, math.ceil(len(recipes) / 4))]
    chosen = [recipe for recipe in recipes if tuple(recipe) in best]
    second = _train(chosen, MORE_SEEDS, out / f"{form}-2", workers, fixed)
    table = pd.concat([first, second], ignore_index=True)
    table.insert(0, "form", form)
    return table


def rank(table: pd.DataFrame) -> pd.DataFrame:
    """Order the recipes of one form, those with the most seeds first, each by its median.

    Examples
    --------
    >>> rows = [["512-128", "relu", 9, 128, 0.002], ["512-128", "silu", 9, 128, 0.002]]
    >>> table = pd.DataFrame(rows, columns=RECIPE).assign(val_mse=[0.04, 0.03], val_knn=0.8)
    >>> rank(table)[["seeds", "score"]].round(4).values.tolist()
    [[1.0, 0.0375], [1.0, 0.05]]
    """
    groups = table.assign(score=table["val_mse"] / table["val_knn"]).groupby(RECIPE)
    ranking = groups[[*FIGURES, "score"]].median()
    ranking.insert(0, "seeds", groups.size())
    return ranking.sort_values(["seeds", "score"], ascending=[False, True])


def merge(table: pd.DataFrame, path: Path) -> None:
    """Write the table into the file, in place of the rows of the same form that it has."""
    if path.exists():
        known = pd.read_csv(path)
        table = pd.concat([known[~known["form"].isin(table["form"])], table])
    in_order = table.sort_values(
        "form", key=lambda forms: forms.map(list(FORMS).index), kind="stable"
    )
    in_order.to_csv(path, index=False, lineterminator="\n")


def _train(
    recipes: Sequence[list[Any]],
    seeds: Sequence[int],
    out: Path,
    workers: int | None,
    fixed: dict[str, Any],
) -> pd.DataFrame:
    vary = {"recipe": recipes, "seed": seeds}
    rows = sweep(NOTEBOOK, vary, fixed=fixed, out=out, workers=workers, resume=True)
    for row in rows:
        if row["status"] != "done":
            raise SystemExit(f"{row['run']} in {out} failed: {row['error']} Try the line again.")
    return pd.DataFrame(
        dict(zip(RECIPE, row["recipe"], strict=True))
        | {"seed": row["seed"]}
        | {name: round(row[name], 6) for name in FIGURES}
        | {"seconds": round(row["cpu_seconds"], 1)}
        for row in rows
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", choices=FORMS, help="by default one after the other")
    parser.add_argument("--out", type=Path, default=Path("build/recipes"), help="of the sweeps")
    parser.add_argument("--workers", type=int, help="runs at a time; by default one for each core")
    arguments = parser.parse_args()
    if data_name(*load_mnist()) != "MNIST":
        parser.error("the shipped table is of the full MNIST: name it with AE_MNIST=mnist.npz")
    for form in [arguments.form] if arguments.form else FORMS:
        table = choose(form, arguments.out, arguments.workers)
        merge(table, TABLE)
        print(f"\n{form}, the best recipe first:\n{rank(table).reset_index().to_string()}")


if __name__ == "__main__":
    main()
