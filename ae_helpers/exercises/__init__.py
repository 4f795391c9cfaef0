"""Checks for the exercises: each looks at an answer and prints one line about it.

The line begins with "Not filled in yet" (the answer is still ``...``), "Right" or "Not yet"
(with a hint). No answer raises an error, whatever its type. The right answer is computed from the
data, so that the checks hold for the full MNIST, the sample, and your own data.

Each check takes the answer and what the exercise is about; one that asks for a guess before takes
that too, as ``guess``. Under what it checks stands an example.
"""

# ruff: noqa: F401 (the names are handed on)
from ae_helpers.exercises.notebook_01 import check_empty_pixels, check_most_ink, check_nearest_image
from ae_helpers.exercises.notebook_02 import (
    check_first_half,
    check_negative_bias,
    check_parameter_count,
)
from ae_helpers.exercises.notebook_03 import (
    check_best_grey,
    check_mean_digit_mse,
    check_worst_class,
)
from ae_helpers.exercises.notebook_04 import (
    check_nearest_label,
    check_second_pair,
    check_widest_class,
)
from ae_helpers.exercises.notebook_05 import check_middle, check_point_of, check_worst_image
from ae_helpers.exercises.notebook_06 import check_at_least_one, check_enough_seeds, check_undo
from ae_helpers.exercises.notebook_07 import check_components, check_hardest_class, check_nats
from ae_helpers.exercises.notebook_08 import check_any_alarm, check_caught, check_hole
from ae_helpers.exercises.notebook_09 import (
    check_own_sweep,
    check_run_count,
    check_values,
    check_wins,
)
from ae_helpers.exercises.notebook_10 import (
    check_break_even,
    check_hardest_search,
    check_price,
)
from ae_helpers.exercises.notebook_11 import check_beaten, check_bits, check_much_closer
