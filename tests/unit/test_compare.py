"""`inspect --diff`: files matched whatever they are called, and each difference where a maintainer looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.elfforge import SUFFIX, Want, elf, extension, wheel

from xtool.errors import UsageError
from xtool.wheel.compare import Comparison, Names, compare, matched, module_name
from xtool.wheel.report import inspect

TAG = "cp313-cp313-manylinux_2_17_ppc64le"
MEMCPY = Want("memcpy", "GLIBC_2.17", "libc.so.6")
RANDOM = Want("getrandom", "GLIBC_2.25", "libc.so.6")


def compared(tmp_path: Path, a: Path, b: Path) -> Comparison:
    return compare(inspect(a), inspect(b))


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_the_same_wheel_has_no_difference(tmp_path: Path) -> None:
    path = wheel(tmp_path, {f"demo/_x{SUFFIX}": extension("_x")}, tag=TAG)
    found = compared(tmp_path, path, path)
    assert found.changes == ()
    assert all(file.same for file in found.files)
    assert (found.only, found.members, found.changed) == (Names((), ()), Names((), ()), ())
    assert "1 file of machine code in both, 1 alike" in found.as_text(80)


def test_what_a_maintainer_looks_for(tmp_path: Path) -> None:
    ours = wheel(
        folder(tmp_path, "a"),
        {f"demo/_x{SUFFIX}": extension("_x", imports=[MEMCPY]), "demo/data.txt": b"1"},
        tag=TAG,
        metadata="Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n"
        'Requires-Dist: cffi >=1.17 ; extra == "x"\n',
    )
    theirs = wheel(
        folder(tmp_path, "b"),
        {
            "demo/_x.abi3.so": extension(
                "_x",
                imports=[MEMCPY, RANDOM],
                exports=["PyInit__x", "_ZNSt6vectorIiSaIiEE5clearEv", "helper"],
                needed=["libm.so.6", "libc.so.6"],
                runpath="$ORIGIN/../demo.libs",
                stack=True,
            ),
            "demo/data.txt": b"2",
            "demo/more.txt": b"3",
        },
        tag="cp311-abi3-manylinux_2_26_ppc64le",
        metadata="Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.11\n"
        "Requires-Dist: cffi>=1.17; extra == 'x'\n",
    )
    found = compared(tmp_path, ours, theirs)
    changes = {change.name: (change.a, change.b) for change in found.changes}
    assert changes["earned_tag"] == ("manylinux_2_17_ppc64le", "manylinux_2_26_ppc64le")
    assert changes["glibc_required"] == ("2.17", "2.25")
    assert changes["abi"] == ("cp313", "abi3")
    assert changes["Requires-Python"] == (">=3.9", ">=3.11")
    # Spaces and quotes are the back end's taste.
    assert "Requires-Dist" not in changes
    assert found.members == Names((), ("demo/more.txt",))
    assert set(found.changed) == {"demo/data.txt", "*.dist-info/METADATA", "*.dist-info/WHEEL"}
    (file,) = found.files
    assert (file.name, file.b) == ("demo/_x", "demo/_x.abi3.so")
    assert file.needed == Names((), ("libm.so.6",))
    assert file.exports == Names((), ("_ZNSt6vectorIiSaIiEE5clearEv", "helper"))
    assert file.runtime_exports.added == ("_ZNSt6vectorIiSaIiEE5clearEv",)
    assert file.imports == Names((), ("getrandom",))
    (version,) = file.versions
    assert (version.a, version.b, version.symbols_b) == ("2.17", "2.25", ("getrandom",))
    facts = {change.name: (change.a, change.b) for change in file.changes}
    assert facts["fits"] == ("manylinux_2_17", "manylinux_2_26")
    assert facts["rpath"] == (None, "$ORIGIN/../demo.libs")
    assert facts["executable_stack"] == ("no", "yes")
    assert {"size", "text"} <= set(facts)
    text = found.as_text(100)
    assert "GLIBC of libc.so.6: 2.17 (memcpy) -> 2.25 (getrandom)" in text
    assert "of these, libstdc++'s and libgcc's, only b, 1: _ZNSt6vectorIiSaIiEE5clearEv" in text
    assert "files only in b, 1: demo/more.txt" in text
    assert "\033" not in text
    assert "\033[32m" in found.as_text(100, color=True)


def test_hashes_in_names_of_grafted_libraries_are_no_difference(tmp_path: Path) -> None:
    def build(name: str, digest: str) -> Path:
        library = f"libfoo-{digest}.so.1"
        module = extension("_x", needed=[library, "libc.so.6"], runpath="$ORIGIN/../demo.libs")
        grafted = elf(soname=library, needed=["libc.so.6"], exports=["foo"])
        return wheel(
            folder(tmp_path, name), {f"demo/_x{SUFFIX}": module, f"demo.libs/{library}": grafted}, tag=TAG
        )

    found = compared(tmp_path, build("a", "1a2b3c4d"), build("b", "9f8e7d6c"))
    assert [file.name for file in found.files] == ["demo.libs/libfoo.so.1", "demo/_x"]
    assert all(file.same for file in found.files)
    assert found.only == Names((), ())


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("demo/_x.cpython-313-powerpc64le-linux-gnu.so", "demo/_x"),
        ("demo/_x.cpython-313t-x86_64-linux-gnu.so", "demo/_x"),
        ("demo/_x.abi3.so", "demo/_x"),
        ("demo/_x.so", "demo/_x"),
        ("demo/_x.pypy310-pp73-x86_64-linux-gnu.so", "demo/_x"),
        ("demo-1.0.data/platlib/_x.so", "_x"),
        ("demo.libs/libpq-1a2b3c4d.so.5.16", "demo.libs/libpq.so.5.16"),
        ("demo.libs/libfoo-1a2b3c4d.so", "demo.libs/libfoo.so"),
        ("demo/bin/tool", "demo/bin/tool"),
    ],
)
def test_files_are_called_by_what_they_are(member: str, name: str) -> None:
    assert module_name(member) == name


def test_what_has_no_equal_is_matched_by_less() -> None:
    pairs, only = matched(
        ["a.libs/libpq-00000000.so.5.16", "demo/_x.abi3.so", "demo/old.so", "a.libs/libz-11111111.so.1"],
        ["a.libs/libpq-22222222.so.5.17", "_x.abi3.so", "demo/new.so", "b.libs/libz-33333333.so.1"],
    )
    assert [name for name, _, _ in pairs] == ["a.libs/libpq.so.5.17", "b.libs/libz.so.1", "_x"]
    assert only == Names(("demo/old.so",), ("demo/new.so",))


def test_a_file_is_never_matched_twice() -> None:
    pairs, only = matched(["x/_a.abi3.so", "x/_a.so"], ["x/_a.so"])
    assert len(pairs) == 1
    assert only == Names(("x/_a.so",), ())


def test_single_files_are_compared_whatever_their_names(tmp_path: Path) -> None:
    one, other = tmp_path / "old.so", tmp_path / "new.so"
    one.write_bytes(elf(needed=["libc.so.6"], exports=["f"]))
    other.write_bytes(elf(needed=["libc.so.6"], exports=["g"]))
    (file,) = compared(tmp_path, one, other).files
    assert file.exports == Names(("f",), ("g",))
    assert not [change for change in file.changes if change.name == "size"]


def test_a_wheel_and_a_single_file_do_not_compare(tmp_path: Path) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(elf())
    with pytest.raises(UsageError, match="cannot compare a wheel with a single file"):
        compared(tmp_path, path, wheel(tmp_path, {"x.py": b""}, tag="py3-none-any", purelib=True))
