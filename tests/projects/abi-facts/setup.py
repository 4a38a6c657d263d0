"""Writes a configuration header from what the interpreter says of the machine, as many projects do.

Each value comes in every way that projects ask for it; they have to agree, and the C files hold them against
the compiler. Two variables spoil the header on purpose, to show that it would be noticed:

- XT_LEAK names a JSON file with facts of another machine, which then go into the header;
- XT_PYCONFIG names a `pyconfig.h` of another machine, which then is read before Python's own;
- XT_TRUSTING takes the assertions away, as in projects that believe what they are told.
"""

import ctypes
import json
import os
import platform
import shutil
import struct
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent


def told() -> dict[str, int]:
    """Facts of the machine that is built for; each name is what C calls it."""
    variables = sysconfig.get_config_vars()
    with Path(sysconfig.get_config_h_filename()).open() as file:
        header = sysconfig.parse_config_h(file)
    pointer = {
        variables["SIZEOF_VOID_P"],
        header["SIZEOF_VOID_P"],
        struct.calcsize("P"),
        struct.calcsize("n"),
        ctypes.sizeof(ctypes.c_void_p),
        (sys.maxsize.bit_length() + 1) // 8,
        int(platform.architecture()[0].removesuffix("bit")) // 8,
    }
    # Not of sysconfig's WORDS_BIGENDIAN: the line of pyconfig.h that defines it is not read on any machine.
    big = {
        sys.byteorder == "big",
        struct.unpack("h", b"\0\1")[0] == 1,
        struct.pack("=i", 1) == struct.pack(">i", 1),
    }
    if len(pointer) != 1 or len(big) != 1:
        raise SystemExit(
            f"the interpreter contradicts itself: pointers of {pointer} bytes, big-endian: {big}"
        )
    found = {
        "SIZEOF_VOID_P": pointer.pop(),
        "BIGENDIAN": int(big.pop()),
        "SIZEOF_STRUCT": struct.calcsize("@cdhqclP"),
        "SIZEOF_LONG_DOUBLE": ctypes.sizeof(ctypes.c_longdouble),
    }
    for name in (
        "SHORT",
        "INT",
        "LONG",
        "LONG_LONG",
        "SIZE_T",
        "OFF_T",
        "TIME_T",
        "WCHAR_T",
        "FLOAT",
        "DOUBLE",
    ):
        found[f"SIZEOF_{name}"] = variables[f"SIZEOF_{name}"]
    return found


facts = told()
if "XT_LEAK" in os.environ:
    facts |= json.loads(Path(os.environ["XT_LEAK"]).read_text())
lines = [f"#define XT_{name} {value}\n" for name, value in sorted(facts.items())]
(HERE / "src" / "xt_config.h").write_text("/* Made by setup.py. */\n" + "".join(lines))

macros = []
if "XT_PYCONFIG" in os.environ:
    shutil.copyfile(os.environ["XT_PYCONFIG"], HERE / "src" / "pyconfig.h")
    macros.append(("XT_PYCONFIG_FIRST", "1"))
if "XT_TRUSTING" in os.environ:
    macros.append(("XT_TRUSTING", "1"))

setup(
    packages=["xt_abi"],
    package_dir={"": "lib"},
    ext_modules=[
        Extension(
            f"xt_abi._{name}", [f"src/{name}.c"], include_dirs=["src"], depends=["src"], define_macros=macros
        )
        for name in ("facts", "interface")
    ],
)
