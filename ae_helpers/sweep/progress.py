"""How far a sweep is: one bar on a terminal or in a notebook, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Any

WIDTH = 30  # characters of the bar
LINES = 20  # at most, where a line cannot be written over


def start_progress(total: int, done_before: int) -> Callable[[dict[str, Any] | None], None]:
    """Start the clock, and make the function that shows how far the sweep is.

    Parameters
    ----------
    total
        Number of runs in the whole sweep.
    done_before
        How many of them were done when it started.

    Returns
    -------
    callable
        To be called with the outcome of each run that ends, and now and then with None.
    """
    start = last = time.monotonic()
    ended = failed = 0
    write = _choose_writer(total)

    def show(outcome: dict[str, Any] | None) -> None:
        nonlocal ended, failed, last
        now = time.monotonic()
        if outcome is not None:
            ended += 1
            failed += outcome["status"] != "done"
            last = now
        so_far = done_before + ended
        text = f"{so_far - failed} of {total} runs done, {failed} failed"
        if ended and so_far < total:
            # As the runs came until the last one ended; from then on it counts down.
            seconds = (last - start) / ended * (total - so_far) - (now - last)
            text += f", about {duration(max(seconds, 0))} left"
        write(so_far, text)

    return show


def _choose_writer(total: int) -> Callable[[int, str], None]:
    def bar(so_far: int, text: str) -> str:
        return f"[{'#' * (WIDTH * so_far // total):.<{WIDTH}}] {text}"

    def write_over(so_far: int, text: str) -> None:
        print(f"\r{bar(so_far, text)}\x1b[K", end="\n" if so_far == total else "", flush=True)

    def write_line(so_far: int, text: str) -> None:
        nonlocal twentieth
        if LINES * so_far // total > twentieth:
            twentieth = LINES * so_far // total
            print(text, flush=True)

    def write_in_notebook(so_far: int, text: str) -> None:
        going_on = so_far < total
        handle.update({"text/plain": bar(so_far, text) if going_on else ""}, raw=True)
        if not going_on:
            print(text)

    twentieth = 0
    if sys.stdout.isatty():
        return write_over
    if _in_notebook():
        from IPython.display import display

        handle = display({"text/plain": ""}, raw=True, display_id=True)
        return write_in_notebook
    return write_line


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def duration(seconds: float) -> str:
    """Say a duration in its largest unit.

    >>> duration(40), duration(400), duration(40_000)
    ('40 s', '7 min', '11 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
