"""Hosts whose C library is older than that of xtool's tools, and hosts that have no glibc at all.

In a root with nothing but such a system's own C library and shell, xtool itself runs: on the Python of its
store, with the packages that an installation gets, a cache that another machine exported, and no network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv
from support import hostroots, standalone
from support.commandline import xtool

from xtool.config import Settings
from xtool.context import Context
from xtool.log import SilentLog
from xtool.store import BUCKET, TAG

PROJECTS = Path(__file__).parent.parent / "projects"
PYTHON = standalone.VERSION
CHOSEN = ("--target", "ppc64le", "--python", PYTHON)
ROOTS: dict[str, Callable[[Context, Path], None]] = {
    "glibc 2.31": hostroots.glibc_231,
    "musl": hostroots.musl,
}


@dataclass(frozen=True)
class OtherHost:
    """A root with xtool, a cache and the sources of projects in it."""

    name: str
    root: Path
    alone: standalone.Standalone

    def xtool(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run xtool in the root."""
        return hostroots.run(self.root, *self.alone.command(*words), environ=self.environ)

    @property
    def environ(self) -> dict[str, str]:
        """Where the caches are."""
        return {"XTOOL_CACHE_DIR": "/root/cache", "UV_CACHE_DIR": "/root/uv", "XTOOL_OFFLINE": "1"}

    def wheel(self, project: str) -> Path:
        """Build and test a wheel in the root."""
        words = (
            "build",
            f"/root/{project}",
            "--target",
            "ppc64le",
            "--outdir",
            "/root/out",
            "--output",
            "json",
        )
        done = self.xtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,) = json.loads(done.stdout)["data"]["wheels"]
        assert wheel["smoke"]["status"] == "passed"
        return self.root / wheel["path"].lstrip("/")


@pytest.fixture(scope="module")
def context(shared_cache: Path) -> Context:
    return Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))


@pytest.fixture(scope="module")
def exported(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the components that builds for ppc64le need, and no others."""
    folder = tmp_path_factory.mktemp("exported")
    done = xtool(cache, "setup", "ppc64le", "--python", PYTHON, "--output", "json")
    assert done.returncode == 0, done.stderr
    kit = json.loads(done.stdout)["data"]["kits"][0]
    parts = (kit["toolchain"], kit["sysroot"], kit["emulator"], kit["pythons"][0])
    store = cache / BUCKET / "store"
    (folder / BUCKET / "store").mkdir(parents=True)
    shutil.copyfile(cache / TAG, folder / TAG)
    for part in parts:
        name = Path(part["path"]).relative_to(store).parts[0]
        shutil.copytree(store / name, folder / BUCKET / "store" / name, symlinks=True)
    done = xtool(folder, "cache", "export", str(folder / "cache.tar.zst"))
    assert done.returncode == 0, done.stderr
    return folder / "cache.tar.zst"


@pytest.fixture(scope="module", params=ROOTS)
def other(
    request: pytest.FixtureRequest,
    cache: Path,
    context: Context,
    exported: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OtherHost]:
    root = tmp_path_factory.mktemp("root")
    ROOTS[request.param](context, root)
    alone = standalone.make(
        cache, root / "opt" / "xtool", stands_at=Path("/opt/xtool"), musl=request.param == "musl"
    )
    for name in ("c-setuptools", "cpp-setuptools", "cython", "programs"):
        shutil.copytree(PROJECTS / name, root / "root" / name)
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python-version", PYTHON]
    command += ["--target", str(root / "fetched"), "setuptools", "cython"]
    subprocess.run(command, env={**os.environ, "UV_CACHE_DIR": str(root / "root" / "uv")}, check=True)
    shutil.rmtree(root / "fetched")
    shutil.copyfile(exported, root / "root" / "cache.tar.zst")
    host = OtherHost(request.param, root, alone)
    done = host.xtool("cache", "import", "/root/cache.tar.zst")
    assert done.returncode == 0, done.stderr
    yield host
    # Gigabytes of temporary folders are kept otherwise.
    subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)
    shutil.rmtree(root)


def test_the_root_is_what_it_is_meant_to_be(other: OtherHost) -> None:
    """Neither this machine's C library nor any that xtool's programs were compiled for."""
    code = 'for file in /lib/ld-musl-* /lib64/ld-linux-*; do if [ -e "$file" ]; then echo "$file"; fi; done'
    (loader,) = hostroots.run(other.root, "/bin/sh", "-c", code).stdout.split()
    said = hostroots.run(other.root, *([loader, "--version"] if other.name == "musl" else [GLIBC]))
    assert (other.name if other.name == "musl" else "version 2.31") in said.stdout + said.stderr


GLIBC = "/lib/x86_64-linux-gnu/libc.so.6"


@pytest.mark.parametrize("project", ["c-setuptools", "cpp-setuptools", "cython"])
def test_a_wheel_is_built_and_tested_and_has_the_same_bytes_as_here(
    other: OtherHost, cache: Path, tmp_path: Path, project: str
) -> None:
    """Cython is compiled: its module loads, on a Python that brings its C library along."""
    wheel = other.wheel(project)
    words = ("build", str(PROJECTS / project), *CHOSEN, "--outdir", str(tmp_path), "--no-test")
    done = xtool(cache, *words)
    assert done.returncode == 0, done.stderr
    (here,) = tmp_path.glob("*.whl")
    assert (here.name, here.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_compilers_link_programs_that_run(other: OtherHost) -> None:
    """Through the wrappers of `xtool env`, which the root's own shell reads."""
    variables = other.xtool("env", *CHOSEN, "--format", "shell")
    assert variables.returncode == 0, variables.stderr
    script = f"""{variables.stdout}
    cd /root/programs
    $CC $CFLAGS program.c -o c-program -lm -lpthread
    $CXX $CXXFLAGS -std=c++20 program.cc -o cxx-program -lm -lpthread
    $LD --version
    """
    made = hostroots.run(other.root, "/bin/sh", "-e", "-c", script, environ=other.environ)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("GNU ld")
    for program in ("c-program", "cxx-program"):
        ran = other.xtool("run", *CHOSEN, "--", f"/root/programs/{program}")
        assert (ran.returncode, ran.stdout.split()[:1]) == (0, ["ok"]), ran.stdout + ran.stderr


def test_doctor_finds_nothing_wrong(other: OtherHost) -> None:
    done = other.xtool("doctor", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
