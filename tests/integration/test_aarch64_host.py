"""The toolchain of aarch64 hosts, made here and run by the emulator: it compiles to the same bytes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import standalone
from support.commandline import xtool
from support.otherhost import PYTHON, TARGET, emulator_of, toolchain_recipe

from xtool import installer
from xtool.catalog import Catalog
from xtool.kit import Toolchain
from xtool.manifest import FILES, parse_listing
from xtool.targets import HOSTS
from xtool.toolchain import gcc, relocate

AARCH64 = HOSTS["aarch64"]
PROGRAM = standalone.ROOT / "tests" / "projects" / "programs" / "program.c"
CXX_PROGRAM = """
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>
template <typename T> T checked(const std::vector<T> &v, std::size_t i) {
  if (i >= v.size()) throw std::out_of_range("no " + std::to_string(i));
  return v[i];
}
int main() {
  std::vector<double> v{1.5, 2.5};
  try { return static_cast<int>(checked(v, 7)); }
  catch (const std::exception &e) { std::printf("ok %s %.1f\\n", e.what(), checked(v, 1)); }
  return 0;
}
"""


@dataclass(frozen=True)
class Tools:
    """The compilers of two hosts, and what both need.

    Args:
        here: this host's.
        there: those of aarch64 hosts.
        emulator: runs programs of aarch64.
        parts: a folder with a script for each program that GCC starts: it starts the emulator.
        sysroot: the target's sysroot.
    """

    here: Toolchain
    there: Toolchain
    emulator: Path
    parts: Path
    sysroot: Path

    def both(self, tool: str, *words: str, folder: Path, output: str) -> tuple[bytes, bytes]:
        """Run a tool of both hosts in a folder; what each wrote."""
        made = []
        for tools, start in ((self.here, []), (self.there, [self.emulator])):
            command = [*start, tools.tool(tool), f"--sysroot={self.sysroot}", "-mcpu=power8", *words]
            command += [f"-B{self.parts}/"] if start else []
            # Names in debugging information, which are not the same compiler's.
            command += [f"-ffile-prefix-map={tools.path}=/toolchain"]
            done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            made.append((folder / output).read_bytes())
            (folder / output).unlink()
        return made[0], made[1]


@pytest.fixture(scope="module")
def tools(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    emulator = emulator_of(cache, "aarch64")
    catalog = Catalog()
    target = catalog.target(TARGET)
    recipe = toolchain_recipe(AARCH64, emulator)
    made = installer.ensure(standalone.context(cache), catalog, catalog.lock(AARCH64, target), [recipe])
    done = xtool(cache, "setup", TARGET, "--python", PYTHON, "--output", "json")
    (kit,) = json.loads(done.stdout)["data"]["kits"]
    there = gcc.toolchain(made[recipe.name], target)
    # The kernel starts a script, but no program of another machine.
    parts = tmp_path_factory.mktemp("parts")
    programs = [path for path in there.path.glob("libexec/gcc-cross/*/*/*") if not path.suffix]
    programs += [there.tool("as"), there.tool("ld")]
    for program in programs:
        script = parts / program.name.removeprefix(f"{target.triplet}-")
        script.write_text(f'#!/bin/sh\nexec "{emulator}" "{program}" "$@"\n')
        script.chmod(0o755)
    here = gcc.toolchain(Path(kit["toolchain"]["path"]), target)
    return Tools(here, there, emulator, parts, Path(kit["sysroot"]["path"]))


def test_its_programs_are_aarch64s_and_bring_their_own_libraries(tools: Tools) -> None:
    found = relocate.read_slots(tools.there.path)
    assert found is not None
    assert len(found.slots) > 20
    for slot in found.slots:
        head = (tools.there.path / slot.path).read_bytes()[:20]
        assert (head[:6], head[18:20]) == (b"\x7fELF\x02\x01", (183).to_bytes(2, "little")), slot.path
    assert (tools.there.path / found.loader).name == AARCH64.dynamic_linker


def test_all_that_is_not_a_hosts_program_is_the_same_on_both(tools: Tools) -> None:
    """Headers, libraries for the target, GCC's specs: what comes into wheels, beside what is compiled."""
    one, other = (
        {file.path: file.sha256 for file in parse_listing((t.path / FILES).read_bytes()).files}
        for t in (tools.here, tools.there)
    )
    programs = {slot.path for toolchain in (tools.here, tools.there) for slot in _slots(toolchain)}
    differing = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    left = {path for path in differing - programs if not path.startswith(relocate.HOST_LIBRARIES)}
    plugins = {path for path in left if path.endswith("/liblto_plugin.so")}
    assert left == {relocate.SLOTS_FILE, *plugins}
    # A listing that was not read would agree with everything.
    assert len(one) > 500


def _slots(toolchain: Toolchain) -> tuple[relocate.Slot, ...]:
    found = relocate.read_slots(toolchain.path)
    assert found is not None
    return found.slots


@pytest.mark.parametrize(
    ("tool", "name", "said"), [("gcc", "a.c", "ok 2.41"), ("g++", "a.cc", "ok no 7 2.5")]
)
def test_objects_and_programs_are_the_same_bytes(
    tools: Tools, cache: Path, tmp_path: Path, tool: str, name: str, said: str
) -> None:
    (tmp_path / name).write_text(PROGRAM.read_text() if tool == "gcc" else CXX_PROGRAM)
    here, there = tools.both(tool, "-O2", "-g", "-c", name, "-o", "a.o", folder=tmp_path, output="a.o")
    assert here == there
    assert len(here) > 4000
    (tmp_path / "a.o").write_bytes(there)
    here, there = tools.both(tool, "a.o", "-o", "a", "-lm", "-lpthread", folder=tmp_path, output="a")
    assert here == there
    (tmp_path / "a").write_bytes(there)
    (tmp_path / "a").chmod(0o755)
    done = xtool(cache, "run", "--target", TARGET, "--python", PYTHON, "--", str(tmp_path / "a"))
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr
