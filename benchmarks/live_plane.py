"""What a live map costs the training: ten epochs with `LivePlane` beside ten without it, in turns.

The map has 3,000 digits, ten moments in the first epoch and one after each of the others. Other
work on the machine slows both, so the quickest of the turns count; the time on the processors,
which it disturbs less, is told too.
"""

import time

import numpy as np

from ae_helpers import LatentExplorer, LivePlane, build_autoencoder, load_mnist, prepare, train

TURNS = 3
SHOWN = 3000


def main() -> None:
    """Train in turns, and print both times and their ratio."""
    (images, labels), (test_images, _) = load_mnist()
    pixels, test_pixels = prepare(images), prepare(test_images)
    times = {"without": [], "with it": []}
    for _ in range(TURNS):
        for name, measured in times.items():
            autoencoder, encoder, _ = build_autoencoder()
            autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
            shown = {"labels": labels[:SHOWN], "images": images[:SHOWN]}
            codes = encoder.predict(pixels[:SHOWN], verbose=0)
            weights = [
                (*layer.get_weights(), layer.activation.__name__)
                for layer in autoencoder.layers[-2:]
            ]
            live = [LivePlane(LatentExplorer(weights, points=codes, **shown))]
            callbacks = live if name == "with it" else []
            start = np.array([time.perf_counter(), time.process_time()])
            train(autoencoder, pixels, validation_data=test_pixels, callbacks=callbacks, verbose=0)
            measured.append([time.perf_counter(), time.process_time()] - start)
    without, live = (np.min(measured, axis=0) for measured in times.values())
    for name, best in (("without", without), ("with LivePlane", live)):
        print(f"ten epochs {name}: {best[0]:.1f} s, on the processors {best[1]:.1f} s")
    ratio, on_processors = live / without
    print(f"with / without: {ratio:.3f} (bound 1.1), on the processors {on_processors:.3f}")


if __name__ == "__main__":
    main()
