"""Times kiwisolver on what it was not trained with: a grid of cells with spans, two axes, many resizes.

Most of the time goes into resizing one large system; training sets small systems up and takes them down.
"""

from __future__ import annotations

import itertools
import random

import kiwisolver as kiwi
from common import run

ROWS, COLUMNS = 6, 6


def work() -> int:
    """One round."""
    draw = random.Random(1005)
    solver = kiwi.Solver()
    xs = [kiwi.Variable() for _ in range(COLUMNS + 1)]
    ys = [kiwi.Variable() for _ in range(ROWS + 1)]
    for axis in (xs, ys):
        solver.addConstraint(axis[0] == 0)
        for before, after in itertools.pairwise(axis):
            solver.addConstraint(after >= before + 2)
    for _ in range(50):
        axis = draw.choice((xs, ys))
        first, last = sorted(draw.sample(range(len(axis)), 2))
        solver.addConstraint(
            (axis[last] - axis[first] >= draw.randint(10, 60)) | draw.choice(("strong", "medium"))
        )
        solver.addConstraint((axis[last] - 0.5 * axis[first] == draw.randint(40, 120)) | "weak")
    solver.addEditVariable(xs[-1], "strong")
    solver.addEditVariable(ys[-1], "strong")
    total = 0
    for _ in range(60):
        solver.suggestValue(xs[-1], draw.randint(100, 900))
        solver.suggestValue(ys[-1], draw.randint(100, 900))
        solver.updateVariables()
        total += int(sum(one.value() for one in xs))
    return total


run(work)
