"""What the toolchain's recipe changes in headers and archives, and what it refuses to guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.errors import ArchiveError, CatalogError, StoreError
from xtool.targets import Host, Target
from xtool.toolchain import gcc

HOST = Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2")
OS_DEFINES = """#ifdef __linux__
# if __GLIBC_PREREQ(2, 34)
// Since glibc 2.34 all pthreads functions are usable without linking to
// libpthread.
#  define _GLIBCXX_GTHREAD_USE_WEAK 0
# endif
#endif
#if __GLIBC_PREREQ(2, 26) \\
    && (defined(__i386__) \\
        || defined(__powerpc__))
# define _GLIBCXX_HAVE_FLOAT128_MATH 1
#endif
"""
CONFIG = "".join(f"/* Define if. */\n#define {macro} 1\n" for macro in gcc._GATED)
CONFIG += "".join(f"/* #undef {macro} */\n" for macro in gcc._OBSOLETE)
HWCAP = b"__parse_hwcap_and_convert_at_platform"


@pytest.fixture
def target() -> Target:
    return Catalog().target("ppc64le")


def _bits(folder: Path, os_defines: str = OS_DEFINES, config: str = CONFIG) -> Path:
    (folder / "os_defines.h").write_text(os_defines)
    (folder / "c++config.h").write_text(config)
    return folder


def test_threads_are_never_weak_and_newer_functions_are_gated(tmp_path: Path) -> None:
    gcc._mend_headers(_bits(tmp_path))
    text = (tmp_path / "os_defines.h").read_text()
    assert "__GLIBC_PREREQ" not in text
    assert "\n# define _GLIBCXX_GTHREAD_USE_WEAK 0\n" in text
    assert "#if (defined(__i386__) " in text
    gated = "#if __GLIBC_PREREQ(2, 30)\n#define _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT 1\n#endif\n"
    config = (tmp_path / "c++config.h").read_text()
    assert gated in config
    old = "#if !__GLIBC_PREREQ(2, 23) && !__has_include(<bits/libc-header-start.h>)\n"
    assert f"{old}# define _GLIBCXX_HAVE_OBSOLETE_ISINF 1\n#endif\n" in config
    assert "#undef" not in config


@pytest.mark.parametrize(
    ("os_defines", "config"),
    [
        (OS_DEFINES.replace("(2, 34)", "(2, 35)"), CONFIG),
        (OS_DEFINES * 2, CONFIG),
        (OS_DEFINES.replace("(2, 26)", "(2, 27)"), CONFIG),
        (OS_DEFINES, CONFIG.replace("COND_CLOCKWAIT", "COND_OTHER")),
        (OS_DEFINES, CONFIG.replace("OBSOLETE_ISNAN", "OBSOLETE_OTHER")),
    ],
)
def test_headers_that_have_changed_are_refused(tmp_path: Path, os_defines: str, config: str) -> None:
    with pytest.raises(ArchiveError, match="has changed"):
        gcc._mend_headers(_bits(tmp_path, os_defines, config))


def test_the_renamed_reference_keeps_every_other_byte(tmp_path: Path, target: Target) -> None:
    content = b"!<arch>\nabc\0" + HWCAP + b"\0xyz"
    for name in ("libgcc.a", "libstdc++.a"):
        (tmp_path / name).write_bytes(content)
    gcc._mend_archives(tmp_path, target)
    changed = (tmp_path / "libgcc.a").read_bytes()
    assert len(changed) == len(content)
    assert changed.replace(b"__xtool_hwcap_in_tcb".ljust(len(HWCAP), b"\0"), HWCAP) == content


@pytest.mark.parametrize("content", [b"", (b"\0" + HWCAP + b"\0") * 2, b"\0" + HWCAP + b"_too\0"])
def test_an_archive_that_has_changed_is_refused(tmp_path: Path, target: Target, content: bytes) -> None:
    (tmp_path / "libgcc.a").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"libgcc\.a has changed"):
        gcc._mend_archives(tmp_path, target)


def _lock(*components: tuple[str, str]) -> Lock:
    def artifact(name: str) -> Artifact:
        digest = name.encode().hex().ljust(64, "0")[:64]
        return Artifact(name, "14.2.0-19cross1", "amd64", "debian", "trixie", f"{name}.deb", 1, digest, 1)

    made = {component: (artifact(package),) for component, package in components}
    return Lock("x86_64", "ppc64le", "", {}, made, "")


def test_fortran_makes_another_component(target: Target) -> None:
    lock = _lock(("gcc", "gcc-14-powerpc64le-linux-gnu"), ("gfortran", "gfortran-14-powerpc64le-linux-gnu"))
    plain, fortran = gcc.gcc_recipe(HOST, target, lock), gcc.gcc_recipe(HOST, target, lock, fortran=True)
    assert plain.title == "GCC 14.2.0 for ppc64le"
    assert plain.folder != fortran.folder
    assert plain.digest == gcc.gcc_recipe(HOST, target, lock).digest


def test_a_lock_without_gcc_is_named(target: Target) -> None:
    with pytest.raises(CatalogError, match="gcc-14-powerpc64le-linux-gnu"):
        gcc.gcc_recipe(HOST, target, _lock(("gcc", "binutils")))


@pytest.mark.parametrize("facts", [None, "{", json.dumps({"schema": 1, "triplet": "s390x-linux-gnu"}), "[]"])
def test_a_toolchain_that_cannot_be_read_is_a_store_error(
    tmp_path: Path, target: Target, facts: str | None
) -> None:
    if facts is not None:
        (tmp_path / gcc.FACTS_FILE).parent.mkdir(parents=True)
        (tmp_path / gcc.FACTS_FILE).write_text(facts)
    with pytest.raises(StoreError, match="cannot be used") as caught:
        gcc.toolchain(tmp_path, target)
    assert caught.value.hint == "`xtool setup ppc64le` repairs it"


@pytest.mark.parametrize("native", [False, True])
def test_shared_runtimes_are_put_aside(tmp_path: Path, native: bool) -> None:
    """No `-l` may find a runtime beside the compiler; sysroots get what wheels bring along."""
    layout = gcc._Layout("x-linux-gnu", "14", native=native)
    usr, staging = tmp_path / "usr", tmp_path / "staging"
    target = usr / ("lib/x-linux-gnu" if native else "x-linux-gnu/lib")
    own = usr / "lib" / ("gcc" if native else "gcc-cross") / "x-linux-gnu" / "14"
    for folder in (target, own):
        folder.mkdir(parents=True)
    for name in ("libgomp", "libgfortran", "libstdc++", "libatomic"):
        (target / f"{name}.so.9.0.0").write_text(name)
        (target / f"{name}.so.9").symlink_to(f"{name}.so.9.0.0")
        (own / f"{name}.so").symlink_to(f"../../../../x-linux-gnu/lib/{name}.so.9")
        (own / f"{name}.a").write_text(f"{name} archive")
    (own / "libquadmath.a").write_text("alone")
    gcc._put_runtimes_aside(usr, staging, layout)
    kept = {path.name: path.read_text() for path in (staging / gcc.RUNTIMES).iterdir()}
    assert kept == {
        "libgomp.so.9": "libgomp",
        "libgomp.a": "libgomp archive",
        "libgfortran.so.9": "libgfortran",
        "libgfortran.a": "libgfortran archive",
    }
    # The native compiler itself runs on the libraries that lie beside the runtimes there.
    assert len(list(target.iterdir())) == (8 if native else 0)
    assert sorted(path.name for path in own.iterdir()) == ["libatomic.a", "libquadmath.a", "libstdc++.a"]
