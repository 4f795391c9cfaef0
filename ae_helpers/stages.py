"""What the seconds of a run go to, written down where somebody asks for it, as a sweep does."""

import contextlib
import os
import time
from collections.abc import Iterator


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Add a line ``name seconds`` to the file that ``AE_STAGES`` names, if it is set."""
    begin = time.perf_counter()
    yield
    if path := os.environ.get("AE_STAGES"):
        with open(path, "a") as file:
            file.write(f"{name} {time.perf_counter() - begin:.4f}\n")
