"""How soon the site's front page is there and answers, and how long a move on its map takes.

Seven loads by a local server, each in a browser context with nothing kept. The map counts as alive
when it has drawn its points and its first digit. A move is clocked from the pointer's event to the
end of the frame after the map has said where it is; 60 frames a second are the floor.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "browser")]

from chromium import start_browser  # noqa: E402
from lab import serve  # noqa: E402
from make_site import build  # noqa: E402

LOADS = 7
MOVES = 60

ALIVE = """
  const look = () => {
    const root = document.querySelector(".live.opened > div")?.shadowRoot;
    if (root?.querySelector(".decoded figcaption").textContent) window.alive = performance.now();
    else setTimeout(look, 2);
  };
  look();
"""
CLOCK = """() => {
  window.ms = [];
  let start = null;
  const place = document.querySelector(".live.opened > div").shadowRoot.querySelector(".place");
  document.addEventListener("pointermove", () => (start = performance.now()), true);
  new MutationObserver(() => {
    if (start === null) return;
    const began = start;
    start = null;
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => ms.push(performance.now() - began);
      drawn.port2.postMessage(0);
    });
  }).observe(place, { childList: true, characterData: true, subtree: true });
}"""


def load(browser, address):
    """Open the page and move over its map: paint and map in ms, megabytes, median move in ms."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page, answers = context.new_page(), []
    page.on("response", lambda answer: answers.append(answer))
    page.add_init_script(ALIVE)
    page.goto(address)
    page.wait_for_function("() => window.alive")
    page.wait_for_load_state("networkidle")
    brought = sum(len(answer.body()) for answer in answers if "blob:" not in answer.url) / 1e6
    paint = page.evaluate("() => performance.getEntriesByType('paint')[0].startTime")
    page.evaluate(CLOCK)
    box = page.locator(".plot").first.bounding_box()
    for k in range(MOVES):
        page.mouse.move(box["x"] + 50 + 4 * k, box["y"] + 60 + 3 * k)
        page.wait_for_timeout(20)
    measured = paint, page.evaluate("() => window.alive"), brought, np.median(page.evaluate("ms"))
    context.close()
    return measured


def main():
    """Build the site, serve it, load its front page again and again."""
    with tempfile.TemporaryDirectory() as folder, start_browser() as browser:
        build(Path(folder))
        with serve(folder) as address:
            loads = np.array([load(browser, f"{address}/index.html") for _ in range(LOADS)])
    names = ["first paint, ms", "map alive, ms", "megabytes before scrolling", "a move, ms"]
    for name, values in zip(names, loads.T, strict=True):
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        print(f"{name:27} {middle:7.2f}  ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
