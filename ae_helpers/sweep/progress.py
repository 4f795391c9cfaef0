"""How far a sweep is: one bar on a terminal or in a notebook, a line now and then elsewhere."""

import io
import sys
from collections.abc import Callable

from tqdm import tqdm

LINES = 20  # at most, where a line cannot be written over


def start_progress(total: int, done_before: int) -> Callable[[int, int], None]:
    """Start the clock, and make the function that shows how far the sweep is.

    It is to be called now and then with the number of runs that have ended, those before included,
    and of those among them that have failed.
    """
    terminal = sys.stdout.isatty()
    bar = tqdm(
        total=total,
        initial=done_before,
        file=sys.stdout if terminal else io.StringIO(),
        ascii=".#",
        bar_format="[{bar:30}]",
        smoothing=0,  # the time left follows from all runs so far, not from the last ones
        leave=False,  # if it is interrupted: what is said of that comes last
    )
    update = None if terminal else _start_display()
    lines = 0

    def show(ended: int, failed: int) -> None:
        nonlocal lines
        text = f"{ended - failed} of {total} runs done, {failed} failed"
        so_far = ", about {remaining} left" if done_before < ended < total else ""
        bar.n, bar.bar_format = ended, f"[{{bar:30}}] {text}{so_far}"
        if terminal:
            bar.refresh()
        elif update and ended < total:
            update(str(bar))
        elif update:
            update("")
            print(text)
        elif LINES * ended // total > lines:
            lines = LINES * ended // total
            print(str(bar).partition("] ")[2], flush=True)
        if ended == total:
            bar.leave = True
            bar.close()

    return show


def _start_display() -> Callable[[str], None] | None:
    """Start an output that can be written over; there is none outside notebooks."""
    if "IPython" not in sys.modules:
        return None
    from IPython import display, get_ipython

    if not hasattr(get_ipython(), "kernel"):
        return None
    handle = display.display({"text/plain": ""}, raw=True, display_id=True)
    return lambda text: handle.update({"text/plain": text}, raw=True)
