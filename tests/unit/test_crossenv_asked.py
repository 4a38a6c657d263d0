"""What builds are answered: where a library is, whether they cross-compile, how to run what they compiled."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from xtool.build import hints
from xtool.catalog import Catalog, default_root
from xtool.crossenv import asked
from xtool.crossenv.trace import BuildTrace
from xtool.kit import Emulator, Kit, Sysroot, TargetPython, Toolchain
from xtool.sysrootrules import read_rules
from xtool.targets import HOSTS

RULES = read_rules(default_root())
ELF = b"\x7fELF" + bytes(14)

# In the place of pkgconf: knows libpq and libxml-2.0, and says what it was told of the environment.
_PKGCONF = """#!/bin/sh
for word do module=$word; done
case $module in libpq|libxml-2.0|libcurl) ;; *) exit 1 ;; esac
case $1 in
  --exists) exit 0 ;;
  --modversion) echo 17.4 ;;
  --variable=includedir) echo /usr/include/$module ;;
  --variable=supported_features) echo '"SSL IPv6"' ;;
  --variable=libdir) echo "$PKG_CONFIG_SYSROOT_DIR/usr/lib" ;;
  --cflags) echo "-I$PKG_CONFIG_SYSROOT_DIR/usr/include/$module" ;;
  --libs) if [ "$2" = --static ]; then echo "-l$module -lz"; else echo "-l$module"; fi ;;
  --environment) echo "$PKG_CONFIG_LIBDIR|${PKG_CONFIG_PATH-unset}" ;;
esac
"""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    target = Catalog().target("ppc64le")
    bindir = tmp_path / "gcc" / "bin"
    bindir.mkdir(parents=True)
    for path, text in (
        (bindir / "pkgconf", _PKGCONF),
        (tmp_path / "qemu", '#!/bin/sh\necho "emulated: $*"\n'),
    ):
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "sys root" / "usr" / "lib" / target.multiarch).mkdir(parents=True)
    return Kit(
        host=HOSTS["x86_64"],
        target=target,
        toolchain=Toolchain(bindir.parent, bindir, target.triplet, "14.2.0", ("c",)),
        sysroot=Sysroot(tmp_path / "sys root", (2, 17), "derived"),
        emulator=Emulator(tmp_path / "qemu", "power8"),
        pythons={},
        build_pythons={},
        lock_digest="",
    )


@pytest.fixture
def bindir(kit: Kit, tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    asked.write_programs(kit, RULES, folder)
    return folder


def run(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["pkg-config", "pkgconf", "powerpc64le-linux-gnu-pkg-config"])
def test_pkg_config_sees_the_sysroot_alone(kit: Kit, bindir: Path, name: str) -> None:
    done = run(bindir / name, "--environment", "libpq", PKG_CONFIG_PATH="/usr/lib/pkgconfig")
    folders, path = done.stdout.strip().split("|")
    assert path == "unset"
    assert all(Path(folder).is_relative_to(kit.sysroot.path) for folder in folders.split(":"))
    assert f"{kit.sysroot.path}/usr/lib/powerpc64le-linux-gnu/pkgconfig" in folders.split(":")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["xml2-config", "--version"], ["17.4"]),
        (["xml2-config", "--cflags", "--libs"], ["-I{root}/usr/include/libxml-2.0", "-llibxml-2.0"]),
        (["xml2-config", "--libs", "--static"], ["-llibxml-2.0 -lz"]),
        (["xml2-config", "--prefix"], ["{root}/usr"]),
        (["pg_config", "--version"], ["PostgreSQL 17.4"]),
        (["pg_config", "--includedir", "--libdir"], ["{root}/usr/include/libpq", "{root}/usr/lib"]),
        (["pg_config", "--includedir-server"], ["{root}/usr/include/libpq/server"]),
        (["pg_config", "--ldflags"], [""]),
        (["curl-config", "--features"], ["SSL IPv6"]),
        (["curl-config", "--version"], ["libcurl 17.4"]),
    ],
)
def test_config_programs_answer_for_the_sysroot(
    kit: Kit, bindir: Path, words: list[str], answer: list[str]
) -> None:
    done = run(bindir / words[0], *words[1:])
    assert done.stdout.splitlines() == [line.format(root=kit.sysroot.path) for line in answer]
    assert done.returncode == 0, done.stderr


def test_a_config_program_without_its_library_names_the_package(bindir: Path, kit: Kit) -> None:
    done = run(bindir / "krb5-config", "--libs")
    assert done.returncode == 1
    assert not done.stdout
    hint = hints.find(done.stderr, kit, BuildTrace())
    assert hint is not None
    assert "`--sysroot-package libkrb5-dev`" in hint


def test_a_config_program_refuses_what_it_cannot_tell(bindir: Path) -> None:
    done = run(bindir / "xml2-config", "--modules")
    assert done.returncode == 1
    assert "--modules is not known" in done.stderr


_CONFIGURE = """
{before}
. "$CONFIG_SITE"
echo "${{build_alias-}} ${{host_alias-}} ${{cross_compiling-}} ${{ac_cv_func_malloc_0_nonnull-}}"
"""


@pytest.mark.parametrize(
    ("compiler", "before", "said"),
    [
        ("powerpc64le-linux-gnu-gcc", "", "x86_64-linux-gnu powerpc64le-linux-gnu yes yes"),
        ("/a/powerpc64le-linux-gnu-gcc -O2", "", "x86_64-linux-gnu powerpc64le-linux-gnu yes yes"),
        ("powerpc64le-linux-gnu-gcc", "host_alias=mine build_alias=here", "here mine  yes"),
        (
            "powerpc64le-linux-gnu-gcc", "ac_cv_func_malloc_0_nonnull=no",
            "x86_64-linux-gnu powerpc64le-linux-gnu yes no",
        ),
        ("gcc", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_configure_learns_that_it_cross_compiles_unless_it_is_for_this_machine(
    kit: Kit, tmp_path: Path, compiler: str, before: str, said: str
) -> None:
    site = tmp_path / "config.site"
    site.write_text(asked.config_site(kit, RULES))
    done = run("sh", "-eu", "-c", _CONFIGURE.format(before=before), CC=compiler, CONFIG_SITE=str(site))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == said


def test_configure_of_cpython_is_answered_what_it_would_stop_at(kit: Kit, tmp_path: Path) -> None:
    site = tmp_path / "config.site"
    site.write_text(asked.config_site(kit, RULES))
    names = ("ac_cv_file__dev_ptmx", "ac_cv_file__dev_ptc", "ac_cv_buggy_getaddrinfo")
    shown = " ".join(f"${{{name}-none}}" for name in names)
    script = f'. "$CONFIG_SITE"; echo {shown}'
    done = run("sh", "-eu", "-c", script, CC="powerpc64le-linux-gnu-gcc", CONFIG_SITE=str(site))
    assert (done.returncode, done.stdout) == (0, "yes no no\n"), done.stderr


def test_the_runner_emulates_other_machines_programs_only(kit: Kit, tmp_path: Path) -> None:
    python = TargetPython(
        Path("/root of it"), Path("/p"), "3.13", "3.13.5", "debian", (Path("/i"),), {}, (2, 41), ".so"
    )
    (tmp_path / "bin").mkdir()
    runner = tmp_path / "bin" / asked.write_runner(kit, python, tmp_path / "bin")
    program = tmp_path / "a program"
    program.write_bytes(ELF + b"\x15\0")
    done = run(runner, program, "with words")
    assert done.stdout.startswith("emulated: -cpu power8 -L /root of it -E LD_LIBRARY_PATH=")
    assert done.stdout.rstrip().endswith(f"{program} with words")
    assert run(runner, "/bin/echo", "native").stdout == "native\n"
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 77\n")
    script.chmod(0o755)
    assert run(runner, script).returncode == 77


@pytest.mark.parametrize(
    ("output", "package"),
    [
        ("x.c:1:10: fatal error: ffi.h: No such file or directory", "libffi-dev"),
        ("x.c:1:10: fatal error: openssl/evp.h: No such file or directory", "libssl-dev"),
        ("/x/ld: cannot find -lz: No such file or directory", "zlib1g-dev"),
        ("Package libxslt was not found in the pkg-config search path.", "libxslt1-dev"),
        ("Package 'libpq', required by 'virtual:world', not found", "libpq-dev"),
        ('meson.build:3:0: ERROR: Dependency "liblzma" not found, tried pkgconfig', "liblzma-dev"),
        ("--   No package 'libzmq' found", "libzmq3-dev"),
        (
            "Error: failed: xtool: error: pg_config was asked, but libpq is not in the sysroot; --",
            "libpq-dev",
        ),
    ],
)
def test_a_failed_build_is_told_which_package_it_lacks(kit: Kit, output: str, package: str) -> None:
    hint = hints.find(output, kit, BuildTrace())
    assert hint is not None
    assert f"`--sysroot-package {package}`" in hint
    on_rpm = hints.find(
        output, replace(kit, sysroot=Sysroot(kit.sysroot.path, (2, 17), "centos7")), BuildTrace()
    )
    assert on_rpm is not None
    assert "-devel`" in on_rpm
    unknown = hints.find("x.c:1:1: fatal error: strange.h: No such file or directory", kit, BuildTrace())
    assert unknown is not None
    assert "name the package that has it with `--sysroot-package`" in unknown


def test_a_package_that_is_there_is_not_advised(kit: Kit) -> None:
    share = kit.sysroot.path / "share" / "xtool"
    share.mkdir(parents=True)
    (share / "packages.json").write_text('{"packages": [{"name": "libffi-dev", "needed_by": ""}]}')
    hint = hints.find("x.c:1:10: fatal error: ffi.h: No such file or directory", kit, BuildTrace())
    assert hint is not None
    assert "the C library and libffi-dev" in hint


@pytest.mark.parametrize(
    "output",
    [
        "error: command 'gfortran' failed: No such file or directory",
        "error: command 'powerpc64le-linux-gnu-gfortran' failed: No such file or directory",
        "sh: 1: gfortran: not found",
        "No CMAKE_Fortran_COMPILER could be found.",
        "ERROR: Unknown compiler(s): [['gfortran']]",
        "/usr/bin/ld: cannot find -lgfortran: No such file or directory",
    ],
)
def test_a_build_without_fortran_is_told_the_option(kit: Kit, output: str) -> None:
    assert "`--fortran`" in (hints.find(output, kit, BuildTrace()) or "")
    able = replace(kit, toolchain=replace(kit.toolchain, languages=("c", "c++", "fortran")))
    assert "`--fortran`" not in (hints.find(output, able, BuildTrace()) or "")
