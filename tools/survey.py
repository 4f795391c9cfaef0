"""Train four kinds of network for many seeds, and keep one line of text for each training.

The file that comes with the package was made by::

    python tools/survey.py

It takes about half an hour on two cores. Interrupt it when you like: it goes on where it stopped.
"""

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

SURVEY = Path(__file__).parents[1] / "ae_helpers" / "pretrained" / "survey.csv"
SEEDS = {"relu": 256, "linear": 256, "he": 128, "prelu": 128}  # how many of each kind, from 0 up
AT_ONCE = 16  # seeds trained before their lines are written
COLUMNS = ("network", "seed", "loss", "val_loss", "live_at_start", "live", "died_in")


def read_survey(path: Path = SURVEY) -> list[dict[str, object]]:
    """Read a survey.

    Parameters
    ----------
    path
        A file that ``python tools/survey.py`` made; by default the one that is shipped:
        the full MNIST, 10 epochs, batches of 32, adam, binary cross-entropy.

    Returns
    -------
    list of dict
        One for each training: ``network`` (a kind, as `make_network` knows it), ``seed``,
        ``loss`` and ``val_loss`` after the last epoch, ``live_at_start`` and ``live`` (how many
        of the two code units give more than one value over the test images, before and after
        training), ``died_in`` (the first epoch at whose end there were so few; None if both
        live).

    Examples
    --------
    >>> rows = read_survey()
    >>> sorted({row["network"] for row in rows})
    ['he', 'linear', 'prelu', 'relu']
    """
    kinds = {"network": str, "loss": float, "val_loss": float}
    with path.open(newline="") as file:
        return [
            {name: kinds.get(name, int)(value) if value else None for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def live_units(code_range: np.ndarray) -> np.ndarray:
    """Count the units of the code that give more than one value.

    Parameters
    ----------
    code_range
        ``(..., units)``: as `train_many` returns it.

    Returns
    -------
    numpy.ndarray
        ``(...)`` int.

    Examples
    --------
    >>> live_units(np.array([[3.1, 0.0], [2.0, 7.5]]))
    array([1, 2])
    """
    return np.count_nonzero(code_range > 0, axis=-1)


def make_network(kind: str) -> "keras.Model":
    """Build a network of one kind, with new start weights, and compile it.

    Parameters
    ----------
    kind
        ``"relu"``: the course's autoencoder. ``"linear"``: the same with a linear code.
        ``"he"``: the course's, with He start weights in the layers that end in relu.
        ``"prelu"``: the same with PReLU in place of relu (He and others 2015: the fraction that
        passes below 0 is learned, and starts at 0.25).

    Returns
    -------
    keras.Model
        ``(n, 784) → (n, 784)``.

    Examples
    --------
    >>> [make_network(kind).count_params() for kind in SEEDS]
    [51154, 51154, 51154, 51220]
    """
    import keras

    from ae_helpers import build_autoencoder

    if kind in ("he", "prelu"):
        layers, he = [keras.Input(shape=(784,))], {"kernel_initializer": "he_normal"}
        for units, name in ((32, "in"), (2, "code"), (32, "out")):
            if kind == "he":
                layers.append(keras.layers.Dense(units, "relu", **he, name=name))
            else:
                layers.append(keras.layers.Dense(units, **he))
                layers.append(keras.layers.PReLU(keras.initializers.Constant(0.25), name=name))
        network = keras.Sequential([*layers, keras.layers.Dense(784, activation="sigmoid")])
    else:
        network, _, _ = build_autoencoder(latent_activation=kind)
    network.compile(optimizer="adam", loss="binary_crossentropy")
    return network


def survey(kind: str, n_seeds: int, path: Path, epochs: int = 10) -> None:
    """Train a kind of network with seeds 0 to n_seeds - 1; skip those that the file has."""
    from ae_helpers import load_mnist, prepare, train_many

    known = read_survey(path) if path.exists() else []
    done = {row["seed"] for row in known if row["network"] == kind}
    seeds = [seed for seed in range(n_seeds) if seed not in done]
    (X_train, _), (X_test, _) = load_mnist()
    X_train_flat, X_test_flat = prepare(X_train), prepare(X_test)
    for i in range(0, len(seeds), AT_ONCE):
        many = train_many(
            seeds[i : i + AT_ONCE],
            lambda: make_network(kind),
            X_train_flat,
            validation_data=X_test_flat,
            epochs=epochs,
        )
        live = live_units(many.code_range)  # (seeds, epochs + 1)
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            for seed, count, loss, val_loss in zip(
                many.seeds, live, many.history["loss"], many.history["val_loss"], strict=True
            ):
                died_in = int(np.argmax(count == count[-1])) if count[-1] < 2 else ""
                losses = f"{loss[-1]:.5f}", f"{val_loss[-1]:.5f}"
                writer.writerow([kind, seed, *losses, count[0], count[-1], died_in])


def main() -> None:
    """Read the command line."""
    from ae_helpers import data_name, load_mnist

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SURVEY, help="by default the shipped file")
    parser.add_argument("--kinds", nargs="+", choices=SEEDS, default=SEEDS)
    parser.add_argument("--seeds", type=int, help="how many of each kind, from 0 up")
    arguments = parser.parse_args()
    if arguments.out == SURVEY and data_name(*load_mnist()) != "MNIST":
        parser.error("the shipped survey is of the full MNIST; give --out a file for other data")
    for kind in arguments.kinds:
        n_seeds = SEEDS[kind] if arguments.seeds is None else arguments.seeds
        survey(kind, n_seeds, arguments.out)


if __name__ == "__main__":
    main()
