"""What the extensions do on the machine that they are for."""

import tempfile

import xt_catcher
import xt_fortran
import xt_loops
import xt_thrower

address = xt_thrower.address()
assert xt_catcher.call(address, 0) == "thrown in another module 42"
assert xt_catcher.call(address, 1) == "out of range"
assert xt_catcher.call(address, 7) == "int 7"

assert xt_catcher.threads() == (5, 5)

assert xt_loops.sum(100_000) == (100_000 * 100_001 // 2, 3, 3)

trace, text = xt_fortran.multiply(40)
assert trace == 2 * 1.5 * sum(range(1, 41))
assert text.rstrip() == "trace  2460.000  -2.4600E+03 40 T", text
with tempfile.TemporaryDirectory() as folder:
    assert xt_fortran.files(f"{folder}/numbers") == 1.5 - 2250 + 7
assert 0.4 < xt_fortran.dice(10_000) < 0.6
# Some targets have 106 bits of precision, others 113.
root, exponential = xt_fortran.quad().split()
assert root.startswith("1.414213562373095048801688724209"), root
assert exponential.startswith("7.389056098930650227230427460"), exponential
print("all of it works")
