"""Derived sysroots at several floors: what links, what does not, what the programs do under the emulator."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from xtool import emulator, installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.kit import Emulator, Toolchain
from xtool.log import SilentLog
from xtool.recipes import Assembly, Recipe
from xtool.store import Store
from xtool.targets import Target, current_host, format_glibc, parse_glibc
from xtool.toolchain import compat, floor, gcc, sysroot

FLOORS = ("2.17", "2.28", "2.34", "2.41")

# Each is in libc since the glibc named, as its NEWS file has it.
ARRIVALS = {
    "getrandom": "2.25",
    "reallocarray": "2.26",
    "memfd_create": "2.27",
    "fcntl64": "2.28",
    "gettid": "2.30",
    "strlcpy": "2.38",
}

C_PROGRAM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
extern char **__environ;
static int made;
__attribute__((constructor)) static void construct(void) { made++; }
__attribute__((destructor)) static void destruct(void) { puts("destructed"); fflush(stdout); }
static void *square(void *p) { *(int *)p *= *(int *)p; return p; }
#if !__GLIBC_PREREQ(2, 34)
static char alternative_stack[SIGSTKSZ];  /* a constant until then */
#else
static char alternative_stack[1];
#endif
int main(int argc, char **argv) {
  struct stat s, link;
  struct timespec now;
  pthread_t thread;
  int x = 12;
  char *end;
  int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
  if (made != 1) return 1;
  if (stat(argv[0], &s) || fstat(fd, &link) || s.st_ino != link.st_ino || s.st_size < 1000) return 2;
  if (lstat("/proc/self/exe", &link) || !S_ISLNK(link.st_mode)) return 3;
  if (fstatat(AT_FDCWD, "/no/such", &s, 0) != -1 || fcntl(fd, F_GETFD) != FD_CLOEXEC) return 4;
  if (pthread_create(&thread, 0, square, &x) || pthread_join(thread, 0) || x != 144) return 5;
  if (strtol("0b11", &end, 0) != (__GLIBC_PREREQ(2, 38) ? 3 : 0)) return 6;
  if (environ != __environ || !environ) return 7;
  if (!dlsym(RTLD_DEFAULT, "printf") || clock_gettime(CLOCK_REALTIME, &now)) return 8;
  if (shm_unlink("/no-such-memory") != -1) return 9;
  if (__GLIBC__ != 2 || __GLIBC_MINOR__ != MINOR || __GLIBC_PREREQ(2, MINOR + 1)) return 10;
  printf("%.3f\n", pow(argc + (alternative_stack[0] == 0), 0.5));
  return 0;
}
"""

CXX_PROGRAM = r"""
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <format>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
struct Named {
  std::string name;
  ~Named() { std::cout << "gone " << name << std::endl; }
};
thread_local Named last{"first thread"};
int main(int, char **argv) {
  std::cout << last.name << std::endl;
  std::thread([] { last.name = "second thread"; }).join();
  std::random_device device;
  if (device() == device() && device() == device()) return 1;
  try { std::filesystem::file_size("/no/such/file"); return 2; }
  catch (const std::filesystem::filesystem_error &error) { std::cout << error.code().value() << std::endl; }
  if (!std::filesystem::is_regular_file(argv[0])) return 3;
  if (!std::regex_match("glibc-2.17", std::regex("[a-z]+-[0-9.]+"))) return 4;
  std::mutex mutex; std::condition_variable condition; std::unique_lock lock(mutex);
  if (condition.wait_for(lock, std::chrono::milliseconds(2)) != std::cv_status::timeout) return 5;
  double number = 0; std::string text = "2.5";
  std::from_chars(text.data(), text.data() + text.size(), number);
  std::ifstream file(argv[0]); char magic[4]; file.read(magic, 4);
  std::cout << std::format("{:>6.2f} {:x} {}", number, 255, std::string(magic + 1, 3)) << ' ' << 1.25L;
  std::cout << std::endl;
  auto shared = std::make_shared<int>(7);
  try { throw std::out_of_range("far"); } catch (const std::logic_error &e) { std::cout << e.what(); }
  std::cout << *shared << std::endl;
}
"""
CXX_OUTPUT = """\
first thread
gone second thread
2
  2.50 ff ELF 1.25
far7
gone first thread
"""


@dataclass(frozen=True)
class Room:
    """A toolchain, sysroots by floor, and a target root to run programs on."""

    target: Target
    toolchain: Toolchain
    sysroots: dict[str, Path]
    recipes: dict[str, Recipe]
    emulator: Emulator
    root: Path

    def compile(self, at: str | Path, tool: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        folder = at if isinstance(at, Path) else self.sysroots[at]
        command = [self.toolchain.tool(tool), f"--sysroot={folder}", *self.target.cflags, *words]
        return subprocess.run(
            [*command, *self.target.ldflags], env={}, capture_output=True, text=True, check=False
        )

    def build(self, at: str | Path, tool: str, source: Path, *words: str) -> Path:
        output = source.with_suffix("")
        done = self.compile(at, tool, source, "-o", output, *words)
        assert done.returncode == 0, done.stderr
        return output

    def run(self, program: Path) -> subprocess.CompletedProcess[str]:
        command = [self.emulator.executable, "-cpu", self.emulator.cpu, "-L", self.root, program]
        return subprocess.run(command, env={}, capture_output=True, text=True, check=False)

    def exports(self, at: str) -> dict[str, set[str]]:
        text = (self.sysroots[at] / "share/xtool/exports.json").read_text()
        return {soname: set(symbols) for soname, symbols in json.loads(text).items()}


@pytest.fixture(scope="module")
def room(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Room:
    from xtool.archive import unpack
    from xtool.fetch import fetch

    context = Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))
    catalog, host = Catalog(), current_host()
    target = catalog.target("ppc64le")
    lock = catalog.lock(host, target)
    compiler = gcc.gcc_recipe(host, target, lock)
    recipes = {at: sysroot.derived_recipe(target, lock, parse_glibc(at), compiler) for at in FLOORS}
    qemu = emulator.qemu_recipe(host, target, lock)
    found = installer.ensure(context, catalog, lock, [compiler, *recipes.values(), qemu])
    root = tmp_path_factory.mktemp("root")
    wanted = [a for a in lock.artifacts("glibc") if a.name in ("libc6", "libgcc-s1")]
    files = fetch(context, catalog, wanted, evidence=lock.evidence, downloads=Store(context).downloads)
    for file in files.values():
        unpack(file, root, only=lambda name: name.startswith("usr/lib"))
    (root / "lib64").symlink_to("usr/lib64")
    return Room(
        target,
        gcc.toolchain(found[compiler.name], target),
        {at: found[recipe.name] for at, recipe in recipes.items()},
        recipes,
        emulator.emulator(found[qemu.name], target),
        root,
    )


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(library, version) of everything that an ELF file needs."""
    with path.open("rb") as file:
        for library, auxiliaries in ELFFile(file).get_section_by_name(".gnu.version_r").iter_versions():
            for auxiliary in auxiliaries:
                yield library.name, auxiliary.name


def needed(path: Path) -> set[str]:
    with path.open("rb") as file:
        tags = ELFFile(file).get_section_by_name(".dynamic").iter_tags()
        return {tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"}


def assert_nothing_above(path: Path, at: str) -> None:
    for library, version in imports(path):
        if version.startswith("GLIBC_"):
            assert floor.version_number(version) <= parse_glibc(at), f"{library} {version}"
    if at == "2.17":
        assert {v for _, v in imports(path) if v.startswith("GCC_")} <= {
            "GCC_3.0", "GCC_3.3", "GCC_3.3.1", "GCC_3.4", "GCC_3.4.2", "GCC_3.4.4", "GCC_4.0.0", "GCC_4.2.0",
            "GCC_4.3.0", "GCC_4.7.0",
        }  # fmt: skip


@pytest.mark.parametrize("large_files", [(), ("-D_FILE_OFFSET_BITS=64", "-D_FORTIFY_SOURCE=3")])
@pytest.mark.parametrize("at", FLOORS)
def test_c_program(room: Room, tmp_path: Path, at: str, large_files: tuple[str, ...]) -> None:
    source = tmp_path / "a.c"
    source.write_text(C_PROGRAM)
    minor = f"-DMINOR={at.partition('.')[2]}"
    # Written for a newer glibc: neither -lpthread nor -ldl nor -lrt.
    flags = ["-O2", "-Wall", "-Werror=implicit-function-declaration", minor, *large_files]
    program = room.build(at, "gcc", source, "-lm", *flags)
    assert_nothing_above(program, at)
    folded = {"libpthread.so.0", "libdl.so.2", "librt.so.1"}
    assert needed(program) & folded == (folded if parse_glibc(at) < (2, 34) else set())
    done = room.run(program)
    assert (done.returncode, done.stdout) == (0, "1.414\ndestructed\n"), done.stderr


@pytest.mark.parametrize("libgcc", ["-shared-libgcc", "-static-libgcc"])
@pytest.mark.parametrize("at", FLOORS)
def test_cxx20_program(room: Room, tmp_path: Path, at: str, libgcc: str) -> None:
    source = tmp_path / "a.cc"
    source.write_text(CXX_PROGRAM)
    program = room.build(at, "g++", source, "-std=c++20", "-O2", "-w", libgcc)
    assert_nothing_above(program, at)
    done = room.run(program)
    assert (done.returncode, done.stdout) == (0, CXX_OUTPUT), done.stderr


@pytest.mark.parametrize("at", ["2.17", "2.34"])
def test_program_at_a_fixed_address_copies_data(room: Room, tmp_path: Path, at: str) -> None:
    source = tmp_path / "a.c"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\nextern char **environ, **__environ;\n"
        'int main(void) { return fprintf(stdout, "%d", environ == __environ && environ != 0) != 1; }\n'
    )
    program = room.build(at, "gcc", source, "-no-pie", "-fno-pie", "-mno-pcrel")
    done = room.run(program)
    assert (done.returncode, done.stdout) == (0, "1"), done.stderr


@pytest.mark.parametrize("function", ARRIVALS)
def test_link_tests_answer_as_the_old_system_would(room: Room, tmp_path: Path, function: str) -> None:
    source = tmp_path / "conftest.c"
    # As Autoconf's AC_CHECK_FUNC writes it.
    source.write_text(f"char {function} (void);\nint main (void) {{ return {function} (); }}\n")
    for at in FLOORS:
        done = room.compile(at, "gcc", "-w", "-fno-builtin", source, "-o", tmp_path / "conftest")
        assert (done.returncode == 0) == (parse_glibc(at) >= parse_glibc(ARRIVALS[function])), (
            at,
            done.stderr,
        )
        assert done.returncode == 0 or f"undefined reference to `{function}'" in done.stderr


def test_a_projects_own_replacements_do_not_collide(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <string.h>\n#include <sys/syscall.h>\n"
        "#include <unistd.h>\n"
        "#if !__GLIBC_PREREQ(2, 30)\nstatic long gettid(void) { return syscall(SYS_gettid); }\n#endif\n"
        "#if !__GLIBC_PREREQ(2, 38)\nstatic int strlcpy(char *to, const char *from) "
        "{ strcpy(to, from); return 1; }\n#define COPY strlcpy(text, argv[0])\n"
        "#else\n#define COPY strlcpy(text, argv[0], 99)\n#endif\n"
        "#if __has_include(<sys/random.h>) != __GLIBC_PREREQ(2, 25)\n#error sys/random.h\n#endif\n"
        "#if !__GLIBC_PREREQ(2, 26)\n#include <xlocale.h>\n#endif\n"
        "int main(int argc, char **argv)\n"
        "{ char text[4096]; return argc != 1 || gettid() <= 0 || COPY <= 0; }\n"
    )
    for at in FLOORS:
        program = room.build(at, "gcc", source, "-O2", "-Wall", "-Werror", "-D_FORTIFY_SOURCE=2")
        assert room.run(program).returncode == 0


@pytest.mark.parametrize("at", FLOORS)
@pytest.mark.parametrize(
    "flags", [(), ("-O2", "-D_FORTIFY_SOURCE=3", "-D_FILE_OFFSET_BITS=64"), ("-std=c23",)]
)
def test_headers_declare_what_links(room: Room, tmp_path: Path, at: str, flags: tuple[str, ...]) -> None:
    """Every function that is declared and that the newest glibc has is in the floor or among the shims."""
    include = room.sysroots[at] / "usr/include"
    kernel = (
        "linux/",
        "asm",
        "scsi/",
        "sound/",
        "drm/",
        "rdma/",
        "xen/",
        "video/",
        "mtd/",
        "misc/",
        "regulator/",
    )
    inner = ("bits/", "gnu/", "finclude/", "rpc/", *kernel)
    names = sorted(str(p.relative_to(include)) for p in include.rglob("*.h"))
    known = [
        n for n in names if not n.startswith(inner) and n not in ("regexp.h", "proc_service.h", "tgmath.h")
    ]
    first = ("sys/types.h", "stdio.h", "stdint.h", "netinet/in.h", "time.h", "sys/uio.h")
    source = tmp_path / "all.c"
    source.write_text("".join(f"#include <{name}>\n" for name in (*first, *known)))
    declared = tmp_path / "declared"
    done = room.compile(
        at, "gcc", "-D_GNU_SOURCE", "-w", *flags, "-aux-info", declared, "-fsyntax-only", source
    )
    assert done.returncode == 0, done.stderr
    found = set(re.findall(r"\b(\w+) \(", re.sub(r"/\*.*?\*/", "", declared.read_text())))
    assert {"printf", "pthread_create", "cos", "stat"} <= found

    newest = {s.partition("@")[0] for symbols in room.exports("2.41").values() for s in symbols}
    here = {s.partition("@")[0] for symbols in room.exports(at).values() for s in symbols}
    assert (found & newest) - here <= compat.provided(compat.shims_for(room.target, here))
    if at != "2.41":
        assert len(newest - here) > 100


@pytest.mark.parametrize("at", FLOORS)
def test_every_cxx_header_compiles(room: Room, tmp_path: Path, at: str) -> None:
    source = tmp_path / "a.cc"
    source.write_text("#include <bits/stdc++.h>\nint main() {}\n")
    for standard in ("gnu++98", "c++11", "gnu++17", "c++20"):
        done = room.compile(
            at, "g++", f"-std={standard}", "-O2", "-D_FORTIFY_SOURCE=2", "-fsyntax-only", source
        )
        assert done.returncode == 0, (standard, done.stderr)


@pytest.mark.parametrize("at", FLOORS)
def test_exports_file_is_what_the_stubs_export(room: Room, at: str) -> None:
    folder = room.sysroots[at] / "usr/lib"
    table = room.exports(at)
    assert {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld64.so.2", "libgcc_s.so.1"} <= table.keys()
    for soname, symbols in table.items():
        found = floor.read_symbols(room.toolchain.tool("readelf"), folder / soname, SilentLog())
        assert {str(symbol) for symbol in found} == symbols
        names = [symbol.name for symbol in found if symbol.default]
        assert len(names) == len(set(names))
        # libgcc_s itself has four functions for running old programs only.
        assert soname == "libgcc_s.so.1" or set(names) == {symbol.name for symbol in found}


@pytest.mark.parametrize("at", FLOORS)
def test_names_for_the_linker(room: Room, tmp_path: Path, at: str) -> None:
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return 0; }\n")
    room.build(at, "gcc", source, "-lpthread", "-ldl", "-lrt", "-lutil", "-lm", "-lresolv", "-lanl")
    for name in ("nsl", "crypt"):
        done = room.compile(at, "gcc", source, f"-l{name}", "-o", tmp_path / "b")
        assert f"cannot find -l{name}" in done.stderr
    done = room.compile(at, "gcc", "-static", source, "-o", tmp_path / "c")
    assert done.returncode != 0


def test_shims_stay_inside(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "libx.cc"
    source.write_text(
        "#include <random>\n#include <sys/stat.h>\nstruct X { ~X(); }; thread_local X x; X::~X() {}\n"
        "int size(const char *path)\n"
        "{ struct stat s; (void)&x; return stat(path, &s) ? -1 : (int)s.st_size; }\n"
        "unsigned draw() { return std::random_device{}(); }\n"
    )
    library = room.build("2.17", "g++", source, "-shared", "-fPIC", "-std=c++20", "-static-libgcc")
    with library.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        exported = {symbol.name for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF"}
    assert {"_Z4sizePKc", "_Z4drawv"} <= exported
    everything = compat.provided(compat.shims_for(room.target, ()))
    assert not exported & everything
    assert not [name for name in exported if "xtool" in name]


def test_thread_locals_on_a_library_without_their_function(room: Room, tmp_path: Path) -> None:
    # dlvsym that finds nothing stands for a glibc 2.17.
    source = tmp_path / "a.cc"
    source.write_text(
        "#include <cstdio>\n#include <thread>\n"
        'extern "C" void *__wrap_dlvsym(void *, const char *, const char *) { return 0; }\n'
        "struct Loud { const char *name; explicit Loud(const char *n) : name(n) {}\n"
        '  ~Loud(); };\nthread_local Loud late{"late"}, first{"first"}, second{"second"};\n'
        'Loud::~Loud() { std::printf("%s ", name); if (name == second.name) (void)&late; }\n'
        'int main() { std::thread([] { (void)first.name; }).join(); std::puts("joined");\n'
        "  (void)first.name; }\n"
    )
    program = room.build("2.17", "g++", source, "-std=c++20", "-Wl,--wrap=dlvsym")
    done = room.run(program)
    assert (done.returncode, done.stdout) == (0, "second first late joined\nsecond first late "), done.stderr


def test_number_readers_of_precompiled_code(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text(
        "#include <errno.h>\n#include <limits.h>\n#include <string.h>\n"
        "extern long __isoc23_strtol(const char *, char **, int);\n"
        "extern unsigned long __isoc23_strtoul(const char *, char **, int);\n"
        "static int check(const char *text, int base, long value, const char *rest, int error) {\n"
        "  char *end; errno = 0; long got = __isoc23_strtol(text, &end, base);\n"
        "  return got == value && !strcmp(end, rest) && errno == error; }\n"
        "int main(void) {\n  char many[80] = \"-0b1\"; memset(many + 4, '0', 63);\n"
        '  if (!check(" +0b101z", 0, 5, "z", 0) || !check("-0B11", 2, -3, "", 0)) return 1;\n'
        '  if (!check("0b2", 0, 0, "b2", 0) || !check("0b1", 16, 0xb1, "", 0)) return 2;\n'
        '  if (!check("077", 0, 63, "", 0) || !check("x", 0, 0, "x", 0)) return 3;\n'
        '  if (!check(many, 0, LONG_MIN, "", 0) || !check(many + 1, 0, LONG_MAX, "", ERANGE)) return 4;\n'
        '  if (__isoc23_strtoul("-0b1", 0, 0) != ULONG_MAX) return 5;\n'
        "  if (__isoc23_strtoul(many + 1, 0, 2) != 1UL << 63) return 6;\n"
        "  return 0; }\n"
    )
    assert room.run(room.build("2.17", "gcc", source)).returncode == 0


def test_quad_precision_stops_rather_than_lie(room: Room, tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    # What libstdc++.a's std::to_chars for __ieee128 calls.
    source.write_text(
        "extern int __sprintfieee128(char *, const char *, ...);\n"
        'int main(void) { char text[9]; return __sprintfieee128(text, "%Lg"); }\n'
    )
    done = room.run(room.build("2.17", "gcc", source))
    assert done.returncode not in (0, 1)
    assert "__sprintfieee128: IEEE 128-bit long double needs glibc 2.32" in done.stderr


def test_assembling_repeats_byte_for_byte_and_names_no_place(
    room: Room, shared_cache: Path, tmp_path: Path
) -> None:
    from xtool.fetch import fetch

    context = Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))
    catalog = Catalog()
    lock = catalog.lock(current_host(), room.target)
    files = fetch(
        context, catalog, lock.artifacts("glibc"), evidence=lock.evidence, downloads=Store(context).downloads
    )
    recipe = room.recipes["2.17"]
    trees = []
    for place in (tmp_path / "one", tmp_path / "a longer place" / "two"):
        staging, scratch = place / "staging", place / "scratch"
        staging.mkdir(parents=True)
        scratch.mkdir()
        by_name = {file.artifact.name: file for file in files.values()}
        recipe.assemble(
            Assembly(context, staging, by_name, {recipe.needs[0].name: room.toolchain.path}, scratch)
        )
        trees.append(tree(staging))
        for path, content in trees[-1].items():
            assert str(tmp_path).encode() not in content, path
    assert trees[0] == trees[1]
    links = {path: content for path, content in trees[0].items() if content.startswith(b"-> ")}
    assert links
    assert not [link for link in links.values() if link.startswith(b"-> /")]


def test_tree_works_from_another_place(room: Room, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(room.sysroots["2.17"], moved, symlinks=True)
    source = tmp_path / "a.c"
    source.write_text(
        "#include <pthread.h>\n#include <asm/errno.h>\nint main(void) { return pthread_self() == 0; }\n"
    )
    assert room.run(room.build(moved, "gcc", source)).returncode == 0


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and link below a folder: its bytes, or `-> ` and what it points to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}".encode()
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def test_floor_of_a_sysroot_is_known(room: Room) -> None:
    made = sysroot.sysroot(room.sysroots["2.28"], (2, 28))
    assert (format_glibc(made.glibc), made.kind) == ("2.28", "derived")
    assert made.exports.is_file()
