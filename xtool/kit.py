"""What a set-up leaves behind and a build is given: paths into the store, with what is known about them.

These types carry facts only. The rooms `toolchain`, `python` and `emulator` make them from installed
components; `crossenv`, `build`, `wheel` and the command line use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xtool.targets import Glibc, Host, Target


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A relocated cross GCC with binutils.

    Args:
        path: its folder in the store.
        bindir: folder of the tools, each named `TRIPLET-TOOL` (`powerpc64le-linux-gnu-gcc`).
        triplet: the target's GNU triplet.
        version: GCC's version (`14.2.0`).
        languages: what it compiles: `c`, `c++`, `fortran`.
    """

    path: Path
    bindir: Path
    triplet: str
    version: str
    languages: tuple[str, ...]

    def tool(self, name: str) -> Path:
        """Path of a tool: `gcc`, `g++`, `gfortran`, `ar`, `ld`, `strip`, `objdump`, `gcov-tool`, ..."""
        return self.bindir / f"{self.triplet}-{name}"


@dataclass(frozen=True, slots=True)
class Sysroot:
    """C library headers, start files and link libraries of a target at a floor.

    Args:
        path: the folder to give as `--sysroot`.
        glibc: the floor: the newest glibc whose symbols link.
        kind: `derived`, or the distribution it was taken from.
        why: why this kind was taken, for users.
    """

    path: Path
    glibc: Glibc
    kind: str
    why: str = ""

    @property
    def exports(self) -> Path:
        """JSON file: soname -> sorted list of `symbol@version` that the floor's libraries export."""
        return self.path / "share" / "xtool" / "exports.json"

    @property
    def later(self) -> Path:
        """JSON file: symbol that no library of the floor has -> the first glibc that has it (`2.25`)."""
        return self.exports.with_name("later.json")


@dataclass(frozen=True, slots=True)
class TargetPython:
    """An interpreter of the target, and all that is known of it without running it.

    Args:
        root: the target root, for qemu's `-L`.
        executable: the interpreter's path on this machine (`ROOT/usr/bin/python3.13`).
        version: `3.13`.
        full_version: `3.13.5`.
        source: where it came from: `debian` or `portable`.
        includes: folders with `Python.h` and `pyconfig.h`, on this machine.
        sysconfig: the interpreter's own `sysconfig.get_config_vars()`, with the paths the target sees.
        glibc: the glibc of the root.
        ext_suffix: `.cpython-313-powerpc64le-linux-gnu.so`.
    """

    root: Path
    executable: Path
    version: str
    full_version: str
    source: str
    includes: tuple[Path, ...]
    sysconfig: Mapping[str, str | int]
    glibc: Glibc
    ext_suffix: str


@dataclass(frozen=True, slots=True)
class BuildPython:
    """An interpreter of the host, of the same minor version as the target's; it runs build back ends.

    Args:
        executable: its path.
        version: `3.13`.
        source: `host`, `uv` or `debian`.
    """

    executable: Path
    version: str
    source: str


@dataclass(frozen=True, slots=True)
class Emulator:
    """The qemu-user binary of a target.

    Args:
        executable: its path in the store.
        cpu: the CPU model of the target's baseline, for `-cpu`.
    """

    executable: Path
    cpu: str


@dataclass(frozen=True, slots=True)
class Kit:
    """All that a build for one target needs.

    Args:
        host: the machine xtool runs on.
        target: the machine wheels are for.
        toolchain: the cross compiler.
        sysroot: the floor.
        emulator: runs target code.
        pythons: by `X.Y`, the target's interpreter.
        build_pythons: by `X.Y`, the interpreter that runs back ends.
        lock_digest: digest of the lock that all of it was made from.
    """

    host: Host
    target: Target
    toolchain: Toolchain
    sysroot: Sysroot
    emulator: Emulator
    pythons: Mapping[str, TargetPython]
    build_pythons: Mapping[str, BuildPython]
    lock_digest: str

    @property
    def folders(self) -> tuple[Path, ...]:
        """A path below each component that the kit is made of; some may lie outside the store."""
        return (
            self.toolchain.path,
            self.sysroot.path,
            self.emulator.executable,
            *(python.root for python in self.pythons.values()),
            *(python.executable for python in self.build_pythons.values()),
        )
