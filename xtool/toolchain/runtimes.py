"""GCC's shared runtime libraries in a sysroot, lowered to its floor: OpenMP's, Fortran's, quad precision's.

They are linked by their usual names and found in the sysroot alone; whatever needs one brings it along,
grafted into the wheel. C++'s runtime is no such library: it is linked statically (`docs/decisions/0003`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from xtool.errors import StoreError
from xtool.kit import Sysroot
from xtool.targets import Target
from xtool.toolchain import gcc
from xtool.toolchain.compat import COMPAT_SONAME, Workshop, write_compat_library
from xtool.toolchain.lower import Exports, Lowered, lower
from xtool.toolchain.unsigned import unsign_library

_LIBRARY_FOLDERS = ("usr/lib", "usr/lib64", "lib", "lib64")


def install_runtimes(shop: Workshop, exports: Exports, folder: Path) -> dict[str, Lowered]:
    """Put the compat library and the toolchain's shared runtimes into a sysroot, with their link names.

    Args:
        shop: tools; the sysroot must be complete but for these.
        exports: what the floor's libraries export: soname -> `symbol@version`.
        folder: the sysroot's library folder, where `-l` looks.

    Returns:
        By soname, what lowering it came to. What is missing somewhere is no error here: the library goes on
        asking for it, and a wheel with it is refused by name.

    Raises:
        CommandFailed: the compat library does not compile.
        ArchiveError: a runtime library is malformed.
    """
    exported = {entry.partition("@")[0] for names in exports.values() for entry in names}
    compat = write_compat_library(shop, exported, folder)
    found = {}
    for packaged in sorted((shop.tools.path / gcc.RUNTIMES).iterdir()):
        library = folder / packaged.name
        shutil.copyfile(packaged, library)
        name, shared, _ = packaged.name.partition(".so.")
        if shared:
            found[packaged.name] = fit(library, shop.target, exports, compat)
            (folder / f"{name}.so").symlink_to(packaged.name)
    return found


def fit(library: Path, target: Target, exports: Exports, compat: Iterable[str]) -> Lowered:
    """Make a shared library that was built for a newer system fit for a floor, in place.

    Args:
        library: the file.
        target: its machine.
        exports: what the floor's libraries export.
        compat: names that the sysroot's compat library exports (`compat_names`).

    Raises:
        ArchiveError: it is no shared library, or a malformed one.
    """
    if target.elf.machine == "EM_AARCH64":
        unsign_library(library)
    return lower(library, exports, frozenset(compat), compat_soname=COMPAT_SONAME)


def compat_names(library: Path) -> frozenset[str]:
    """What a sysroot's compat library exports.

    Raises:
        ArchiveError: it is malformed.
        UsageError: there is none.
    """
    from xtool.elf import read_elf

    return read_elf(library).export_names


def offer_libraries(sysroot: Sysroot, into: Path) -> Path:
    """Make a folder of links to those libraries of a sysroot that may go into a wheel.

    Never those of the C library: a derived sysroot's are empty shells, and a real one's are a whole that no
    process can have twice.

    Args:
        sysroot: the sysroot.
        into: the folder to make.

    Raises:
        StoreError: the sysroot is damaged.
    """
    try:
        own = frozenset(json.loads(sysroot.exports.read_text(encoding="ascii")))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot read {sysroot.exports}: {error}", hint="`xtool verify` finds damage"
        ) from error
    into.mkdir()
    folders = [sysroot.path / name for name in _LIBRARY_FOLDERS]
    # What packages bring stands in Debian's multiarch folder, some of it one folder below.
    for multiarch in sorted((sysroot.path / "usr" / "lib").glob("*-linux-gnu*")):
        folders += [multiarch, *(below for below in sorted(multiarch.iterdir()) if below.is_dir())]
    for folder in folders:
        for path in sorted(folder.glob("lib*.so*")) if folder.is_dir() else ():
            real = path.resolve()
            if not own & {path.name, real.name} and not (into / path.name).exists():
                (into / path.name).symlink_to(real)
    return into
