"""Asks in every way that projects ask which machine it is built for, and builds what the answers say."""

import importlib.machinery
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

answers = {
    "platform.machine": platform.machine(),
    "platform.uname": platform.uname().machine,
    "platform.processor": platform.processor(),
    "platform.platform": "ppc64le" in platform.platform(),
    "os.uname": os.uname().machine,
    "os.uname()[4]": os.uname()[4],
    "sysconfig.get_platform": sysconfig.get_platform(),
    "EXT_SUFFIX": sysconfig.get_config_var("EXT_SUFFIX"),
    "EXTENSION_SUFFIXES": importlib.machinery.EXTENSION_SUFFIXES[0],
    "MULTIARCH": sysconfig.get_config_var("MULTIARCH"),
    "include": sysconfig.get_path("include"),
    "isolated": subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            "import platform, sysconfig; print(platform.machine(), sysconfig.get_config_var('EXT_SUFFIX'))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip(),
}
if platform.machine() == "x86_64":
    flags = ["-msse4.2", '-DMACHINE="x86_64"']
elif platform.machine() == "ppc64le":
    flags = ["-mvsx", '-DMACHINE="ppc64le"']
else:
    raise SystemExit(f"unknown machine {platform.machine()}")

Path("xt_machine/answers.json").write_text(json.dumps(answers))

setup(
    name="xt-machine",
    version="1.0",
    packages=["xt_machine"],
    package_data={"xt_machine": ["answers.json"]},
    ext_modules=[
        # The host's folders are what careless projects add; the compiler must not see them.
        Extension(
            "xt_machine._machine",
            ["machine.c"],
            include_dirs=["/usr/include", "/usr/local/include"],
            library_dirs=["/usr/lib", "/usr/lib/x86_64-linux-gnu"],
            extra_compile_args=flags,
        )
    ],
)
