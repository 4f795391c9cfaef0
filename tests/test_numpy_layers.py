import numpy as np
import pytest

from ae_helpers.numpy_layers import apply_layers

random = np.random.default_rng(4)
LAYER = random.normal(size=(2, 8)), random.normal(size=8), "relu"
NAN = np.full((2, 8), np.nan), LAYER[1], "relu"


@pytest.mark.parametrize("activation", ["relu", "linear", "tanh", "sigmoid", "silu"])
def test_layers_give_what_the_formula_says(activation):
    kernel, bias = random.normal(size=(3, 5)), random.normal(size=5)
    x = random.normal(size=(7, 3))
    sums = x @ kernel + bias
    formula = {
        "relu": np.where(sums > 0, sums, 0),
        "linear": sums,
        "tanh": np.tanh(sums),
        "sigmoid": 1 / (1 + np.exp(-sums)),
        "silu": sums / (1 + np.exp(-sums)),
    }
    found = apply_layers([(kernel, bias, activation)], x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, formula[activation], atol=1e-5)


def test_sigmoid_of_large_numbers_is_0_or_1_without_a_warning():
    layer = np.array([[1.0]]), np.array([0.0]), "sigmoid"
    assert apply_layers([layer], [[-1e4], [1e4]]).tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no layers"),
        ([(np.zeros((2, 3)), np.zeros(3))], "Layer 1 is not a tuple"),
        ([(np.zeros((2, 3)), np.zeros(2), "relu")], r"kernel of shape \(2, 3\)"),
        ([LAYER, (np.zeros((9, 4)), np.zeros(4), "relu")], "Layer 2 takes 9 inputs"),
        ([NAN], "weights of layer 1 are not all finite"),
        ([(np.zeros((2, 3)), np.zeros(3), "softmax")], "Layer 1 has the activation 'softmax'"),
    ],
)
def test_layers_that_cannot_work_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        apply_layers(layers, np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("x", "message"), [(np.zeros((1, 3)), r"take \(n, 2\)"), ([[0, np.nan]], "NaN or infinity")]
)
def test_inputs_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        apply_layers([LAYER], x)
