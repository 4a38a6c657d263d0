"""Holds what was compiled, and the interpreter that loads it, against the ABI documents.

    check.py [TARGET [BYTES]]

TARGET is what the kernel calls the machine, unless it is given. BYTES is the size of `time_t` where it is not
the table's: at glibc 2.34 and newer, 32-bit machines have two.

Runs under the target's own Python. Every comparison is made; what does not agree is printed, and the exit
code is 1 then.
"""

import array
import ctypes
import platform
import struct
import sys
import sysconfig
from pathlib import Path

from xt_abi import _facts, _interface

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = tomllib.loads((Path(__file__).parent / "abi.toml").read_text(encoding="utf-8"))
right: list[str] = []
wrong: list[str] = []


def same(what: str, found: object, expected: object) -> None:
    if found == expected:
        right.append(what)
    else:
        wrong.append(f"{what}: {found!r}, and not {expected!r}")


def hold_all(what: str, found: dict, expected: dict) -> None:
    same(f"types that have a {what}", sorted(found), sorted(expected))
    for name in sorted(found.keys() & expected):
        same(f"{what} of {name}", found[name], expected[name])


def hold_c_against_the_document(target: dict, model: dict) -> None:
    """What the compiler made."""
    sizes, alignments = _facts.layout()
    long_double = target["long_double"]
    expected = {name: size for name, size in model.items() if name != "bits"}
    hold_all("size", sizes, expected | {"long double": long_double["size"]})
    expected = {name: model[name] for name in ("short", "int", "long", "void *", "float")}
    expected |= dict.fromkeys(("long long", "int64_t", "double", "double _Complex"), target["wide"])
    expected |= {"__int128": target["int128_alignment"]} if "int128_alignment" in target else {}
    hold_all("alignment", alignments, expected | {"long double": long_double["alignment"]})
    same("offsets of struct xt_mixed", _facts.mixed_offsets(), target["mixed"])
    order = "big" if target["big_endian"] else "little"
    held = _facts.representations()
    same("unsigned int in memory", held["unsigned int"], (0x01020304).to_bytes(4, order))
    same("long long in memory", held["long long"], (0x0102030405060708).to_bytes(8, order))
    same("double in memory", held["double"], (0xBFF8000000000000).to_bytes(8, order))
    # Bit fields are filled from the end of a word that comes first in memory.
    same("first bit field", held["first bit field"], 0x20 if target["big_endian"] else 0x01)
    form = TABLE["format"][long_double["format"]]
    one, some = bytes.fromhex(form["one"]), bytes.fromhex(form["some"])
    same("long double 1", held["long double 1"][: len(one)], one)
    same("long double -2.5", held["long double -2.5"][: len(some)], some)
    kinds = _facts.kinds()
    same("char signed", kinds["char signed"], target["char_signed"])
    same("wchar_t signed", kinds["wchar_t signed"], target["wchar_signed"])
    same("digits of long double", kinds["long double digits"], form["digits"])
    same("exponents of long double", kinds["long double exponent"], form["exponent"])
    same("PY_BIG_ENDIAN", kinds["big-endian"], target["big_endian"])


def hold_the_configuration_against_the_document(target: dict, model: dict) -> None:
    """What headers said while C was compiled, and what the running interpreter says."""
    said = _facts.configured()
    same("SIZEOF_LONG of pyconfig.h", said["SIZEOF_LONG"], model["long"])
    same("SIZEOF_VOID_P of pyconfig.h", said["SIZEOF_VOID_P"], model["void *"])
    same("SIZEOF_TIME_T of pyconfig.h", said["SIZEOF_TIME_T"], model["time_t"])
    same("SIZEOF_LONG of setup.py", said["XT_SIZEOF_LONG"], model["long"])
    same("SIZEOF_VOID_P of setup.py", said["XT_SIZEOF_VOID_P"], model["void *"])
    same("BIGENDIAN of setup.py", bool(said["XT_BIGENDIAN"]), target["big_endian"])
    same("SIZEOF_LONG_DOUBLE of setup.py", said["XT_SIZEOF_LONG_DOUBLE"], target["long_double"]["size"])
    same("sys.byteorder", sys.byteorder, "big" if target["big_endian"] else "little")
    same("sys.maxsize", sys.maxsize, 2 ** (model["bits"] - 1) - 1)
    for name, kind in (("LONG", "long"), ("VOID_P", "void *"), ("SIZE_T", "size_t"), ("WCHAR_T", "wchar_t")):
        same(f"SIZEOF_{name} of sysconfig", sysconfig.get_config_var(f"SIZEOF_{name}"), model[kind])
    kinds = _facts.kinds()
    same("PY_SSIZE_T_MAX", kinds["largest Py_ssize_t"], sys.maxsize)
    same("PyLong_SHIFT", kinds["bits of an int's digit"], sys.int_info.bits_per_digit)
    same("sizeof(digit)", kinds["int digit"], sys.int_info.sizeof_digit)
    same("DBL_MANT_DIG", kinds["double digits"], sys.float_info.mant_dig)


def hold_struct_and_ctypes_against_the_document(target: dict, model: dict) -> None:
    """The standard library's own idea of C's types."""
    codes = {"h": "short", "i": "int", "l": "long", "q": "long long", "P": "void *", "n": "Py_ssize_t"}
    codes |= {"f": "float", "d": "double", "?": "_Bool"}
    for code, name in codes.items():
        same(f"struct's {code}", struct.calcsize(code), model[name])
    same("alignment of struct's q", struct.calcsize("cq") - 8, target["wide"])
    same("alignment of struct's d", struct.calcsize("cd") - 8, target["wide"])
    types = {"c_short": "short", "c_int": "int", "c_long": "long", "c_longlong": "long long"}
    types |= {"c_void_p": "void *", "c_size_t": "size_t", "c_wchar": "wchar_t", "c_float": "float"}
    types |= {"c_double": "double", "c_bool": "_Bool"}
    for kind, name in types.items():
        same(f"ctypes.{kind}", ctypes.sizeof(getattr(ctypes, kind)), model[name])
    same("ctypes.c_longdouble", ctypes.sizeof(ctypes.c_longdouble), target["long_double"]["size"])
    for code, name in (("l", "long"), ("q", "long long"), ("d", "double")):
        same(f"array's {code}", array.array(code).itemsize, model[name])


def hold_the_interface_together(model: dict) -> None:
    """Numbers through the C API: what C holds in memory must be the number that Python gave."""
    order = sys.byteorder
    limits = {name: 8 * model[name] for name in ("long", "long long", "Py_ssize_t", "void *")}
    for name, bits in limits.items():
        for number in (0, 1, -2, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), 0x12345678):
            found = _interface.as_c(name, number)
            same(f"{number} as {name}", found, number.to_bytes(bits // 8, order, signed=True))
        if name != "void *":
            same(f"2**{bits - 1} as {name}", overflows(name, 2 ** (bits - 1)), True)
    for name, kind in (("unsigned long", "long"), ("unsigned long long", "long long"), ("size_t", "size_t")):
        bits = 8 * model[kind]
        for number in (0, 0xFEDCBA98, 2**bits - 1):
            same(f"{number} as {name}", _interface.as_c(name, number), number.to_bytes(bits // 8, order))
        same(f"2**{bits} as {name}", overflows(name, 2**bits), True)
    same(
        "numbers of C's",
        _interface.from_c(),
        (
            -0x12345678,
            0xFEDCBA98,
            -0x123456789ABCDEF,
            0xFEDCBA9876543210,
            -2,
            0xFFFFFFFE,
            -1.5,
            0.25,
            b"c",
        ),
    )
    for number in (1, -2, 0x0102030405060708090A0B0C0D0E0F, -(2**120)):
        for little, name in ((True, "little"), (False, "big")):
            found = _interface.as_bytes(number, little)
            same(f"_PyLong_AsByteArray({number}, {name})", found, number.to_bytes(16, name, signed=True))


def overflows(name: str, number: int) -> bool:
    try:
        _interface.as_c(name, number)
    except OverflowError:
        return True
    return False


def hold_text_together() -> None:
    order = "be" if sys.byteorder == "big" else "le"
    held_as = {1: "latin-1", 2: f"utf-16-{order}", 4: f"utf-32-{order}"}
    for text, kind in (("ab\xe9", 1), ("a\u20acb", 2), ("a\U0001f600\u20ac", 4)):
        found = _interface.text_bytes(text)
        same(f"kind of {text!a}", found["kind"], kind)
        same(f"{text!a} as held", found["held"], text.encode(held_as[kind]))
        same(f"{text!a} as UCS-4", found["UCS-4"], text.encode(f"utf-32-{order}"))
        same(f"{text!a} as wchar_t", found["wide"], text.encode(f"utf-32-{order}"))


def hold_buffers_together() -> None:
    numbers = {
        "l": [-1, 2], "L": [1, 3], "q": [-5, 2**40], "Q": [5, 2**63], "n": [-7, 8], "N": [7, 9],
        "d": [-0.5, 1e300], "f": [0.5, -2.0], "h": [-300, 300], "?": [False, True],
    }  # fmt: skip
    for code, values in numbers.items():
        view = _interface.view(code)
        same(f"format of a view of {code}", view.format, code)
        same(f"bytes of a view of {code}", view.itemsize, struct.calcsize(code))
        same(f"values of a view of {code}", view.tolist(), values)
        same(f"a view of {code} by struct", list(struct.unpack(f"2{code}", view.tobytes())), values)
    longs = array.array("l", [2**31 - 1, -5, 2**31 - 1])
    same("the sum of an array of longs", _interface.sum_of_longs(longs), 2**32 - 7)


class Mixed(ctypes.Structure):
    _fields_ = (
        ("a", ctypes.c_char), ("b", ctypes.c_double), ("c", ctypes.c_short), ("d", ctypes.c_longlong),
        ("e", ctypes.c_char), ("f", ctypes.c_long), ("g", ctypes.c_void_p),
    )  # fmt: skip


def hold_layouts_together(target: dict) -> None:
    """One struct, seen by the compiler, by struct, by ctypes and by the interpreter's members."""
    values = (b"a", -1.5, -2, 0x102030405060708, b"e", -3)
    memory = _interface.mixed()
    offsets = target["mixed"]
    same("size of struct xt_mixed in memory", len(memory), offsets[-1])
    same("struct xt_mixed by struct", struct.unpack_from("@cdhqcl", memory), values)
    same("end of struct xt_mixed by struct", struct.calcsize("@cdhqclP"), offsets[6] + struct.calcsize("P"))
    copied = Mixed.from_buffer_copy(memory)
    same("struct xt_mixed by ctypes", tuple(getattr(copied, name) for name in "abcdef"), values)
    same("offsets by ctypes", [getattr(Mixed, name).offset for name in "abcdefg"], offsets[:-1])
    same("size by ctypes", ctypes.sizeof(Mixed), offsets[-1])
    members = _interface.Mixed()
    same("members", tuple(getattr(members, name) for name in "abcdef"), ("a", *values[1:4], "e", values[5]))


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else platform.machine()
    target = TABLE["target"][name]
    model = TABLE["model"][target["model"]]
    if len(sys.argv) > 2:
        model["time_t"] = int(sys.argv[2])
    hold_c_against_the_document(target, model)
    hold_the_configuration_against_the_document(target, model)
    hold_struct_and_ctypes_against_the_document(target, model)
    hold_the_interface_together(model)
    hold_text_together()
    hold_buffers_together()
    hold_layouts_together(target)
    print(*wrong, f"{name}: {len(right)} facts are right, {len(wrong)} are wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
