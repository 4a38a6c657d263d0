"""The target's Python: a root folder that the emulator runs it from, and what is known of it.

The root is made from Debian packages of the target: interpreter, standard library, headers, C library, and
every library that the manylinux policies allow to stay outside a wheel. Its `.pyc` files are compiled by that
same interpreter under the emulator: other patch releases of a minor version give other bytes (181 of 533
files differ between 3.13.0 and 3.13.5), and a component must not depend on what Python the host has.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xtool import proc
from xtool.catalog import Lock
from xtool.context import Context
from xtool.errors import CatalogError, StoreError
from xtool.kit import Emulator, TargetPython
from xtool.recipes import Assembly, Recipe
from xtool.targets import Target, current_host, format_glibc, parse_glibc

if TYPE_CHECKING:
    from xtool.python.ground import Ground

FACTS = Path("share") / "xtool" / "python.json"
"""Where a target root says what it is, below the root."""

DESKTOP_SONAMES = frozenset(
    {
        *("libglib-2.0.so.0", "libgobject-2.0.so.0", "libgthread-2.0.so.0"),
        *("libX11.so.6", "libXext.so.6", "libXrender.so.1", "libICE.so.6", "libSM.so.6", "libGL.so.1"),
    }
)
"""What manylinux policies allow outside a wheel (auditwheel's policy file) and few wheels need."""

_REVISION = 3

_SHARDS = 4
"""Processes that compile the standard library, each a fixed part of it: marshal writes a reference flag for
whatever is still referred to elsewhere in its process, so another division would make other bytes."""

SELDOM = (
    r"(test|tkinter|lib2to3|_pyrepl|curses|dbm|profiling|wsgiref|xmlrpc|ensurepip|venv)/"
    r"|encodings/(?!(__init__|aliases|ascii|cp1252|idna|latin_1|punycode|raw_unicode_escape|unicode_escape"
    r"|utf_16|utf_32|utf_8|utf_8_sig)\.py)"
    r"|(_pydatetime|_pydecimal|_pyio|_aix_support|_ios_support|antigravity|cgi|doctest|ftplib|imaplib|mailbox"
    r"|nntplib|pdb|pickletools|poplib|pydoc|smtplib|tabnanny|telnetlib|this|turtle)\.py"
)
"""Modules that tests seldom import: they are compiled when they are, not at set-up, where each costs time."""

_COMPILE = """\
import importlib.util, os, re, sys
from importlib._bootstrap_external import _code_to_hash_pyc
stdlib, seen_as, shard, shards = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sources = sorted(
    os.path.relpath(os.path.join(folder, name), stdlib)
    for folder, _, names in os.walk(stdlib) for name in names if name.endswith(".py")
)
seldom = re.compile(sys.argv[5])
sources = [source for source in sources if not seldom.match(source)]
for source in sources[shard::shards]:
    with open(os.path.join(stdlib, source), "rb") as file:
        text = file.read()
    try:
        code = compile(text, os.path.join(seen_as, source), "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, UnicodeDecodeError):
        continue
    target = importlib.util.cache_from_source(os.path.join(stdlib, source), optimization="")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(_code_to_hash_pyc(code, importlib.util.source_hash(text), False))
"""

_DROPPED_FOLDERS = ("idlelib", "turtledemo", "pydoc_data", "lib2to3/tests", "__pycache__")
_GLIBC_BANNER = re.compile(rb"GNU C Library [^\n]*release version (\d+\.\d+)")
_PATCHLEVEL = re.compile(r'^#define\s+PY_VERSION\s+"([^"]+)"', re.MULTILINE)


def target_python_recipe(
    target: Target, lock: Lock, version: str, *, source: str = "debian", ground: Ground | None = None
) -> Recipe:
    """The recipe of a target root with a Python.

    Args:
        target: the target.
        lock: where the packages come from.
        version: `3.13`.
        source: `debian` for the lock's own interpreter, `portable` for a portable CPython build in a root
            whose libraries come from the lock; the lock need not have a Python of this version then.
        ground: the C library that a portable build shall run on, where it is not the lock's. Debian's
            interpreter needs Debian's.

    Raises:
        CatalogError: the lock has no such Python.
    """
    from xtool import emulator
    from xtool.python import portable

    qemu = emulator.qemu_recipe(current_host(), target, lock)
    artifacts = lock.artifacts(component_of(version, source))
    parameters = {"python": version, "source": source}
    title = f"CPython {version} for {target.name}"
    needs: tuple[Recipe, ...] = (qemu,)
    key = portable.key(version, portable.machine(target))
    if source == "portable":
        parameters |= portable.fingerprint(key)
        title += f" (portable, on {ground})" if ground is not None else " (portable)"
    else:
        ground = None
    if ground is not None:
        artifacts = ground.packages(artifacts)
        parameters["ground"] = ground.kind
        needs += (ground.recipe,)

    def assemble(assembly: Assembly) -> None:
        _unpack_root(assembly, version, target)
        if ground is not None:
            from xtool.python.ground import lay

            lay(assembly, ground, target)
        if source == "portable":
            otherwise = portable.instead_of(version, lock)
            portable.install(assembly.ctx, key, assembly.scratch / "portable", otherwise=otherwise)
            portable.graft(assembly.scratch / "portable", assembly.staging / "usr", version)
        emulated = emulator.emulator(assembly.needs[qemu.name], target)
        _finish(assembly, emulated, version, target, source)

    return Recipe(
        name=f"python{version}-{target.name}",
        title=title,
        revision=_REVISION,
        artifacts=artifacts,
        assemble=assemble,
        parameters=parameters,
        needs=needs,
    )


def component_of(version: str, source: str) -> str:
    """The lock's component that a target root is made of: a Python, or only what a portable build runs on."""
    return "ground" if source == "portable" else f"python{version}"


def desktop_recipe(target: Target, lock: Lock, version: str, source: str) -> Recipe:
    """The recipe of glib, X11 and OpenGL libraries beside a target root.

    The manylinux policies allow wheels to leave these outside (PEP 600; auditwheel's `policy/`), but few need
    them. They come from the same suite as the C library of the root that they are loaded into.

    Args:
        target: the target.
        lock: where the packages come from.
        version: of the root's Python, `3.13`.
        source: where that comes from, `debian` or `portable`.

    Raises:
        CatalogError: the lock has no such component.
    """
    suite = next((a.suite for a in lock.artifacts(component_of(version, source)) if a.name == "libc6"), "")
    component = f"desktop-{suite}"
    artifacts = lock.artifacts(component)

    def assemble(assembly: Assembly) -> None:
        _unpack_root(assembly, version, target)

    return Recipe(
        name=f"{component}-{target.name}",
        title=f"glib, X11 and OpenGL libraries for {target.name} ({suite})",
        revision=_REVISION,
        artifacts=artifacts,
        assemble=assemble,
    )


def mentions_desktop(library: Path) -> bool:
    """Whether a shared object names a desktop library, as one that needs it does in its string table."""
    content = library.read_bytes()
    return any(name.encode() + b"\0" in content for name in DESKTOP_SONAMES)


def desktop_libraries(path: Path, target: Target) -> Path:
    """Library folder of an installed desktop component, for `TargetEnv`."""
    return path / "usr" / "lib" / target.multiarch


def target_python(path: Path, target: Target, version: str) -> TargetPython:
    """What is known of an installed target Python.

    Args:
        path: its folder in the store.
        target: the target.
        version: `3.13`.

    Raises:
        StoreError: the folder does not say what it is.
    """
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        return TargetPython(
            root=path,
            executable=path / "usr" / "bin" / f"python{version}",
            version=version,
            full_version=facts["full_version"],
            source=facts["source"],
            includes=(path / facts["include"],),
            sysconfig=facts["sysconfig"],
            glibc=parse_glibc(facts["glibc"]),
            ext_suffix=facts["sysconfig"]["EXT_SUFFIX"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the target Python {version} of {target.name} in the cache is damaged",
            facts=[f"{path / FACTS}: {error}"],
            hint="`xtool verify` names what is damaged; `xtool cache clean` starts afresh",
        ) from error


def read_sysconfig(stdlib: Path) -> tuple[str, dict[str, str | int]]:
    """Read a Python's build-time variables from its standard library, without running it.

    Args:
        stdlib: `lib/python3.13` with one `_sysconfigdata_*.py` (a module that assigns one literal).

    Returns:
        The module's name and its `build_time_vars`.

    Raises:
        CatalogError: there is no such file, or it holds something else.
    """
    files = sorted(path for path in stdlib.glob("_sysconfigdata_*.py") if not path.is_symlink())
    for file in files:
        with suppress(SyntaxError, ValueError):
            for statement in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(statement, ast.Assign) and any(
                    isinstance(name, ast.Name) and name.id == "build_time_vars" for name in statement.targets
                ):
                    return file.stem, ast.literal_eval(statement.value)
    raise CatalogError(
        f"no build-time variables in {stdlib}",
        facts=[f"files: {', '.join(file.name for file in files) or 'none'}"],
    )


def compile_stdlib(ctx: Context, emulator: Emulator, root: Path, version: str) -> None:
    """Compile a root's standard library with its own interpreter, so that bytes depend on nothing else.

    `.pyc` files are of the unchecked-hash kind (PEP 552): they hold no time stamp, and nothing ever writes
    them again.
    """
    stdlib = root / "usr" / "lib" / f"python{version}"
    python = root / "usr" / "bin" / f"python{version}"

    def shard(number: int) -> None:
        proc.run(
            [
                *(emulator.executable, "-cpu", emulator.cpu, "-L", root, python),
                *("-I", "-S", "-B", "-c", _COMPILE, stdlib, f"/usr/lib/python{version}"),
                *(str(number), str(_SHARDS), SELDOM),
            ],
            log=ctx.log,
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            what=f"compiling the standard library of Python {version}",
        )

    with ThreadPoolExecutor(max_workers=max(1, min(ctx.settings.jobs, _SHARDS))) as pool:
        list(pool.map(shard, range(_SHARDS)))


def _unpack_root(assembly: Assembly, version: str, target: Target) -> None:
    from xtool.archive import unpack_all

    unpack_all(
        assembly.files.values(),
        assembly.staging,
        only=_filter(version, target),
        jobs=assembly.ctx.settings.jobs,
    )
    merge_usr(assembly.staging)
    _link_loader(assembly.staging, target)


def _filter(version: str, target: Target) -> Callable[[str], bool]:
    """Which members of the packages belong in the root; the rest is documentation, static libraries, data."""
    stdlib = f"usr/lib/python{version}/"
    libraries = (f"usr/lib/{target.multiarch}/", f"lib/{target.multiarch}/")
    dropped = tuple(f"{stdlib}{name}/" for name in _DROPPED_FOLDERS)

    def wanted(name: str) -> bool:
        name = name.removeprefix("./")
        if name.startswith(stdlib):
            rest = name.removeprefix(stdlib)
            return not (
                name.startswith(dropped)
                or rest.startswith(f"config-{version}")
                or rest in ("EXTERNALLY-MANAGED", "sitecustomize.py")
            )
        if name.startswith(libraries):
            folder, base = posixpath.split(name)
            # iconv(3) knows hardly more than UTF-8 without these; they are a quarter of the root's size.
            if "gconv" in folder:
                return True
            # libpython's development link has no library behind it: the interpreter holds it.
            return ".so" in base and not base.startswith("libpython")
        if name.startswith("usr/share/zoneinfo/"):
            return not name.endswith("/localtime")
        if name.startswith("etc/"):
            return not name.startswith(("etc/python", "etc/ld.so"))
        return name == f"usr/bin/python{version}" or name.startswith("usr/include/")

    return wanted


def merge_usr(root: Path) -> None:
    """Make `/bin`, `/lib` and `/lib64` links into `/usr`, as every Debian since bookworm installs.

    bookworm's packages still hold files below `lib/`; both names must work, or two packages would lie apart.
    """
    for name in ("bin", "lib", "lib64"):
        alias = root / name
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if alias.is_dir() and not alias.is_symlink():
            _move_into(alias, root / "usr" / name)
        if not alias.is_symlink():
            alias.symlink_to(f"usr/{name}")


def _move_into(folder: Path, into: Path) -> None:
    for entry in sorted(folder.iterdir()):
        new = into / entry.name
        if entry.is_dir() and not entry.is_symlink():
            new.mkdir(exist_ok=True)
            _move_into(entry, new)
        else:
            entry.replace(new)
    folder.rmdir()


def _link_loader(root: Path, target: Target) -> None:
    """Put the program interpreter where ELF files look for it, by a relative link."""
    name = posixpath.basename(target.dynamic_linker)
    place = root / "usr" / target.dynamic_linker.lstrip("/")
    loader = root / "usr" / "lib" / target.multiarch / name
    if loader.exists() and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(loader, place.parent))


def _finish(assembly: Assembly, emulator: Emulator, version: str, target: Target, source: str) -> None:
    """Mend the headers, compile the standard library, write down what the root is."""
    root = assembly.staging
    include = Path("usr") / "include" / f"python{version}"
    _one_include_folder(root, include, target)
    stdlib = root / "usr" / "lib" / f"python{version}"
    module, sysconfig = read_sysconfig(stdlib)
    compile_stdlib(assembly.ctx, emulator, root, version)
    facts: Mapping[str, object] = {
        "schema": 1,
        "version": version,
        "full_version": _full_version(root / include),
        "source": source,
        "include": str(include),
        "glibc": format_glibc(_read_glibc(root, target)),
        "sysconfig_module": module,
        "sysconfig": sysconfig,
    }
    file = root / FACTS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _one_include_folder(root: Path, include: Path, target: Target) -> None:
    """Put the real `pyconfig.h` beside `Python.h`.

    Debian's is a switch over architectures that includes a file of another folder, which a build that is
    given one `-I` does not find, or finds on the host.
    """
    real = root / "usr" / "include" / target.multiarch / include.name / "pyconfig.h"
    if real.is_file():
        real.replace(root / include / "pyconfig.h")
        shutil.rmtree(root / "usr" / "include" / target.multiarch)


def _full_version(include: Path) -> str:
    found = _PATCHLEVEL.search((include / "patchlevel.h").read_text(encoding="utf-8"))
    if found is None:
        raise CatalogError(f"no PY_VERSION in {include / 'patchlevel.h'}")
    return found[1].rstrip("+")


def _read_glibc(root: Path, target: Target) -> tuple[int, int]:
    """The glibc version of a root, from the banner that libc.so.6 carries."""
    libc = root / "usr" / "lib" / target.multiarch / "libc.so.6"
    found = _GLIBC_BANNER.search(libc.read_bytes())
    if found is None:
        raise CatalogError(f"{libc} does not say which glibc it is")
    return parse_glibc(found[1].decode())
