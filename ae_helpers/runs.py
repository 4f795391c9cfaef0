"""A trained run on disk: its files written whole or not at all."""

import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from ae_helpers.model import N_PIXELS, build_autoencoder, layer_plan
from ae_helpers.numpy_layers import DenseLayer
from ae_helpers.parameters import check_name, check_params
from ae_helpers.stages import stage

if TYPE_CHECKING:
    import keras

PRETRAINED = Path(__file__).parent / "pretrained"
# In the order in which they are read: what params.json says of the others is not older than they.
FILES = ("weights.npz", "metrics.json", "history.csv", "params.json")
LOCK, NEW, OLD = ".ae-lock", ".ae-new", ".ae-old"  # what lies beside a run while it is saved
PARTS = ("kernel", "bias")  # of a layer
LOOKS = 20  # at a run's files, before what they lack counts as their own fault
# What load_run builds the models by: the first three have to be there.
NETWORK = ("hidden_dim", "latent_dim", "latent_activation", "hidden_activation", "n_pixels")


@dataclass(frozen=True)
class Run:
    """One trained run, as `load_run` reads it.

    TensorFlow is not imported until one of the three models is asked for.

    Attributes
    ----------
    name, params
        As given to `save_run`.
    history : dict of str to list of float
        ``loss`` and ``val_loss`` by epoch, as in a Keras ``History.history``.
    metrics : dict
        The last epoch's ``loss`` and ``val_loss``, and what else `save_run` was given.
    encoder_weights, decoder_weights : list of (kernel, bias, activation)
        The dense layers in order, float32, as `apply_layers` takes them.
    """

    name: str
    params: dict[str, Any]
    history: dict[str, list[float]]
    metrics: dict[str, Any]
    encoder_weights: list[DenseLayer]
    decoder_weights: list[DenseLayer]

    @property
    def n_pixels(self) -> int:
        """Pixels of the images that the run is for."""
        return self.params.get("n_pixels", N_PIXELS)

    def check_images(self, images: np.ndarray) -> None:
        """Refuse images ``(n, height, width)`` of another size than the run's: a ValueError."""
        n_pixels, size = math.prod(images.shape[1:]), " × ".join(map(str, images.shape[1:]))
        if n_pixels != self.n_pixels:
            raise ValueError(
                f"The run {self.name!r} is for images of {self.n_pixels} pixels, and these have "
                f"{n_pixels} ({size}): name a run for this size, or train one on these images with "
                "notebook 03."
            )

    @cached_property
    def _models(self) -> tuple["keras.Model", "keras.Model", "keras.Model"]:
        models = build_autoencoder(**_network(self.params))
        dense = [*self.encoder_weights, *self.decoder_weights]
        models[0].set_weights([array for kernel, bias, _ in dense for array in (kernel, bias)])
        return models

    # Keras models on shared layers, as `build_autoencoder` returns them; not compiled.
    autoencoder = property(lambda self: self._models[0])
    encoder = property(lambda self: self._models[1])
    decoder = property(lambda self: self._models[2])


def runs_dir() -> Path:
    """Where runs are kept: ``AE_RUNS_DIR`` if set, else ``runs/`` at the repository's root.

    Where the package was installed without its repository, ``runs/`` of the working directory.
    """
    if os.environ.get("AE_RUNS_DIR"):
        return Path(os.environ["AE_RUNS_DIR"]).expanduser()
    root = Path(__file__).resolve().parents[1]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "runs"


@stage("save")
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
    at all: also if the process is killed, or others save and load the same name meanwhile.

    Parameters
    ----------
    name
        At most 60 letters, digits, ``-``, ``_`` and ``.``: the folder's name.
    autoencoder, history
        A model of `build_autoencoder`, and what ``fit`` or `train` returned for it.
    params
        The parameters it was trained with; at least ``hidden_dim``, ``latent_dim`` and
        ``latent_activation``, by which `load_run` builds the models again.
    metrics
        Further numbers to keep, of the types JSON has.
    weights_dtype
        ``"float16"`` takes half the space and keeps three digits; `load_run` gives float32 again.

    Returns
    -------
    pathlib.Path
        The run's folder, `runs_dir` / name.

    Raises
    ------
    ValueError
        If the name cannot be a folder's name, or what is given could not be loaded again.
    OSError
        If the run cannot be written; what was there is as it was.
    """
    check_name(name)
    if name == "auto":
        raise ValueError(
            "run_name='auto' stands for 'mine' or 'article' when loading: save as another."
        )
    params = check_params(**params)
    weights = {
        f"{layer.name}.{part}": array.astype(weights_dtype)
        for layer in autoencoder.layers
        for part, array in zip(PARTS, layer.get_weights(), strict=False)
    }
    if (bias := weights.get("reconstruction.bias")) is not None and bias.size != N_PIXELS:
        params["n_pixels"] = bias.size
    _check_history(history.history)  # refuse now what could not be loaded later
    _split_weights(weights, params)

    last = {key: float(values[-1]) for key, values in history.history.items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, **weights)
    files = {
        "weights.npz": packed.getvalue(),
        "metrics.json": _to_json(last | dict(metrics or {})),
        "history.csv": _to_csv(history.history),
    }
    files["params.json"] = _to_json(params | {"sha256": _digest(files, params)})
    folder = runs_dir() / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / LOCK, timeout=60):
            _write_run(folder, files)
    except (PermissionError, Timeout) as error:
        raise PermissionError(
            f"The run {name!r} cannot be saved ({error}): name another place with AE_RUNS_DIR."
        ) from error
    return folder


def load_run(name: str = "auto") -> Run:
    """Load a run by its name.

    Parameters
    ----------
    name
        ``"article"`` is always there: it comes with the package, unless you saved one of that
        name. ``"auto"`` is ``"mine"``, which notebook 03 makes, if it is there, else ``"article"``.

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
    check_name(name)
    own = ["mine", "article"] if name == "auto" else [name]
    for folder in (*(runs_dir() / each for each in own), PRETRAINED / own[-1]):
        if run := _read_run(folder):
            return run
    raise FileNotFoundError(f"There is no run {name!r}; there are: {', '.join(run_names())}.")


def run_names() -> list[str]:
    """Name the runs there are, your own and the shipped ones, in alphabetical order."""
    saved = [*runs_dir().glob("[!.]*/params.json"), *PRETRAINED.glob("[!.]*/params.json")]
    return sorted({file.parent.name for file in saved})


def _check_history(history: Mapping[str, list[float]]) -> None:
    counts = {name: len(values) for name, values in history.items()}
    if not counts.get("loss") or len(set(counts.values())) > 1:
        raise ValueError(f"the history must hold a loss for each epoch, and holds {counts}")
    if not all(np.isfinite(values).all() for values in history.values()):
        raise ValueError("the history must hold finite numbers, and has NaN or infinity")


def _split_weights(
    weights: Mapping[str, np.ndarray], params: Mapping[str, Any]
) -> tuple[list[DenseLayer], list[DenseLayer]]:
    """Pair kernels, biases and activations, and hold their shapes against the parameters."""
    dense = []
    inputs = params.get("n_pixels", N_PIXELS)
    for layer, units, activation in layer_plan(_network(params)):
        parts = [weights.get(f"{layer}.{part}") for part in PARTS]
        shapes = [(inputs, units), (units,)]
        if [getattr(part, "shape", None) for part in parts] != shapes:
            raise ValueError(f"the weights of layer {layer!r} are not {shapes[0]} and {shapes[1]}")
        if not all(part.dtype.kind == "f" and np.isfinite(part).all() for part in parts):
            raise ValueError(f"the weights of layer {layer!r} are not all finite numbers")
        dense.append((*(part.astype("float32") for part in parts), activation))
        inputs = units
    half = len(dense) // 2
    return dense[:half], dense[half:]


def _network(params: Mapping[str, Any]) -> dict[str, Any]:
    if lacking := [name for name in NETWORK[:3] if name not in params]:
        raise ValueError(f"the parameters lack {', '.join(lacking)}")
    return {name: params[name] for name in NETWORK if name in params}


def _write_run(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a run beside and rename it into place; only one process at a time may do so.

    A folder cannot replace another, so the earlier run is moved aside first. Until the new one is
    in place it counts as the run: `_read_run` looks there too, and `_tidy` puts it back.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder} is no run's folder: move it away, or use another name.")
    new, old = (folder.with_name(f".{folder.name}{part}") for part in (NEW, OLD))
    _tidy(folder.parent)
    try:
        new.mkdir()
        for file, content in files.items():
            (new / file).write_bytes(content)
        if folder.exists():
            folder.chmod(0o755)  # a read-only one could be moved aside, but not removed there
            _rename(folder, old)
        _rename(new, folder)
    finally:
        _tidy(folder.parent)


def _rename(folder: Path, new_name: Path) -> None:
    for patience in range(50, -1, -1):
        try:
            return folder.rename(new_name)
        except PermissionError:  # on Windows, while anybody reads a file in it
            if not patience:
                raise
            time.sleep(0.02)


def _tidy(base: Path) -> None:
    """Clear away what saves have left, also killed ones; put back a run that has no successor."""
    for old in base.glob(f".*{OLD}"):
        folder = base / old.name[1 : -len(OLD)]
        if not folder.exists():
            old.rename(folder)
    for left in (*base.glob(f".*{OLD}"), *base.glob(f".*{NEW}")):
        shutil.rmtree(left, ignore_errors=True)


def _read_run(folder: Path) -> Run | None:
    """Read a run as one save left it, or return None if there is none.

    A look may find files of two saves, or none, but only if a save goes on in that very moment.
    Then the next look finds the run whole; what is at fault at each look is so for good.
    """
    name, fault, advice = folder.name, None, "train it again with notebook 03."
    for place in (folder, folder.with_name(f".{name}{OLD}")) * LOOKS:
        try:
            return _parse_run(name, {file: (place / file).read_bytes() for file in FILES})
        except ValueError as error:
            fault = ValueError(f"The run {name!r} is damaged ({error}): {advice}")
        except (FileNotFoundError, NotADirectoryError) as error:
            if place.is_dir():
                file = Path(error.filename).name
                fault = FileNotFoundError(f"The run {name!r} lacks {file}: {advice}")
        except PermissionError as error:
            fault = PermissionError(f"{error.filename} may not be read: change its permissions.")
    if fault:
        raise fault
    return None


def _parse_run(name: str, files: Mapping[str, bytes]) -> Run:
    read = []
    readers = (lambda content: np.load(io.BytesIO(content)), json.loads, _read_csv, json.loads)
    for file, reader in zip(FILES, readers, strict=True):
        try:
            read.append({**reader(files[file])})
        except Exception as error:  # damaged bytes end in errors of many kinds; all mean the same
            raise ValueError(f"{file} cannot be read") from error
    weights, metrics, history, params = read
    digest = params.pop("sha256", None)  # runs of earlier versions have none
    if digest not in (None, _digest(files, params)):
        raise ValueError("its files are not as they were saved")
    check_params(**params)
    _check_history(history)
    return Run(name, params, history, metrics, *_split_weights(weights, params))


def _digest(files: Mapping[str, bytes], params: Mapping[str, Any]) -> str:
    content = [*(files[file] for file in FILES[:-1]), _to_json(params)]
    return hashlib.sha256(b"".join(content)).hexdigest()


def _to_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _to_csv(history: Mapping[str, list[float]]) -> bytes:
    lines = [["epoch", *history]]
    for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
        lines.append([str(epoch), *(f"{value:.7g}" for value in values)])
    return "".join(",".join(line) + "\n" for line in lines).encode()


def _read_csv(content: bytes) -> dict[str, list[float]]:
    (_, *names), *rows = (line.split(",") for line in content.decode().splitlines())
    _, *columns = zip(*rows, strict=True)
    return {name: [*map(float, column)] for name, column in zip(names, columns, strict=True)}
