"""A portable Python for tests that runs on glibc 2.17: Debian's, lowered, in the layout that uv unpacks.

A real portable build needs nothing above glibc 2.17. The interpreter of a target root is Debian's and asks
for newer versions of symbols; here they are rewritten by `xtool.toolchain.lower`. The three that glibc 2.17
does not have at all (`preadv2`'s newest name is one) are left to the first call, which no test makes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from support import portablebuilds
from support.fakeserver import FakeServer
from support.portablebuilds import SYSCONFIG_COMMENT, Build

from xtool.python import portable
from xtool.targets import Target
from xtool.toolchain import compat, runtimes, sysroot

_TYPE_AT, _EXEC, _DYN = 16, 2, 3
_ALTERNATIVE_STACK = ((0x52801F40).to_bytes(4, "little"), (0x528003C0).to_bytes(4, "little"))
"""`mov w0, _SC_SIGSTKSZ` and `mov w0, _SC_PAGESIZE`: SIGSTKSZ is a question in glibc 2.34's headers, which
glibc 2.17 answers with -1; faulthandler would ask for that much memory."""

_ON_CALL = frozenset({"posix_spawn_file_actions_addclosefrom_np", "preadv64v2", "pwritev64v2"})


def serve(server: FakeServer, root: Path, floor: Path, target: Target, folder: Path) -> dict[str, str]:
    """Let a server have the build.

    Args:
        server: the server.
        root: a target root with Debian's Python 3.13.
        floor: a sysroot of glibc 2.17.
        target: the target.
        folder: an empty folder.

    Returns:
        The variables that make uv take it.
    """
    usr, place = root / "usr", folder / "python"
    shutil.copytree(
        usr / "lib/python3.13",
        place / "lib/python3.13",
        ignore=shutil.ignore_patterns("__pycache__"),
        symlinks=True,
    )
    shutil.copytree(usr / "include/python3.13", place / "include/python3.13")
    (place / "bin").mkdir()
    shutil.copy(usr / "bin/python3.13", place / "bin/python3.13")
    exports = json.loads((floor / "share/xtool/exports.json").read_text())
    del exports[sysroot.LIBGCC]
    offered = runtimes.compat_names(floor / "usr/lib" / compat.COMPAT_SONAME) | _ON_CALL
    for path in (place / "bin/python3.13", *(place / "lib/python3.13/lib-dynload").glob("*.so")):
        path.chmod(0o755)
        _retype(path, _EXEC, _DYN)
        runtimes.fit(path, target, exports, offered)
        if path.name == "python3.13":
            _retype(path, _DYN, _EXEC)
            data = path.read_bytes()
            assert data.count(_ALTERNATIVE_STACK[0]) == 2
            path.write_bytes(data.replace(*_ALTERNATIVE_STACK))
    (sysconfig,) = (place / "lib/python3.13").glob("_sysconfigdata_*linux_*.py")
    sysconfig.chmod(0o644)
    sysconfig.write_text(SYSCONFIG_COMMENT + sysconfig.read_text().partition("\n")[2])
    return publish(server, place, target, "3.13.5")


def publish(server: FakeServer, place: Path, target: Target, version: str) -> dict[str, str]:
    """Let a server have a build that is laid out as uv unpacks it.

    Args:
        server: the server.
        place: the build, with `bin`, `lib` and `include`; the archive is made beside it.
        target: the target.
        version: of the interpreter: `3.13.5`.

    Returns:
        The variables that make uv take it.
    """
    build = Build(portable.machine(target), version, place)
    return {**portablebuilds.publish(server, [build]), "XTOOL_PYTHON_SOURCE": "portable"}


def _retype(path: Path, old: int, new: int) -> None:
    """Change `e_type` of a little-endian ELF file: what is lowered must be a shared object."""
    data = bytearray(path.read_bytes())
    if data[_TYPE_AT] == old:
        data[_TYPE_AT] = new
        path.write_bytes(data)
