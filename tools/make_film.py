"""Train as the article does, and keep the film that notebook 4 shows: a minute on two cores.

`.venv/bin/python tools/make_film.py` writes ``ae_helpers/pretrained/04_film.npz``.
"""

from ae_helpers import (
    LatentExplorer,
    LivePlane,
    build_autoencoder,
    load_mnist,
    load_run,
    prepare,
    train,
)
from ae_helpers.model import quiet_start
from ae_helpers.runs import PRETRAINED
from ae_helpers.widgets.film import save_film

with quiet_start():
    import keras

SHOWN = 3000  # digits on the map: with 20 moments the file stays below 1.5 MB


def main() -> None:
    """Train, and save the film."""
    (images, labels), (test_images, _) = load_mnist()
    pixels, run = prepare(images), load_run("article")
    keras.utils.set_random_seed(run.params["seed"])
    autoencoder, encoder, _ = build_autoencoder()
    autoencoder.compile(optimizer=run.params["optimizer"], loss=run.params["loss"])
    codes = encoder.predict(pixels[:SHOWN], verbose=0)
    shown = {"points": codes, "labels": labels[:SHOWN], "images": images[:SHOWN]}
    explorer = LatentExplorer(run.decoder_weights, **shown)  # of the same shape
    train(
        autoencoder,
        pixels,
        validation_data=prepare(test_images),
        epochs=run.params["epochs"],
        batch_size=run.params["batch_size"],
        callbacks=[LivePlane(explorer)],
    )
    save_film(PRETRAINED / "04_film.npz", explorer.film)


if __name__ == "__main__":
    main()
