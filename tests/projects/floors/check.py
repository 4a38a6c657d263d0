"""What a wheel of this project does on the machine that it is for: `check.py KIND [FILE]`.

Writes the newest glibc of which it used a function into FILE, after all that it used has worked.
"""

import importlib
import sys
import tempfile
from pathlib import Path

kind = sys.argv[1]
module = importlib.import_module(f"xt_floors_{kind}")
newest = module.newest()
assert newest > 0, f"what glibc 2.{-newest} brought does not work"
with tempfile.TemporaryDirectory() as folder:
    if kind == "c":
        module.files(folder)
        module.numbers()
        module.threads()
        assert module.others().startswith("2.")
    elif kind == "cpp":
        found = module.all(folder)
        assert found == (
            "unwound unwound unwound deep",
            "hello 1.5 5 10 6",
            "1234 0x1.4p+3 1.25 2500 0.1 9981545732273789042 -0.125",
            "thrown in a thread once 10 10 1",
            "value",
            True,
        ), found
    elif kind == "fortran":
        trace, text = module.compute(40, f"{folder}/numbers")
        assert trace == 2 * 1.5 * sum(range(1, 41))
        assert text.rstrip() == "  2460.000 -2.4600E+03  40 -22.5 T T -1.0", text
    elif kind == "openmp":
        assert module.parallel(100_000) == (100_000 * 100_001 // 2, 55, 3, 3, True)
if len(sys.argv) > 2:
    Path(sys.argv[2]).write_text(f"2.{newest}\n")
