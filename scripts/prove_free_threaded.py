#!/usr/bin/env python3
"""Prove free-threaded builds: CPython without the GIL for both machines, and wheels built and tested with it.

    scripts/prove_free_threaded.py                      ppc64le
    scripts/prove_free_threaded.py --target s390x       another target
    scripts/prove_free_threaded.py --keep FOLDER        keep source, builds, wheels and cache there

1. CPython's source comes from Debian's trixie. apt checks InRelease with the key in `toolchains/keys/`, and
   the source's hash with the index that it signs.
2. It is built with `--disable-gil` twice: for this machine with its own compiler, and for the target with
   what `xtool env` gives: xtool's GCC and the derived sysroot, without libraries beside the C library.
3. Both are served to uv as portable builds. From here on xtool is used as anybody would use it, with
   XTOOL_PYTHON_MIRROR and UV_PYTHON_DOWNLOADS_JSON_URL set, and no Python of this version on PATH.
4. `xtool build --python 3.13t` builds a package of the index and `tests/projects/c-setuptools`, judges the
   wheels and tests them under the emulator. The first says that it needs no GIL; the second does not, which
   must be told. A wheel for Python 3.13 must be refused.

Prints tables, Markdown, and exits 1 when anything is not as it must be. A cache that XTOOL_CACHE_DIR names is
used; without it there is one for this run. Needs apt-get, make and a C compiler with the headers of OpenSSL,
libffi and zlib.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import cpythonsource  # noqa: E402
from support.commandline import xtool  # noqa: E402
from support.cpythonsource import ProofFailedError  # noqa: E402
from support.fakeserver import FakeServer  # noqa: E402
from support.portablebuilds import Build, publish  # noqa: E402

from xtool.catalog import Catalog  # noqa: E402
from xtool.python import portable  # noqa: E402
from xtool.targets import current_host, format_glibc  # noqa: E402

PYTHON, SUITE = "3.13", "trixie"
THREADED = f"{PYTHON}t"
WHEELS = {"markupsafe==3.0.3": False, str(ROOT / "tests" / "projects" / "c-setuptools"): True}
"""What is built, and whether it switches the GIL on: that is, does not say that it is safe without."""

FACTS = """
import json, sys, sysconfig, threading
numbers = []
threads = [threading.Thread(target=numbers.append, args=(n,)) for n in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert sorted(numbers) == list(range(8))
print(json.dumps({
    "python": sys.version.replace(chr(10), " "),
    "GIL on": sys._is_gil_enabled(),
    "ABI flags": sys.abiflags,
    "EXT_SUFFIX": sysconfig.get_config_var("EXT_SUFFIX"),
    "stdlib": sysconfig.get_path("stdlib").rpartition("/")[2],
}))
"""


@dataclass(frozen=True)
class Shop:
    """Where things are: the cache, a folder for all else, and variables for each call of xtool."""

    cache: Path
    folder: Path
    environ: Mapping[str, str]

    def json(self, *words: str) -> Any:
        """What a verb says in JSON, or for `env`, its variables."""
        output = ("--format", "json") if words[0] == "env" else ("--output", "json")
        done = xtool(self.cache, *words, *output, **self.environ)
        if done.returncode != 0:
            raise ProofFailedError(f"xtool {' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="prove builds for CPython without the GIL")
    parser.add_argument("--target", default="ppc64le", choices=sorted(Catalog().targets))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep source, builds and wheels here")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="for make")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xt-") as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        cache = Path(os.environ.get("XTOOL_CACHE_DIR") or folder / "cache")
        environ = {"PATH": os.defpath, "UV_PYTHON_INSTALL_DIR": str(folder / "none"), "XTOOL_RETRIES": "0"}
        shop = Shop(cache, folder, environ)
        try:
            source, version = cpythonsource.fetch(folder / "source", PYTHON, SUITE)
            say(f"CPython {version}: source checked against the signed index of {SUITE}")
            builds = compile_both(shop, source, version, arguments.target, arguments.jobs)
            with FakeServer() as server:
                shop = replace(shop, environ={**environ, **publish(server, builds)})
                prove(shop, arguments.target)
        except ProofFailedError as error:
            say(str(error))
            return 1
    return 0


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def compile_both(shop: Shop, source: Path, version: str, target: str, jobs: int) -> list[Build]:
    """Build CPython without the GIL for this machine and for the target; what is there already is taken."""
    host = shop.folder / "host" / "python"
    if not host.is_dir():
        options = ("--disable-gil",)
        cpythonsource.install(source, shop.folder / "build-host", host, options=options, jobs=jobs)
    say("built for this machine")
    cross = shop.folder / target / "python"
    if not cross.is_dir():
        compile_for_target(shop, source, target, cross, host / "bin" / f"python{THREADED}", jobs)
    say(f"built for {target}")
    machine = portable.machine(Catalog().target(target))
    return [
        Build(portable.machine_of_host(current_host()), version, host, threaded=True),
        Build(machine, version, cross, threaded=True),
    ]


def compile_for_target(
    shop: Shop, source: Path, target: str, place: Path, build_python: Path, jobs: int
) -> None:
    """Cross-build with what `xtool env` gives, but for what it says of another Python."""
    words = ["--python", PYTHON, "--python-source", "debian", "--sysroot", "derived"]
    told = shop.json("env", "--target", target, *words)
    environ = {**os.environ, **{name: value for name, value in told.items() if "PYTHON" not in name}}
    options = [f"--host={Catalog().target(target).triplet}", f"--build={os.uname().machine}-linux-gnu"]
    options += ["--disable-gil", f"--with-build-python={build_python}"]
    work = shop.folder / f"build-{target}"
    cpythonsource.install(source, work, place, options=options, jobs=jobs, environ=environ)


def prove(shop: Shop, target: str) -> None:
    """Set up, build, test and look at what came of it."""
    (listed,) = (t for t in shop.json("list", "--available")["data"]["targets"] if t["target"] == target)
    (offered,) = (python for python in listed["pythons"] if python["version"] == THREADED)
    require(offered["sources"] == ["portable"], f"{THREADED} is not offered as it must be: {offered}")
    kit = shop.json("setup", target, "--python", THREADED)["data"]["kits"][0]
    sources = kit["pythons"][0]["source"], kit["build_pythons"][0]["source"]
    require(sources == ("portable", "uv"), f"these are not the Pythons that were served: {sources}")
    facts = run(shop, target, THREADED, FACTS)
    print(f"| asked of Python {THREADED} for {target} | answer |\n| --- | --- |")
    for name, value in facts.items():
        print(f"| {name} | {value} |")
    require(facts["GIL on"] is False and facts["ABI flags"] == "t", f"this Python has the GIL: {facts}")
    print("\n| wheel | tag | tested with | tests | switches the GIL on |\n| --- | --- | --- | --- | --- |")
    for name, switches in WHEELS.items():
        build_wheel(shop, target, name, switches)
    refuse_the_other(shop, target)


def build_wheel(shop: Shop, target: str, name: str, switches: bool) -> None:
    """Build and test one wheel; print its row."""
    outdir = str(shop.folder / "wheels")
    words = ("build", name, "--target", target, "--python", THREADED, "--outdir", outdir)
    (wheel,) = shop.json(*words)["data"]["wheels"]
    path = Path(wheel["path"])
    told = any("switches the GIL on" in warning for warning in wheel["warnings"])
    tag = "-".join(path.stem.split("-")[2:])
    print(
        f"| {Path(name).name} | {tag} | {wheel['smoke']['command']} | {wheel['smoke']['status']} | {told} |"
    )
    lowest = format_glibc(Catalog().target(target).lowest_glibc).replace(".", "_")
    require(f"manylinux_{lowest}_{target}" in tag.split("-")[2].split("."), f"not the lowest floor: {tag}")
    require(tag.split("-")[:2] == ["cp313", "cp313t"], f"the tag is not that of Python {THREADED}: {tag}")
    require(wheel["smoke"]["status"] == "passed", f"{path.name} did not pass")
    require(told == switches, f"{path.name}: what was told of the GIL is wrong: {wheel['warnings']}")
    modules = wheel["smoke"]["command"].removeprefix("import ")
    code = f"import sys, json, {modules}; print(json.dumps(sys._is_gil_enabled()))"
    require(run(shop, target, THREADED, code, "--with", str(path)) is switches, f"{path.name}: the GIL")


def refuse_the_other(shop: Shop, target: str) -> None:
    """A wheel for Python with the GIL is not taken by the one without."""
    outdir = shop.folder / "with-gil"
    source = ("--python-source", "debian", "--python", PYTHON)
    words = ("build", next(iter(WHEELS)), "--target", target, "--outdir", str(outdir), *source)
    (wheel,) = shop.json(*words)["data"]["wheels"]
    words = ("run", "--target", target, "--python", THREADED, "--with", wheel["path"], "--", "python", "-V")
    done = xtool(shop.cache, *words, **shop.environ)
    wanted = f"is not for Python {THREADED} on {target}"
    require(done.returncode == 2 and wanted in done.stderr, f"{wheel['path']} was taken: {done.stderr}")
    say(f"{Path(wheel['path']).name} {wanted}")


def run(shop: Shop, target: str, python: str, code: str, *words: str) -> Any:
    """What a program that prints JSON says under the emulator."""
    command = ("run", "--target", target, "--python", python, *words, "--", "python", "-c", code)
    done = xtool(shop.cache, *command, **shop.environ)
    require(done.returncode == 0, done.stderr[-3000:])
    return json.loads(done.stdout)


def require(holds: bool, otherwise: str) -> None:
    """Go on only if something is as it must be."""
    if not holds:
        raise ProofFailedError(otherwise)


if __name__ == "__main__":
    sys.exit(main())
