"""Which symbols a floor has and where they live; headers without what the floor lacks."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock, default_root
from xtool.errors import CatalogError, UsageError
from xtool.recipes import Recipe
from xtool.targets import parse_glibc
from xtool.toolchain import compat, sysroot
from xtool.toolchain.floor import (
    History,
    Move,
    Symbol,
    floor_libraries,
    libgcc_version,
    load_history,
    version_number,
)
from xtool.toolchain.headers import call_no_vectors, without_declarations

TABLES = default_root() / "glibc"
THREADS = frozenset({"libpthread.so.0"})


def symbol(text: str, *, address: int = 0) -> Symbol:
    name, _, version = text.partition("@")
    return Symbol(name, version, "FUNC", 4, address, weak=False, default=False)


def texts(symbols: tuple[Symbol, ...]) -> list[str]:
    return [f"{s.name}{'@@' if s.default else '@'}{s.version}" for s in symbols]


@pytest.mark.parametrize(
    ("text", "number"),
    [("GLIBC_2.17", (2, 17)), ("GLIBC_2.3.4", (2, 3, 4)), ("GLIBC_PRIVATE", ()), ("GCC_4.7.0", (4, 7, 0))],
)
def test_version_numbers(text: str, number: tuple[int, ...]) -> None:
    assert version_number(text) == number


def test_highest_version_at_the_floor_is_the_default() -> None:
    today = {
        "libc.so.6": (symbol("memcpy@GLIBC_2.2.5"), symbol("memcpy@GLIBC_2.14"), symbol("new@GLIBC_2.30"))
    }
    assert texts(floor_libraries(today, (2, 17), History())["libc.so.6"]) == [
        "memcpy@GLIBC_2.2.5",
        "memcpy@@GLIBC_2.14",
    ]
    assert texts(floor_libraries(today, (2, 13), History())["libc.so.6"]) == ["memcpy@@GLIBC_2.2.5"]


def test_folded_symbols_go_back_to_their_library() -> None:
    today = {
        "libc.so.6": (symbol("pthread_create@GLIBC_2.17"), symbol("pthread_create@GLIBC_2.34")),
        "libpthread.so.0": (),
    }
    history = History({"pthread_create": (Move((2, 34), THREADS),)})
    below = floor_libraries(today, (2, 33), history)
    assert texts(below["libpthread.so.0"]) == ["pthread_create@@GLIBC_2.17"]
    assert below["libc.so.6"] == ()
    since = floor_libraries(today, (2, 34), history)
    assert texts(since["libc.so.6"]) == ["pthread_create@GLIBC_2.17", "pthread_create@@GLIBC_2.34"]
    assert since["libpthread.so.0"] == ()


def test_symbols_of_two_libraries_are_in_both() -> None:
    history = History({"read": (Move((2, 34), THREADS | {"libc.so.6"}),)})
    found = floor_libraries({"libc.so.6": (symbol("read@GLIBC_2.17"),)}, (2, 17), history)
    assert texts(found["libc.so.6"]) == texts(found["libpthread.so.0"]) == ["read@@GLIBC_2.17"]


def test_other_packages_versions_are_left_out() -> None:
    found = floor_libraries({"libcrypt.so.1": (symbol("crypt_gensalt@XCRYPT_2.0"),)}, (2, 17), History())
    assert found == {"libcrypt.so.1": ()}


@pytest.mark.parametrize(
    ("name", "floor", "homes"),
    [
        ("pthread_create", "2.17", {"libpthread.so.0"}),
        ("pthread_create", "2.33", {"libpthread.so.0"}),
        ("pthread_create", "2.34", {"libc.so.6"}),
        ("read", "2.17", {"libc.so.6", "libpthread.so.0"}),
        ("dlopen", "2.28", {"libdl.so.2"}),
        ("shm_open", "2.28", {"librt.so.1"}),
        ("openpty", "2.28", {"libutil.so.1"}),
        ("__res_query", "2.28", {"libresolv.so.2"}),
        ("pthread_attr_init", "2.17", {"libc.so.6", "libpthread.so.0"}),
        ("pthread_attr_init", "2.31", {"libc.so.6"}),
        ("pthread_sigmask", "2.31", {"libpthread.so.0"}),
        ("pthread_sigmask", "2.32", {"libc.so.6"}),
        ("printf", "2.17", {"libc.so.6"}),
    ],
)
def test_shipped_history(name: str, floor: str, homes: set[str]) -> None:
    found = load_history(TABLES, "ppc64le").homes(
        symbol(f"{name}@GLIBC_2.17"), "libc.so.6", parse_glibc(floor)
    )
    assert found == homes


def test_versions_of_a_name_that_went_their_own_ways() -> None:
    """glibc 2.31 for i386 has pread@GLIBC_2.1 in libc and pread@GLIBC_2.2 in libpthread."""
    history = load_history(TABLES, "i686")
    today = {"libc.so.6": (symbol("pread@GLIBC_2.1", address=1), symbol("pread@GLIBC_2.2", address=2))}
    found = floor_libraries(today, (2, 31), history)
    assert [str(s) for s in found["libc.so.6"]] == ["pread@GLIBC_2.1"]
    assert [str(s) for s in found["libpthread.so.0"]] == ["pread@GLIBC_2.2"]
    # As everywhere else: both libraries have the one version there is.
    generic = load_history(TABLES, "aarch64").homes(symbol("pread@GLIBC_2.17"), "libc.so.6", (2, 31))
    assert generic == {"libc.so.6", "libpthread.so.0"}


def test_corrections_by_name_come_before_what_one_machine_has(tmp_path: Path) -> None:
    one = '[[moved]]\nbelow = "2.34"\nmachines = ["i686"]\nlibraries = ["libdl.so.2"]\n'
    one += 'symbols = ["f@GLIBC_2.0"]\n'
    every = '[[moved]]\nbelow = "2.31"\nlibraries = ["libpthread.so.0"]\nsymbols = ["f"]\n'
    (tmp_path / "moves.toml").write_text(one)
    (tmp_path / "corrections.toml").write_text(every)
    history, f = load_history(tmp_path, "i686"), symbol("f@GLIBC_2.0")
    homes = [history.homes(f, "libc.so.6", floor) for floor in ((2, 30), (2, 31), (2, 34))]
    assert homes == [{"libpthread.so.0"}, {"libdl.so.2"}, {"libc.so.6"}]
    assert load_history(tmp_path, "armv7l").homes(f, "libc.so.6", (2, 31)) == {"libc.so.6"}


def test_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "moves.toml").write_text("schema = [")
    with pytest.raises(CatalogError, match=r"moves\.toml"):
        load_history(tmp_path, "ppc64le")


def test_libgcc_versions_are_those_of_the_policies() -> None:
    text = (resources.files("auditwheel") / "policy" / "manylinux-policy.json").read_text(encoding="utf-8")
    targets = Catalog().targets.values()
    checked = set()
    for policy in json.loads(text):
        if not policy["name"].startswith("manylinux_"):
            continue
        floor = parse_glibc(policy["name"].removeprefix("manylinux_").replace("_", "."))
        newest = {
            target.name: max(version_number(f"GCC_{version}") for version in versions["GCC"])
            for target in targets
            if floor >= target.lowest_glibc and (versions := policy["symbol_versions"].get(target.name))
        }
        if newest:
            # One number for all: machines differ in a release or two, in functions that libgcc.a has as well.
            assert version_number("GCC_4.7.0") <= libgcc_version(TABLES, floor) <= min(newest.values()), floor
            checked |= newest.keys()
        if floor in {(2, 17), (2, 28), (2, 31), (2, 39)}:
            assert libgcc_version(TABLES, floor) == newest["ppc64le"]
    assert checked == {target.name for target in targets}


def recipe(floor: str) -> Recipe:
    libc = Artifact("libc6", "2.41-12", "ppc64el", "debian", "trixie", "pool/libc6.deb", 1, "0" * 64, 1)
    lock = Lock("x86_64", "ppc64le", "", {}, {"glibc": (libc,)}, "")
    compiler = Recipe("gcc-ppc64le", "GCC", 1, (), lambda _: None)
    return sysroot.derived_recipe(Catalog().target("ppc64le"), lock, parse_glibc(floor), compiler)


@pytest.mark.parametrize("floor", ["2.16", "2.42", "3.0"])
def test_floor_out_of_range_names_the_range(floor: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe(floor)
    assert floor in caught.value.message
    assert "2.17 to 2.41" in caught.value.facts[0]
    assert caught.value.hint


def test_recipes_of_two_floors_differ_and_repeat() -> None:
    assert recipe("2.17").digest == recipe("2.17").digest
    assert recipe("2.17").digest != recipe("2.28").digest


def test_recipe_changes_with_the_sources_of_the_shims(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = recipe("2.17").digest
    for source in compat.SOURCES.glob("*.c"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (tmp_path / "stat.c").write_text("int changed;\n")
    monkeypatch.setattr(compat, "SOURCES", tmp_path)
    assert recipe("2.17").digest != before


def test_shims_are_left_out_where_the_floor_has_the_function() -> None:
    target = Catalog().target("ppc64le")
    everything = {name for shim in compat.shims_for(target, ()) for name in shim.symbols}
    assert {"stat", "arc4random", "__libc_single_threaded", "_dl_find_object"} <= everything
    assert compat.provided(compat.shims_for(target, everything)) == frozenset()


HEADER = """\
__BEGIN_DECLS
/* Says gettid (nothing). */
extern __pid_t gettid (void) __THROW;
extern __pid_t getpid (void) __THROW;
#ifdef __USE_MISC
extern size_t strlcpy (char *__restrict __dest,
                       const char *__restrict __src, size_t __n)
     __THROW __nonnull ((1, 2)) __attr_access ((__write_only__, 1, 3));
#endif
__fortify_function size_t
__NTH (strlcpy (char *__d, const char *__s, size_t __n))
{
  if (__n) { return __strlcpy_chk (__d, "length; is }", __n); }
  return 0;
}
extern int __REDIRECT_NTH (fcntl64, (int __fd, int __cmd, ...), __fcntl64);
__MATHCALL (roundeven,, (_Mdouble_ __x));
__MATHDECL_1 (long int, llogb,, (_Mdouble_ __x));
__MATHCALL (rint,, (_Mdouble_ __x));
extern int keep (int gettid);
struct gettid { int strlcpy; };
__END_DECLS
"""


def test_declarations_are_taken_out() -> None:
    absent = {"gettid", "strlcpy", "__strlcpy_chk", "fcntl64", "roundeven", "llogb"}
    left = without_declarations(HEADER, absent)
    assert left.count("\n") == HEADER.count("\n")
    assert [line.strip() for line in left.splitlines() if line.strip()] == [
        "__BEGIN_DECLS",
        "/* Says gettid (nothing). */",
        "extern __pid_t getpid (void) __THROW;",
        "#ifdef __USE_MISC",
        "#endif",
        "__MATHCALL (rint,, (_Mdouble_ __x));",
        "extern int keep (int gettid);",
        "struct gettid { int strlcpy; };",
        "__END_DECLS",
    ]


def test_other_declarations_stay_byte_for_byte() -> None:
    assert without_declarations(HEADER, {"memfd_create"}) == HEADER


MATH = """# ifdef __DECL_SIMD_x86_64
#  undef __DECL_SIMD_sin
#  define __DECL_SIMD_sin __DECL_SIMD_x86_64
#  undef __DECL_SIMD_sinf
#  define __DECL_SIMD_sinf __DECL_SIMD_x86_64
#  undef __DECL_SIMD_tan
#  define __DECL_SIMD_tan __DECL_SIMD_x86_64
"""
FORTRAN = """! This file declares vector functions.
!GCC$ builtin (sin) attributes simd (notinbranch) if('x86_64')
!GCC$ builtin (sinf) attributes simd (notinbranch) if('x86_64')
!GCC$ builtin (tan) attributes simd (notinbranch) if('x32')
"""


def test_vector_functions_that_the_floor_lacks_are_not_offered(tmp_path: Path) -> None:
    header = tmp_path / "bits" / "math-vector.h"
    fortran = tmp_path / "finclude" / "x86_64-linux-gnu" / "math-vector-fortran.h"
    for path, text in ((header, MATH), (fortran, FORTRAN)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    call_no_vectors(tmp_path, {"gettid", "sin"})
    assert (header.read_text(), fortran.read_text()) == (MATH, FORTRAN)
    call_no_vectors(tmp_path, {"_ZGVbN2v_tan", "_ZGVdN4v_tan"})
    assert header.read_text() == MATH.replace("_tan __DECL_SIMD_x86_64", "_tan")
    assert fortran.read_text() == FORTRAN.rpartition("!GCC")[0]
    call_no_vectors(tmp_path, {"_ZGVbN2v_sin", "_ZGVbN4v_sinf"})
    assert "__DECL_SIMD_x86_64\n#" not in header.read_text().partition("\n")[2]
    assert not fortran.exists()
