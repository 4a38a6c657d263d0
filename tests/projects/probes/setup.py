"""Asks what the system has, as configure scripts do: by linking a program that calls it."""

import json
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup

FUNCTIONS = ("secure_getenv", "getrandom", "memfd_create", "gettid", "strlcpy", "closefrom")
HEADERS = ("sys/xattr.h", "sys/random.h", "threads.h", "stdbit.h", "xlocale.h")


def links(code: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "conftest.c")
        source.write_text(code)
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC")).split()
        command = [*compiler, str(source), "-o", str(source.with_suffix(""))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


found = [f for f in FUNCTIONS if links(f"char {f}(void);\nint main(void) {{ return {f}(); }}\n")]
found += [h for h in HEADERS if links(f"#include <{h}>\nint main(void) {{ return 0; }}\n")]
answer = json.dumps(" ".join(found))
use = os.environ.get("XT_USE", "NOTHING")
setup(
    name="xt-probes",
    version="1.0",
    py_modules=[],
    ext_modules=[
        Extension("xt_probes", ["probes.c"], define_macros=[("FOUND", answer), (f"USE_{use}", "1")])
    ],
)
