"""The emulator: one qemu-user binary, which runs a target's programs as ordinary processes of the host."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

from xtool.catalog import Lock
from xtool.errors import ArchiveError, StoreError
from xtool.kit import Emulator
from xtool.recipes import Assembly, Recipe
from xtool.targets import Host, Target

REVISION = 1


def qemu_recipe(host: Host, target: Target, lock: Lock) -> Recipe:
    """The recipe of a target's qemu-user binary.

    Raises:
        CatalogError: the lock has no such component.
    """
    artifacts = lock.artifacts("qemu")
    version = artifacts[0].version.partition(":")[2] or artifacts[0].version
    return Recipe(
        name=f"qemu-{target.name}",
        title=f"QEMU {version.partition('+')[0]} for {target.name}",
        revision=REVISION,
        artifacts=artifacts,
        assemble=partial(_assemble, program=target.qemu),
        parameters={"host": host.name, "program": target.qemu},
        members=frozenset({_member(target.qemu)}),
    )


def emulator(path: Path, target: Target) -> Emulator:
    """The emulator of an installed component.

    Raises:
        StoreError: its program is missing.
    """
    executable = path / "bin" / target.qemu
    try:
        usable = bool(executable.stat().st_mode & stat.S_IXUSR)
    except OSError:
        usable = False
    if not usable:
        raise StoreError(
            f"the emulator {executable} is missing", hint=f"`xtool setup {target.name}` repairs it"
        )
    return Emulator(executable, target.qemu_cpu)


def _member(program: str) -> str:
    return f"usr/bin/{program}"


def _assemble(work: Assembly, *, program: str) -> None:
    """Keep one program of the package's fifty; Debian links them statically, so it needs nothing else."""
    source = work.picked[_member(program)]
    _require_static(source)
    (work.staging / "bin").mkdir()
    source.rename(work.staging / "bin" / program)


def _require_static(program: Path) -> None:
    from elftools.elf.elffile import ELFFile

    with program.open("rb") as file:
        dynamic = any(s["p_type"] == "PT_INTERP" for s in ELFFile(file).iter_segments())
    if dynamic:
        raise ArchiveError(f"{program.name} is not statically linked, so it would need the host's C library")
