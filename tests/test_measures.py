import numpy as np
import pytest

from ae_helpers.measures import (
    binary_crossentropy,
    knn_accuracy,
    mean_squared_error,
    trustworthiness,
)


@pytest.fixture
def random():
    return np.random.default_rng(1)


def test_losses_agree_with_keras(random):
    import keras

    images = random.random((50, 784)).astype("float32").round(1)  # some 0 and 1 among them
    outputs = random.random((50, 784)).astype("float32").round(1)
    for ours, theirs in (
        (binary_crossentropy, keras.losses.BinaryCrossentropy()),
        (mean_squared_error, keras.losses.MeanSquaredError()),
    ):
        assert ours(images, outputs) == pytest.approx(float(theirs(images, outputs)), rel=1e-6)


def test_one_image_is_held_against_all(random):
    images = random.random((5, 784))
    mean = images.mean(axis=0)
    for measure in (binary_crossentropy, mean_squared_error):
        assert measure(images, mean) == measure(images, np.tile(mean, (5, 1)))


def test_a_perfect_copy_costs_its_entropy():
    grey = np.full((2, 784), 0.3)
    entropy = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert binary_crossentropy(grey, grey) == pytest.approx(entropy)
    assert mean_squared_error(grey, grey) == 0


@pytest.mark.parametrize("shape", [(4, 784), (5, 28, 28), (5,), (783,), ()])
@pytest.mark.parametrize("measure", [binary_crossentropy, mean_squared_error])
def test_shapes_that_do_not_fit_are_refused(measure, shape):
    with pytest.raises(ValueError, match="cannot be compared"):
        measure(np.zeros((5, 784)), np.zeros(shape))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
def test_crossentropy_refuses_what_has_no_logarithm(value):
    fine, wrong = np.zeros((1, 4)), np.array([[0, 0, 0, value]])
    with pytest.raises(ValueError, match="The reconstructions reach"):
        binary_crossentropy(fine, wrong)
    with pytest.raises(ValueError, match="The images reach"):
        binary_crossentropy(wrong, fine)


def test_knn_takes_the_majority_of_the_training_neighbours():
    codes = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]])
    labels = np.array([1, 2, 2, 7, 7])
    assert knn_accuracy(codes, labels, [[0.0]], [1], k=1) == 1
    assert knn_accuracy(codes, labels, [[0.0]], [1], k=3) == 0
    assert knn_accuracy(codes, labels, [[0.0], [5.0]], [2, 7], k=3) == 1


def test_knn_refuses_what_cannot_be_counted():
    with pytest.raises(ValueError, match="2 codes but 1 labels"):
        knn_accuracy([[0], [1]], [0], [[0]], [0])
    with pytest.raises(ValueError, match="1 test_codes but 2 labels"):
        knn_accuracy([[0], [1]], [0, 1], [[0]], [0, 1])
    with pytest.raises(ValueError, match="k=5 cannot work"):
        knn_accuracy([[0], [1]], [0, 1], [[0]], [0])


def test_trustworthiness_tells_order_from_chance(random):
    plane = random.random((300, 2))
    images = plane @ random.random((2, 784))
    assert trustworthiness(images, plane) > 0.95
    assert trustworthiness(images, random.random((300, 2))) == pytest.approx(0.5, abs=0.06)


def test_trustworthiness_looks_at_2000_images_evenly_spread(random, monkeypatch):
    seen = []

    def stand_in(images, codes, n_neighbors):
        seen.extend([images, codes, n_neighbors])
        return 1.0

    monkeypatch.setattr("sklearn.manifold.trustworthiness", stand_in)
    codes = np.arange(10_000.0).reshape(-1, 1)
    trustworthiness(codes, codes, k=7)
    assert seen[2] == 7
    assert (seen[0] == np.arange(0, 10_000, 5).reshape(-1, 1)).all()
    assert (seen[1] == seen[0]).all()


def test_trustworthiness_refuses_codes_of_other_images():
    with pytest.raises(ValueError, match="3 images but 2 codes"):
        trustworthiness(np.zeros((3, 4)), np.zeros((2, 2)))
