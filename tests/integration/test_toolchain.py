"""The cross GCC and the emulator, installed from real packages: what they make runs, and nothing leaks in."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from xtool import emulator, installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.kit import Emulator, Sysroot, Toolchain
from xtool.log import SilentLog
from xtool.recipes import Assembly
from xtool.store import Store
from xtool.targets import Target, current_host
from xtool.toolchain import gcc, relocate, sysroot

C_PROGRAM = """
#include <math.h>
#include <pthread.h>
#include <stdio.h>
static void *work(void *p) { *(int *)p = 42; return p; }
int main(int argc, char **argv) {
  (void)argv;
  pthread_t t; int x = 0;
  pthread_create(&t, 0, work, &x); pthread_join(t, 0);
  printf("%d %.3f %zu\\n", x, sqrt(argc + 1.0), sizeof(void *));
  return 0;
}
"""

CXX_PROGRAM = """
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <ranges>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>
struct Last { ~Last() { std::cout << "thread gone" << std::endl; } };
thread_local Last last;
int main() {
  std::timed_mutex timed;
  std::shared_timed_mutex shared;
  if (!timed.try_lock_for(std::chrono::milliseconds(1))) return 3;
  if (!shared.try_lock_shared_for(std::chrono::milliseconds(1))) return 4;
  std::mutex m; std::condition_variable cv; bool ready = false;
  std::jthread thread([&] { (void)&last; std::unique_lock l(m); ready = true; cv.notify_one(); });
  { std::unique_lock l(m); if (!cv.wait_for(l, std::chrono::seconds(9), [&] { return ready; })) return 5; }
  thread.join();
  std::random_device device;
  auto shared_value = std::make_shared<std::vector<int>>(std::vector<int>{3, 1, 2});
  try { throw std::runtime_error("boom"); } catch (const std::exception &e) { std::cout << e.what(); }
  for (int i : *shared_value | std::views::transform([&](int x) { return 2 * x + 0 * (device() & 1); }))
    std::cout << ' ' << i;
  std::cout << std::endl;
}
"""


@dataclass(frozen=True)
class Tools:
    target: Target
    toolchain: Toolchain
    sysroot: Sysroot
    emulator: Emulator
    root: Path

    def compile(self, tool: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a compiler with an empty environment."""
        command = [self.toolchain.tool(tool), f"--sysroot={self.sysroot.path}", *self.target.cflags]
        words = (*words, *self.target.ldflags)
        return subprocess.run([*command, *words], env={}, capture_output=True, text=True, check=False)

    def run(self, program: Path) -> str:
        """Run a program under the emulator with the target's newest C library; what it prints."""
        command = [self.emulator.executable, "-cpu", self.emulator.cpu, "-L", self.root, program]
        done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def context(shared_cache: Path) -> Context:
    return Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))


@pytest.fixture(scope="module")
def tools(context: Context, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    from xtool.archive import unpack
    from xtool.fetch import fetch

    catalog, host = Catalog(), current_host()
    target = catalog.target("ppc64le")
    lock = catalog.lock(host, target)
    compiler = gcc.gcc_recipe(host, target, lock)
    floor = sysroot.derived_recipe(target, lock, (2, 17), compiler)
    qemu = emulator.qemu_recipe(host, target, lock)
    found = installer.ensure(context, catalog, lock, [compiler, floor, qemu])

    root = tmp_path_factory.mktemp("root")
    wanted = [a for a in lock.artifacts("glibc") if a.name in ("libc6", "libgcc-s1")]
    downloads = Store(context).downloads
    for file in fetch(context, catalog, wanted, evidence=lock.evidence, downloads=downloads).values():
        unpack(file, root, only=lambda name: name.startswith("usr/lib"))
    (root / "lib64").symlink_to("usr/lib64")
    return Tools(
        target,
        gcc.toolchain(found[compiler.name], target),
        sysroot.sysroot(found[floor.name], (2, 17)),
        emulator.emulator(found[qemu.name], target),
        root,
    )


def exports(path: Path) -> set[str]:
    with path.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        return {s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF" and s.name}


def needed(path: Path) -> list[str]:
    with path.open("rb") as file:
        dynamic = ELFFile(file).get_section_by_name(".dynamic")
        return [tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"]


def test_c_program_runs(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(C_PROGRAM)
    done = tools.compile("gcc", "-O2", tmp_path / "a.c", "-o", tmp_path / "a", "-lm", "-pthread")
    assert done.returncode == 0, done.stderr
    assert tools.run(tmp_path / "a") == "42 1.414 8\n"


def test_cxx20_program_with_threads_and_exceptions_runs(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text(CXX_PROGRAM)
    done = tools.compile("g++", "-std=c++20", "-O2", tmp_path / "a.cc", "-o", tmp_path / "a", "-pthread")
    assert done.returncode == 0, done.stderr
    assert tools.run(tmp_path / "a") == "thread gone\nboom 6 2 4\n"
    assert not [name for name in needed(tmp_path / "a") if name.startswith("libstdc++")]


@pytest.mark.parametrize("tool", ["g++", "gcc"])
def test_extension_carries_libstdcxx_hidden(tools: Tools, tmp_path: Path, tool: str) -> None:
    """Also where a project writes `-lstdc++` by hand, which `-static-libstdc++` would not touch."""
    (tmp_path / "a.cc").write_text(
        "#include <iostream>\n"
        'extern "C" int entry() { std::cout << 1; try { throw 2; } catch (int i) { return i; } }\n'
    )
    flags = ["-lstdc++"] if tool == "gcc" else []
    output = tmp_path / "a.so"
    done = tools.compile(tool, "-O2", "-fPIC", "-shared", tmp_path / "a.cc", "-o", output, *flags)
    assert done.returncode == 0, done.stderr
    assert "entry" in exports(output)
    assert not [name for name in exports(output) if re.match(r"_ZS[oict]|_ZNSt|__cxa|__gxx|_Unwind", name)]
    assert "libstdc++.so.6" not in needed(output)
    assert "libgcc_s.so.1" in needed(output)


def test_projects_own_static_libraries_keep_their_visibility(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "own.c").write_text("int own(void) { return 1; }\n")
    (tmp_path / "a.c").write_text("int own(void);\nint entry(void) { return own(); }\n")
    assert tools.compile("gcc", "-fPIC", "-c", tmp_path / "own.c", "-o", tmp_path / "own.o").returncode == 0
    subprocess.run([tools.toolchain.tool("ar"), "rcs", "libown.a", "own.o"], cwd=tmp_path, env={}, check=True)
    words = ["-fPIC", "-shared", tmp_path / "a.c", f"-L{tmp_path}", "-lown", "-o", tmp_path / "a.so"]
    assert tools.compile("gcc", *words).returncode == 0
    assert {"own", "entry"} <= exports(tmp_path / "a.so")


def test_headers_answer_for_the_floor(tools: Tools, tmp_path: Path) -> None:
    """Threads are strong references whatever the floor; functions of glibc 2.30 are not called below it."""
    (tmp_path / "a.cc").write_text(
        "#include <mutex>\n#include <shared_mutex>\n#include <condition_variable>\n"
    )
    done = tools.compile("g++", "-std=c++20", "-E", "-dM", tmp_path / "a.cc")
    assert done.returncode == 0, done.stderr
    macros = dict(re.findall(r"^#define (\S+) ?(.*)$", done.stdout, re.MULTILINE))
    assert macros["_GLIBCXX_GTHREAD_USE_WEAK"] == "0"
    assert not [
        name for name in macros if re.fullmatch(r"_GLIBCXX_USE_PTHREAD_.*(CLOCKWAIT|CLOCKLOCK)", name)
    ]


def test_format_compiles_as_cxx23_at_the_lowest_floor(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text(
        "#include <format>\n#include <iostream>\n"
        'int main() { std::cout << std::format("{:.2f} {:x}", 1.5, 255); }\n'
    )
    done = tools.compile("g++", "-std=c++23", tmp_path / "a.cc", "-o", tmp_path / "a")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("archiver", "lister"), [("ar", "nm"), ("gcc-ar", "gcc-nm")])
def test_link_time_optimisation_through_archives(
    tools: Tools, tmp_path: Path, archiver: str, lister: str
) -> None:
    (tmp_path / "f.c").write_text("int f(int x) { return x * 3; }\n")
    (tmp_path / "m.c").write_text("int f(int);\nint main(void) { return f(14) == 42 ? 0 : 1; }\n")
    assert tools.compile("gcc", "-flto", "-c", tmp_path / "f.c", "-o", tmp_path / "f.o").returncode == 0
    subprocess.run([tools.toolchain.tool(archiver), "rcs", "libf.a", "f.o"], cwd=tmp_path, env={}, check=True)
    listed = subprocess.check_output([tools.toolchain.tool(lister), tmp_path / "libf.a"], env={}, text=True)
    assert " T f" in listed
    words = ["-flto", tmp_path / "m.c", f"-L{tmp_path}", "-lf", "-o", tmp_path / "m"]
    done = tools.compile("gcc", *words)
    assert done.returncode == 0, done.stderr
    tools.run(tmp_path / "m")


def test_search_dirs_lie_in_the_tree_and_the_sysroot(tools: Tools) -> None:
    done = tools.compile("gcc", "-print-search-dirs")
    paths = re.findall(r"(?:=|:|^install: )(/[^:\n]*)", done.stdout, re.MULTILINE)
    assert len(paths) > 8
    allowed = (tools.toolchain.path, tools.sysroot.path)
    assert [p for p in paths if not any(Path(os.path.normpath(p)).is_relative_to(a) for a in allowed)] == []

    include = tools.compile("g++", "-v", "-E", "-x", "c++", os.devnull).stderr
    listed = include.split("search starts here:")[-1].split("End of search")[0].split()
    assert len(listed) > 4
    assert [p for p in listed if not any(Path(os.path.normpath(p)).is_relative_to(a) for a in allowed)] == []


def test_tree_brings_no_c_library_and_no_shared_libstdcxx(tools: Tools) -> None:
    names = {path.name for path in tools.toolchain.path.rglob("*") if "lib/host" not in path.as_posix()}
    assert {"libstdc++.a", "libgcc.a", "libgcc_eh.a", "libgcov.a", "libatomic.a", "libgcc_s.so"} <= names
    assert not {n for n in names if re.match(r"(libc|libm|libpthread|ld64|libstdc\+\+|libgcc_s)\.so\.", n)}
    assert not names & {"libstdc++.so", "libatomic.so", "libquadmath.so", "crt1.o", "Scrt1.o"}
    include = tools.toolchain.path / tools.target.triplet / "include"
    assert [path.name for path in include.iterdir()] == ["c++"]


def test_users_library_path_and_preload_do_not_break_it(tools: Tools, tmp_path: Path) -> None:
    for name in ("libc.so.6", "libmpfr.so.6", "libbfd-2.44-ppc64el.so"):
        (tmp_path / name).write_bytes(b"not a library")
    env = {"LD_LIBRARY_PATH": str(tmp_path)}
    (tmp_path / "a.c").write_text("int x;\n")
    command = [tools.toolchain.tool("gcc"), f"--sysroot={tools.sysroot.path}", "-c", tmp_path / "a.c"]
    done = subprocess.run(
        [*command, "-o", tmp_path / "a.o"], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_tree_works_where_it_is_moved_to(tools: Tools, tmp_path: Path) -> None:
    moved = tmp_path / "an other place"
    shutil.copytree(tools.toolchain.path, moved, symlinks=True)
    relocate.fill_slots(moved, moved)
    assert (
        str(tools.toolchain.path).encode()
        not in (moved / "bin" / tools.toolchain.tool("gcc").name).read_bytes()
    )
    there = replace(tools, toolchain=gcc.toolchain(moved, tools.target))
    (tmp_path / "a.cc").write_text(CXX_PROGRAM)
    words = ["-std=c++20", tmp_path / "a.cc", "-o", tmp_path / "a", "-pthread"]
    done = there.compile("g++", *words)
    assert done.returncode == 0, done.stderr
    assert tools.run(tmp_path / "a").endswith("boom 6 2 4\n")


def test_it_runs_in_a_root_without_any_c_library(tools: Tools, tmp_path: Path) -> None:
    """Neither a host libc nor /proc nor /etc: only the tree, the sysroot and a source file."""
    jail = tmp_path / "jail"
    (jail / "tmp").mkdir(parents=True)
    shutil.copytree(tools.toolchain.path, jail / "gcc", symlinks=True)
    shutil.copytree(tools.sysroot.path, jail / "sysroot", symlinks=True)
    relocate.fill_slots(jail / "gcc", Path("/gcc"))
    (jail / "a.c").write_text(C_PROGRAM)
    command = [f"/gcc/bin/{tools.toolchain.triplet}-gcc", "--sysroot=/sysroot", "-O2", "/a.c", "-o", "/a"]
    command += [*tools.target.cflags, *tools.target.ldflags, "-lm", "-pthread"]
    # Without root a user namespace gives the right to change the root folder.
    enter = (
        ["chroot", jail] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", f"--root={jail}"]
    )
    system = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run([*enter, *command], env=system, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tools.run(jail / "a") == "42 1.414 8\n"


def test_assembly_gives_the_same_bytes_anywhere(tools: Tools, context: Context, tmp_path: Path) -> None:
    from xtool.fetch import fetch

    catalog, host = Catalog(), current_host()
    lock = catalog.lock(host, tools.target)
    recipe = gcc.gcc_recipe(host, tools.target, lock)
    downloads = Store(context).downloads
    files = fetch(context, catalog, recipe.artifacts, evidence=lock.evidence, downloads=downloads)
    by_name = {file.artifact.name: file for file in files.values()}
    trees = []
    for name in ("one", "another/place"):
        staging, scratch = tmp_path / name / "staging", tmp_path / name / "scratch"
        staging.mkdir(parents=True)
        scratch.mkdir()
        recipe.assemble(Assembly(context, staging, by_name, {}, scratch))
        trees.append(staging)
    assert _differences(filecmp.dircmp(*trees)) == []


def _differences(compared: filecmp.dircmp[str]) -> list[str]:
    _, mismatch, errors = filecmp.cmpfiles(
        compared.left, compared.right, compared.common_files, shallow=False
    )
    found = [*compared.left_only, *compared.right_only, *mismatch, *errors, *compared.funny_files]
    for below in compared.subdirs.values():
        found += _differences(below)
    return found


def test_emulator_is_one_static_program(tools: Tools) -> None:
    program = tools.emulator.executable
    assert [path.name for path in program.parent.iterdir()] == ["qemu-ppc64le"]
    with program.open("rb") as file:
        assert "PT_INTERP" not in [segment["p_type"] for segment in ELFFile(file).iter_segments()]
    version = subprocess.check_output([program, "--version"], env={}, text=True)
    assert "qemu-ppc64le version 10." in version
