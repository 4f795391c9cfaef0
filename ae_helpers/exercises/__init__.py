"""Checks for the exercises: each looks at an answer and prints one line about it.

The line begins with "Not filled in yet" (the answer is still ``...``), "Right" or "Not yet"
(with a hint). No answer raises an error, whatever its type. The right answer is computed from the
data, so that the checks hold for the full MNIST, the sample, and your own data.

Each check takes the answer and what the exercise is about; one that asks for a guess before takes
that too, as ``guess``. Under what it checks stands an example.
"""

# ruff: noqa: F403 (the checks are handed on; each is named in its notebook's module alone)
from ae_helpers.exercises.notebook_01 import *
from ae_helpers.exercises.notebook_02 import *
from ae_helpers.exercises.notebook_03 import *
from ae_helpers.exercises.notebook_04 import *
from ae_helpers.exercises.notebook_05 import *
from ae_helpers.exercises.notebook_06 import *
from ae_helpers.exercises.notebook_07 import *
from ae_helpers.exercises.notebook_08 import *
from ae_helpers.exercises.notebook_09 import *
from ae_helpers.exercises.notebook_10 import *
from ae_helpers.exercises.notebook_11 import *
