"""Reading the notes of what compilers and linkers opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtool.crossenv.trace import BuildTrace, dependencies, linker_inputs, read_trace
from xtool.errors import WheelRejected


def test_dependencies_as_gcc_writes_them() -> None:
    gcc = "a.o: /x/one.h \\\n /x/two\\ words.h \\\n  /x/dollar$$sign.h /x/hash\\#.h\n/x/one.h:\n"
    assert dependencies(gcc) == ["/x/one.h", "/x/two words.h", "/x/dollar$sign.h", "/x/hash#.h"]
    assert dependencies("") == []


def test_inputs_as_ld_writes_them() -> None:
    """It escapes nothing: the name ends where the line does."""
    ld = "the a.so: \\\n  /x/crti.o \\\n  rel/b c.o \\\n  /x y: z/d.a\n\n"
    ld += "/x/crti.o:\n\nrel/b c.o:\n\n/x y: z/d.a:\n"
    assert linker_inputs(ld) == ["/x/crti.o", "rel/b c.o", "/x y: z/d.a"]
    assert linker_inputs("a.so: \\\n  b.o\n\nb.o:\na.so: \\\n  c.o\n") == ["b.o", "c.o"]
    assert linker_inputs("a.so:\n") == []


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("source/inc", "sysroot/include", "trace", "host", "source-other"):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "source/inc/own.h",
        "sysroot/include/stdio.h",
        "host/evil.h",
        "host/libz.a",
        "source-other/x.h",
    ):
        (tmp_path / name).write_text("")
    return tmp_path


def _note(place: Path, number: int, headers: str, libraries: str | None = None) -> None:
    (place / "trace" / f"{number}.d").write_text(f"# {place}/source\n{headers}")
    if libraries is not None:
        (place / "trace" / f"{number}.ld").write_text(libraries)


def _read(place: Path) -> BuildTrace:
    roots = {"source": [place / "source"], "sysroot": [place / "sysroot"]}
    return read_trace(place / "trace", roots)


def test_relative_names_and_links_are_resolved(place: Path) -> None:
    (place / "source" / "link.h").symlink_to("inc/own.h")
    _note(place, 1, f"a.o: inc/own.h link.h {place}/sysroot/include/../include/stdio.h\n")
    trace = _read(place)
    assert trace.headers == {f"{place}/source/inc/own.h", f"{place}/sysroot/include/stdio.h"}
    assert trace.origin(f"{place}/source/inc/own.h") == "source"
    assert trace.leaks == ()
    trace.check("it")
    assert (trace.compiles, trace.links) == (1, 0)


@pytest.mark.parametrize(
    "name", ["{place}/host/evil.h", "../host/evil.h", "inc/../../source-other/x.h", "evil-link.h"]
)
def test_a_header_of_the_host_is_a_leak_however_it_is_spelt(place: Path, name: str) -> None:
    (place / "source" / "evil-link.h").symlink_to(place / "host" / "evil.h")
    _note(place, 1, f"a.o: inc/own.h {name.format(place=place)}\n")
    trace = _read(place)
    assert len(trace.leaks) == 1
    with pytest.raises(WheelRejected) as caught:
        trace.check("demo 1.0")
    assert "demo 1.0" in caught.value.message
    assert caught.value.facts == (f"header {trace.leaks[0]}",)


def test_a_library_of_the_host_is_a_leak(place: Path) -> None:
    _note(place, 1, "", f"a.so: \\\n  {place}/host/libz.a\n")
    with pytest.raises(WheelRejected) as caught:
        _read(place).check("demo")
    assert caught.value.facts == (f"library {place}/host/libz.a",)


def test_names_with_spaces_are_followed(place: Path) -> None:
    """Cut at the space, the name would be that of another file, or of none."""
    (place / "host" / "of others").mkdir()
    (place / "host" / "of others" / "libz.a").touch()
    _note(place, 1, "", f"a.so: \\\n  {place}/host/of others/libz.a\n\n{place}/host/of others/libz.a:\n")
    assert _read(place).leaks == (f"{place}/host/of others/libz.a",)


def test_temporary_objects_that_are_gone_are_nobodys(place: Path) -> None:
    _note(place, 1, "", "a.so: \\\n  /tmp/ccXYZ123.o\n")
    trace = _read(place)
    assert trace.libraries == frozenset()
    assert trace.links == 1


def test_skipped_options_are_told_once_each(place: Path) -> None:
    (place / "trace" / "skipped").write_text("-I/usr/include\n-L/usr/lib\n-I/usr/include\n")
    assert _read(place).skipped == ("-I/usr/include", "-L/usr/lib")
