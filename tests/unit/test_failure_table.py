"""`docs/failure-cases.md` names tests; each of them must exist, and each case must have one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TABLE = ROOT / "docs" / "failure-cases.md"

MUST = {*range(1, 12), *range(18, 25), *range(32, 47), *range(49, 58), 65, 66}
"""The cases that a test has to hold."""


def _rows() -> list[tuple[str, list[str]]]:
    """The first cell of each row, and the tests that the row names."""
    heads = ("| case", "| what happens", "| ---")
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(heads)]
    return [(row.split("|")[1].strip(), re.findall(r"`(\w+::\w+)`", row)) for row in rows]


def test_every_test_named_exists() -> None:
    files = {path.stem.removeprefix("test_"): path for path in (ROOT / "tests").glob("*/test_*.py")}
    for case, tests in _rows():
        for name in tests:
            file, _, test = name.partition("::")
            assert file in files, f"case {case}: there is no test_{file}.py"
            text = files[file].read_text(encoding="utf-8")
            assert f"\ndef {test}(" in text, f"case {case}: test_{file}.py has no {test}"


def test_every_case_has_a_test() -> None:
    held = {int(case) for case, tests in _rows() if case.isdigit() and tests}
    assert held >= MUST, f"without a test: {sorted(MUST - held)}"
    numbers = [int(case) for case, _ in _rows() if case.isdigit()]
    assert numbers == list(range(1, 67))
