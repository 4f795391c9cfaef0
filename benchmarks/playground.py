"""How long an epoch of 5,000 digits takes in the playground, and by Keras' `fit`; and its frames.

One page opened by file://, with the default network (relu, 32 hidden units, batch 32). Wall time
of whole epochs in Chromium beside that of `fit` in the same run, in turns, since other work on the
machine slows both. Then the frames: the pointer moves over the map while the training runs, and
each move's time is that from the event to the end of the frame that shows it. With the folder of
an npm package `@tensorflow/tfjs` unpacked in TFJS, also the same network in TensorFlow.js.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "browser")]

from chromium import start_browser  # noqa: E402

from ae_helpers import build_autoencoder, prepare  # noqa: E402
from ae_helpers.data import read_sample  # noqa: E402
from ae_helpers.widgets.page import bundle  # noqa: E402
from ae_helpers.widgets.playground import Playground  # noqa: E402

TURNS = 5
TRAINER = ROOT / "ae_helpers" / "widgets" / "trainer.js"
EPOCH = """async ([source, images]) => {
  if (!window.trainer) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { Trainer } = await import(url);
    const pixels = Uint8Array.from(atob(images), (c) => c.charCodeAt(0));
    const recipe = { hidden: 32, code: "relu", rate: 0.001, seed: 5, batch: 32 };
    window.trainer = new Trainer(pixels, recipe);
  }
  const start = performance.now();
  for (let step = 0; step < 157; step++) window.trainer.stepOn(32);
  return (performance.now() - start) / 1000;
}"""
CLOCK = """() => {
  window.times = [];
  const plot = [...document.querySelectorAll("*")].map((n) => n.shadowRoot).find(Boolean)
    .querySelector(".host").shadowRoot.querySelector(".plot");
  plot.addEventListener("pointermove", (event) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.times.push(performance.now() - event.timeStamp);
      channel.port2.postMessage(null);
    });
  });
  window.frames_ = [];
  let last = performance.now();
  const next = (now) => {
    window.frames_.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
TFJS = """async ([images, backend]) => {
  await tf.setBackend(backend);
  await tf.ready();
  const pixels = Float32Array.from(atob(images), (c) => c.charCodeAt(0) / 255);
  const x = tf.tensor2d(pixels, [5000, 784]);
  const layer = (units, activation, more = {}) => tf.layers.dense({ units, activation, ...more });
  const first = layer(32, "relu", { inputShape: [784] });
  const layers = [first, layer(2, "relu"), layer(32, "relu"), layer(784, "sigmoid")];
  const model = tf.sequential({ layers });
  model.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
  const times = [];
  for (let epoch = 0; epoch < 2; epoch++) {
    const start = performance.now();
    await model.fit(x, x, { epochs: 1, batchSize: 32, shuffle: true, yieldEvery: "never" });
    times.push((performance.now() - start) / 1000);
  }
  return Math.min(...times);
}"""


def main() -> None:
    """Measure, and print a line each."""
    import base64

    (images, _), (others, _) = read_sample()
    images = np.concatenate([images, others])
    packed = base64.b64encode(images.tobytes()).decode()
    pixels = prepare(images)
    autoencoder, _, _ = build_autoencoder()
    autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    autoencoder.fit(pixels, pixels, batch_size=32, verbose=0)  # the first one is slower
    here, by_fit = [], []
    with start_browser() as browser, tempfile.TemporaryDirectory() as folder:
        page = browser.new_page()
        page.evaluate(EPOCH, [bundle(TRAINER), packed])
        for _ in range(TURNS):
            here.append(page.evaluate(EPOCH, ["", ""]))
            start = time.perf_counter()
            autoencoder.fit(pixels, pixels, batch_size=32, verbose=0)
            by_fit.append(time.perf_counter() - start)
        ours, fit = statistics.median(here), statistics.median(by_fit)
        print(f"an epoch of 5,000 digits: playground {ours:.3f} s, Keras fit {fit:.3f} s")
        print(f"playground / fit: {ours / fit:.2f} (bound 0.5)")
        if "TFJS" in os.environ:
            measure_tfjs(browser, packed, ours)
        path = Playground().export_html(Path(folder) / "playground.html")
        measure_frames(browser, path)


def measure_tfjs(browser, packed, ours) -> None:
    """Time the same network in TensorFlow.js, on each backend that trains here."""
    dist = Path(os.environ["TFJS"]) / "dist" / "tf.min.js"
    best = None
    for backend in ("webgl", "cpu"):
        page = browser.new_page()
        page.add_script_tag(path=dist)
        try:
            seconds = page.evaluate(TFJS, [packed, backend])
        except Exception as error:  # a backend that this browser has not
            print(f"TensorFlow.js, {backend}: does not train here ({str(error)[:80]})")
            continue
        print(f"TensorFlow.js, {backend}: {seconds:.2f} s")
        best = min(seconds, best or seconds)
        page.close()
    print(f"the fastest of TensorFlow.js / playground: {best / ours:.0f} (bound 5)")


def measure_frames(browser, path) -> None:
    """Time the page's opening, then the frames while it trains and the pointer moves."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.locator(".status", has_text="loss").wait_for()
    print(f"from opening the page to the first trained plane: {time.perf_counter() - start:.2f} s")
    page.evaluate(CLOCK)
    box = page.locator(".plot").bounding_box()
    for k in range(150):
        share = 0.2 + 0.6 * (k % 50) / 50
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        page.wait_for_timeout(16)
        if page.get_by_role("button", name="Start", exact=True).count():
            break
    times, frames = page.evaluate("[times, frames_.slice(1)]")
    median, late = np.percentile(times, [50, 95])
    print(f"{len(times)} moves while it trains: median {median:.1f} ms, 95 % within {late:.1f} ms")
    print(f"frames a second: {1000 / np.mean(frames):.0f}")


if __name__ == "__main__":
    main()
