"""The judgement of wheels: each way to be wrong has its finding, its file, its symbol and its cure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import elfforge
from support.elfforge import GLIBC, SUFFIX, Want, elf, extension, wheel

from xtool.catalog import Catalog
from xtool.errors import UsageError, WheelRejected
from xtool.targets import Glibc
from xtool.wheel import stableabi
from xtool.wheel.findings import Finding, Verdict
from xtool.wheel.judge import judge
from xtool.wheel.policy import policies

PPC64LE = Catalog().target("ppc64le")
NAME = f"demo{SUFFIX}"

EXPORTS = {
    "libc.so.6": ["memcpy@GLIBC_2.17", "__xstat@GLIBC_2.17", "free@GLIBC_2.17"],
    "libm.so.6": ["pow@GLIBC_2.17"],
    "ld64.so.2": ["__tls_get_addr@GLIBC_2.17"],
}


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    path = tmp_path / "exports.json"
    path.write_text(json.dumps(EXPORTS))
    return path


def judged(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    glibc: Glibc = (2, 17),
    exports: Path | None = None,
    trace: Any = None,
    library_dirs: list[Path] | None = None,
    python: str = "3.13",
    **settings: Any,
) -> Verdict:
    return judge(
        wheel(folder, files, **settings),
        target=PPC64LE,
        python=python,
        glibc=glibc,
        sysroot_exports=exports,
        trace=trace,
        library_dirs=library_dirs,
    )


def only(verdict: Verdict, code: str, severity: str = "error") -> Finding:
    """The one finding, which must be of this kind."""
    assert [(f.severity, f.code) for f in verdict.findings] == [(severity, code)]
    return verdict.findings[0]


def test_a_right_wheel_passes(tmp_path: Path, exports: Path) -> None:
    verdict = judged(tmp_path, {"demo/__init__.py": b"", f"demo/{NAME}": extension()}, exports=exports)
    assert verdict.findings == ()
    assert verdict.earned_tag == "manylinux_2_17_ppc64le"
    assert verdict.glibc_required == (2, 17)
    assert list(verdict.files) == [f"demo/{NAME}"]
    verdict.require()


def test_a_pure_wheel_runs_anywhere(tmp_path: Path) -> None:
    verdict = judged(tmp_path, {"demo.py": b""}, tag="py3-none-any", purelib=True)
    assert verdict.findings == ()
    assert (verdict.earned_tag, verdict.glibc_required) == ("any", None)


# Machines


def test_a_host_file_is_named_wherever_it_lies(tmp_path: Path) -> None:
    host = elf(machine=elfforge.EM_X86_64, flags=0)
    archive = b"!<arch>\n" + f"{'a.o/':<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(host):<10}`\n".encode() + host
    for member in ("demo-1.0.data/scripts/tool", "demo.libs/libx.so.1", "demo/data.bin", "demo/libx.a"):
        files = {NAME: extension(), member: archive if member.endswith(".a") else host}
        finding = only(judged(tmp_path, files), "machine")
        assert finding.file == member
        assert "is built for x86_64, not for ppc64le" in finding.message
        assert finding.cure


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flags": 1}, "e_flags are 0x1"),
        ({"little": False}, "built for ppc64, not for ppc64le"),
        ({"bits": 32}, "32-bit"),
        ({"machine": elfforge.EM_S390, "little": False, "flags": 0}, "built for s390x"),
    ],
)
def test_a_wrong_abi_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    finding = only(judged(tmp_path, {NAME: extension(**changes)}), "machine")
    assert said in finding.message


def test_a_program_of_another_system_is_an_error(tmp_path: Path) -> None:
    member = "demo-1.0.data/scripts/tool"
    program = elf(interpreter="/lib/ld-musl-powerpc64le.so.1", kind=2)
    finding = only(judged(tmp_path, {NAME: extension(), member: program}), "interpreter")
    assert finding.file == member
    assert "/lib64/ld64.so.2" in finding.message


# Names of extensions


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        (".cpython-311-x86_64-linux-gnu.so", "no Python of ppc64le imports it"),
        (".cpython-313-x86_64-linux-gnu.so", "no Python of ppc64le imports it"),
        (".cpython-312-powerpc64le-linux-gnu.so", "Python 3.12 imports it, 3.13 does not"),
        (".cpython-313t-powerpc64le-linux-gnu.so", "Python 3.13t imports it, 3.13 does not"),
    ],
)
def test_a_suffix_that_nothing_imports_is_an_error(tmp_path: Path, suffix: str, said: str) -> None:
    finding = only(judged(tmp_path, {f"demo{suffix}": extension()}), "extension-suffix")
    assert finding.file == f"demo{suffix}"
    assert said in finding.message


@pytest.mark.parametrize("suffix", [".so", ".abi3.so", SUFFIX, ".cpython-313.so"])
def test_suffixes_that_python_imports_pass(tmp_path: Path, suffix: str) -> None:
    assert judged(tmp_path, {f"demo{suffix}": extension()}).findings == ()


WITHOUT_GIL = "cp313-cp313t-linux_ppc64le"


@pytest.mark.parametrize("suffix", [".so", ".cpython-313t-powerpc64le-linux-gnu.so", ".cpython-313t.so"])
def test_suffixes_that_python_without_the_gil_imports_pass(tmp_path: Path, suffix: str) -> None:
    found = judged(tmp_path, {f"demo{suffix}": extension()}, tag=WITHOUT_GIL, python="3.13t")
    assert found.findings == ()
    assert found.earned_tag == "manylinux_2_17_ppc64le"


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        (SUFFIX, "Python 3.13 imports it, 3.13t does not"),
        (".cpython-314t-powerpc64le-linux-gnu.so", "Python 3.14t imports it, 3.13t does not"),
        (".abi3.so", "which Pythons without the GIL do not import"),
        (".abi3-powerpc64le-linux-gnu.so", "which Pythons without the GIL do not import"),
    ],
)
def test_what_python_without_the_gil_does_not_import(tmp_path: Path, suffix: str, said: str) -> None:
    found = judged(tmp_path, {f"demo{suffix}": extension()}, tag=WITHOUT_GIL, python="3.13t")
    finding = only(found, "extension-suffix")
    assert (finding.file, said in finding.message) == (f"demo{suffix}", True)


@pytest.mark.parametrize(
    ("tag", "python"), [("cp313-cp313-linux_ppc64le", "3.13t"), ("cp313-abi3-linux_ppc64le", "3.13t")]
)
def test_a_wheel_with_the_gil_is_none_without(tmp_path: Path, tag: str, python: str) -> None:
    found = judged(tmp_path, {"demo.so": extension()}, tag=tag, python=python)
    assert "Python 3.13t does not install it" in only(found, "tag-python").message


def test_requires_python_is_of_the_release(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tag": WITHOUT_GIL, "python": "3.13t"}
    files = {"demo.so": extension()}
    metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: "
    assert judged(tmp_path, files, metadata=f"{metadata}>=3.13\n", **settings).findings == ()
    found = judged(tmp_path, files, metadata=f"{metadata}<3.13\n", **settings)
    assert "was built for Python 3.13t" in only(found, "requires-python").message


def test_the_stable_abi_needs_a_name_for_all_versions(tmp_path: Path) -> None:
    tag = "cp39-abi3-linux_ppc64le"
    assert judged(tmp_path, {"demo.abi3.so": extension()}, tag=tag).findings == ()
    finding = only(judged(tmp_path, {NAME: extension()}, tag=tag), "extension-suffix")
    assert "which Python 3.13 alone imports" in finding.message


STABLE = "cp311-abi3-linux_ppc64le"


def limited(*names: str, weak: bool = False) -> dict[str, bytes]:
    imports = [Want(name, weak=weak) for name in ("PyModule_Create2", *names)]
    return {"demo.abi3.so": extension(imports=imports)}


def test_a_wheel_for_the_stable_abi_uses_nothing_else(tmp_path: Path) -> None:
    files = limited("PyType_FromSpec", "_Py_Dealloc", "PyObject_GetBuffer", "PyExc_ValueError")
    assert judged(tmp_path, files, tag=STABLE).findings == ()


def test_a_name_that_is_not_in_the_stable_abi(tmp_path: Path) -> None:
    finding = only(judged(tmp_path, limited("PyUnicode_New"), tag=STABLE), "stable-abi")
    assert (finding.file, finding.symbol) == ("demo.abi3.so", "PyUnicode_New")
    assert "Py_LIMITED_API=0x030B0000" in (finding.cure or "")
    # Nothing is promised elsewhere, nor of a symbol that may be absent.
    assert judged(tmp_path, {NAME: extension(imports=[Want("PyUnicode_New")])}).findings == ()
    assert judged(tmp_path, limited("PyUnicode_New", weak=True), tag=STABLE).findings == ()


def test_a_name_that_came_into_the_stable_abi_later_than_the_tag_says(tmp_path: Path) -> None:
    finding = only(judged(tmp_path, limited("PyType_GetModuleByDef"), tag=STABLE), "stable-abi")
    assert "came into the stable ABI with Python 3.13" in finding.message
    assert "cp313-abi3" in (finding.cure or "")
    later = STABLE.replace("cp311", "cp313")
    assert judged(tmp_path, limited("PyType_GetModuleByDef"), tag=later).findings == ()


def test_of_pythons_newer_than_the_table_not_every_name_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stableabi, "_added", lambda: {"PyModule_Create2": (3, 2)})
    finding = only(judged(tmp_path, limited("PyNew_Thing"), tag=STABLE), "stable-abi", "warning")
    assert finding.symbol == "PyNew_Thing"


def test_a_name_that_another_file_of_the_wheel_gives_is_not_the_interpreters(tmp_path: Path) -> None:
    files = limited("PyOwn_Helper") | {
        "libown.so": elf(soname="libown.so", exports=["PyOwn_Helper"], needed=["libc.so.6"])
    }
    assert not [f for f in judged(tmp_path, files, tag=STABLE).findings if f.code == "stable-abi"]


def test_the_init_function_must_bear_the_modules_name(tmp_path: Path) -> None:
    finding = only(judged(tmp_path, {NAME: extension("other")}), "init-name")
    assert finding.symbol == "PyInit_demo"
    finding = only(judged(tmp_path, {NAME: extension(exports=["helper"])}), "init-missing", "warning")
    assert finding.symbol == "PyInit_demo"
    assert judged(tmp_path, {"libhelper.so": extension(exports=["helper"])}).findings == ()
    assert judged(tmp_path, {f"pkg/__init__{SUFFIX}": extension("pkg")}).findings == ()
    assert judged(tmp_path, {f"pkg/é{SUFFIX}": extension(exports=["PyInitU_9ca"])}).findings == ()


# Tags


@pytest.mark.parametrize(
    ("tag", "code", "said"),
    [
        ("py3-none-any", "tag-any", "runs on any platform"),
        ("cp313-cp313-linux_x86_64", "tag-machine", "`linux_x86_64` is not for ppc64le"),
        ("cp312-cp312-linux_ppc64le", "tag-python", "Python 3.13 does not install it"),
        ("cp313-cp313t-linux_ppc64le", "tag-python", "Python 3.13 does not install it"),
    ],
)
def test_a_tag_that_does_not_fit_is_an_error(tmp_path: Path, tag: str, code: str, said: str) -> None:
    found = judged(tmp_path, {"demo.so": extension()}, tag=tag).errors
    assert [f.code for f in found] == [code]
    assert said in found[0].message


def test_a_binary_tag_without_code_is_a_warning(tmp_path: Path) -> None:
    verdict = judged(tmp_path, {"demo.py": b""})
    only(verdict, "no-binaries", "warning")
    verdict.require()


def test_a_tag_for_any_python_over_code_for_one_is_a_warning(tmp_path: Path) -> None:
    tag = "py3-none-linux_ppc64le"
    only(judged(tmp_path, {NAME: extension()}, tag=tag), "tag-wide", "warning")
    threaded = {"demo.cpython-313t-powerpc64le-linux-gnu.so": extension()}
    only(judged(tmp_path, threaded, tag=tag, python="3.13t"), "tag-wide", "warning")


def test_code_in_the_pure_part_is_an_error(tmp_path: Path) -> None:
    assert only(judged(tmp_path, {NAME: extension()}, purelib=True), "purelib").file == NAME
    member = f"demo-1.0.data/purelib/{NAME}"
    assert only(judged(tmp_path, {member: extension()}), "purelib").file == member


def test_metadata_that_disagrees_is_an_error(tmp_path: Path) -> None:
    files = {NAME: extension()}
    assert only(judged(tmp_path, files, metadata="Name: demo\nVersion: 2.0\n"), "metadata")
    assert only(judged(tmp_path, files, tag_line="cp313-cp313-linux_x86_64"), "tag-lines")
    assert only(judged(tmp_path, files, bad_record=NAME), "record").file == NAME


# Symbols


def test_a_symbol_newer_than_the_floor_names_file_symbol_and_cure(tmp_path: Path, exports: Path) -> None:
    wanted = [Want("getentropy", "GLIBC_2.25", "libc.so.6"), GLIBC]
    verdict = judged(tmp_path, {NAME: extension(imports=wanted)}, exports=exports)
    finding = only(verdict, "symbol")
    assert (finding.file, finding.symbol) == (NAME, "getentropy@GLIBC_2.25")
    assert "newer than glibc 2.17" in finding.message
    assert finding.cure is not None
    assert "--glibc 2.26" in finding.cure
    assert verdict.earned_tag == "manylinux_2_26_ppc64le"
    assert verdict.glibc_required == (2, 25)
    assert [(r.tag, r.file) for r in verdict.reasons] == [("manylinux_2_24_ppc64le", NAME)]
    with pytest.raises(WheelRejected) as caught:
        verdict.require()
    assert "getentropy@GLIBC_2.25" in caught.value.facts[0]
    assert NAME in caught.value.facts[0]
    assert "--glibc 2.26" in (caught.value.hint or "")


def test_the_same_symbol_passes_at_a_newer_floor(tmp_path: Path) -> None:
    wanted = [Want("getentropy", "GLIBC_2.25", "libc.so.6")]
    assert judged(tmp_path, {NAME: extension(imports=wanted)}, glibc=(2, 28)).findings == ()


def test_without_exports_the_policy_alone_judges(tmp_path: Path) -> None:
    wanted = [Want("getentropy", "GLIBC_2.25", "libc.so.6"), Want("made_up", "GLIBC_2.17", "libc.so.6")]
    finding = only(judged(tmp_path, {NAME: extension(imports=wanted)}), "symbol")
    assert "newer than manylinux_2_17_ppc64le allows" in finding.message


def test_a_symbol_that_the_floor_never_had_is_an_error(tmp_path: Path, exports: Path) -> None:
    finding = only(
        judged(
            tmp_path, {NAME: extension(imports=[Want("stat", "GLIBC_2.17", "libc.so.6")])}, exports=exports
        ),
        "symbol",
    )
    assert finding.symbol == "stat@GLIBC_2.17"
    assert "not exported by libc.so.6 of glibc 2.17" in finding.message


def test_a_symbol_asked_of_the_wrong_library_names_the_right_one(tmp_path: Path, exports: Path) -> None:
    verdict = judged(
        tmp_path, {NAME: extension(imports=[Want("pow", "GLIBC_2.17", "libc.so.6")])}, exports=exports
    )
    assert "libm.so.6" in (only(verdict, "symbol").cure or "")


def test_what_is_asked_of_the_loader_counts(tmp_path: Path, exports: Path) -> None:
    wanted = [Want("__parse_hwcap_and_convert_at_platform", "GLIBC_2.23", "ld64.so.2")]
    for floor in (exports, None):
        verdict = judged(
            tmp_path, {NAME: extension(imports=wanted, needed=["libc.so.6", "ld64.so.2"])}, exports=floor
        )
        assert only(verdict, "symbol").symbol == "__parse_hwcap_and_convert_at_platform@GLIBC_2.23"
        assert verdict.earned_tag == "manylinux_2_24_ppc64le"


@pytest.mark.parametrize("weak", [False, True])
def test_a_version_that_the_floor_lacks_stops_the_loader_even_when_weak(
    tmp_path: Path, exports: Path, weak: bool
) -> None:
    wanted = [Want("arc4random", "GLIBC_2.36", "libc.so.6", weak=weak)]
    assert only(judged(tmp_path, {NAME: extension(imports=wanted)}, exports=exports), "symbol")


def test_a_weak_symbol_of_a_known_version_may_be_absent(tmp_path: Path, exports: Path) -> None:
    wanted = [
        Want("__cxa_thread_atexit_impl", "GLIBC_2.17", "libc.so.6", weak=True),
        Want("extra", weak=True),
    ]
    assert judged(tmp_path, {NAME: extension(imports=wanted)}, exports=exports).findings == ()


def test_forbidden_symbols_are_errors_where_the_policy_forbids_them(tmp_path: Path) -> None:
    wanted = [Want("__cxa_thread_atexit_impl", "GLIBC_2.17", "libc.so.6")]
    finding = only(judged(tmp_path, {NAME: extension(imports=wanted)}), "forbidden-symbol")
    assert finding.symbol == "__cxa_thread_atexit_impl"
    assert "--glibc 2.24" in (finding.cure or "")
    assert judged(tmp_path, {NAME: extension(imports=wanted)}, glibc=(2, 24)).findings == ()


@pytest.mark.parametrize(
    ("version", "library", "cure"),
    [
        ("GLIBCXX_3.4.30", "libstdc++.so.6", "--glibc 2.35"),
        ("CXXABI_1.3.11", "libstdc++.so.6", "--glibc 2.26"),
        ("GCC_7.0.0", "libgcc_s.so.1", "--glibc 2.26"),
        ("GLIBC_ABI_DT_RELR", "libc.so.6", "--glibc 2.36"),
    ],
)
def test_versions_of_every_library_are_held_against_the_policy(
    tmp_path: Path, version: str, library: str, cure: str
) -> None:
    code = extension(imports=[Want("f", version, library)], needed=[library])
    verdict = judged(tmp_path, {NAME: code})
    finding = only(verdict, "symbol")
    assert finding.symbol == f"f@{version}"
    assert cure in (finding.cure or "")
    assert verdict.earned_tag == f"manylinux_{cure.rpartition(' ')[2].replace('.', '_')}_ppc64le"


def test_undefined_symbols_that_nothing_gives_are_errors(tmp_path: Path, exports: Path) -> None:
    finding = only(
        judged(tmp_path, {NAME: extension(imports=[Want("forgotten")])}, exports=exports), "undefined-symbol"
    )
    assert finding.symbol == "forgotten"
    assert finding.cure


def test_an_undefined_symbol_that_a_later_glibc_has_names_that_glibc(tmp_path: Path, exports: Path) -> None:
    exports.with_name("later.json").write_text('{"getrandom": "2.25"}')
    code = extension(imports=[Want("getrandom")])
    finding = only(judged(tmp_path, {NAME: code}, exports=exports), "symbol")
    assert finding.symbol == "getrandom@GLIBC_2.25"
    assert "came with glibc 2.25; glibc 2.17 was asked for" in finding.message
    assert "`--glibc 2.25`" in (finding.cure or "")


@pytest.mark.parametrize(
    ("stated", "wrong"), [(">=3.10", False), (">=3.13.4,<3.14", False), (">=3.14", True)]
)
def test_a_wheel_that_excludes_its_own_python_is_wrong(tmp_path: Path, stated: str, wrong: bool) -> None:
    text = f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: {stated}\n"
    verdict = judged(tmp_path, {NAME: extension()}, metadata=text)
    assert [f.code for f in verdict.errors] == ["requires-python"] * wrong
    assert all(stated in f.message for f in verdict.errors)


def test_a_symbol_of_a_library_that_is_not_asked_for_is_a_warning(tmp_path: Path, exports: Path) -> None:
    finding = only(
        judged(tmp_path, {NAME: extension(imports=[Want("pow")])}, exports=exports), "underlinked", "warning"
    )
    assert "libm.so.6" in finding.message


@pytest.mark.parametrize("name", ["PyList_New", "_PyObject_New", "_Py_NoneStruct", "PyExc_ValueError"])
def test_pythons_own_symbols_need_no_library(tmp_path: Path, exports: Path, name: str) -> None:
    assert judged(tmp_path, {NAME: extension(imports=[Want(name)])}, exports=exports).findings == ()


# Libraries


def test_a_library_that_no_system_need_have_is_an_error(tmp_path: Path) -> None:
    code = extension(needed=["libc.so.6", "libgfortran.so.5"])
    verdict = judged(tmp_path, {NAME: code})
    assert "libgfortran.so.5" in only(verdict, "library").message
    assert verdict.earned_tag == "linux_ppc64le"
    (tmp_path / "libgfortran.so.5").write_bytes(elf())
    assert judged(tmp_path, {NAME: code}, library_dirs=[tmp_path]).findings == ()


def test_a_library_in_the_wheel_must_be_found_there(tmp_path: Path) -> None:
    library = {"demo.libs/libx-1.so.2": elf(soname="libx.so.2", exports=["f"])}
    needs = {"needed": ["libx.so.2"], "imports": [Want("f")]}
    found = {f"demo/{NAME}": extension(rpath="$ORIGIN/../demo.libs", **needs), **library}
    verdict = judged(tmp_path, found)
    assert verdict.findings == ()
    assert verdict.earned_tag == "manylinux_2_17_ppc64le"
    finding = only(judged(tmp_path, {f"demo/{NAME}": extension(**needs), **library}), "rpath-missing")
    assert "libx-1.so.2" in (finding.cure or "")


def test_a_symbol_that_the_wheels_own_library_lacks_is_an_error(tmp_path: Path, exports: Path) -> None:
    files = {
        NAME: extension(rpath="$ORIGIN", needed=["libx.so.2"], imports=[Want("g")]),
        "libx.so.2": elf(soname="libx.so.2", exports=["f"]),
    }
    assert only(judged(tmp_path, files, exports=exports), "undefined-symbol").symbol == "g"


def test_libpython_is_an_error_in_a_finished_wheel(tmp_path: Path) -> None:
    code = extension(needed=["libc.so.6", "libpython3.13.so.1.0"])
    found = judged(tmp_path, {NAME: code}).errors
    assert {f.code for f in found} == {"libpython", "library"}
    only(judged(tmp_path, {NAME: code}, library_dirs=[tmp_path]), "libpython", "warning")


@pytest.mark.parametrize("path", ["/build/x/lib", "", "relative", "$ORIGIN/../../..", "$LIB"])
def test_paths_out_of_the_wheel_are_errors_when_it_is_finished(tmp_path: Path, path: str) -> None:
    code = extension(runpath=f"$ORIGIN:{path}")
    assert f"`{path}`" in only(judged(tmp_path, {f"demo/{NAME}": code}), "rpath").message
    only(judged(tmp_path, {f"demo/{NAME}": code}, library_dirs=[tmp_path]), "rpath", "warning")


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"stack": True}, "executable-stack", "error"),
        ({"textrel": True}, "text-relocations", "warning"),
        ({"payload": b"\0GCOV_PREFIX\0x.gcda\0"}, "instrumented", "error"),
    ],
)
def test_what_the_linker_left_behind_is_found(
    tmp_path: Path, changes: dict[str, Any], code: str, severity: str
) -> None:
    assert only(judged(tmp_path, {NAME: extension(**changes)}), code, severity).cure


# Floors and traces


def test_a_floor_beyond_every_policy_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no manylinux policy for ppc64le covers glibc 2\.99"):
        judged(tmp_path, {NAME: extension()}, glibc=(2, 99))


def test_a_floor_between_policies_takes_the_next_one() -> None:
    known = policies("ppc64le")
    assert known.for_floor((2, 17)).tags == ("manylinux2014_ppc64le", "manylinux_2_17_ppc64le")
    assert known.for_floor((2, 20)).tag == "manylinux_2_24_ppc64le"
    assert policies("riscv64").all[0].tag == "manylinux_2_31_riscv64"
    assert policies("loongarch64").all[0].tag == "manylinux_2_36_loongarch64"
    assert policies("vax").all == ()


def test_a_tag_newer_than_the_floor_is_told(tmp_path: Path) -> None:
    finding = only(
        judged(tmp_path, {NAME: extension()}, glibc=(2, 30), tag="cp313-cp313-manylinux_2_31_ppc64le"),
        "floor-unnamed",
        "warning",
    )
    assert "its tag is manylinux_2_31_ppc64le, and installers take it from glibc 2.31 on" in finding.message
    assert finding.cure == "`--glibc 2.28` makes one that runs on glibc 2.30 too"
    assert judged(tmp_path, {NAME: extension()}, glibc=(2, 30), library_dirs=[]).findings == ()


@dataclass(frozen=True)
class FakeTrace:
    python_headers: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    libraries: frozenset[str] = frozenset()
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def origin(self, path: str) -> str | None:
        return "python" if path.startswith("/target/") else None


@pytest.mark.parametrize(
    ("trace", "code"),
    [
        (FakeTrace(python_headers=("/usr/include/python3.13/Python.h",)), "python-headers"),
        (FakeTrace(leaks=("/usr/include/zlib.h",)), "host-headers"),
        (FakeTrace(leaks=("/usr/lib/libz.a",), libraries=frozenset({"/usr/lib/libz.a"})), "host-libraries"),
    ],
)
def test_files_of_the_host_in_the_build_are_errors(tmp_path: Path, trace: FakeTrace, code: str) -> None:
    finding = only(judged(tmp_path, {NAME: extension()}, trace=trace), code)
    assert "/usr/" in finding.message


def test_the_targets_own_headers_pass(tmp_path: Path) -> None:
    trace = FakeTrace(python_headers=("/target/include/python3.13/Python.h",))
    assert judged(tmp_path, {NAME: extension()}, trace=trace).findings == ()


def test_folders_of_the_build_in_a_wheel_are_told(tmp_path: Path) -> None:
    """Not of a wheel that `repair` has still to strip."""
    trace = FakeTrace(roots={"source": ("/tmp/build-1/source",), "sysroot": ("/cache/sys root", "/")})
    files = {NAME: extension(), "demo/_config.py": b"CC = 'gcc --sysroot=/cache/sys root'\n"}
    finding = only(judged(tmp_path, files, trace=trace), "build-folder", "warning")
    assert finding.file == "demo/_config.py"
    assert "`/cache/sys root`" in finding.message
    assert judged(tmp_path, files, trace=trace, library_dirs=[]).findings == ()


def test_a_rejection_with_many_errors_stays_readable(tmp_path: Path) -> None:
    wanted = [Want(f"f{n}", "GLIBC_2.38", "libc.so.6") for n in range(40)]
    with pytest.raises(WheelRejected) as caught:
        judged(tmp_path, {NAME: extension(imports=wanted)}).require()
    assert caught.value.facts[-1] == "... and 28 more"
    assert caught.value.hint == "build with `--glibc 2.38`, the oldest floor that has GLIBC_2.38"


def test_the_verdict_is_plain_data(tmp_path: Path) -> None:
    data = judged(tmp_path, {NAME: extension("other")}).as_data()
    assert json.loads(json.dumps(data)) == data
    assert data["findings"][0]["code"] == "init-name"
    assert data["glibc_required"] == "2.17"
