"""Trains kiwisolver: rows of boxes in a window, laid out, resized and taken down again."""

from __future__ import annotations

import contextlib
import random

import kiwisolver as kiwi

draw = random.Random(5)


def row(boxes: int) -> None:
    """A row of boxes beside each other, at a few widths."""
    solver = kiwi.Solver()
    width = kiwi.Variable("width")
    lefts = [kiwi.Variable(f"left{number}") for number in range(boxes)]
    rights = [kiwi.Variable(f"right{number}") for number in range(boxes)]
    constraints = [lefts[0] == 10, rights[-1] + 10 == width]
    for number in range(boxes):
        constraints.append(rights[number] - lefts[number] >= draw.randint(5, 30))
        constraints.append((rights[number] - lefts[number] == draw.randint(40, 90)) | "weak")
        if number:
            constraints.append(lefts[number] == rights[number - 1] + 6)
            constraints.append((rights[number] - lefts[number] == rights[0] - lefts[0]) | "medium")
    for constraint in constraints:
        solver.addConstraint(constraint)
    solver.addEditVariable(width, "strong")
    for suggested in (900, 400, 1300):
        solver.suggestValue(width, suggested)
        solver.updateVariables()
        assert lefts[0].value() == 10
    with contextlib.suppress(kiwi.UnsatisfiableConstraint):
        solver.addConstraint((lefts[0] == 99) | "required")
    solver.removeEditVariable(width)
    for constraint in reversed(constraints):
        solver.removeConstraint(constraint)
    str(constraints[0]), solver.dumps()


for count in (2, 3, 5, 9, 14):
    row(count)
