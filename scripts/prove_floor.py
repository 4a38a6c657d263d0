#!/usr/bin/env python3
"""Prove a floor: a Python compiled for glibc 2.17, wheels built for it, all run on a real glibc 2.17.

    scripts/prove_floor.py                      aarch64
    scripts/prove_floor.py --keep FOLDER        keep source, build, wheels and cache there

1. CPython's source comes from Debian's trixie. apt checks InRelease with the key in `toolchains/keys/`, and
   the source's hash with the index that it signs.
2. It is cross-built with `xtool env` alone: xtool's GCC, the derived sysroot of glibc 2.17, Debian's zlib and
   libffi beside it, and xtool's build Python. What newer glibcs offer, its configure script must not find.
3. The outcome is served to uv as a portable build.
4. A vault holds packages of a glibc 2.17 that was built from its own source (`tests/support/oldglibc.py`).
   `--sysroot centos7` takes it: the Python runs on it, and so do the wheels when they are tested.
5. `tests/projects/` and packages of the index are built with `xtool build`, and tested there.

Prints tables, Markdown, and exits 1 when anything fails, or needs more than the floor has. A cache that
XTOOL_CACHE_DIR names is used, and pruned at the end; without it there is one for this run. Needs apt-get,
make, npm and the tools that `scripts/test` installs for making RPM packages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import cpythonsource, floorpython, oldglibc  # noqa: E402
from support.commandline import xtool  # noqa: E402
from support.cpythonsource import ProofFailedError, run  # noqa: E402
from support.fakeserver import FakeServer  # noqa: E402
from support.vault import GpgKey, Vault  # noqa: E402

from xtool.catalog import Catalog, default_root  # noqa: E402

TARGET, FLOOR, PYTHON, SUITE = "aarch64", "2.17", "3.13", "trixie"
LIBRARIES = ("zlib1g-dev", "libffi-dev")
PROJECTS = ROOT / "tests" / "projects"
WHEELS: dict[str, tuple[str, ...]] = {
    str(PROJECTS / "c-setuptools"): (),
    str(PROJECTS / "cpp-setuptools"): (),
    str(PROJECTS / "runtimes"): ("--fortran", "--test-command", "timeout 600 python {project}/check.py"),
    "markupsafe==3.0.3": (),
    "ujson==5.11.0": (),
}
"""What is built, with which options. `runtimes`: exceptions across extensions, threads, OpenMP, Fortran."""

FACTS = """
import ctypes, json, os, sys, zlib, decimal, threading
libc = ctypes.CDLL(None)
libc.gnu_get_libc_version.restype = ctypes.c_char_p
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
def order(a, b):
    return a[0] - b[0]
numbers = (ctypes.c_int * 3)(3, 1, 2)
libc.qsort(numbers, 3, ctypes.sizeof(ctypes.c_int), order)
assert list(numbers) == [1, 2, 3]
assert zlib.decompress(zlib.compress(b"text")) == b"text"
thread = threading.Thread(target=numbers.__setitem__, args=(0, 4)); thread.start(); thread.join()
assert numbers[0] == 4
print(json.dumps({
    "gnu_get_libc_version()": libc.gnu_get_libc_version().decode(),
    "confstr": os.confstr("CS_GNU_LIBC_VERSION"),
    "machine": os.uname().machine,
    "python": sys.version.replace(chr(10), " "),
}))
"""


@dataclass(frozen=True)
class Shop:
    """Where things are: the cache, a folder for all else, and variables for each call of xtool."""

    cache: Path
    folder: Path
    environ: Mapping[str, str]

    def json(self, *words: str, **environ: str) -> Any:
        """What a verb says in JSON, or for `env`, its variables."""
        output = ("--format", "json") if words[0] == "env" else ("--output", "json")
        done = xtool(self.cache, *words, *output, **{**self.environ, **environ})
        if done.returncode != 0:
            raise ProofFailedError(f"xtool {' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="prove the floor of glibc 2.17 on glibc 2.17 itself")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep source, build and wheels here")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="for make")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xt-") as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        cache = Path(os.environ.get("XTOOL_CACHE_DIR") or folder / "cache")
        # No Python of the machine: the build Python is to be of the source's version, as the lock's is.
        environ = {"PATH": os.defpath, "UV_PYTHON_INSTALL_DIR": str(folder / "none"), "XTOOL_RETRIES": "0"}
        shop = Shop(cache, folder, environ)
        try:
            source, version = cpythonsource.fetch(folder / "source", PYTHON, SUITE)
            say(f"CPython {version}: source checked against the signed index of {SUITE}")
            build, count, python = compile_python(shop, source, arguments.jobs)
            say(f"cross-built; {count} files of it need glibc {FLOOR} at most")
            with closing(GpgKey(Path(temporary) / "gnupg")) as key, FakeServer() as server:
                # `portable` is asked for next, and uv's table will have none for this machine.
                shop = replace(shop, environ={**environ, "PATH": f"{python.parent}:{os.defpath}"})
                run_on_the_floor(shop, build, version, key, server)
        except ProofFailedError as error:
            say(str(error))
            return 1
    return 0


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def compile_python(shop: Shop, source: Path, jobs: int) -> tuple[Path, int, Path]:
    """Cross-build and install CPython for the floor, with what `xtool env` gives and nothing else.

    Returns:
        A folder with `bin`, `lib` and `include`; how many ELF files in it were looked at; the build Python.
    """
    words = ["--glibc", FLOOR, "--sysroot", "derived", "--python", PYTHON, "--python-source", "debian"]
    words += [word for name in LIBRARIES for word in ("--sysroot-package", name)]
    kit = shop.json("setup", TARGET, *words)["data"]["kits"][0]
    if (kit["sysroot"]["kind"], kit["sysroot"]["glibc"]) != ("derived", FLOOR):
        raise ProofFailedError(f"not the sysroot that was asked for: {kit['sysroot']}")
    environ = {**os.environ, **shop.json("env", "--target", TARGET, *words)}
    triplet = Catalog().target(TARGET).triplet
    python = kit["build_pythons"][0]["path"]
    place = cpythonsource.install(
        source,
        shop.folder / "build",
        shop.folder / "portable" / "python",
        options=(
            f"--host={triplet}",
            f"--build={os.uname().machine}-linux-gnu",
            cpythonsource.LIBFFI_BESIDE,
            f"--with-build-python={python}",
        ),
        jobs=jobs,
        environ=environ,
    )
    cpythonsource.bring_libffi(place, PYTHON, Path(kit["sysroot"]["path"]))
    dynload = place / "lib" / f"python{PYTHON}" / "lib-dynload"
    readelf = Path(kit["toolchain"]["path"], "bin", f"{triplet}-readelf")
    files = [place / "bin" / f"python{PYTHON}", *dynload.glob("*.so*")]
    for path in files:
        said = run([readelf, "-VW", path], place, environ)
        above = {name for name in re.findall(r"GLIBC_(2\.\d+)", said) if glibc(name) > glibc(FLOOR)}
        if above:
            raise ProofFailedError(f"{path.name} needs glibc {', '.join(sorted(above, key=glibc))}")
    modules = {path.name.partition(".")[0] for path in files}
    if not {"_ctypes", "zlib", "_decimal"} <= modules:
        raise ProofFailedError(f"of the modules there are only {sorted(modules)}")
    return place, len(files), Path(python)


def glibc(version: str) -> tuple[int, ...]:
    """A version that compares."""
    return tuple(map(int, version.split(".")))


def run_on_the_floor(shop: Shop, build: Path, version: str, key: GpgKey, server: FakeServer) -> None:
    """Set the target up with the compiled Python on the real glibc, and build and test wheels there."""
    toolchains = shop.folder / "toolchains"
    shutil.rmtree(toolchains, ignore_errors=True)
    shutil.copytree(default_root(), toolchains)
    make_vault(shop, key, server)
    environ = {
        **shop.environ,
        "XTOOL_TOOLCHAINS_DIR": str(toolchains),
        "XTOOL_CENTOS_MIRROR": server.base,
        **floorpython.publish(server, build, Catalog().target(TARGET), version),
    }
    shop = replace(shop, environ=environ)
    shop.json("lock", "--update", "--sysroot", "centos7", TARGET, "--key", str(key.file))
    try:
        chosen = ("--sysroot", "centos7", "--python", PYTHON)
        kit = shop.json("setup", TARGET, *chosen)["data"]["kits"][0]
        python = kit["pythons"][0]
        words = ("run", "--target", TARGET, *chosen, "--", "python", "-c", FACTS)
        done = xtool(shop.cache, *words, **shop.environ)
        if done.returncode != 0:
            raise ProofFailedError(done.stderr[-3000:])
        facts = json.loads(done.stdout)
        print("| asked inside the target | answer |\n| --- | --- |")
        for name, value in facts.items():
            print(f"| {name} | {value} |")
        told = (facts["gnu_get_libc_version()"], facts["confstr"], python["source"], python["glibc"])
        if told != (FLOOR, f"glibc {FLOOR}", "portable", FLOOR) or facts["machine"] != TARGET:
            raise ProofFailedError(f"this is not the floor: {told}")
        print(
            "\n| wheel | platform tag | needs glibc | tested on glibc | tests |\n"
            "| --- | --- | --- | --- | --- |",
            flush=True,
        )
        bad = [name for name, options in WHEELS.items() if not build_wheel(shop, name, *chosen, *options)]
        if bad:
            raise ProofFailedError(f"not proved: {', '.join(bad)}")
    finally:
        # No lock but this vault's knows what was made here.
        xtool(shop.cache, "prune", **{**shop.environ, "XTOOL_TOOLCHAINS_DIR": str(default_root())})


def make_vault(shop: Shop, key: GpgKey, server: FakeServer) -> None:
    """Serve packages of the real glibc 2.17, signed."""
    shutil.rmtree(shop.folder / "vault", ignore_errors=True)
    shutil.rmtree(shop.folder / "el7", ignore_errors=True)
    vault = Vault(shop.folder / "vault", key)
    repository = vault.repository("altarch/7.9.2009/os/aarch64/", arch=TARGET)
    packages = oldglibc.centos7(oldglibc.fetch(shop.folder / "glibc-2.17-aarch64"), shop.folder / "el7")
    repository.sign(packages, key, whole=True)
    for path in packages:
        shutil.move(path, repository.folder / "Packages" / path.name)
    repository.publish()
    server.add_tree(vault.root)


def build_wheel(shop: Shop, name: str, *options: str) -> bool:
    """Build and test one wheel; print its row; whether all is as it must be."""
    shown = Path(name).name
    words = ("build", name, "--target", TARGET, "--outdir", str(shop.folder / "wheels"), *options)
    try:
        (wheel,) = shop.json(*words)["data"]["wheels"]
    except ProofFailedError as error:
        say(str(error))
        print(f"| {shown} | - | - | - | failed |", flush=True)
        return False
    smoke = wheel["smoke"]
    cells = (shown, wheel["platform_tag"], wheel["glibc_required"], smoke["glibc"], smoke["status"])
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    tagged = f"manylinux_2_17_{TARGET}" in wheel["platform_tag"].split(".")
    return tagged and (smoke["glibc"], smoke["status"]) == (FLOOR, "passed")


if __name__ == "__main__":
    sys.exit(main())
