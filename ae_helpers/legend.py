"""The key to the classes in figures and in the map: their colours, and where their names stand."""

import numpy as np

# petroff10: ten colours that stay apart for most kinds of colour vision (Petroff 2021,
# arXiv:2107.02270).
CLASS_COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)


def name_places(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find a place for each class's name: the median of the fifth of it that lies outermost.

    In the middle of the plane the classes are crowded, and the names would cover each other.

    Parameters
    ----------
    codes
        ``(n, 2)`` float, n ≥ 1.
    labels
        ``(n,)``, each code's class.

    Returns
    -------
    numpy.ndarray
        ``(n_classes, 2)``, in the order of ``numpy.unique(labels)``.

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [0, 9], [0, 0], [5, 0]])
    >>> name_places(codes, np.array([3, 3, 3, 8, 8])).tolist()
    [[0.0, 9.0], [5.0, 0.0]]
    """
    spread = codes.std(axis=0) + 1e-9
    distance = np.linalg.norm((codes - np.median(codes, axis=0)) / spread, axis=1)
    places = []
    for label in np.unique(labels):
        own = labels == label
        outer = own & (distance >= np.quantile(distance[own], 0.8))
        places.append(np.median(codes[outer], axis=0))
    return np.array(places)
