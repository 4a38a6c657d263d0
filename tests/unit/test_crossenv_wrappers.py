"""The compiler wrappers, in front of a compiler that writes down how it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from xtool.crossenv.compilercache import CompilerCache
from xtool.crossenv.wrappers import HOST_PATHS, Policy, WrapperSpec, write_wrappers
from xtool.kit import Toolchain

TRIPLET = "powerpc64le-linux-gnu"

FAKE = f"""#!{sys.executable}
import os, sys
arguments = sys.argv[1:]
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write("\\0".join(arguments) + "\\n")
note = os.environ.get("SUNPRO_DEPENDENCIES")
own = any(a in ("-MD", "-M", "-MM") or a.startswith("-Wp,-M") for a in arguments)
if note and not own:
    with open(note, "a") as file:
        file.write("x.o: /opened/by/the/variable.h\\n")
if "-MF" in arguments:
    with open(arguments[arguments.index("-MF") + 1], "w") as file:
        file.write("x.o: /opened/own.h\\n")
for argument in arguments:
    if argument.startswith("--dependency-file="):
        with open(argument.partition("=")[2], "w") as file:
            file.write("x.so: /opened/crt1.o\\n")
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""


@dataclass
class Wrapped:
    """A folder of wrappers and the log of what they called."""

    bindir: Path
    trace: Path
    log: Path
    project: Path

    def run(self, tool: str, *words: str | Path, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.defpath, "FAKE_LOG": str(self.log), "FAKE_EXIT": str(exit_code)}
        command = [str(self.bindir / f"{TRIPLET}-{tool}"), *map(str, words)]
        return subprocess.run(command, env=env, cwd=self.project, capture_output=True, text=True, check=False)

    def called(self, tool: str, *words: str | Path) -> list[str]:
        """What the compiler is given for some words, without what every call gets."""
        done = self.run(tool, *words)
        assert done.returncode == 0, done.stderr
        return self.log.read_text().splitlines()[-1].split("\0")

    def notes(self, name: str) -> str:
        path = self.trace / name
        return path.read_text() if path.is_file() else ""


CACHE = f"""#!{sys.executable}
import os, subprocess, sys
assert "SUNPRO_DEPENDENCIES" not in os.environ
with open(os.environ["FAKE_LOG"] + ".cache", "a") as log:
    settings = [f"{{n}}={{v}}" for n, v in sorted(os.environ.items()) if n.startswith(("CCACHE", "TMPDIR"))]
    log.write("\\0".join([*settings, *sys.argv[1:]]) + "\\n")
words = [w for w in sys.argv[1:] if os.environ.get("FAKE_KEEPS_NOTE") != "0" or w not in ("-MD", "-MF")]
sys.exit(subprocess.run(words).returncode)
"""


def make(
    folder: Path,
    *,
    denied: tuple[str, ...] | None = None,
    traced: bool = True,
    timestamp: str | None = None,
    plain: bool = False,
    cache: CompilerCache | None = None,
) -> Wrapped:
    tools = folder / "tool chain" / "bin"
    tools.mkdir(parents=True)
    for name in ("gcc", "g++", "gfortran", "cpp", "ar", "strip", "ld", "gcc-14"):
        tool = tools / f"{TRIPLET}-{name}"
        tool.write_text(FAKE)
        tool.chmod(0o755)
    project, trace = folder / "my project", folder / "the trace"
    project.mkdir()
    trace.mkdir()
    spec = WrapperSpec(
        toolchain=Toolchain(tools.parent, tools, TRIPLET, "14.2.0", ("c", "c++")),
        sysroot=folder / "sys root",
        cflags=("-mcpu=power8",),
        ldflags=("-Wl,--target-flag",),
        prefix_maps=((project, "/xtool/source"),),
        policy=Policy((project, folder / "sys root"), denied),
        trace=trace if traced else None,
        timestamp=timestamp,
        cache=cache,
        plain_names=plain,
    )
    write_wrappers(spec, folder / "wrappers")
    return Wrapped(folder / "wrappers", trace, folder / "log", project)


@pytest.fixture
def wrapped(tmp_path: Path) -> Wrapped:
    return make(tmp_path)


def test_a_compile_gets_sysroot_flags_and_prefix_map_and_no_linker_flags(wrapped: Wrapped) -> None:
    words = wrapped.called("gcc", "-O2", "-c", "a.c", "-o", "a.o")
    assert words[-5:] == ["-O2", "-c", "a.c", "-o", "a.o"]
    assert f"--sysroot={wrapped.project.parent}/sys root" in words
    assert "-mcpu=power8" in words
    assert f"-ffile-prefix-map={wrapped.project}=/xtool/source" in words
    assert "-Wl,--target-flag" not in words


def test_source_files_are_dated_for_c_and_cxx(tmp_path: Path) -> None:
    wrapped = make(tmp_path, timestamp="Tue Jan  1 00:00:00 1980")
    for tool in ("gcc", "g++", "cpp"):
        words = wrapped.called(tool, "-c", "a.c")
        assert '-D__TIMESTAMP__="Tue Jan  1 00:00:00 1980"' in words
        assert "-Wno-builtin-macro-redefined" in words
    assert "__TIMESTAMP__" not in " ".join(wrapped.called("gfortran", "-c", "a.f90"))


def test_the_project_can_override_the_baseline_but_not_the_sysroot(wrapped: Wrapped) -> None:
    words = wrapped.called(
        "gcc", "--sysroot=/", "-isysroot", "/", "--sysroot", "/", "-mcpu=power10", "-c", "a.c"
    )
    assert words.index("-mcpu=power10") > words.index("-mcpu=power8")
    assert [word for word in words if "sysroot" in word] == [f"--sysroot={wrapped.project.parent}/sys root"]
    assert "/" not in words


def test_a_link_gets_the_targets_linker_flags(wrapped: Wrapped) -> None:
    assert "-Wl,--target-flag" in wrapped.called("gcc", "-shared", "a.o", "-o", "a.so")
    assert "-Wl,--target-flag" in wrapped.called("g++", "-shared", "a.o", "-o", "a.so")


@pytest.mark.parametrize(
    "words",
    [
        ["-I/usr/include"],
        ["-I", "/usr/include"],
        ["-isystem", "/usr/local/include"],
        ["-isystem/usr/include/python3.13"],
        ["-idirafter", "/usr/include"],
        ["-iquote", "/home/me/include"],
        ["-L/usr/lib"],
        ["-L", "/usr/lib/x86_64-linux-gnu"],
        ["-B/usr/bin"],
        ["-Wl,-L/opt/lib"],
        ["-march=native"],
        ["-mtune=native"],
    ],
)
def test_what_points_at_the_host_is_left_out_and_noted(wrapped: Wrapped, words: list[str]) -> None:
    called = wrapped.called("gcc", "-DA=b c", *words, "-c", "a.c", "-o", "a.o")
    assert not set(words) & set(called)
    assert called[-5:] == ["-DA=b c", "-c", "a.c", "-o", "a.o"]
    assert wrapped.notes("skipped") == " ".join(words) + "\n"


def test_paths_of_the_build_and_relative_ones_stay(wrapped: Wrapped) -> None:
    own = wrapped.project / "include"
    words = [
        "-I",
        str(own),
        f"-I{own}",
        f"-L{own}",
        "-Iinclude",
        "-I",
        "../x",
        "-L.",
        "-isystem",
        "sub",
        "-c",
        "a.c",
    ]
    assert wrapped.called("gcc", *words)[-len(words) :] == words
    assert not wrapped.notes("skipped")


def test_a_folder_whose_name_begins_like_an_allowed_one_is_not_allowed(wrapped: Wrapped) -> None:
    assert f"-I{wrapped.project}-other" not in wrapped.called(
        "gcc", f"-I{wrapped.project}-other", "-c", "a.c"
    )


def test_a_define_or_output_that_looks_like_an_option_is_left_alone(wrapped: Wrapped) -> None:
    words = ["-D", "-L/usr/lib", "-include", "-I/usr/include", "-c", "a.c", "-o", "-march=native"]
    assert wrapped.called("gcc", *words)[-len(words) :] == words
    words = ["-I/usr/include", "-MT", "-L/usr/lib", "-c", "a.c"]
    assert wrapped.called("gcc", *words)[-4:] == words[1:]


@pytest.mark.parametrize("file", ["/usr/lib/libz.a", "/usr/lib/x86_64-linux-gnu/libz.so.1", "/tmp/x.o"])
def test_a_library_of_the_host_given_by_its_path_is_an_error(wrapped: Wrapped, file: str) -> None:
    done = wrapped.run("gcc", "-shared", "a.o", file, "-o", "a.so")
    assert done.returncode == 1
    assert file in done.stderr
    assert "belongs to the host" in done.stderr
    assert wrapped.notes("refused") == file + "\n"
    assert not wrapped.log.exists()


def test_words_with_spaces_quotes_and_newlines_arrive_as_they_are(wrapped: Wrapped) -> None:
    words = ['-DTEXT="it\'s $HOME"', "-DB=`x`", "-DC=a\\b", "-D*", "", "-c", "a b.c"]
    assert wrapped.called("gcc", "-I/usr/include", *words)[-len(words) :] == words
    assert wrapped.called("gcc", *words)[-len(words) :] == words


def test_the_compilers_exit_code_is_the_wrappers(wrapped: Wrapped) -> None:
    assert wrapped.run("gcc", "-c", "a.c", exit_code=3).returncode == 3
    assert wrapped.run("gcc", "-MD", "-MF", "a.d", "-c", "a.c", exit_code=4).returncode == 4


def test_what_was_opened_is_noted_with_the_folder(wrapped: Wrapped) -> None:
    wrapped.called("gcc", "-c", "a.c")
    wrapped.called("gcc", "-shared", "a.o")
    notes = [path.read_text() for path in sorted(wrapped.trace.glob("*.d"))]
    assert all(note.startswith(f"# {wrapped.project}\n") for note in notes)
    assert any("/opened/by/the/variable.h" in note for note in notes)
    assert [path.read_text() for path in wrapped.trace.glob("*.ld")] == ["x.so: /opened/crt1.o\n"]


def test_dependency_options_of_the_project_are_kept_and_their_note_copied(wrapped: Wrapped) -> None:
    words = wrapped.called("gcc", "-MMD", "-MF", "own.d", "-c", "a.c", "-o", "a.o")
    # -MMD would leave out the headers of system folders.
    assert words[-7:] == ["-MD", "-MF", "own.d", "-c", "a.c", "-o", "a.o"]
    assert (wrapped.project / "own.d").read_text() == "x.o: /opened/own.h\n"
    assert any("/opened/own.h" in path.read_text() for path in wrapped.trace.glob("*.d"))


def test_a_dependency_file_of_the_projects_link_is_copied_too(wrapped: Wrapped) -> None:
    wrapped.called("gcc", "-shared", "a.o", "-Xlinker", "--dependency-file=link.d")
    assert [path.read_text() for path in wrapped.trace.glob("*.ld")] == ["x.so: /opened/crt1.o\n"]


def test_two_calls_never_share_a_note(wrapped: Wrapped) -> None:
    for _ in range(5):
        wrapped.called("gcc", "-c", "a.c")
    assert len(list(wrapped.trace.glob("*.d"))) == 5


def test_every_tool_goes_by_its_triplet_and_none_by_its_bare_name(wrapped: Wrapped) -> None:
    names = {path.name for path in wrapped.bindir.iterdir()}
    assert names == {
        f"{TRIPLET}-{name}"
        for name in ("ar", "c++", "cc", "cpp", "g++", "gcc", "gcc-14", "gfortran", "ld", "strip")
    }
    assert (wrapped.bindir / f"{TRIPLET}-ar").resolve().name == f"{TRIPLET}-ar"


def test_the_linker_alone_gets_the_sysroot(wrapped: Wrapped) -> None:
    assert f"--sysroot={wrapped.project.parent}/sys root" in wrapped.called("ld", "-shared", "a.o")


def test_wrappers_for_the_user_keep_his_folders_and_take_no_notes(tmp_path: Path) -> None:
    wrapped = make(tmp_path, denied=HOST_PATHS, traced=False)
    words = wrapped.called("gcc", "-I/home/me/target/include", "-I/usr/include", "-shared", "a.c")
    assert "-I/home/me/target/include" in words
    assert "-I/usr/include" not in words
    assert not [word for word in words if "dependency-file" in word]
    assert not list(wrapped.trace.iterdir())


@pytest.mark.parametrize("plain", [False, True])
def test_plain_names_lead_to_the_wrappers_where_the_host_is_the_target(tmp_path: Path, plain: bool) -> None:
    """Elsewhere they stay the host's: what they make is for the host, and its ELF header says so."""
    wrapped = make(tmp_path, plain=plain)
    names = {path.name for path in wrapped.bindir.iterdir() if not path.name.startswith(TRIPLET)}
    tools = {"gcc", "cc", "g++", "c++", "cpp", "gcc-14", "gfortran", "ar", "ld", "strip"}
    assert names == (tools if plain else set())
    if plain:
        env = {"PATH": os.defpath, "FAKE_LOG": str(wrapped.log)}
        subprocess.run([str(wrapped.bindir / "cc"), "-c", "x.c"], env=env, cwd=wrapped.project, check=True)
        assert "-mcpu=power8" in wrapped.log.read_text().split("\0")


@pytest.fixture
def cached(tmp_path: Path) -> Wrapped:
    """Compiles go through something that is called as ccache is."""
    program = tmp_path / "my ccache"
    program.write_text(CACHE)
    program.chmod(0o755)
    return make(tmp_path, cache=CompilerCache("ccache", program))


def through_cache(wrapped: Wrapped) -> list[list[str]]:
    log = wrapped.log.with_name(wrapped.log.name + ".cache")
    return [line.split("\0") for line in log.read_text().splitlines()] if log.is_file() else []


def test_a_compile_goes_through_the_cache_and_leaves_its_note(cached: Wrapped) -> None:
    words = cached.called("gcc", "-O2", "-c", "a.c", "-o", "a.o")
    (call,) = through_cache(cached)
    assert call[-len(words) :] == words
    assert words[-7:-1] == ["-c", "a.c", "-o", "a.o", "-MD", "-MF"]
    settings = [word for word in call if word.startswith("CCACHE_")]
    assert "CCACHE_BASEDIR=" in settings
    assert "CCACHE_COMPILERCHECK=string:tool chain" in settings
    (note,) = [path.read_text() for path in cached.trace.glob("*.d")]
    assert note == f"# {cached.project}\nx.o: /opened/own.h\n"


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("gcc", ["-shared", "a.o", "-o", "a.so"]),
        ("gcc", ["-E", "a.c"]),
        ("gcc", ["-S", "a.c"]),
        ("gcc", ["-c", "-E", "a.c"]),
        ("gcc", ["-M", "a.c"]),
        ("gcc", ["-Wp,-MD,x.d", "-c", "a.c"]),
        ("cpp", ["a.c"]),
    ],
)
def test_what_is_no_plain_compile_does_not_go_through_the_cache(
    cached: Wrapped, tool: str, words: list[str]
) -> None:
    cached.called(tool, *words)
    assert through_cache(cached) == []


def test_dependency_options_of_the_project_are_kept_behind_a_cache(cached: Wrapped) -> None:
    words = cached.called("gcc", "-MMD", "-MF", "own.d", "-c", "a.c", "-o", "a.o")
    assert words[-7:] == ["-MD", "-MF", "own.d", "-c", "a.c", "-o", "a.o"]
    assert len(through_cache(cached)) == 1
    assert any("/opened/own.h" in path.read_text() for path in cached.trace.glob("*.d"))


def test_a_cache_that_keeps_no_note_is_passed_by(cached: Wrapped) -> None:
    """Without a note nothing would be known of what was opened."""
    env = {"PATH": os.defpath, "FAKE_LOG": str(cached.log), "FAKE_KEEPS_NOTE": "0"}
    command = [str(cached.bindir / f"{TRIPLET}-gcc"), "-c", "a.c", "-o", "a.o"]
    subprocess.run(command, env=env, cwd=cached.project, check=True)
    assert len(through_cache(cached)) == 1
    assert len(cached.log.read_text().splitlines()) == 2
    (note,) = [path.read_text() for path in cached.trace.glob("*.d")]
    assert "/opened/own.h" in note


def test_options_that_point_at_the_host_do_not_reach_the_cache(cached: Wrapped) -> None:
    cached.called("gcc", "-I/usr/include", "-c", "a.c")
    assert "-I/usr/include" not in through_cache(cached)[0]
    assert cached.notes("skipped") == "-I/usr/include\n"


def test_a_compile_that_fails_behind_a_cache_fails(cached: Wrapped) -> None:
    assert cached.run("gcc", "-c", "a.c", exit_code=3).returncode == 3


def test_no_other_cache_can_spare_a_build_the_wrapper(cached: Wrapped, tmp_path: Path) -> None:
    """A project that puts one in front of CC would be given the object, and nobody the notes."""
    (tmp_path / "again").mkdir()
    again = make(tmp_path / "again", cache=CompilerCache("ccache", tmp_path / "my ccache"))
    texts = {
        (one.bindir / f"{TRIPLET}-gcc").read_text().replace(str(one.bindir.parent), "")
        for one in (cached, again)
    }
    assert len(texts) == 2


def test_the_server_of_sccache_keeps_the_users_folder_for_temporary_files(tmp_path: Path) -> None:
    program = tmp_path / "sccache"
    program.write_text(CACHE)
    program.chmod(0o755)
    wrapped = make(tmp_path, cache=CompilerCache("sccache", program, "/the/users"))
    wrapped.called("g++", "-c", "a.cc")
    (call,) = through_cache(wrapped)
    assert call[0] == "TMPDIR=/the/users"
    assert not [word for word in call if word.startswith("CCACHE")]
