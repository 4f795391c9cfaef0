"""The course's parameters: what each may be, checked before any time is spent."""

import re
from typing import Any

import numpy as np

LATENT_ACTIVATIONS = ("relu", "linear", "tanh", "sigmoid")
HIDDEN_ACTIVATIONS = ("relu", "silu")
LOSSES = ("binary_crossentropy", "mse", "mae")
OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta")

LARGEST_SIDE = 64  # pixels of an image's side that the course's network can learn in minutes

# No file on Windows can have such a name, whatever follows after a dot.
DEVICES = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(10)}

# The same in every notebook: the smallest whole number that each may be, the names to choose
# from, or None for a name of one's own.
PARAMETERS: dict[str, int | tuple[str, ...] | None] = {
    "data_source": None,
    "run_name": None,
    "seed": 0,
    "epochs": 1,
    "batch_size": 1,
    "hidden_dim": 1,
    "latent_dim": 1,
    "n_pixels": 1,
    "latent_activation": LATENT_ACTIVATIONS,
    "hidden_activation": HIDDEN_ACTIVATIONS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "n_train": 0,
    "n_seeds": 1,
    "n_grid": 2,
}


def check_params(**params: Any) -> dict[str, Any]:
    """Refuse parameters that cannot work, before any time is spent.

    Those that `PARAMETERS` lists come back as JSON can hold them: NumPy's whole numbers become
    plain ones, a tuple a list. The ValueError has the name, the value given and what is allowed.

    Examples
    --------
    >>> check_params(epochs=10, loss="mse")
    {'epochs': 10, 'loss': 'mse'}
    >>> check_params(epochs="ten")
    Traceback (most recent call last):
    ValueError: epochs='ten' cannot work: it must be a whole number from 1 up.
    """
    params = {name: _plain(value) for name, value in params.items()}
    for name, value in params.items():
        if name not in PARAMETERS:
            raise ValueError(f"There is no parameter {name!r} in this course.")
        known = PARAMETERS[name]
        if isinstance(known, int):
            several = name == "hidden_dim" and isinstance(value, list)
            numbers = value if several else [value]
            ok = bool(numbers) and all(type(n) is int and known <= n < 2**32 for n in numbers)
            allowed = f"a whole number from {known} up"
            if name == "hidden_dim":
                allowed += ", or a list of such numbers"
        elif known:
            ok, allowed = value in known, "one of " + ", ".join(known)
        else:
            ok, allowed = isinstance(value, str) and value != "", "a name"
        if not ok:
            raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}.")
    if "run_name" in params:
        check_name(params["run_name"])
    return params


def check_name(run_name: str) -> None:
    """Refuse what cannot be a run's name on every system."""
    plain = isinstance(run_name, str) and re.fullmatch(r"\w([\w.-]{0,58}[\w-])?", run_name)
    if not plain or ".." in run_name or run_name.partition(".")[0].lower() in DEVICES:
        raise ValueError(
            f"run_name={run_name!r} cannot work: it must be a plain name of at most 60 letters, "
            "digits, '-', '_' and '.', without '..' or '.' at its end, and no device of Windows."
        )


def _plain(value: Any) -> Any:
    """Turn a tuple into a list and NumPy's whole numbers into Python's, as JSON has them."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, np.integer) else value
