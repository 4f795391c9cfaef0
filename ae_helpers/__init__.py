"""Helpers of the course: data and training, runs on disk, figures and widgets.

Names are handed on from the modules on first use, so that importing ``ae_helpers`` imports
neither TensorFlow nor matplotlib.
"""

import importlib
from typing import Any

_HOME = {
    "load_images": "images",
    "load_mnist": "data",
    "data_name": "data",
    "prepare": "data",
    "split_validation": "data",
    "build_autoencoder": "model",
    "quiet_start": "model",
    "train": "training",
    "train_many": "training",
    "check_params": "parameters",
    "load_run": "runs",
    "save_run": "runs",
    "latent_sliders": "widgets.latent_map",
    "LatentExplorer": "widgets.latent_map",
    "LivePlane": "widgets.live_plane",
    "load_film": "widgets.film",
    "Playground": "widgets.playground",
    "BeatTheEncoder": "widgets.beat_the_encoder",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ae_helpers' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ae_helpers.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
