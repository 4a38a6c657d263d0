"""`xtool env`: the cross environment for builds that the user runs."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping

from xtool.context import Context
from xtool.crossenv import variables
from xtool.crossenv.environment import CrossEnv, target_python
from xtool.errors import StoreError, UsageError
from xtool.kit import Kit

FORMATS = ("shell", "json", "cmake", "meson", "github")
"""What `xtool env --format` can say."""

_REVISION = 4
"""Raised when what is written for the same kit changes."""

_USER_FLAGS = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "FFLAGS", "LDFLAGS")


def env_for_user(ctx: Context, kit: Kit, version: str, form: str) -> str | dict[str, str]:
    """The cross environment as text to evaluate, or as data.

    Its files are kept below the cache's `v1/state/env/`, in a folder named by all that they are made from.

    Args:
        ctx: settings, log, environment.
        kit: the kit.
        version: Python version, `3.13`.
        form: `shell` (export lines), `json` (the variables as data), `cmake` (a toolchain file), `meson` (a
            cross file) or `github` (lines for the file that GITHUB_ENV names).

    Raises:
        UsageError: there is no such format or Python.
        StoreError: the cache cannot be written.
    """
    if form not in FORMATS:
        raise UsageError(f"there is no format `{form}`", hint=f"choose one of {', '.join(FORMATS)}")
    cross = persistent(ctx, kit, version)
    if form == "cmake":
        return cross.cmake_toolchain.read_text(encoding="utf-8")
    if form == "meson":
        return cross.meson_cross_file.read_text(encoding="utf-8")
    path = os.pathsep.join([str(cross.bindir), ctx.environ.get("PATH", os.defpath)])
    if form == "shell":
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(cross.environ.items())]
        return "\n".join([*lines, f'export PATH={shlex.quote(str(cross.bindir))}:"$PATH"']) + "\n"
    environ = dict(sorted({**cross.environ, "PATH": path}.items()))
    if form == "github":
        return "".join(f"{name}={value}\n" for name, value in environ.items())
    return environ | {
        "XTOOL_CMAKE_TOOLCHAIN": str(cross.cmake_toolchain),
        "XTOOL_MESON_CROSS_FILE": str(cross.meson_cross_file),
        "XTOOL_BUILD_DETAILS": str(cross.build_details),
    }


def persistent(ctx: Context, kit: Kit, version: str) -> CrossEnv:
    """The cross environment of a kit whose files stay where they are.

    Raises:
        StoreError: the cache cannot be written.
    """
    folder = ctx.settings.cache_dir / "v1" / "state" / "env" / _digest(ctx.environ, kit, version)
    try:
        return CrossEnv.create_for_user(ctx, kit, version, folder)
    except OSError as error:
        raise StoreError(
            f"cannot write {error.filename or folder}: {error.strerror}",
            hint="point XTOOL_CACHE_DIR to a folder you can write",
        ) from error


def _digest(environ: Mapping[str, str], kit: Kit, version: str) -> str:
    inputs = [
        _REVISION,
        str(kit.toolchain.path),
        str(kit.sysroot.path),
        str(kit.emulator.executable),
        str(target_python(kit, version).root),
        version,
        {name: variables.target_flags(environ, name, kit.target.name) for name in _USER_FLAGS},
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
