"""How long from a key or the pointer to the frame that shows the new digit, in three ways.

One JupyterLab and one browser; 200 moves each way. The clock starts at the input event and stops
when the frame is done in which other pixels are shown; the frame rate of 60 a second is the floor.
Also timed: 60,000 points drawn, and a page of 10,000 digits opened.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "browser")]

from chromium import start_browser  # noqa: E402
from lab import start_lab  # noqa: E402

from ae_helpers import load_run  # noqa: E402
from ae_helpers.widgets.latent_map import LatentExplorer  # noqa: E402

MOVES = 200
SIZE = {"width": 1200, "height": 900}

COMMON = """
import numpy as np
from ae_helpers import load_run
run = load_run("article")
random = np.random.default_rng(0)
points = random.gamma(2, 5, size=(60_000, 2))
labels = np.arange(60_000) % 10
low, high = np.percentile(points, [1, 99], axis=0)
"""
INTERACT = """
import matplotlib.pyplot as plt
from ipywidgets import FloatSlider, interact

decoder = run.decoder

def show(z1, z2):
    digit = decoder.predict(np.array([[z1, z2]]), verbose=0).reshape(28, 28)
    plt.imshow(digit, cmap="gray", vmin=0, vmax=1)
    plt.show()

sliders = [
    FloatSlider((a + b) / 2, min=a, max=b, step=(b - a) / 200)
    for a, b in zip(low, high, strict=True)
]
interact(show, z1=sliders[0], z2=sliders[1]);
"""
SLIDERS = """
from ae_helpers import latent_sliders
latent_sliders(run.decoder_weights, [low, high])
"""
MAP = """
from ae_helpers.widgets.latent_map import LatentExplorer
LatentExplorer(run.decoder_weights, points=points, labels=labels)
"""

# What each way shows, as a string that changes with the pixels.
PICTURE = "[...document.querySelectorAll('.jp-OutputArea-output img')].map(i => i.src).join()"
SHOWN = {
    "interact + predict + imshow": PICTURE,
    "kernel NumPy + Image": PICTURE,
    "map": """(() => {
      window.canvas ??= [...document.querySelectorAll("*")]
        .map((node) => node.shadowRoot?.querySelector(".decoded canvas")).find(Boolean);
      return canvas.getContext("2d").getImageData(0, 0, 28, 28).data.join();
    })()""",
}

# Times each move from its input event to the end of the first frame with another picture.
CLOCK = """(shown) => {
  window.times = [];
  window.work = [];
  const read = new Function(`return ${shown}`);
  const nextFrame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => nextFrame((now) => {
    const start = performance.now();
    callback(now);
    work.push(performance.now() - start);
  });
  const frameDone = () => new Promise((done) => nextFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  }));
  let before = read();
  const start = async (event) => {
    for (let frames = 0; frames < 300; frames++) {
      await frameDone();
      const after = read();
      if (after !== before) {
        before = after;
        times.push(performance.now() - event.timeStamp);
        return;
      }
    }
    times.push(NaN);
  };
  addEventListener("keydown", start, { capture: true });
  addEventListener("pointermove", start, { capture: true });
}"""


def summary(times: list[float]) -> tuple[float, float]:
    """Return median and 95th percentile in ms, and say so if a move never showed."""
    if np.isnan(times).any():
        print(f"  {np.isnan(times).sum()} of {len(times)} moves changed nothing within 300 frames")
    return float(np.nanmedian(times)), float(np.nanpercentile(times, 95))


def report(name: str, times: list[float]) -> float:
    """Print one line of the table, and return its median."""
    median, high = summary(times)
    print(f"{name:34s} median {median:7.1f} ms   95th percentile {high:7.1f} ms")
    return median


def one_by_one(page, moves) -> list[float]:
    """Make each move when the one before it has shown, and return the times."""
    for number, move in enumerate(moves, start=1):
        move()
        page.wait_for_function("count => times.length >= count", arg=number)
        page.wait_for_timeout(20)
    return page.evaluate("times.splice(0)")


def time_keys(page, focus) -> list[float]:
    """Press the arrow keys, ten to the right and ten to the left in turn."""
    page.locator(focus).first.focus()
    keys = (["ArrowRight"] * 10 + ["ArrowLeft"] * 10) * (MOVES // 20)
    return one_by_one(page, [lambda key=key: page.keyboard.press(key) for key in keys])


def time_pointer(page) -> list[float]:
    """Move the pointer over the points, along the diagonal."""
    box = page.locator(".plot").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.wait_for_timeout(200)
    page.evaluate("times.length = 0; work.length = 0")
    shares = np.linspace(0.02, 0.6, MOVES)
    places = [(box["x"] + s * box["width"], box["y"] + (1 - s) * box["height"]) for s in shares]
    return one_by_one(page, [lambda place=place: page.mouse.move(*place) for place in places])


def time_ways(browser, lab) -> None:
    """Time the three ways in JupyterLab, and print how they compare."""
    medians = {}
    cells = {"interact + predict + imshow": INTERACT, "kernel NumPy + Image": SLIDERS, "map": MAP}
    for name, cell in cells.items():
        page = browser.new_context(viewport=SIZE).new_page()
        lab.open(page, COMMON + cell)
        lab.run(page, 0)
        focus = ".map" if name == "map" else ".noUi-handle"
        page.locator(focus).first.wait_for()
        page.wait_for_timeout(2000)
        page.evaluate(CLOCK, SHOWN[name])
        medians[name] = report(name, time_keys(page, focus))
        if name == "map":
            report("map, pointer over 60,000 points", time_pointer(page))
            report("  the work in a frame of the map", page.evaluate("work"))
        page.context.close()
    first, second, last = medians.values()
    print(f"the map is {first / last:.1f} times as fast as interact, {second / last:.1f} as Image")


def time_drawing(browser) -> None:
    """Time the map with 60,000 points, from its making to the end of its first frame."""
    page = browser.new_context(viewport=SIZE).new_page()
    source = LatentExplorer._esm
    times = page.evaluate(
        """async (source) => {
          const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
          const { LatentMap } = await import(url);
          const count = 60000;
          const colours = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"];
          const data = {
            spec: {
              layers: [[2, 784, "sigmoid"]],
              ranges: [[0, 1], [0, 1]],
              classes: colours.map((colour, c) => ({ name: `${c}`, colour })),
              start: [0.5, 0.5],
            },
            weights: new Float32Array(3 * 784),
            points: Float32Array.from({ length: 2 * count }, Math.random),
            labels: Uint8Array.from({ length: count }, (_, i) => i % 5),
            images: new Uint8Array(0),
          };
          const times = [];
          for (let round = 0; round < 10; round++) {
            const host = document.createElement("div");
            document.body.replaceChildren(host);
            const start = performance.now();
            const map = new LatentMap(host, data);
            await new Promise((r) => requestAnimationFrame(() => setTimeout(r)));
            times.push(performance.now() - start);
            if (!map.side) throw new Error("nothing was drawn");
            map.remove();
          }
          return times;
        }""",
        source,
    )
    report("60,000 points drawn", times)


def time_page(browser, folder: Path) -> None:
    """Time a page of 10,000 digits with originals, from opening to its first digit."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, size=(10_000, 28, 28)).astype("uint8")
    images[:, :, :22] = 0  # about as compressible as MNIST
    explorer = LatentExplorer(
        load_run("article").decoder_weights,
        points=random.gamma(2, 5, size=(10_000, 2)),
        labels=np.arange(10_000) % 10,
        images=images,
    )
    file = explorer.export_html(folder / "map.html")
    times = []
    for _ in range(10):
        page = browser.new_context(viewport=SIZE).new_page()
        page.add_init_script(
            """const look = () => {
              const map = document.querySelector("#map")?.shadowRoot;
              const shown = map?.querySelector(".decoded figcaption").textContent;
              if (shown) window.ready = performance.now();
              else requestAnimationFrame(look);
            };
            look();"""
        )
        page.goto(file.as_uri())
        page.locator(".decoded figcaption", has_text="Decoded").wait_for()
        times.append(page.evaluate("ready"))
        page.context.close()
    report("page of 10,000 digits opened", times)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, start_browser() as browser:
        time_drawing(browser)
        time_page(browser, Path(folder))
        (Path(folder) / "lab").mkdir()
        with start_lab(Path(folder) / "lab") as lab:
            time_ways(browser, lab)
