"""Hosts whose C library is older than that of xtool's tools, and hosts that have no glibc at all.

In a root with nothing but such a system's own C library and shell, xtool itself runs: on the Python of its
store, with the packages that an installation gets, a cache that another machine exported, and no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commandline import xtool
from support.otherhost import CHOSEN, PROJECTS, OtherHost, clear, furnish

LOADERS = 'for file in /lib/ld-musl-* /lib64/ld-linux-*; do if [ -e "$file" ]; then echo "$file"; fi; done'


@pytest.fixture(scope="module")
def supplies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("supplies")


@pytest.fixture(scope="module", params=["glibc 2.31", "musl"])
def other(
    request: pytest.FixtureRequest, cache: Path, supplies: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OtherHost]:
    root = tmp_path_factory.mktemp("root")
    yield furnish(request.param, root, cache, ["cpp-setuptools", "cython", "programs"], supplies)
    # Gigabytes of temporary folders are kept otherwise.
    clear(root)


def test_the_root_is_what_it_is_meant_to_be(other: OtherHost) -> None:
    """Neither this machine's C library nor any that xtool's programs were compiled for."""
    (loader,) = other.run("/bin/sh", "-c", LOADERS).stdout.split()
    said = (
        other.run(loader, "--help") if other.name == "musl" else other.run("/lib/x86_64-linux-gnu/libc.so.6")
    )
    expected = "musl libc" if other.name == "musl" else "stable release version 2.31"
    assert expected in said.stdout + said.stderr


@pytest.mark.parametrize("project", ["cpp-setuptools", "cython"])
def test_a_wheel_is_built_and_tested_and_has_the_same_bytes_as_here(
    other: OtherHost, cache: Path, tmp_path: Path, project: str
) -> None:
    """Cython is compiled: its modules load, into a Python that brings its C library along."""
    wheel = other.wheel(project)
    done = xtool(cache, "build", str(PROJECTS / project), *CHOSEN, "--outdir", str(tmp_path), "--no-test")
    assert done.returncode == 0, done.stderr
    (here,) = tmp_path.glob("*.whl")
    assert (here.name, here.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_compilers_link_programs_that_run(other: OtherHost) -> None:
    """Through the wrappers of `xtool env`, which the root's own shell reads."""
    variables = other.xtool("env", *CHOSEN, "--format", "shell")
    assert variables.returncode == 0, variables.stderr
    script = f"""{variables.stdout}
    cd /home/programs
    $CC $CFLAGS program.c -o c-program -lm -lpthread
    $CXX $CXXFLAGS -std=c++20 program.cc -o cxx-program -lm -lpthread
    $LD --version
    """
    made = other.run("/bin/sh", "-e", "-c", script)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("GNU ld")
    for program in ("c-program", "cxx-program"):
        ran = other.xtool("run", *CHOSEN, "--", f"/home/programs/{program}")
        assert (ran.returncode, ran.stdout.split()[:1]) == (0, ["ok"]), ran.stdout + ran.stderr


def test_doctor_finds_nothing_wrong(other: OtherHost) -> None:
    other.data("doctor")
