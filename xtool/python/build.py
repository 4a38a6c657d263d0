"""Build Pythons: interpreters of the host, of the same minor version as the target's, that run back ends.

One that the host has is taken first, then one that uv manages; `None` means that one has to be fetched (by
uv where its mirror can be reached) or assembled from Debian's packages with its own C library, as the
toolchain is.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from xtool import proc
from xtool.catalog import Lock
from xtool.context import Context
from xtool.errors import ArchiveError, StoreError, XtoolError
from xtool.kit import BuildPython
from xtool.log import SilentLog
from xtool.recipes import Assembly, Recipe
from xtool.targets import Host
from xtool.toolchain.relocate import blank_slots, bundle_host_libraries, fill_slots

REVISION = 3
_FOR_WHEELS = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libm.so.6", "libmvec.so.1", "libpthread.so.0"),
    *("libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libanl.so.1", "libnsl.so.1"),
)
"""Libraries that extension modules of build requirements expect of a system (PEP 600), beside libc.

The machine's own are of its own glibc, and do not load into a process that has started with another.
"""
_PROBE_TIMEOUT = 10.0
"""Seconds that a candidate has to say who it is."""

_PROBE = """
import importlib.util, sys
import _ctypes, _ssl, zlib
executable = getattr(sys, "_base_executable", None) or sys.executable
facts = sys.implementation.name, "%d.%d" % sys.version_info[:2], sys.abiflags, executable
print("\\n".join(facts) if importlib.util.find_spec("venv") else "")
"""
"""Asks an interpreter who it is; fails where modules that need libraries do not load. Made to be quick."""

_UNUSED = re.compile(
    r"""
    (?!usr/).* | usr/(share|include|sbin)/.* | usr/lib/(binfmt\.d|debug|valgrind)/.*
  | .*/(gconv|audit|engines-3|perl5)/.*
  | usr/bin/(?!python3\.[0-9]+$).*
  | usr/lib/python3/.*
  | usr/lib/python3\.[0-9]+/(test|idlelib|turtledemo|lib2to3/tests)/.*
  | usr/lib/python3\.[0-9]+/lib-dynload/nis\..*
  | usr/lib/python3\.[0-9]+/(EXTERNALLY-MANAGED|sitecustomize\.py|_distutils_system_mod\.py)
    """,
    re.VERBOSE,
)
"""Members of the packages that a build Python does without. `nis` (PEP 594) would need libtirpc."""

_DEBIAN_SCHEME = "os.environ.get('DEB_PYTHON_INSTALL_LAYOUT', 'posix_local')"


def build_python_recipe(
    host: Host, lock: Lock, version: str, *, source: str = "debian", runner: Sequence[str | Path] = ()
) -> Recipe:
    """The recipe of a build Python.

    Args:
        host: the machine it runs on.
        lock: where its packages are locked; the interpreter is the same in every target's lock.
        version: `3.13`.
        source: `debian` for the lock's packages, `portable` for a build that uv fetches.
        runner: words that start a program of the host, where this machine is another one (an emulator).

    Raises:
        CatalogError: the lock has no Python of this version.
    """
    component = f"build-python{version}"
    if source == "portable":
        return _portable_recipe(host, version, lock)
    return Recipe(
        name=component,
        title=f"CPython {version} for builds",
        revision=REVISION,
        artifacts=lock.artifacts(component),
        assemble=partial(_assemble, host=host, version=version, runner=runner),
        parameters={"host": host.name},
    )


def _portable_recipe(host: Host, version: str, lock: Lock) -> Recipe:
    from xtool.python import portable

    key = portable.key(version, portable.machine_of_host(host))

    def assemble(work: Assembly) -> None:
        otherwise = portable.instead_of(version, lock, "build-python")
        built = portable.install(work.ctx, key, work.scratch / "portable", otherwise=otherwise)
        for part in sorted(built.iterdir()):
            part.rename(work.staging / part.name)

    return Recipe(
        name=f"build-python{version}",
        title=f"CPython {version} for builds (portable)",
        revision=REVISION,
        artifacts=(),
        assemble=assemble,
        parameters={"host": host.name, "source": "portable", **portable.fingerprint(key)},
    )


def from_store(path: Path, version: str) -> BuildPython:
    """The build Python of an installed component.

    Raises:
        StoreError: its interpreter is missing.
    """
    executable = path / "bin" / f"python{version}"
    if not os.access(executable, os.X_OK):
        raise StoreError(f"the interpreter {executable} is missing", hint="`xtool setup` repairs it")
    return BuildPython(executable, version, "debian" if (path / "lib/host").is_dir() else "uv")


def find_build_python(ctx: Context, version: str) -> BuildPython | None:
    """Find a working CPython of a minor version that the machine has already.

    Asked in this order: the interpreter that runs xtool, `PATH` of `ctx.environ` (the real interpreter behind
    a pyenv shim, whichever version the shim would choose), uv's own interpreters. Nothing is downloaded.

    Args:
        ctx: settings and environment.
        version: `3.13`, or `3.13t` for one without the GIL.

    Returns:
        The first that runs, is of this version and flavour and has the modules that back ends need; or None.
    """
    if _is_own(version):
        return BuildPython(Path(getattr(sys, "_base_executable", "") or sys.executable), version, "host")
    seen: set[str] = set()
    for source, candidate in _candidates(ctx, version):
        real = os.path.realpath(candidate)
        if real not in seen:
            seen.add(real)
            executable = _probe(ctx, candidate, version)
            if executable is not None:
                return BuildPython(executable, version, source)
    return None


def _flavoured(release: str, abiflags: str) -> str:
    """A version as users write it. "t" in the ABI flags: built without the GIL, another ABI (PEP 703)."""
    return release + ("t" if "t" in abiflags else "")


def _is_own(version: str) -> bool:
    """Whether the interpreter that runs xtool will do; it has proved most of it by running xtool."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    right = sys.implementation.name == "cpython" and _flavoured(own, sys.abiflags) == version
    return right and importlib.util.find_spec("venv") is not None


def _candidates(ctx: Context, version: str) -> Iterator[tuple[str, Path]]:
    folders = [Path(entry) for entry in ctx.environ.get("PATH", "").split(os.pathsep) if entry]
    for name in (f"python{version}", "python3", "python"):
        for folder in folders:
            path = folder / name
            if not (path.is_file() and os.access(path, os.X_OK)):
                continue
            if not _is_script(path):
                yield "host", path
            elif name == f"python{version}":
                # A shim. pyenv's fails where its settings choose another version, so look behind it.
                release, flavour = version.removesuffix("t"), "t" if version.endswith("t") else ""
                versions = f"versions/{release}.*{flavour}/bin/{name}"
                behind = sorted(folder.parent.glob(versions), reverse=True)
                yield from (("host", found) for found in behind or [path])
    managed = _managed_by_uv(ctx, version)
    if managed is not None:
        yield "uv", managed


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _managed_by_uv(ctx: Context, version: str) -> Path | None:
    import uv

    command = [uv.find_uv_bin(), "python", "find", "--managed-python", "--offline", "--no-python-downloads"]
    command += ["--no-config", "--no-project", f"cpython@{version}"]
    environ = {
        k: v for k, v in ctx.environ.items() if not k.startswith("UV_") or k == "UV_PYTHON_INSTALL_DIR"
    }
    found = _quiet(command, environ)
    return Path(found.strip()) if found and found.strip() else None


def _probe(ctx: Context, candidate: Path, version: str) -> Path | None:
    """The real interpreter behind a candidate, if it is what is looked for."""
    environ = {k: v for k, v in ctx.environ.items() if not k.startswith(("PYTHON", "_PYTHON"))}
    answer = _quiet([candidate, "-I", "-S", "-c", _PROBE], environ)
    facts = (answer or "").rstrip("\n").split("\n")
    if len(facts) != 4 or facts[0] != "cpython" or _flavoured(facts[1], facts[2]) != version:
        return None
    return Path(facts[3])


def _quiet(command: Sequence[str | Path], environ: dict[str, str]) -> str | None:
    """Standard output of a command that may well fail; None when it does."""
    try:
        done = proc.run(
            command, log=SilentLog(), env=environ, check=False, merge=False, timeout=_PROBE_TIMEOUT
        )
    except XtoolError:
        return None
    return done.stdout if done.returncode == 0 else None


def _assemble(work: Assembly, *, host: Host, version: str, runner: Sequence[str | Path]) -> None:
    from xtool.archive import unpack_all

    tree = work.scratch / "tree"
    unpack_all(work.files.values(), tree, only=_wanted, jobs=2)
    stdlib = work.staging / "lib" / f"python{version}"
    stdlib.parent.mkdir()
    (tree / "usr/bin").rename(work.staging / "bin")
    (tree / f"usr/lib/python{version}").rename(stdlib)
    for name in ("python3", "python"):
        (work.staging / "bin" / name).symlink_to(f"python{version}")
    _mend_sysconfig(stdlib)
    bundle_host_libraries(work.staging, libraries=tree, host=host, extra=_FOR_WHEELS)
    fill_slots(work.staging, work.staging)
    _compile(work, version, runner)
    blank_slots(work.staging)


def _wanted(name: str) -> bool:
    # Bookworm keeps libraries in both `lib` and `usr/lib`.
    return bool(re.match(r"lib/[^/]+-linux-gnu/[^/]+$", name)) or not _UNUSED.fullmatch(name)


def _mend_sysconfig(stdlib: Path) -> None:
    """Undo Debian's choice of `local/` and `dist-packages` as the place to install to.

    Raises:
        ArchiveError: sysconfig does not hold the text that is to be changed.
    """
    path = next((p for p in (stdlib / "sysconfig/__init__.py", stdlib / "sysconfig.py") if p.is_file()), None)
    text = path.read_text(encoding="utf-8") if path is not None else ""
    if path is None or text.count(_DEBIAN_SCHEME) != 1 or text.count("prefix_scheme = 'posix_local'") != 1:
        raise ArchiveError("sysconfig of Debian's Python has changed: its install scheme is not found")
    text = text.replace("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'")
    path.write_text(text.replace(_DEBIAN_SCHEME, "''"), encoding="utf-8")


def _compile(work: Assembly, version: str, runner: Sequence[str | Path]) -> None:
    """Compile the standard library, so that a read-only store starts quickly; the same bytes every time.

    Unchecked hashes instead of time stamps (PEP 552), no path of this machine, a fixed hash seed.
    """
    python = work.staging / "bin" / f"python{version}"
    command: list[str | Path] = [
        *runner,
        python,
        "-s",
        "-S",
        "-m",
        "compileall",
        "-q",
        "-j",
        # A process that Python starts would be a program of the other machine.
        "1" if runner else "2",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    command += ["-s", work.staging, work.staging / "lib" / f"python{version}"]
    proc.run(
        command,
        log=work.ctx.log,
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
        what="compiling the standard library",
    )
