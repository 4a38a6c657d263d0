"""Fuzzing the readers of ELF files and wheels, and what rewrites programs of the host."""

from __future__ import annotations

import sysconfig
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from support import elfforge, forge, fuzzformats, hostelf
from support.fuzzarchives import check_confined, lay_out
from support.fuzzmutate import document, lines
from support.fuzztarget import Target, check

from xtool.errors import ArchiveError, CatalogError, StoreError, UsageError


def _elf_seeds() -> list[bytes]:
    want = elfforge.Want
    seeds = [
        elfforge.elf(
            machine=machine,
            bits=bits,
            little=little,
            soname="libdemo.so.1",
            needed=["libc.so.6", "libm.so.6"],
            rpath="$ORIGIN:/opt/x",
            interpreter="/lib64/ld64.so.2",
            imports=[
                want("open", "GLIBC_2.17", "libc.so.6"),
                want("pow", "GLIBC_2.29", "libm.so.6"),
                want("f"),
            ],
            exports=["PyInit_demo", "helper"],
        )
        for machine, bits, little in ((21, 64, True), (22, 64, False), (40, 32, True), (20, 32, False))
    ]
    return [*seeds, elfforge.extension(), *_real_libraries()]


def _real_libraries() -> list[bytes]:
    """Two small extension modules of the Python that runs this: section headers, hash tables, versions."""
    folder = sysconfig.get_config_var("DESTSHARED")
    found = sorted(Path(folder).glob("*.so"), key=lambda p: p.stat().st_size) if folder else []
    return [path.read_bytes() for path in found[:2] if path.stat().st_size < 60_000]


def run_elf(data: bytes, folder: Path) -> None:
    from xtool.elf import read_elf, read_header

    path = folder / "x.so"
    path.write_bytes(data)
    facts = read_elf(data, name="x.so")
    check(facts.size == len(data), "another size")
    check(read_elf(path) == facts, "a mapped file is read differently")
    check(read_header(data) == facts.header, "two headers")


_HOST_LIBRARIES = ("ld-linux-x86-64.so.2", "libc.so.6", "libgmp.so.10")


def run_relocate(data: bytes, folder: Path) -> None:
    """The file as a host's program, or as a library that one needs."""
    from xtool.targets import Host
    from xtool.toolchain import relocate

    tree, packages = folder / "tree", folder / "packages"
    (tree / "bin").mkdir(parents=True)
    packages.mkdir()
    for name in _HOST_LIBRARIES:
        (packages / name).write_bytes(hostelf.elf((), program=False))
    library = zlib.crc32(data) & 3 == 0
    (tree / "bin/tool").write_bytes(hostelf.elf(("libgmp.so.10",)) if library else data)
    if library:
        (packages / "libgmp.so.10").write_bytes(data)
    host = Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2")
    relocate.bundle_host_libraries(tree, libraries=packages, host=host)
    relocate.fill_slots(tree, Path("/opt/x"))
    check((tree / "bin/tool").stat().st_size <= 4 * len(data) + (1 << 16), "a program grew beyond measure")


def run_slots(data: bytes, folder: Path) -> None:
    from xtool.toolchain import relocate

    victim = lay_out(folder)
    tree = folder / "in" / "side"
    (tree / "share/xtool").mkdir(parents=True)
    (tree / "bin").mkdir()
    (tree / "bin/tool").write_bytes(bytes(4096))
    (tree / relocate.SLOTS_FILE).write_bytes(data)
    try:
        relocate.read_slots(tree)
        relocate.fill_slots(tree, Path("/opt/x"))
        relocate.blank_slots(tree)
    finally:
        check_confined(folder, victim, set())
        check((tree / "bin/tool").stat().st_size == 4096, "a program changed its size")


def _slots_seeds() -> list[bytes]:
    return [
        b'{"schema": 1, "loader": "lib/ld.so", "slots": [["bin/tool", 64, 2048], ["bin/tool", 3000, 64]]}\n'
    ]


def _wheel_seeds() -> list[bytes]:
    archive = forge.ar(forge.ar_member("x.o/", elfforge.elf(kind=1)), forge.ar_member("y.txt/", b"text"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            elfforge.wheel(folder, {f"demo{elfforge.SUFFIX}": elfforge.extension()}).read_bytes(),
            elfforge.wheel(
                folder, {"demo/lib.a": archive, "demo-1.0.data/scripts/x": b"#!python\n"}
            ).read_bytes(),
            elfforge.wheel(
                folder, {"demo.py": b"x = 1\n", "demo/m.so": b"\xcf\xfa\xed\xfe" + bytes(99)}
            ).read_bytes(),
        ]


def _wheel_member(rng: object, data: bytes, pool: Sequence[bytes]) -> bytes:
    if data[:4] == b"\x7fELF":
        return fuzzformats.elf(rng, data, pool)  # type: ignore[arg-type]
    if data[:7] == b"!<arch>":
        return fuzzformats.ar(lambda _: fuzzformats.elf)(rng, data, pool)  # type: ignore[arg-type]
    return lines(
        ("Tag: \u0663-x-y", "Name: x\n y", ",,,", '"', "demo.py,sha256=,", "Root-Is-Purelib: ", "\x00")
    )(
        rng,  # type: ignore[arg-type]
        data,
        pool,
    )


def run_wheel(data: bytes, folder: Path) -> None:
    from xtool.wheel import contents, wheelfile

    path = folder / "demo-1.0-cp313-cp313-linux_ppc64le.whl"
    path.write_bytes(data)
    with wheelfile.open_wheel(path) as wheel:
        for name in wheel.names:
            check(not name.startswith("/") and ".." not in name.split("/"), f"a name leads out: {name}")
        _ = wheel.wheel_info, wheel.metadata, wheel.requirements, wheel.purelib, wheel.record
        found = contents.scan(wheel)
        for member in found.files:
            found.inside(member)
        (folder / "out").mkdir()
        again = wheelfile.rewrite(
            wheel, folder / "out", name=wheel.name.with_platforms(["manylinux2014_ppc64le"])
        )
    with wheelfile.open_wheel(again) as wheel:
        check(not contents.scan(wheel).record_problems, "a rewritten wheel has a wrong RECORD")


def run_wheelname(data: bytes, folder: Path) -> None:
    from xtool.wheel.wheelfile import WheelName

    filename = data.decode("utf-8", "surrogateescape")
    check(WheelName.parse(filename).filename.lower() == filename.lower(), "a name does not survive")


_PYPROJECT = b"""[build-system]
requires = ["setuptools>=61", "cython"]
build-backend = "setuptools.build_meta"
backend-path = ["."]
[project]
name = "Demo"
version = "1.0"
requires-python = ">=3.9,!=3.10.*"
"""
_PKG_INFO = (
    b"Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\nRequires-Python: >=3.9\nSummary: x\n y\n\ntext\n"
)
_PROJECT_WORDS = (
    *(
        "[build-system]",
        "[project]",
        "requires = 1",
        "build-backend = 1",
        "backend-path = 1",
        "requires = [1]",
    ),
    *("a = " + "[" * 3000, "a = " + "9" * 5000, "project = 1", "build-system = 1", 'requires-python = "~=x"'),
    *(
        "name = []",
        'name = ""',
        "version = 1",
        "Requires-Python: ==9" + "9" * 5000,
        "Requires-Python: ~=",
        "Name:",
    ),
    *(
        'requires-python = "==' + "9" * 5000 + '"',
        "Name: \ud800",
        "\x00",
        "Version: " + "1." * 3000,
        "\u0663",
    ),
)


def run_project(data: bytes, folder: Path) -> None:
    """The two files that say what an unpacked sdist is."""
    from xtool.build import frontend, stated

    (folder / ("PKG-INFO" if data.startswith(b"Metadata") else "pyproject.toml")).write_bytes(data)
    stated.of_sdist(folder)
    stated.of_folder(folder)
    stated.hints(folder)
    frontend.read_build_system(folder)


def targets() -> list[Target]:
    """ELF files, programs of the host, wheels."""
    unpacking = (ArchiveError,)
    return [
        Target("elf", "facts of ELF files", unpacking, _elf_seeds, fuzzformats.elf, run_elf),
        Target(
            "relocate",
            "programs of the host",
            (ArchiveError, CatalogError),
            lambda: [hostelf.elf(), hostelf.elf(notes=3, runpath="/x"), *_real_libraries()],
            fuzzformats.elf,
            run_relocate,
        ),
        Target("slots", "record of loader paths", (StoreError,), _slots_seeds, document, run_slots),
        Target("wheel", "wheels", unpacking, _wheel_seeds, fuzzformats.wheel(_wheel_member), run_wheel),
        Target(
            "project",
            "pyproject.toml and PKG-INFO",
            (UsageError,),
            lambda: [_PYPROJECT, _PKG_INFO],
            lines(_PROJECT_WORDS),
            run_project,
        ),
        Target(
            "wheelname",
            "names of wheels",
            (UsageError,),
            lambda: [
                b"demo-1.0-cp313-cp313-manylinux2014_ppc64le.manylinux_2_17_ppc64le.whl",
                b"a-1-2x-py2.py3-none-any.whl",
            ],
            lines(("-", ".", "\u0663", "..", "/", "1!2.0+x", "")),
            run_wheelname,
        ),
    ]
