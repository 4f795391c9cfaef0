"""Hold the exercises' checks to their word, and the solutions to the notebooks' exercises."""

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from ae_helpers import build_autoencoder, exercises, quiet_start
from ae_helpers.exercises import answers
from ae_helpers.numpy_layers import apply_layers

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
random = np.random.default_rng(0)

# Three classes of 310 images; the 2s have the most ink, and the 1s differ most among themselves.
y = np.repeat([0, 1, 2], 310)
X = random.integers(100, 110, (930, 28, 28), dtype="uint8")
X[y == 1] = random.choice(np.array([0, 200], "uint8"), (310, 28, 28))
X[y == 2] += 100
X[:, :2] = 0  # 56 pixels are black in every image
X_flat = X.reshape(930, 784) / 255
# A 1 is nearer to the plain 0s than to another 1.
nearest = [y[::2][((X_flat[::2] - x) ** 2).sum(axis=1).argmin()] for x in X_flat[1::2]]
same = np.mean(np.array(nearest) == y[1::2])
dark = X_flat[y < 2]
inverted = np.where((y == 2)[:, None], 1 - X_flat, X_flat)
# Test images so like the training images that three decimals do not tell their mse apart.
X_near = X_flat[1::2]
mse, mse_train, mse_own = (
    np.mean((a - b.mean(axis=0)) ** 2) for a, b in [(X_near, X_flat), (X_flat,) * 2, (X_near,) * 2]
)
near_mse = [mse_train, mse_own]

table = np.eye(10) * 50
table[4, 9], table[9, 4], table[5, 8], table[8, 5] = 30, 30, 20, 15
table[3, 5] = 25  # large in one direction, but 5 and 8 have more in both together

# Codes of 0s, 1s and 2s around three corners; the 1s are spread the widest.
codes = (
    np.array([[0, 0], [9, 0], [0, 9]])[y] + random.normal(size=(930, 2)) * (1 + (y == 1))[:, None]
)
near = np.stack([y, y], axis=1)  # the labels of two neighbours of each
near[:300, 0] = 5  # 300 of 930 are wrong
decoder = [(random.normal(size=(2, 784)), np.zeros(784), "sigmoid")]
means = np.stack([codes[y == digit].mean(axis=0) for digit in (0, 1)])
middle = apply_layers(decoder, means.mean(axis=0)[None]).reshape(28, 28)
mixed = apply_layers(decoder, means).mean(axis=0).reshape(28, 28)
# A decoder that shows the two numbers in the first two pixels, and one who reads them there.
plain = [(np.eye(2, 784), np.full(784, -4.5), "sigmoid")]


def reader(images):
    a, b = images[:, 0], images[:, 1]
    return np.stack([(1 - a) * (1 - b), a, (1 - a) * b], axis=1)


slant = np.array([[1, 0.5], [0, 1]])
drawn = X_flat.copy()
drawn[17] = 1 - drawn[17]
five_deep = random.normal(size=(60, 5)) @ random.normal(size=(5, 784))  # five directions hold it
z_range = np.array([[0, 0], [12, 12]])
with_stray = np.concatenate([codes, np.full((9, 2), 9.0)])  # nine codes make no place familiar
moved = codes[::3].copy()
moved[-40:] = 0  # 40 of the 104 2s lie among the 0s
alarms = np.arange(100) < np.array([[10], [5]])
alarms[1] = np.roll(alarms[1], 10)  # none rings twice

seen_as = np.stack([y, y, y], axis=1)  # labels found by a search: half of the 1s find one 2
seen_as[310:465, 0] = 2
seen_as[:50, 2] = 5

together = 1 - np.prod(1 - alarms.mean(axis=1))
# A decoder that gives its point back, and one image at (1, 2), coded as (0, 2).
copier = [(np.eye(2, 784), np.zeros(784), "linear")]
at_1_2 = np.eye(784)[:2].T @ [1, 2]
before = np.linspace(0.01, 0.05, 40)
after = before * np.repeat([0.8, 0.95, 1.2], [12, 18, 10])  # 12 gain a fifth, 18 a little

# name of the check: the truth, plausible wrong answers, the further arguments
CASES = {
    "check_empty_pixels": (56, [728, int((X == 0).sum()), 57, 0.5, "56 %"], (X,)),
    "check_most_ink": (2, [0, 10, -1, 2.5, "0 or 2"], (X, y)),
    "check_nearest_image": (
        same,
        [100 * same, 1 - same, 465 * same, 0.5],
        (X[::2], y[::2], X[1::2], y[1::2]),
    ),
    "check_parameter_count": (101651, [51154, 100736, 102435, 101650, "101.651"], ()),
    "check_negative_bias": (0, [0.5, -100, 1, 0.1], ()),
    "check_best_grey": (dark.mean(), [0.5, 0, 1 - dark.mean(), 255 * dark.mean()], (dark,)),
    "check_mean_digit_mse": (mse, [mse**0.5, mse * 784, 2 * mse, *near_mse], (X_flat, X_near)),
    "check_worst_class": (2, [0, 1, 10, 2.5], (X_flat, y, inverted)),
    "check_second_pair": (
        (5, 8),
        [(4, 9), (3, 5), (5, 5), 5, (5, 8, 9), "4 and 9", "5 to 8 of 9"],
        (table,),
    ),
    "check_nearest_label": (
        630 / 930,
        [300 / 930, 67.7, 0.839, 0.68, -1, "67.7", "6.77 %"],
        (near, y),
    ),
    "check_widest_class": (1, [0, 2, 3, {1, 2}], (codes, y)),
    "check_point_of": (
        (0, 9),
        [(0, 0), (9, 0), (0, 6), 9, (0, 9, 9), {0, 9}, "(9, 0)"],
        (plain, reader),
    ),
    "check_middle": (
        middle,
        [mixed, middle.ravel(), middle[None], 255 * middle, middle.T, 0],
        (decoder, codes, y),
    ),
    "check_worst_image": (17, [0, 930, -1, 1.5, 18], (X_flat, drawn)),
    "check_at_least_one": (
        1 - 0.97**20,
        [0.97**20, 0.6, 45.6, 0.03**20, 1, -1, "45.6"],
        (0.03, 20),
    ),
    "check_enough_seeds": (381, [380, 300, 100, 500, 367, 0.01], (0.01,)),
    "check_run_count": (33, [14, 30, 36, 63, 0, 33.5], ("0:20:2,100", "8,16,32")),
    "check_wins": (7 / 9, [7, 77.8, 2 / 9, 2 / 3, -1], ([1, 2, 5], [3, 4, 6])),
    "check_undo": ([[1, -0.5], [0, 1]], [slant, slant.T, np.eye(2), -slant, 0], (slant,)),
    "check_hardest_class": (2, [0, 1, 7, 0.3, {0, 2}], (codes, y, moved, y[::3])),
    "check_nats": (784 * 0.1985, [0.1985, 784 * 0.1985 / np.log(2), 784, 155], ()),
    "check_components": (5, [4, 6, 0, 9, 4.5], (PCA(8).fit(five_deep), five_deep, 1e-9)),
    "check_hole": ((9, 9), [(0.5, 0), (13, 13), 5, (9, 9, 9), {9, 8}], (with_stray, z_range, 2)),
    "check_caught": (0.4, [0.6, 0.7, 40, 4], (range(1000), [9] * 3 + [960] * 3 + [2000] * 4, 0.01)),
    "check_beaten": (
        (1.0, 2.5),
        [(0, 2), (-1, 2), [3, 3], 1.5, (1, 2, 3), (1e300, 2)],
        (at_1_2, (0, 2), copier),
    ),
    "check_bits": (13.2877, [6.64, 10_000, 9.21, 1.66, 14], (100,)),
    "check_much_closer": (0.3, [0.75, 0.7, 0.0, 30, 12, 0.5], (before, after)),
    "check_any_alarm": (0.15, [0.1, 0.2, 0.05, 15, 0.85, together], (alarms,)),
    "check_price": (0.3, [0.7, 0.1, 0, 30, 300], (range(1000), range(600, 1600), 0.9)),
    "check_hardest_search": (1, [0, 2, 7, 0.3, {0, 1}], (seen_as, y)),
    "check_break_even": (101, [100, 102, 84, 1000, 0.1, 100.5], (2, 12, 1000)),
}
# Right too, besides what `forms_of` makes of every truth: rounded as far as is asked for, say.
ALSO_RIGHT = {
    "check_parameter_count": ["101,651", "101651 parameters"],
    "check_negative_bias": [0.04, 3.8e-44, "3.8e-44"],
    "check_best_grey": [round(dark.mean(), 2)],
    "check_mean_digit_mse": [round(mse, 3)],
    "check_nats": [156, 155.6, np.float32(155.62), [156]],
    "check_hole": [np.array([[9.0], [8]]), (np.float32(6), 12)],
    "check_caught": ["40 %", [0.403]],
    "check_any_alarm": ["15 %", [0.1501]],
    "check_price": ["30 %", [0.301], 0.2999],
    "check_break_even": ["101 images", np.float32(101)],
    "check_beaten": [np.array([[1.0], [2]]), "(0.5, 2)", (np.float32(1), 2)],
    "check_bits": [13.3, "13.3 bits", [13.29]],
    "check_much_closer": ["30 %", [0.301]],
    "check_second_pair": [{5, 8}, [8, 5], frozenset((8, 5)), np.array([[8], [5]]), "8 and 5"],
    "check_nearest_label": [0.677, 0.6774, [0.677], "67.7 %", ".677"],
    "check_nearest_image": [f"{100 * same:.2f} %"],
    "check_at_least_one": [0.456, "45.6 %"],
    "check_wins": [0.778, "77.8%"],
    "check_point_of": [np.array([[0.5, 8]]), (np.float32(0), 12.5), "0.5, 8"],
    "check_middle": [0.99 * middle],
    "check_worst_image": [(np.array([17]),)],  # as np.where answers
}
NO_ANSWERS = ["?", None, [], {}, object(), [[1], [1, 2]], np.array("a"), 1j, float("nan"), 10**400]


def forms_of(truth):
    """Yield forms in which a reader may give the truth."""
    yield from (truth, np.asarray(truth), np.asarray(truth, "float64"))
    if np.ndim(truth):
        yield from (np.asarray(truth).tolist(), np.asarray(truth, "float32"))
    else:
        yield from (str(truth), np.str_(truth), [truth], (truth,), {truth}, pd.Series([truth]))


@pytest.fixture
def said(capsys):
    """Return a function that calls a check and returns the one line it prints."""

    def call(name, answer, **guess):
        _, _, arguments = CASES[name]
        check = getattr(exercises, name)
        if name == "check_point_of":
            check(2, answer, *arguments)
        elif name == "check_middle":
            check(answer, *arguments, classifier=lambda images: reader(images * 0 + 0.95), **guess)
        else:
            check(answer, *arguments, **guess)
        text = capsys.readouterr().out
        assert text.count("\n") == 1, "a check prints one line"
        return text

    return call


@pytest.fixture(scope="module")
def autoencoder():
    return build_autoencoder()[0]


@pytest.mark.parametrize("name", CASES)
def test_a_check_knows_the_truth_and_refuses_all_else(said, name, autoencoder):
    truth, wrong, _ = CASES[name]
    assert said(name, ...).startswith("Not filled in yet: ")
    rights = [*forms_of(truth), *ALSO_RIGHT.get(name, [])]
    assert len(rights) >= 3 and len(wrong) >= 3, "enough of both are tried"
    for right in rights:
        assert said(name, right).startswith("Right: "), repr(right)
    # One-digit answers occur in any text.
    secret = None if np.ndim(truth) or truth <= 10 else rf"\b({truth:,.0f}|{truth:.0f})\b"
    for answer in wrong:
        told = said(name, answer)
        assert told.startswith("Not yet: "), answer
        assert not secret or not re.search(secret, told), f"{answer}: the hint gives it away"
    for nonsense in (*NO_ANSWERS, autoencoder, autoencoder.output, autoencoder.layers[1]):
        assert said(name, nonsense).startswith("Not yet: "), type(nonsense)


HINTS = [
    ("check_negative_bias", -100, "between 0 and 1"),
    ("check_best_grey", 0.5, "more dark pixels"),
    ("check_best_grey", 0, "without limit"),
    ("check_nearest_image", 100 * same, "percent"),
    ("check_nearest_image", 1 - same, "another label"),
    ("check_mean_digit_mse", mse**0.5, "the root"),
    ("check_mean_digit_mse", mse * 784, "the sum"),
    ("check_mean_digit_mse", mse_train, "on the training images"),
    ("check_mean_digit_mse", mse_own, "the mean of the test images"),
    ("check_nearest_label", 300 / 930, "is wrong"),
    ("check_nearest_label", 67.7, "percent"),
    ("check_nearest_label", 630, "a sum"),
    ("check_nearest_label", 0.839, "all the neighbours"),
    ("check_point_of", (9, 0), "read as a 1, with a chance of 0.99; the chance of a 2"),
    ("check_point_of", (0, 6), "of 0.81 only"),
    ("check_at_least_one", 45.6, "in percent"),
    ("check_at_least_one", 0.6, "number to expect"),
    ("check_at_least_one", 0.97**20, "nobody"),
    ("check_enough_seeds", 300, "rule of thumb"),
    ("check_enough_seeds", 380, "one seed more"),
    ("check_enough_seeds", 500, "fewer would do"),
    ("check_undo", slant.T, "only turns"),
    ("check_nats", 784 * 0.1985 / np.log(2), "bits"),
    ("check_nats", 155, "nearly"),
    ("check_hole", (0.5, 0), "code number 10 is only"),
    ("check_caught", 0.6, "slips through"),
    ("check_caught", 0.7, "the old limit"),
    ("check_caught", 40, "in percent"),
    ("check_any_alarm", 0.85, "raises none"),
    ("check_any_alarm", together, "independently"),
    ("check_bits", np.log2(100), "a row only"),
    ("check_bits", 10_000, "the number of points"),
    ("check_bits", np.log(10_000), "in nats"),
    ("check_much_closer", 0.75, "more than a tenth"),
    ("check_much_closer", 0.7, "of the others"),
    ("check_much_closer", 30, "in percent"),
    ("check_wins", 7, "a sum; divide it"),
    ("check_wins", 77.8, "in percent"),
    ("check_wins", 2 / 9, "the other one"),
    ("check_wins", 1, "equal seeds"),
    ("check_price", 0.7, "in peace"),
    ("check_price", 0.1, "slips through"),
    ("check_price", 0, "too few"),
    ("check_break_even", 84, "its own bytes"),
    ("check_break_even", 100, "nearly"),
]


@pytest.mark.parametrize(("name", "wrong", "hint"), HINTS)
def test_a_usual_mistake_has_its_hint(said, name, wrong, hint):
    assert hint in said(name, wrong)


def test_numbers_are_read_as_people_write_them():
    for text, numbers in {"3-5": [3, 5], "−100": [-100], "1e-3 -2": [0.001, -2]}.items():
        assert answers.numbers_in(text) == numbers


def test_classes_may_have_names(capsys):
    images = np.stack([np.full((28, 28), n, "uint8") for n in (9, 5)])
    for answer, begins in (("cat", "Right: "), ("dog", "Not yet: the mean pixel of the dogs is 5")):
        exercises.check_most_ink(answer, images, np.array(["cat", "dog"]))
        assert capsys.readouterr().out.startswith(begins)


def test_images_without_the_class_asked_for_are_told_so(capsys):
    decoder = [(np.zeros((2, 784)), np.zeros(784), "sigmoid")]
    reader = {"classifier": lambda images: np.array([[0.25, 0.75]])}
    exercises.check_point_of(5, (1e300, 1), decoder, **reader)
    exercises.check_middle(np.zeros((28, 28)), decoder, np.ones((2, 2)), np.array([3, 4]), **reader)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Not yet: there is no class 5 among these images."
    assert second == "Not yet: it asks for 0s and 1s, and these images have not both."


def test_a_guess_is_compared_with_the_answer(said):
    assert "Your guess was 2: you saw it coming." in said("check_most_ink", 2, guess=2)
    assert "Your guess was 1: it comes in place 3." in said("check_most_ink", 2, guess=1)
    share = 630 / 930
    assert "0.33 too high" in said("check_nearest_image", same, guess=1)
    assert "0.07 too low" in said("check_nearest_image", same, guess="60 %")
    assert "0.32 too high" in said("check_nearest_label", share, guess=1)
    assert "0.18 too low" in said("check_nearest_label", share, guess=50)  # per cent
    for close in (0.7, "0.7", "70 %", {0.7}, [70], np.float32(0.7)):
        assert "which is close" in said("check_nearest_label", share, guess=close)
    for right in (1, "1", {1}, np.array([1.0])):
        assert "It is read as a 1 (0.95). Your guess was 1: so." in said(
            "check_middle", middle, guess=right
        )
    assert "Your guess was 2: not so." in said("check_middle", middle, guess=2)


@pytest.mark.parametrize("guess", [1, "1", "the 1s", np.int64(1), [1], {1}, np.array([1.0])])
def test_a_guess_is_taken_in_any_form(said, guess):
    assert "Your guess was 1: it comes in place 3." in said("check_most_ink", 2, guess=guess)


@pytest.mark.parametrize("guess", ["one of them", "1 or 2", {1, 2}, [[1], [1, 2]], object(), {}])
def test_what_is_no_guess_is_refused_in_words(said, guess):
    told = said("check_most_ink", 2, guess=guess)
    assert told.startswith("Right: ") and "Your guess is not one number" in told
    assert "Your guess was 12, which is no class here." in said("check_most_ink", 2, guess=12)


@pytest.mark.parametrize("name", ["check_nearest_label", "check_middle"])
def test_a_missing_or_odd_guess_does_not_matter(said, name):
    for guess in (..., "a guess", None):
        assert said(name, CASES[name][0], guess=guess).startswith("Right: ")
    assert "guess" not in said(name, CASES[name][0], guess=...)


@pytest.mark.parametrize("name", ["check_nearest_label", "check_middle"])
def test_a_guess_that_cannot_be_read_is_refused_in_words(said, name):
    for guess in ("a guess", None, {3, 5}, "nan", object()):
        assert "Your guess is not one number" in said(name, CASES[name][0], guess=guess)


def test_first_half(capsys, autoencoder):
    with quiet_start():
        import keras

    def said(answer):
        exercises.check_first_half(answer, autoencoder)
        return capsys.readouterr().out

    image, first = autoencoder.input, autoencoder.layers[1]
    assert said(...).startswith("Not filled in yet: ")
    assert said(keras.Model(image, first.output)).startswith("Right: ")
    assert said(keras.Sequential([first])).startswith("Right: ")
    assert said(keras.Model(image, first(image))).startswith("Right: ")
    own = keras.Model(image, keras.layers.Dense(32, activation="relu")(image))
    assert "not the autoencoder's" in said(own)
    assert "decoder_hidden" in said(keras.Model(image, autoencoder.layers[3].output))
    for no_model in ("first_half", None, 3, first, first.output, keras.Model):
        assert "no model" in said(no_model)


def test_values(capsys):
    def said(answer, text="007,7,7.0,true,'a,b'"):
        exercises.check_values(answer, text)
        return capsys.readouterr().out

    right = ["007", 7, 7.0, True, "a,b"]
    assert said(...).startswith("Not filled in yet: ")
    assert said(right).startswith("Right: ") and said(tuple(right)).startswith("Right: ")
    assert said(["007", np.int64(7), np.float64(7), np.True_, "a,b"]).startswith("Right: ")
    assert "value 1 is not the int 7." in said([7, *right[1:]])
    assert "value 3 is not the int 7." in said([*right[:2], 7, *right[3:]])
    assert "value 4 is not the int 1." in said([*right[:3], 1, "a,b"])
    assert "value 4 is not the text 'true'." in said([*right[:3], "true", "a,b"])
    assert "your list has 6 values" in said([*right[:4], "a", "b"])
    for nonsense in (*NO_ANSWERS, "007,7", {7}, [object()], [np.zeros(2)] * 5):
        assert said(nonsense).startswith("Not yet: ")


def test_own_sweep(capsys):
    def said(answer, **guess):
        exercises.check_own_sweep(answer, "latent_activation", ["linear", "tanh"], **guess)
        return capsys.readouterr().out

    linear, tanh = [
        [
            {"latent_activation": kind, "seed": s, "status": "done", "val_loss": loss + s / 100}
            for s in range(3)
        ]
        for kind, loss in (("linear", 0.24), ("tanh", 0.27))
    ]
    assert said(...).startswith("Not filled in yet: ")
    praise = "Right: the median val_loss is 0.250 with linear, 0.280 with tanh."
    rows = linear + tanh
    for right in (rows, tuple(rows[::-1]), pd.DataFrame(rows), rows[:2] + rows[3:5]):
        assert said(right).startswith("Right: "), right
    assert said(rows).startswith(praise)
    for guess in ("linear", "Linear ", {"linear"}, ["linear"], np.str_("linear")):
        assert "You saw it coming." in said(rows, guess=guess), guess
    assert "You had guessed tanh." in said(rows, guess="tanh")
    for odd in ("a guess", np.zeros(3), 4, {}, ["linear", "tanh"], float("nan")):
        assert "name one of linear, tanh." in said(rows, guess=odd)
    for none in (..., None):
        assert "guess" not in said(rows, guess=none)
    failed = [row | {"status": "failed", "val_loss": None} for row in tanh]
    longer = [row | {"epochs": 10} for row in tanh]
    for other, hint in [
        (linear, "the values linear, tanh"),
        ([*rows, tanh[0] | {"latent_activation": "relu"}], "the values linear, tanh"),
        (linear + failed, "a run failed"),
        (linear + [row | {"val_loss": None} for row in tanh], "a run has no val_loss"),
        (rows[:-1], "the same seeds"),
        (rows + rows, "each seed once"),
        (linear[:1] + tanh[1:2], "the same seeds"),
        (linear + longer, "only latent_activation and the seed"),
        (linear[:1] + tanh[:1], "one seed each"),
    ]:
        assert hint in said(other), hint
    for nonsense in (*NO_ANSWERS, [*rows, 3], linear[0], [{"seed": 4}], [{}], pd.DataFrame()):
        assert "what sweep() returns" in said(nonsense)


def exercises_of(path):
    """Yield question and check call of each exercise: a check and the text above it."""
    cells = nbformat.read(path, as_version=4).cells
    for above, cell in pairwise(cells):
        call = re.search(r"^check_(?!params)\w+\(.*\)$", cell.source, re.MULTILINE | re.DOTALL)
        if cell.cell_type == "code" and call:
            question = re.search(r"\*\*\d+\.\*\* .*", above.source, re.DOTALL)
            assert question, f"{path.name}: no question above {call[0]}"
            yield question[0], call[0], cell


WITH_EXERCISES = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if list(exercises_of(path))]


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_each_exercise_is_open_and_has_its_solution(path):
    asked = list(exercises_of(path))
    solved = list(exercises_of(NOTEBOOKS / "solutions" / path.name))
    assert [a[:2] for a in asked] == [s[:2] for s in solved], "same questions, same checks"
    for _, call, cell in asked:
        assert re.search(r"= \.\.\.$", cell.source, re.MULTILINE), f"{call} is filled in"
    for _, call, cell in solved:
        assert "..." not in cell.source, f"{call} is not filled in"


def test_each_check_is_used():
    used = {re.match(r"\w+", call)[0] for p in WITH_EXERCISES for _, call, _ in exercises_of(p)}
    assert used == {name for name in dir(exercises) if name.startswith("check_")}


@pytest.mark.parametrize(
    "path", sorted((NOTEBOOKS / "solutions").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_each_committed_solution_is_right(path):
    for _, call, cell in exercises_of(path):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert printed.splitlines()[-1].startswith("Right: "), f"{call} prints {printed!r}"
