"""CPython compiled from Debian's copy of its source, for scripts that prove something with it.

The source comes through apt, which checks the suite's signature with the key in `toolchains/keys/` and the
archive's hash with the index that it signs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from xtool.catalog import Catalog, default_root
from xtool.fetch.mirrors import apt_mirrors

OPTIONS = (
    "--prefix=/usr",
    "--without-ensurepip",
    "--disable-test-modules",
    "--without-static-libpython",
)
"""For `configure`: what no build back end and no smoke test needs is left out."""

LIBFFI_BESIDE = r"LIBFFI_LIBS=-lffi -Wl,-rpath,\$$ORIGIN"
"""For `configure`: a portable build brings its libffi, which lies beside `_ctypes`. Not libffi_pic.a: static
libraries are not lowered, and this one calls memfd_create of glibc 2.27."""


class ProofFailedError(Exception):
    """Something did not come out as it must."""


def fetch(folder: Path, python: str, suite: str) -> tuple[Path, str]:
    """Get the source of a version.

    Args:
        folder: where; a source that is there already is taken.
        python: `3.13`.
        suite: `trixie`.

    Returns:
        The unpacked source, and its version.

    Raises:
        ProofFailedError: apt fails.
    """
    if not folder.is_dir():
        (folder / "lists" / "partial").mkdir(parents=True)
        mirrors = apt_mirrors()
        base = os.environ.get("XTOOL_DEBIAN_MIRROR") or (mirrors[0].base if mirrors else "")
        archives = Catalog().archives.values()
        (keyring,) = (archive.suites[suite].keyring for archive in archives if suite in archive.suites)
        (folder / "one.sources").write_text(
            f"Types: deb-src\nURIs: {base}\nSuites: {suite}\nComponents: main\n"
            f"Signed-By: {default_root() / keyring}\n"
        )
        settings = {
            "Dir::Etc::sourcelist": f"{folder}/one.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": f"{folder}/lists",
            "Dir::Cache": str(folder),
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
        }
        apt = ["apt-get", "-qq", *(word for item in settings.items() for word in ("-o", "=".join(item)))]
        run([*apt, "update"], folder)
        run([*apt, "source", "--download-only", f"python{python}"], folder)
        (archive,) = folder.glob("*.orig.tar.xz")
        run(["tar", "-xf", archive], folder)
    (source,) = folder.glob("Python-*")
    return source, source.name.partition("-")[2]


def install(
    source: Path,
    work: Path,
    place: Path,
    *,
    options: Sequence[str],
    jobs: int,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """Configure, make and install into a folder with `bin`, `lib` and `include`.

    Args:
        source: the unpacked source.
        work: folder to build in, emptied first.
        place: where the outcome shall lie; replaced.
        options: further words for `configure`.
        jobs: for make.
        environ: the whole environment, or None for this process's.

    Returns:
        `place`.

    Raises:
        ProofFailedError: a step fails.
    """
    root = place.with_name(f"{place.name}.root")
    for folder in (work, place, root):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True)
    run([source / "configure", *OPTIONS, *options], work, environ)
    run(["make", f"-j{jobs}"], work, environ)
    run(["make", "install", f"DESTDIR={root}"], work, environ)
    place.parent.mkdir(parents=True, exist_ok=True)
    (root / "usr").rename(place)
    shutil.rmtree(root)
    return place


def bring_libffi(place: Path, python: str, sysroot: Path) -> None:
    """Put a sysroot's libffi beside `_ctypes`, which looks for it there (`LIBFFI_BESIDE`)."""
    (libffi,) = (sysroot / "usr" / "lib").rglob("libffi.so.?")
    shutil.copyfile(libffi, place / "lib" / f"python{python}" / "lib-dynload" / libffi.name)


def run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a command; what it says.

    Raises:
        ProofFailedError: it fails.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProofFailedError(f"{' '.join(map(str, command[:3]))}: {done.stdout[-3000:]}")
    return done.stdout
