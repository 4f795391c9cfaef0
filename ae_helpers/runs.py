"""A trained run on disk: its parameters checked, its files written whole or not at all."""

import csv
import errno
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ae_helpers.model import HIDDEN_ACTIVATIONS, LATENT_ACTIVATIONS, N_PIXELS, layer_plan
from ae_helpers.numpy_layers import DenseLayer

if TYPE_CHECKING:
    import keras

PRETRAINED = Path(__file__).parent / "pretrained"
FILES = ("params.json", "history.csv", "metrics.json", "weights.npz")

LOSSES = ("binary_crossentropy", "mse", "mae")
OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta")
NETWORK = ("hidden_dim", "latent_dim", "latent_activation")  # what load_run needs

# The course's parameters, the same in every notebook: the smallest whole number that each may be,
# or the names to choose from; None stands for any name.
PARAMETERS: dict[str, int | tuple[str, ...] | None] = {
    "data_source": None,
    "run_name": None,
    "seed": 0,
    "epochs": 1,
    "batch_size": 1,
    "hidden_dim": 1,
    "latent_dim": 1,
    "latent_activation": LATENT_ACTIVATIONS,
    "hidden_activation": HIDDEN_ACTIVATIONS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "n_train": 0,
    "n_seeds": 1,
    "n_grid": 2,
}


@dataclass(frozen=True)
class Run:
    """One trained run, as `load_run` reads it.

    TensorFlow is not imported until one of the three models is asked for.

    Attributes
    ----------
    name : str
        The run's name, also the name of its folder.
    params : dict
        The parameters it was trained with, as given to `save_run`.
    history : dict of str to list of float
        ``loss`` and ``val_loss`` by epoch, as in a Keras ``History.history``.
    metrics : dict
        The last epoch's ``loss`` and ``val_loss``, and what else `save_run` was given.
    encoder_weights, decoder_weights : list of (kernel, bias, activation)
        The dense layers in order: kernel ``(inputs, units)`` and bias ``(units,)`` float32, and
        the activation's name.
    """

    name: str
    params: dict[str, Any]
    history: dict[str, list[float]]
    metrics: dict[str, Any]
    encoder_weights: list[DenseLayer]
    decoder_weights: list[DenseLayer]

    @cached_property
    def _models(self) -> tuple["keras.Model", "keras.Model", "keras.Model"]:
        from ae_helpers.model import build_autoencoder

        models = build_autoencoder(*_architecture(self.params))
        dense = [*self.encoder_weights, *self.decoder_weights]
        models[0].set_weights([array for kernel, bias, _ in dense for array in (kernel, bias)])
        return models

    @property
    def autoencoder(self) -> "keras.Model":
        """The Keras model ``(n, 784) → (n, 784)``; not compiled."""
        return self._models[0]

    @property
    def encoder(self) -> "keras.Model":
        """The Keras model ``(n, 784) → (n, latent_dim)``, on the autoencoder's layers."""
        return self._models[1]

    @property
    def decoder(self) -> "keras.Model":
        """The Keras model ``(n, latent_dim) → (n, 784)``, on the autoencoder's layers."""
        return self._models[2]


def check_params(**params: Any) -> dict[str, Any]:
    """Refuse parameters that cannot work, before any time is spent.

    Parameters
    ----------
    **params
        Any of the course's parameters, which `PARAMETERS` names.

    Returns
    -------
    dict
        The same parameters, as JSON can hold them: NumPy's whole numbers become plain ones, and
        a tuple becomes a list.

    Raises
    ------
    ValueError
        With the parameter's name, the value given and what is allowed.

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
        else:
            ok = value in known if known else isinstance(value, str) and value != ""
            allowed = "one of " + ", ".join(known) if known else "a name"
        if not ok:
            raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}.")
    if "run_name" in params:
        _check_name(params["run_name"])
    return params


def runs_dir() -> Path:
    """Where runs are kept: ``AE_RUNS_DIR`` if set, else ``runs/`` at the repository's root.

    Where the package was installed without its repository, ``runs/`` of the working directory.
    """
    if os.environ.get("AE_RUNS_DIR"):
        return Path(os.environ["AE_RUNS_DIR"]).expanduser()
    root = Path(__file__).resolve().parents[1]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "runs"


def save_run(
    name: str,
    autoencoder: "keras.Model",
    history: "keras.callbacks.History",
    params: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    weights_dtype: str = "float32",
) -> Path:
    """Save a trained autoencoder as a run, in place of an earlier run of that name.

    The files are written beside and renamed into place, so that the run is there whole or not
    at all, even when two notebooks save the same name at once: then one of them is there.

    Parameters
    ----------
    name
        At most 60 letters, digits, ``-``, ``_`` and ``.``; the folder `runs_dir` / name is made.
    autoencoder
        A model of `build_autoencoder`.
    history
        What ``fit`` or `train` returned: ``loss`` and ``val_loss`` by epoch.
    params
        The parameters it was trained with; at least ``hidden_dim``, ``latent_dim`` and
        ``latent_activation``, which `load_run` needs to build the models again.
    metrics
        Further numbers to keep, of the types JSON has.
    weights_dtype
        ``"float32"``, or ``"float16"`` for half the space and three digits of each weight.
        `load_run` gives float32 in either case.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    ValueError
        If the name cannot be a folder's name, or the parameters do not fit the model.
    """
    _check_name(name)
    if name == "auto":
        raise ValueError(
            "run_name='auto' stands for 'mine' or 'article' when loading: save as another."
        )
    params = check_params(**params)
    lacking = [key for key in NETWORK if key not in params]
    if lacking:
        raise ValueError(f"The parameters lack {', '.join(lacking)}: name them, to build it again.")
    last = {key: float(values[-1]) for key, values in history.history.items()}
    weights = {
        f"{layer.name}.{part}": array.astype(weights_dtype)
        for layer in autoencoder.layers
        for part, array in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }
    _split_weights(weights, params)  # refuse now what could not be loaded later

    target = runs_dir() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    try:
        beside.chmod(0o755)  # mkdtemp makes it readable to its owner only
        (beside / "params.json").write_text(json.dumps(params, indent=2) + "\n")
        (beside / "metrics.json").write_text(
            json.dumps(last | dict(metrics or {}), indent=2, allow_nan=False) + "\n"
        )
        _write_history(beside / "history.csv", history.history)
        np.savez_compressed(beside / "weights.npz", **weights)
        _move_into_place(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def load_run(name: str = "auto") -> Run:
    """Load a run by its name.

    Parameters
    ----------
    name
        A run's name. ``"article"`` is always there: it comes with the package, unless you saved
        one of that name. ``"auto"``: the run ``"mine"``, which notebook 03 makes, if it is
        there, else ``"article"``.

    Returns
    -------
    Run
        With ``.autoencoder .encoder .decoder .history .params .metrics .decoder_weights``.

    Raises
    ------
    FileNotFoundError
        If there is no such run (the message lists those there are), or a file of it is missing.
    ValueError
        If the name cannot be a run's name, or a file of the run is damaged.

    Examples
    --------
    >>> run = load_run("article")
    >>> run.params["latent_dim"], [kernel.shape for kernel, _, _ in run.decoder_weights]
    (2, [(2, 32), (32, 784)])
    """
    if name == "auto":
        name = "mine" if (runs_dir() / "mine").is_dir() else "article"
    _check_name(name)
    folder = next(
        (base / name for base in (runs_dir(), PRETRAINED) if (base / name).is_dir()), None
    )
    if folder is None:
        raise FileNotFoundError(f"There is no run {name!r}; there are: {', '.join(run_names())}.")
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"The run {name!r} lacks {', '.join(missing)}: train it again with notebook 03."
        )
    params, history, metrics, weights = (
        _read(folder / file, reader)
        for file, reader in zip(
            FILES, (_read_json, _read_history, _read_json, _read_npz), strict=True
        )
    )
    try:
        encoder_weights, decoder_weights = _split_weights(weights, params)
    except ValueError as error:
        raise ValueError(
            f"The run {name!r} is damaged ({error}): train it again with notebook 03."
        ) from error
    return Run(name, params, history, metrics, encoder_weights, decoder_weights)


def run_names() -> list[str]:
    """Name the runs there are, your own and the shipped ones, in alphabetical order."""
    folders = [f for base in (runs_dir(), PRETRAINED) if base.is_dir() for f in base.iterdir()]
    return sorted({f.name for f in folders if f.is_dir() and not f.name.startswith(".")})


def _plain(value: Any) -> Any:
    """Turn tuples into lists and NumPy's whole numbers into Python's, as JSON holds them."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, np.integer) else value


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,59}", name) or ".." in name:
        raise ValueError(
            f"run_name={name!r} cannot work: it must be a plain name of at most 60 letters, "
            "digits, '-', '_' and '.', without slashes or '..'."
        )


def _split_weights(
    weights: Mapping[str, np.ndarray], params: Mapping[str, Any]
) -> tuple[list[DenseLayer], list[DenseLayer]]:
    """Pair kernels, biases and activations, and hold their shapes against the parameters."""
    dense = []
    inputs = N_PIXELS
    for layer, units, activation in layer_plan(*_architecture(params)):
        kernel, bias = (weights.get(f"{layer}.{part}") for part in ("kernel", "bias"))
        expected = (inputs, units)
        if kernel is None or bias is None or (kernel.shape, bias.shape) != (expected, expected[1:]):
            raise ValueError(
                f"the weights of layer {layer!r} are not {expected} and {expected[1:]}"
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"the weights of layer {layer!r} are not all finite numbers")
        dense.append((kernel, bias, activation))
        inputs = units
    half = len(dense) // 2
    return dense[:half], dense[half:]


def _architecture(params: Mapping[str, Any]) -> tuple[int | list[int], int, str, str]:
    return *(params[name] for name in NETWORK), params.get("hidden_activation", "relu")


def _move_into_place(beside: Path, target: Path) -> None:
    """Rename ``beside`` to ``target``; a folder cannot replace another, so that one goes first."""
    while True:
        try:
            beside.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        old = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            target.rename(old)
        except FileNotFoundError:
            continue  # another notebook, saving the same name, has just moved it
        shutil.rmtree(old)


def _write_history(path: Path, history: Mapping[str, list[float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", *history])
        for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
            writer.writerow([epoch, *(f"{value:.7g}" for value in values)])


def _read(path: Path, reader: Any) -> Any:
    try:
        return reader(path)
    except Exception as error:  # damaged bytes end in errors of many kinds; all mean the same
        raise ValueError(
            f"{path.name} of the run {path.parent.name!r} is damaged and cannot be read: train it "
            "again with notebook 03."
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise TypeError("no object with names")
    if path.name == "params.json" and not set(NETWORK) <= set(check_params(**content)):
        raise KeyError("too few parameters")
    return content


def _read_history(path: Path) -> dict[str, list[float]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "loss" not in rows[0]:
        raise ValueError("no losses")
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "epoch"}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name].astype("float32") for name in file.files}
