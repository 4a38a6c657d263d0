"""What a target's Python says of itself, rewritten for a build on this machine.

Build back ends ask `sysconfig` of the interpreter that runs them. `_PYTHON_SYSCONFIGDATA_NAME` makes CPython
answer from another module (cpython's `Lib/sysconfig`, there for its own cross builds); meson reads
`build-details.json` (PEP 739) instead. Both are made from the target Python's own build-time variables: the
ABI stays as it is, places become this machine's, compiler flags go, so that the environment alone rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xtool.kit import TargetPython
from xtool.targets import Target

_ABSOLUTE_PATH = re.compile(r"(?:^|[\s'\"=:,]|-[IL])/")
_FLAGS = re.compile(
    r"(?:C|CPP|CXX|LD)FLAGS|^OPT$|^(?:MOD|LOCALMOD|SH|SYS)?LIBS$|^BLDLIBRARY$|^CONFIG_ARGS$|^LINK(?!CC)"
)
_DROPPED = re.compile(r"^MODULE_|^(?:exec_)?prefix$|^(?:abs_)?(?:src|build)dir$|^TEST|^RUNSHARED$")
_RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_LEVELS = {"a": ("alpha", 0xA), "b": ("beta", 0xB), "rc": ("candidate", 0xC), "": ("final", 0xF)}


@dataclass(frozen=True, slots=True)
class CrossSysconfig:
    """A module of build-time variables for a build.

    Args:
        name: the module's name, for `_PYTHON_SYSCONFIGDATA_NAME`.
        folder: the folder that holds only this module, for PYTHONPATH and `_PYTHON_SYSCONFIGDATA_PATH`.
        platform: for `_PYTHON_HOST_PLATFORM`; the wheel's spelling (`linux-ppc64le`).
    """

    name: str
    folder: Path
    platform: str


def cross_variables(python: TargetPython, tools: Mapping[str, str]) -> dict[str, str | int]:
    """The build-time variables that a build shall see.

    Args:
        python: the target's Python.
        tools: names of tools by variable (`CC`, `CXX`, `AR`, `LDSHARED`, `LDCXXSHARED`, ...).
    """
    found: dict[str, str | int] = {}
    for name, value in python.sysconfig.items():
        if _DROPPED.search(name):
            continue
        blank = isinstance(value, str) and (_FLAGS.search(name) or _ABSOLUTE_PATH.search(value))
        found[name] = "" if blank else value
    include, platform_include = python.includes[0], python.includes[-1]
    found |= {
        "INCLUDEPY": str(include),
        "CONFINCLUDEPY": str(platform_include),
        "INCLUDEDIR": str(include.parent),
        "CONFINCLUDEDIR": str(platform_include.parent),
        # An extension module of a manylinux wheel must not be linked with libpython (PEP 513).
        "Py_ENABLE_SHARED": 0,
        "ANDROID_API_LEVEL": 0,
        "ARFLAGS": "rcs",
        **tools,
    }
    if "CC" in tools:
        found |= {"CPP": f"{tools['CC']} -E", "LINKCC": tools["CC"], "MAINCC": tools["CC"]}
    if "LDSHARED" in tools:
        found["BLDSHARED"] = tools["LDSHARED"]
    return found


def write_cross_sysconfig(
    folder: Path, target: Target, python: TargetPython, tools: Mapping[str, str]
) -> CrossSysconfig:
    """Write the module of build-time variables.

    Args:
        folder: where; made if missing.
        target: the target.
        python: the target's Python.
        tools: names of tools by variable.
    """
    variables = cross_variables(python, tools)
    abi, machine = python.sysconfig.get("ABIFLAGS", ""), python.sysconfig.get("MACHDEP", "linux")
    # A name that no interpreter's own module has: the build Python's would be found first where it is of the
    # target's machine, since `python -I` puts PYTHONPATH out of the way.
    multiarch = python.sysconfig.get("MULTIARCH") or target.multiarch
    name = f"_sysconfigdata_{abi}_{machine}_{multiarch}_xtool"
    lines = [f"    {key!r}: {variables[key]!r},\n" for key in sorted(variables)]
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(["build_time_vars = {\n", *lines, "}\n"])
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return CrossSysconfig(name, folder, f"linux-{target.name}")


def build_details(target: Target, python: TargetPython) -> dict[str, object]:
    """The target Python's `build-details.json` 1.0 (PEP 739), with places on this machine."""
    release = _RELEASE.match(python.full_version)
    major, minor, micro = (int(part) for part in release.groups()[:3]) if release else (3, 0, 0)
    mark, serial = (release[4] or "", int(release[5] or 0)) if release else ("", 0)
    level, nibble = _LEVELS[mark]
    version_info = {"major": major, "minor": minor, "micro": micro, "releaselevel": level, "serial": serial}
    threaded = bool(python.sysconfig.get("Py_GIL_DISABLED"))
    abiflags = str(python.sysconfig.get("ABIFLAGS", ""))
    # Without the GIL there is no stable ABI before 3.15, and then another one (PEP 803).
    stable = {} if threaded else {"stable_abi_suffix": ".abi3.so"}
    return {
        "schema_version": "1.0",
        "base_prefix": str(python.root / "usr"),
        "base_interpreter": str(python.executable),
        "platform": f"linux-{target.name}",
        "language": {"version": f"{major}.{minor}", "version_info": version_info},
        "implementation": {
            "name": "cpython",
            "cache_tag": f"cpython-{major}{minor}",
            "version": version_info,
            "hexversion": major << 24 | minor << 16 | micro << 8 | nibble << 4 | serial,
            "_multiarch": target.multiarch,
        },
        "abi": {
            "flags": sorted(set(abiflags) | ({"t"} if threaded else set())),
            "extension_suffix": python.ext_suffix,
            **stable,
        },
        "suffixes": {
            "source": [".py"],
            "bytecode": [".pyc"],
            "optimized_bytecode": [".pyc"],
            "debug_bytecode": [".pyc"],
            "extensions": [python.ext_suffix, *stable.values(), ".so"],
        },
        "libpython": {"link_extensions": False},
        "c_api": {"headers": str(python.includes[0])},
    }


def write_build_details(path: Path, target: Target, python: TargetPython) -> Path:
    """Write `build-details.json`; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(build_details(target, python), indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path
