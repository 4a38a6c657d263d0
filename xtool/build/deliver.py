"""The output folder: found fit before anything is built, and filled with whole wheels only."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xtool.errors import StoreError, WheelRejected

_PROBE = 1 << 20
"""Bytes that a folder must have room for."""


@contextmanager
def usable(folder: Path, *, hint: str) -> Iterator[None]:
    """Make a folder, and take it away again where nothing was put into it.

    Args:
        folder: the folder.
        hint: what to do where it cannot be written.

    Raises:
        StoreError: it cannot be written, or its disk is full.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_PROBE))
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror}", hint=hint, code="outdir") from error
        yield
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for all that is made on the way; gone afterwards.

    Raises:
        StoreError: there is no room for one.
    """
    hint = "make room, or point TMPDIR to a larger disk"
    try:
        made = tempfile.TemporaryDirectory(prefix="xtool-build-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"cannot make a temporary folder: {error.strerror}", hint=hint) from error
    with made as name, usable(Path(name), hint=hint):
        yield Path(name)


class Delivery:
    """Puts wheels into the output folder.

    Args:
        outdir: the folder.
    """

    def __init__(self, outdir: Path) -> None:
        self._outdir = outdir
        self._done: dict[str, int] = {}

    def earlier(self, name: str) -> int | None:
        """The cell of this run whose wheel of this name lies in the folder."""
        return self._done.get(name)

    def deliver(self, cell: int, wheel: Path) -> Path:
        """Put a wheel into the folder, whole or not at all; it replaces one of the same name.

        Args:
            cell: whose wheel it is.
            wheel: the wheel.

        Raises:
            StoreError: it cannot be written.
        """
        final = self._outdir / wheel.name
        temporary: Path | None = None
        try:
            handle, made = tempfile.mkstemp(prefix=".xtool-", dir=self._outdir)
            os.close(handle)
            temporary = Path(made)
            shutil.copyfile(wheel, temporary)
            temporary.chmod(0o644)
            temporary.replace(final)
        except OSError as error:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink()
            raise StoreError(
                f"cannot write {final}: {error.strerror}", hint="choose another folder with `--outdir`"
            ) from error
        self._done[wheel.name] = cell
        return final

    def same(self, wheel: Path) -> bool:
        """Whether a wheel is the one of its name in the folder, whichever back end's release made it."""
        other = self._outdir / wheel.name
        return wheel.read_bytes() == other.read_bytes() or _members(wheel) == _members(other)


def _members(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without the name of the program that made it, and without their hashes."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    for name in list(found):
        if name.endswith(".dist-info/WHEEL"):
            lines = found[name].splitlines()
            found[name] = b"\n".join(line for line in lines if not line.startswith(b"Generator:"))
        elif name.endswith(".dist-info/RECORD"):
            del found[name]
    return found


def clash(name: str, first: str, second: str) -> WheelRejected:
    """The error for two wheels of one name that are not the same.

    Args:
        name: the wheels' name.
        first: the cell whose wheel is kept, for people.
        second: the other one.
    """
    return WheelRejected(
        f"the wheels for {first} and for {second} are both called {name}, and are not the same",
        facts=["a tag must not promise more than a wheel holds; the first of them is kept"],
        hint="the project must let the back end tag what depends on Python or machine as such "
        "(setuptools: `ext_modules`), or be built for one of them",
        code="same-name",
    )
