"""Train the course's autoencoder for many seeds, and keep one line of text for each.

The file that comes with the package was made by::

    python -m ae_helpers.survey

It takes about half an hour on two cores. Interrupt it when you like: it goes on where it stopped.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

SURVEY = Path(__file__).parent / "pretrained" / "survey.csv"
AT_ONCE = 16  # seeds trained before their lines are written
COLUMNS = ("code", "seed", "loss", "val_loss", "live_at_start", "live", "dead_since")


def read_survey(path: Path = SURVEY) -> list[dict[str, object]]:
    """Read a survey.

    Parameters
    ----------
    path
        A file that ``python -m ae_helpers.survey`` made; by default the one that is shipped:
        the full MNIST, 10 epochs, batches of 32, adam, binary cross-entropy.

    Returns
    -------
    list of dict
        One for each training: ``code`` (the code's activation), ``seed``, ``loss`` and
        ``val_loss`` after the last epoch, ``live_at_start`` and ``live`` (how many of the two
        code units give more than one value over the test images, before and after training),
        ``dead_since`` (the epoch after which no more units died, 0 for before the first one;
        None if both live).

    Examples
    --------
    >>> rows = read_survey()
    >>> sorted({row["code"] for row in rows})
    ['linear', 'relu']
    """
    kinds = {"code": str, "loss": float, "val_loss": float}
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


def survey(code: str, n_seeds: int, path: Path, epochs: int = 10) -> None:
    """Train seeds 0 to n_seeds - 1 with one activation of the code; skip those in the file."""
    from ae_helpers import build_autoencoder, load_mnist, prepare, train_many

    def make_model():
        autoencoder, _, _ = build_autoencoder(latent_activation=code)
        autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
        return autoencoder

    known = read_survey(path) if path.exists() else []
    done = {row["seed"] for row in known if row["code"] == code}
    seeds = [seed for seed in range(n_seeds) if seed not in done]
    (X_train, _), (X_test, _) = load_mnist()
    X_train_flat, X_test_flat = prepare(X_train), prepare(X_test)
    for i in range(0, len(seeds), AT_ONCE):
        many = train_many(
            seeds[i : i + AT_ONCE],
            make_model,
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
                since = int(np.argmax(count == count[-1])) if count[-1] < 2 else ""
                losses = f"{loss[-1]:.5f}", f"{val_loss[-1]:.5f}"
                writer.writerow([code, seed, *losses, count[0], count[-1], since])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m ae_helpers.survey", description=__doc__)
    parser.add_argument("--seeds", type=int, default=256, help="how many, from 0 up")
    parser.add_argument("--codes", nargs="+", default=["relu", "linear"], help="activations")
    parser.add_argument("--out", type=Path, default=SURVEY)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    for code in arguments.codes:
        survey(code, arguments.seeds, arguments.out, arguments.epochs)


if __name__ == "__main__":
    main()
