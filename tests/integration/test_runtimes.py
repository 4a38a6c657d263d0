"""GCC's runtime libraries at a floor: C++ across extensions, threads, OpenMP and Fortran, in tagged wheels.

The wheels run on the target's newest C library. That it all works on a real glibc 2.17 is shown for AArch64,
for which one can be had.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import oldglibc
from support.commandline import xtool

from xtool.catalog import Catalog
from xtool.elf import ElfFacts, read_elf
from xtool.targets import Target
from xtool.toolchain.gcc import RUNTIMES

PROJECT = Path(__file__).parent.parent / "projects" / "runtimes"
COMPAT = "libxtool-floor.so.1"


def _json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, (document["errors"], done.stderr)
    data: dict[str, Any] = document["data"]
    return data


def _build(cache: Path, outdir: Path, floor: str) -> Path:
    words = ["--target", "ppc64le", "--fortran", "--sysroot", "derived", "--glibc", floor]
    check = "timeout 120 python {project}/check.py"
    words += ["--outdir", str(outdir), "--test-command", check, "--output", "json"]
    (wheel,) = _json(xtool(cache, "build", str(PROJECT), *words))["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    return Path(wheel["path"])


def _facts(wheel: Path) -> dict[str, ElfFacts]:
    """What is in a wheel, by member without what differs from build to build."""
    with zipfile.ZipFile(wheel) as archive:
        elf = {n: archive.read(n) for n in archive.namelist() if ".so" in n}
    return {Path(name).name.partition(".")[0].partition("-")[0]: read_elf(data) for name, data in elf.items()}


@pytest.fixture(scope="module")
def wheel(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Extensions with C++, OpenMP and Fortran at glibc 2.17; `check.py` has run under the emulator."""
    return _build(cache, tmp_path_factory.mktemp("wheelhouse"), "2.17")


def test_the_lowest_floor_is_earned(wheel: Path) -> None:
    assert wheel.name.endswith("-manylinux2014_ppc64le.manylinux_2_17_ppc64le.whl")
    show = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)]
    shown = json.loads(subprocess.run(show, capture_output=True, text=True, check=True).stdout)
    assert shown["overall_tag"] == "manylinux_2_17_ppc64le"
    for name, facts in _facts(wheel).items():
        assert {v for _, v in facts.version_needs if v.startswith("GLIBC_")} <= {"GLIBC_2.17"}, name


def test_fortran_and_openmp_are_grafted_and_nothing_else(wheel: Path) -> None:
    facts = _facts(wheel)
    extensions = {"xt_catcher", "xt_fortran", "xt_loops", "xt_thrower"}
    # Stubs of the C library stand in the same folder of the sysroot.
    assert facts.keys() - extensions == {"libgomp", "libgfortran", "libxtool"}
    assert [name for name, one in facts.items() if one.text_relocations] == []
    assert [name for name, one in facts.items() if one.executable_stack] == []
    assert not any("libstdc++.so.6" in one.needed for one in facts.values())
    assert any(name.startswith("libgfortran-") for name in facts["xt_fortran"].needed)
    assert any(name.startswith("libgomp-") for name in facts["xt_loops"].needed)
    assert not any(name.startswith("libxtool") for name in facts["libgomp"].needed)
    for name in extensions:
        assert not {
            s for s in facts[name].export_names if s.startswith(("_gfortran", "GOMP", "_ZS", "__cxa"))
        }


def test_a_higher_floor_asks_for_no_more_than_it_has(cache: Path, tmp_path: Path) -> None:
    made = _build(cache, tmp_path, "2.34")
    assert made.name.endswith("-manylinux_2_34_ppc64le.whl")
    # What moved into libc is asked of it there; the floor has all of Fortran's quad precision.
    facts = _facts(made)
    assert "libpthread.so.0" not in facts["libgomp"].needed
    assert not any(name.startswith("libxtool") for name in facts["libgfortran"].needed)


@dataclass(frozen=True)
class Room:
    """A target's tools, by hand, at glibc 2.17.

    Args:
        kit: what the set-up says of itself.
        target: the target.
    """

    kit: Mapping[str, Any]
    target: Target

    @property
    def libraries(self) -> Path:
        """The sysroot's."""
        return Path(self.kit["sysroot"]["path"]) / "usr" / "lib"

    @property
    def root(self) -> Path:
        """Where the target's newest C library is."""
        return Path(self.kit["pythons"][0]["path"]).parents[2]

    @property
    def packaged(self) -> Path:
        """The runtimes as they were before."""
        return Path(self.kit["toolchain"]["path"]) / RUNTIMES

    def compile(self, tool: str, *words: str | Path) -> None:
        """Run a compiler with an empty environment."""
        path = Path(self.kit["toolchain"]["path"]) / "bin" / f"{self.target.triplet}-{tool}"
        command = [path, f"--sysroot={self.kit['sysroot']['path']}", *self.target.cflags, "-O2", *words]
        command += self.target.ldflags
        done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(
        self, *words: str | Path, root: Path | None = None, **environ: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a program under the emulator."""
        emulator = self.kit["emulator"]
        command = [emulator["path"], "-cpu", emulator["cpu"], "-L", root or self.root]
        for key, value in environ.items():
            command += ["-E", f"{key}={value}"]
        return subprocess.run(
            [*command, *words], env={}, capture_output=True, text=True, check=False, timeout=120
        )


def _room(cache: Path, name: str) -> Room:
    words = ["--fortran", "--sysroot", "derived", "--glibc", "2.17", "--output", "json"]
    (kit,) = _json(xtool(cache, "setup", name, *words))["kits"]
    return Room(kit, Catalog().target(name))


@pytest.fixture(scope="module")
def room(cache: Path) -> Room:
    return _room(cache, "ppc64le")


def _bare(room: Room, folder: Path, names: Sequence[str]) -> Path:
    """A folder with these libraries of the sysroot and none of its stubs."""
    folder.mkdir()
    for name in names:
        shutil.copyfile(room.libraries / name, folder / name)
    return folder


def test_the_compat_library_does_what_it_says(room: Room, tmp_path: Path) -> None:
    room.compile("gcc", "-Wall", "-Werror", PROJECT / "floor.c", "-o", tmp_path / "floor", "-ldl", "-pthread")
    done = room.start(tmp_path / "floor", room.libraries / COMPAT)
    assert (done.stdout, done.returncode) == ("all of it works\n", 0), done.stderr


def test_nothing_links_with_the_compat_library_by_accident(room: Room, tmp_path: Path) -> None:
    """What a configure script finds is what the old system has, whatever else the program is linked with."""
    source = tmp_path / "probe.c"
    source.write_text("char strlcpy(void); int main(void) { return strlcpy(); }\n")
    with pytest.raises(AssertionError, match="strlcpy"):
        room.compile("gcc", "-fno-builtin", source, "-o", tmp_path / "probe", "-lgfortran", "-lgomp")
    assert [path.name for path in room.libraries.glob("libxtool*")] == [COMPAT]


def test_quad_precision_is_the_same_without_the_c_librarys(room: Room, tmp_path: Path) -> None:
    """glibc has it since 2.32; before, libgfortran gets it from the compat library."""
    room.compile("gfortran", "-mabi=ieeelongdouble", PROJECT / "quad.f90", "-o", tmp_path / "quad")
    libraries = _bare(room, tmp_path / "lib", ["libgfortran.so.5", COMPAT])
    printed = []
    # The preloaded library is asked first, so none of the C library's own is.
    for preloaded in ("", libraries / COMPAT):
        environ = {"LD_LIBRARY_PATH": libraries, "LD_PRELOAD": preloaded}
        done = room.start(tmp_path / "quad", **environ)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0].splitlines()[1].strip() == "-3.571428571428571428571428571428571E-4001"
    assert printed[0] == printed[1]


@pytest.fixture(scope="module")
def aarch64(cache: Path) -> Room:
    return _room(cache, "aarch64")


@pytest.fixture(scope="module")
def old(cache: Path) -> Path:
    """glibc 2.17, and libgcc_s of GCC 4.8, as built from their sources for AArch64."""
    return oldglibc.fetch(cache / "oldglibc")


def test_a_project_may_ask_for_static_fortran(aarch64: Room, old: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "main.f90", tmp_path / "main"
    source.write_text("program main\n  write (*, '(f8.3)') sqrt(2.25d0)*[1, 2]\nend program\n")
    aarch64.compile("gfortran", "-static-libgfortran", source, "-o", program)
    assert not [name for name in read_elf(program).needed if name.startswith("libgfortran")]
    done = aarch64.start(program, root=old)
    assert done.stdout.split() == ["1.500", "3.000"], done.stderr


def test_a_real_old_glibc_runs_all_of_it(aarch64: Room, old: Path, tmp_path: Path) -> None:
    room = aarch64
    room.compile("gfortran", "-fPIC", "-c", PROJECT / "routines.f90", "-o", tmp_path / "routines.o")
    program, thrower, catcher = (tmp_path / name for name in ("program", "thrower.so", "catcher.so"))
    libraries = ["-lgfortran", "-lm", "-ldl"]
    room.compile("gcc", "-fopenmp", PROJECT / "program.c", tmp_path / "routines.o", "-o", program, *libraries)
    room.compile("g++", "-shared", "-fPIC", PROJECT / "fail.cpp", "-o", thrower)
    room.compile("g++", "-shared", "-fPIC", "-pthread", PROJECT / "call.cpp", "-o", catcher)
    words = [program, tmp_path / "numbers", thrower, catcher]
    lowered = _bare(room, tmp_path / "lib", ["libgfortran.so.5", "libgomp.so.1", COMPAT])
    printed = room.start(*words, root=old, LD_LIBRARY_PATH=lowered, LD_BIND_NOW="1")
    assert printed.returncode == 0, printed.stderr
    assert [line.strip() for line in printed.stdout.splitlines()] == [
        "glibc 2.17",
        "trace  2460.000  -2.4600E+03 40 T",
        "files -2241.50",
        "1.41421356237309504880168872420970  7.38905609893065022723042746057501",
        "dice 1",
        "loops 5000050000 3 3",
        "caught thrown in another module 42",
        "caught out of range",
        "caught int 2",
        "threads 5 5",
    ]
    # As they were packaged they do not even load.
    refused = room.start(*words, root=old, LD_LIBRARY_PATH=room.packaged)
    assert "version `GLIBC_2.38' not found (required by" in refused.stderr
