"""The ladder of policies: what blocks each older tag, what would take it away; and the claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import elfforge
from support.elfforge import SUFFIX, Want, elf, extension, wheel

from xtool.wheel.explain import installs_on, plain_library
from xtool.wheel.policy import policies
from xtool.wheel.report import Report, inspect

NAME = f"demo/_x{SUFFIX}"
MEMCPY = Want("memcpy", "GLIBC_2.17", "libc.so.6")
RANDOM = Want("getrandom", "GLIBC_2.25", "libc.so.6")
FCNTL = Want("fcntl64", "GLIBC_2.28", "libc.so.6")
CXX = Want("_Znwn", "GLIBCXX_3.4.29", "libstdc++.so.6")


def inspected(folder: Path, files: dict[str, bytes], tag: str = "manylinux_2_28_ppc64le") -> Report:
    return inspect(wheel(folder, files, tag=f"cp313-cp313-{tag}"))


def code(*wants: Want, **changes: object) -> bytes:
    libraries = dict.fromkeys(["libc.so.6", *(want.library for want in wants)])
    return extension("_x", **{"imports": list(wants), "needed": list(libraries), **changes})


def rungs(report: Report) -> list[tuple[str, str, str]]:
    return [(step.glibc, step.status, step.reaches.split("_ppc")[0]) for step in report.ladder]


def test_each_step_tells_what_is_new_in_it(tmp_path: Path) -> None:
    report = inspected(tmp_path, {NAME: code(MEMCPY, RANDOM, FCNTL)})
    assert rungs(report) == [
        ("2.28", "earned", "manylinux_2_28"),
        ("2.27", "blocked", "manylinux_2_26"),
        ("2.26", "follows", "manylinux_2_26"),
        ("2.24", "blocked", "manylinux_2_17"),
        ("2.17", "follows", "manylinux_2_17"),
    ]
    first, second = report.ladder[1], report.ladder[3]
    assert [o.symbols for o in first.obstacles] == [("fcntl64",)]
    assert [o.symbols for o in second.obstacles] == [("getrandom",)]
    assert (first.total, second.total) == (1, 2)
    # The cure is for the tag that is reached with it, not for the one in between.
    assert (
        second.obstacles[0].cure
        == "build against an older sysroot: `xtool build --target ppc64le --glibc 2.17`"
    )


def test_the_ladder_agrees_with_the_policies(tmp_path: Path) -> None:
    """Without what a step names, its tag is earned indeed: built again without these imports."""
    wants = [MEMCPY, RANDOM, FCNTL, CXX]
    report = inspected(tmp_path, {NAME: code(*wants)}, "manylinux_2_34_ppc64le")
    blocked = [step for step in report.ladder if step.status == "blocked"]
    assert len(blocked) == 3
    for step in blocked:
        gone = {name for obstacle in step.obstacles for name in obstacle.symbols}
        wants = [want for want in wants if want.name not in gone]
        again = inspected(tmp_path, {NAME: code(*wants)}, "manylinux_2_34_ppc64le")
        assert again.earned_tag == step.reaches


def test_a_wheel_that_fits_nothing_begins_at_the_newest(tmp_path: Path) -> None:
    report = inspected(tmp_path, {NAME: code(MEMCPY, needed=["libfoo.so.1", "libc.so.6"])})
    assert report.earned_tag == "linux_ppc64le"
    newest, *others = report.ladder
    assert newest.tag == policies("ppc64le").all[-1].tag
    assert newest.reaches == "manylinux_2_17_ppc64le"
    (obstacle,) = newest.obstacles
    assert (obstacle.kind, obstacle.library) == ("library", "libfoo.so.1")
    assert "auditwheel repair" in obstacle.cure
    assert {step.status for step in others} == {"follows"}
    assert report.claim.relation == "older"
    assert "fit no manylinux policy" in report.claim.words


@pytest.mark.parametrize(
    ("want", "library", "words"),
    [
        (CXX, None, "-static-libstdc++"),
        (Want("__addtf3", "GCC_7.0.0", "libgcc_s.so.1"), None, "-static-libgcc"),
        (Want("", "GLIBC_ABI_DT_RELR", "libc.so.6"), None, "-z,nopack-relative-relocs"),
        (MEMCPY, "libpython3.13.so.1.0", "without `-lpython`"),
        (MEMCPY, "libz.so.9", "link libz.so.9 statically"),
        (Want("_dist_code"), "libz.so.1", "copy of libz.so.1"),
    ],
)
def test_each_kind_has_its_cure(tmp_path: Path, want: Want, library: str | None, words: str) -> None:
    needed = [name for name in ("libc.so.6", library, want.library) if name]
    report = inspected(tmp_path, {NAME: code(want, needed=needed)})
    cures = [obstacle.cure for step in report.ladder for obstacle in step.obstacles]
    assert [cure for cure in cures if words in cure]


def test_a_library_in_the_wheel_is_not_told_to_be_built_with_xtool(tmp_path: Path) -> None:
    grafted = elf(needed=["libc.so.6"], imports=[RANDOM], soname="libfoo-1a2b3c4d.so.1")
    report = inspected(tmp_path, {"demo.libs/libfoo-1a2b3c4d.so.1": grafted})
    (obstacle,) = [o for step in report.ladder for o in step.obstacles]
    assert obstacle.cure.startswith("build what is put into the wheel against glibc 2.17 or older")


def test_below_the_oldest_sysroot_the_cure_names_no_option(tmp_path: Path) -> None:
    x86 = elf(
        machine=elfforge.EM_X86_64,
        flags=0,
        needed=["libc.so.6"],
        imports=[Want("memcpy", "GLIBC_2.14", "libc.so.6")],
        exports=["PyInit__x"],
    )
    report = inspected(tmp_path, {"demo/_x.so": x86}, "manylinux_2_17_x86_64")
    (obstacle,) = [o for step in report.ladder for o in step.obstacles]
    assert "--glibc" not in obstacle.cure
    assert "glibc 2.5 or older" in obstacle.cure


@pytest.mark.parametrize(
    ("tag", "relation"),
    [
        ("manylinux_2_26_ppc64le", "equal"),
        ("manylinux_2_28_ppc64le.manylinux_2_26_ppc64le", "equal"),
        ("manylinux_2_28_ppc64le", "newer"),
        ("manylinux2014_ppc64le.manylinux_2_28_ppc64le", "older"),
        ("linux_ppc64le", "none"),
    ],
)
def test_the_oldest_claim_counts(tmp_path: Path, tag: str, relation: str) -> None:
    assert inspected(tmp_path, {NAME: code(RANDOM)}, tag).claim.relation == relation


@pytest.mark.parametrize(
    ("want", "tag", "relation", "words"),
    [
        (RANDOM, "manylinux_2_25_ppc64le", "equal", "the contents run on glibc 2.25; auditwheel"),
        (
            RANDOM,
            "manylinux_2_25_ppc64le.manylinux_2_26_ppc64le",
            "equal",
            "calls them manylinux_2_26_ppc64le",
        ),
        (RANDOM, "manylinux_2_20_ppc64le", "older", "untrue: manylinux_2_20_ppc64le is claimed"),
        (RANDOM, "manylinux_2_30_ppc64le", "newer", "down to manylinux_2_26_ppc64le"),
        (RANDOM, "manylinux_2_99_ppc64le", "newer", "down to manylinux_2_26_ppc64le"),
        (RANDOM, f"manylinux_2_{'9' * 60}_ppc64le", "newer", "down to manylinux_2_26_ppc64le"),
        # GCC 11's libstdc++ came after what has glibc 2.32.
        (CXX, "manylinux_2_32_ppc64le", "older", "need manylinux_2_34_ppc64le"),
        (RANDOM, "manylinux_2_12_ppc64le", "unproved", "promises no particular system"),
    ],
)
def test_a_tag_without_a_policy_promises_its_glibc(
    tmp_path: Path, want: Want, tag: str, relation: str, words: str
) -> None:
    report = inspected(tmp_path, {NAME: code(want)}, tag)
    assert (report.claim.relation, words in report.claim.words) == (relation, True), report.claim.words
    said = [finding for finding in report.findings if finding.code == "symbol"]
    assert bool(said) == (relation == "older")


MUSL = ".cpython-313-powerpc64le-linux-musl.so"


def test_musl_is_not_measured_by_policies_of_glibc(tmp_path: Path) -> None:
    data = code(Want("memcpy"), needed=["libc.musl-ppc64le.so.1"])
    report = inspected(tmp_path, {f"demo/_x{MUSL}": data}, "musllinux_1_2_ppc64le")
    assert (report.libc, report.earned_tag, report.ladder) == ("musl", "musllinux_1_2_ppc64le", ())
    assert report.claim.relation == "unproved"
    assert report.findings == ()
    assert "musl" in report.as_text(80)


def test_musl_code_that_needs_more_does_not_earn_its_tag(tmp_path: Path) -> None:
    data = code(Want("memcpy"), needed=["libfoo.so.1", "libc.musl-ppc64le.so.1"])
    report = inspected(tmp_path, {f"demo/_x{MUSL}": data}, "musllinux_1_2_ppc64le")
    assert report.earned_tag == "linux_ppc64le"
    assert [finding.code for finding in report.errors] == ["library"]


def test_code_for_musl_under_a_tag_of_glibc_is_an_error(tmp_path: Path) -> None:
    data = code(Want("memcpy"), needed=["libc.musl-ppc64le.so.1"])
    report = inspected(tmp_path, {f"demo/_x{MUSL}": data}, "manylinux_2_17_ppc64le")
    assert [finding.code for finding in report.errors] == ["libc"]
    assert (report.earned_tag, report.claim.relation) == ("linux_ppc64le", "older")
    assert "the code is for musl" in report.claim.words


def test_a_wheel_without_code_claims_too_little(tmp_path: Path) -> None:
    report = inspected(tmp_path, {"demo.py": b""})
    assert (report.earned_tag, report.claim.relation) == ("any", "newer")


def test_an_extension_for_glibc_in_a_wheel_for_musl_is_an_error(tmp_path: Path) -> None:
    data = code(Want("memcpy"), needed=["libc.musl-ppc64le.so.1"])
    report = inspected(tmp_path, {NAME: data}, "musllinux_1_2_ppc64le")
    assert [finding.code for finding in report.errors] == ["extension-suffix"]


def test_a_single_file_has_a_ladder_too(tmp_path: Path) -> None:
    path = tmp_path / "libfoo.so.1"
    path.write_bytes(elf(needed=["libc.so.6"], imports=[FCNTL]))
    report = inspect(path)
    assert [step.status for step in report.ladder] == ["earned", "blocked", *["follows"] * 3]
    assert (report.claim.relation, report.pythons) == ("none", "")


def test_pure_wheels_and_other_machines_code_have_no_ladder(tmp_path: Path) -> None:
    pure = inspect(wheel(tmp_path, {"demo.py": b""}, tag="py3-none-any", purelib=True))
    assert (pure.ladder, pure.libc, pure.claim.relation) == ((), None, "equal")
    wrong = inspected(tmp_path, {NAME: code(MEMCPY)}, "manylinux_2_17_s390x")
    assert wrong.ladder == ()
    assert wrong.claim.relation == "older"
    assert "fit no manylinux policy (linux_s390x)" in wrong.claim.words


def test_the_same_file_gives_the_same_words_whatever_the_hash_seed(cli, tmp_path: Path) -> None:
    wants = [Want(f"f{n}", f"GLIBC_2.{n}", "libc.so.6") for n in (17, 18, 22, 25, 27, 28)]
    files = {f"demo/m{n}{SUFFIX}": extension(f"m{n}", imports=[*wants, CXX]) for n in range(5)}
    path = wheel(tmp_path, files, tag="cp313-cp313-manylinux2014_ppc64le")
    words = ["inspect", path, "--html", "page.html", "--output", "json"]
    runs = [cli(*words, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    pages = []
    for seed in ("3", "4"):
        cli(*words, env={"PYTHONHASHSEED": seed})
        pages.append((cli.cwd / "page.html").read_bytes())
    assert runs[0].code == 0
    assert runs[0].stdout == runs[1].stdout
    assert pages[0] == pages[1]


def test_many_files_make_a_table_that_keeps_to_the_width(tmp_path: Path) -> None:
    files = {
        f"demo/a_long_module_name_{n}{SUFFIX}": extension(f"a_long_module_name_{n}", imports=[RANDOM])
        for n in range(6)
    }
    report = inspected(tmp_path, files)
    text = report.as_text(70)
    table = text[text.index("  file ") :].splitlines()
    assert max(map(len, table[:7])) <= 70
    assert "`-v` describes each file" in text
    assert "module" not in text.partition("  file ")[0].replace("a_long_module_name", "")
    assert "    module " in report.as_text(70, details=True)
    assert "and 2 more of this kind, in 6 files in all" in text


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ((("cp313",), ("cp313",)), "CPython 3.13"),
        ((("cp313",), ("cp313t",)), "CPython 3.13, free-threaded"),
        ((("cp311",), ("abi3",)), "CPython 3.11 and newer, stable ABI"),
        ((("py2", "py3"), ("none",)), "any Python 2, any Python 3"),
        ((("pp310",), ("pypy310_pp73",)), "PyPy 3.10"),
        ((("jy27",), ("none",)), "jy27"),
    ],
)
def test_pythons_are_told_in_words(tags: tuple[tuple[str, ...], tuple[str, ...]], words: str) -> None:
    assert installs_on(*tags) == words


def test_names_of_grafted_libraries_lose_their_hash() -> None:
    assert plain_library("libpq-1a2b3c4d.so.5.16") == "libpq.so.5.16"
    assert plain_library("libgfortran-040039e1-0352e75f.so.5.0.0") == "libgfortran-040039e1.so.5.0.0"
    assert plain_library("libfoo-bar.so") == "libfoo-bar.so"
