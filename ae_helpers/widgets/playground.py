"""The playground: an autoencoder that learns in the browser alone, while you watch its plane."""

import functools
import zlib
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from ae_helpers.data import read_sample
from ae_helpers.legend import CLASS_COLOURS
from ae_helpers.widgets.page import WORKER, bundle, write_page
from ae_helpers.widgets.ruler import ruler


class Playground(anywidget.AnyWidget):
    """Train 784 → hidden → 2 → hidden → 784 in the browser, and watch the plane unfold.

    The 5,000 digits of the sample, adam, binary cross-entropy; no kernel and no network are
    needed once it is shown. Start, pause, change the seed or the code's activation, and touch the
    map at any time: it decodes with the weights of that moment.

    Parameters
    ----------
    state
        What to begin with, as in a page's address: ``"seed=21&code=relu"``. The names are
        ``seed``, ``code`` (relu, linear, tanh, prelu), ``hidden``, ``rate``, ``batch`` and
        ``digits``. What cannot work is told in the widget. The seeds are the browser's own:
        seed 21 here is not the network of seed 21 in Keras.

    Attributes
    ----------
    state : str
        What the reader has chosen; set it, and another network begins.

    Examples
    --------
    >>> Playground("seed=21&code=linear")
    Playground('seed=21&code=linear'): run this cell in JupyterLab to train
    """

    _esm = bundle(Path(__file__).with_suffix(".js"))

    state = traitlets.Unicode().tag(sync=True)
    _spec = traitlets.Dict().tag(sync=True)
    _images = traitlets.Bytes().tag(sync=True)  # deflated
    _labels = traitlets.Bytes().tag(sync=True)

    def __init__(self, state: str = "seed=33") -> None:
        super().__init__(state=state, **_digits())

    def __repr__(self) -> str:
        return f"Playground({self.state!r}): run this cell in JupyterLab to train"

    def export_html(self, path: str | Path, title: str = "Watch it learn") -> Path:
        """Write the playground as one page that opens by double click, and starts by itself.

        The page's address holds what the reader chose, after ``#``, so that it can be sent on.
        Parameters, return and errors are those of `LatentExplorer.export_html`.
        """
        data = {name: zlib.decompress(getattr(self, f"_{name}")) for name in ("images", "labels")}
        spec = self._spec | {"state": self.state}
        return write_page(Path(path), title, self._esm, spec, data, WORKER)


@functools.cache
def _digits() -> dict:
    """Pack the sample for the browser: it takes seconds, and is the same for each playground."""
    images, labels = map(np.concatenate, zip(*read_sample(), strict=True))
    classes = [{"name": str(c), "colour": colour} for c, colour in enumerate(CLASS_COLOURS)]
    return {
        "_spec": {"classes": classes, "ruler": ruler(images, labels)},
        "_images": zlib.compress(images.tobytes(), level=9),
        "_labels": zlib.compress(labels.tobytes(), level=9),
    }
