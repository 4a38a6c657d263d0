"""The parsers that are fuzzed: what each is given to begin with, how its input is changed, what must hold.

A target's `run` gets bytes and an empty folder. It may return, or raise one of the errors it names; whatever
else comes out is a finding. Where the parser says yes, `run` checks with `Broken` that it was right to.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import sysconfig
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from support import (
    elfforge,
    forge,
    fuzzarchives,
    fuzzformats,
    fuzzindexes,
    fuzzrecords,
    fuzzrpm,
    hostelf,
    parts,
)
from support.fuzzarchives import CAP, check, check_confined, check_tree, lay_out
from support.fuzzmutate import Mutator, document, either, lines, noise

from xtool.errors import ArchiveError, CatalogError, IntegrityError, StoreError, UsageError, XtoolError


@dataclass(frozen=True)
class Target:
    """One parser.

    Args:
        name: on the command line and in reports.
        about: what is fuzzed, in a few words.
        errors: what it may raise.
        seeds: makes inputs to begin with.
        mutate: changes one.
        run: hands one to the parser; its folder is empty and its own.
    """

    name: str
    about: str
    errors: tuple[type[XtoolError], ...]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutator
    run: Callable[[bytes, Path], object]


# ELF files and wheels


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
    from xtool.wheel.elf import read_elf, read_header

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


# Files of toolchains/ and of the store


def _lock_seeds() -> list[bytes]:
    from xtool.catalog import default_root

    text = (default_root() / "locks" / "x86_64-ppc64le.toml").read_bytes()
    suites, *components = text.split(b"[[component]]")
    first, *artifacts = components[0].split(b"[[component.artifact]]")
    short = b"[[component]]".join([suites, b"[[component.artifact]]".join([first, *artifacts[:3]])])
    return [short]


def _toml_seeds(*names: str) -> list[bytes]:
    from xtool.catalog import default_root

    return [(default_root() / name).read_bytes() for name in names]


_TOML_WORDS = (
    *(
        "[[component]]",
        "[[component.artifact]]",
        "[[suite]]",
        "schema = 2",
        "schema = 1",
        "component = 1",
        "suite = []",
    ),
    *(
        'path = "../x"',
        'path = "/x"',
        'path = "."',
        "size = -1",
        "size = 1e9",
        "size = true",
        'sha256 = "x"',
        "names = 1",
    ),
    *(
        'names = ["{}"]',
        'names = ["{x}"]',
        'names = ["{gnu.x}"]',
        'names = ["{0}"]',
        'names = ["{gnu!z}"]',
        "[[]]",
    ),
    *(
        "elf = 1",
        "flags = nan",
        "x = 2026-01-01",
        'lowest_glibc = "2"',
        "cflags = 3",
        "= 1",
        "a." * 2000 + "b = 1",
    ),
    *(
        "suite = [1]",
        "artifact = [1]",
        "component = [[]]",
        'name = ["x"]',
        "name = {}",
        "a = " + "[" * 3000,
        "\u0663 = 1",
    ),
)


def run_catalog(file: str, data: bytes, folder: Path) -> None:
    """The file in place of the one that is shipped, read with all the others."""
    from xtool.catalog import Catalog, default_root
    from xtool.targets import Host

    root = folder / "toolchains"
    for name in ("sources.toml", "components.toml", "targets/ppc64le.toml", "locks/x86_64-ppc64le.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name == file:
            (root / name).write_bytes(data)
        else:
            (root / name).symlink_to(default_root() / name)
    host = Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2")
    catalog = Catalog(root)
    target = catalog.target("ppc64le")
    if file.startswith("locks/"):
        catalog.lock(host, target)
    elif file == "sources.toml":
        _ = catalog.archives, catalog.portable_python_mirror
    elif file == "components.toml":
        catalog.declaration_digest(host, target)


def _manifest_seeds() -> list[bytes]:
    from xtool.manifest import FileEntry, Listing, Manifest

    listing = Listing(("bin", "share"), (FileEntry("bin/x", True, 3, "ab" * 32),), (("share/l", "../bin/x"),))
    record = Manifest(1, "gcc", "GCC", "d" * 64, {"name": "gcc", "revision": 1}, "e" * 64, 1, 3, False, "/x")
    return [listing.as_bytes(), record.as_bytes()]


def run_manifest(data: bytes, folder: Path) -> None:
    from xtool import manifest

    record = manifest.parse_manifest(data)
    if record is not None:
        check(manifest.parse_manifest(record.as_bytes()) == record, "a manifest does not survive")
    try:
        listing = manifest.parse_listing(data)
    except ValueError:
        if record is None:
            raise StoreError("refused") from None
        return
    check(all(entry.size >= 0 for entry in listing.files), "a negative size")


def _cache_seeds() -> list[bytes]:
    from xtool.cachefile import export_cache
    from xtool.folders import remove_tree
    from xtool.store import Store

    folder = Path(tempfile.mkdtemp(prefix="xtool-fuzz-"))
    try:
        ctx = _context(folder / "cache")
        slotted = parts.recipe("gcc", slot=True)
        plain = parts.recipe("qemu", files={"share/data/a.txt": b"q" * 900, "bin/qemu": b"x"})
        found = []
        for number, made in enumerate((slotted, plain)):
            Store(ctx).install(made, parts.fill_of(made))
            export_cache(ctx, folder / f"{number}.zst")
            found.append((folder / f"{number}.zst").read_bytes())
        return found
    finally:
        remove_tree(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _context(cache: Path) -> object:
    from xtool.config import Settings
    from xtool.context import Context
    from xtool.log import SilentLog

    return Context(Settings(cache, jobs=2, use_apt_sources=False), SilentLog(), {})


def run_cache(data: bytes, folder: Path) -> None:
    from xtool.cachefile import import_cache
    from xtool.store import Store

    victim = lay_out(folder)
    (folder / "cache.tar.zst").write_bytes(data)
    ctx = _context(folder / "in" / "side")
    try:
        import_cache(ctx, folder / "cache.tar.zst")  # type: ignore[arg-type]
    finally:
        check_confined(folder, victim, {"cache.tar.zst"})
        store = Store(ctx)  # type: ignore[arg-type]
        if store.components.is_dir():
            for entry in store.entries():
                check_tree(entry.path, cap=CAP, modes=frozenset({0o444, 0o555, 0o755}))
                check(entry.manifest is not None, "half a component under a final name")
                check(store.verify(entry) == [], "a component that is not what it says")


def targets() -> dict[str, Target]:
    """All of them by name."""
    unpacking = (ArchiveError,)
    toml = lines(_TOML_WORDS)
    deb = fuzzformats.ar(fuzzarchives.deb_member)
    found = [
        Target(
            "ar",
            "outer layer of a .deb",
            unpacking,
            fuzzarchives.deb_seeds,
            fuzzformats.ar(lambda _: noise),
            fuzzarchives.run_ar,
        ),
        Target(
            "tar",
            "tar unpacked",
            unpacking,
            fuzzarchives.tar_seeds,
            fuzzformats.tar,
            partial(fuzzarchives.run_unpack, "a.tar"),
        ),
    ]
    for suffix in (".gz", ".xz", ".zst"):
        mutate = fuzzformats.packed(suffix, fuzzformats.tar)
        run = partial(fuzzarchives.run_unpack, f"a.tar{suffix}")
        seeds = partial(fuzzarchives.packed_seeds, suffix)
        found.append(Target(f"tar{suffix}", f"tar{suffix} unpacked", unpacking, seeds, mutate, run))
    found += [
        Target(
            "deb",
            "whole .deb unpacked",
            unpacking,
            fuzzarchives.deb_seeds,
            deb,
            partial(fuzzarchives.run_unpack, "a_1_all.deb"),
        ),
        Target(
            "xzblocks",
            "xz in blocks",
            unpacking,
            fuzzarchives.xz_seeds,
            either(fuzzformats.xz, noise),
            fuzzarchives.run_xzblocks,
        ),
        Target(
            "rpm",
            "whole .rpm unpacked",
            unpacking,
            fuzzrpm.rpm_seeds,
            fuzzrpm.rpm,
            partial(fuzzarchives.run_unpack, "a-1-1.ppc64le.rpm"),
        ),
        Target(
            "rpmheader",
            "headers and digests of a .rpm",
            unpacking,
            fuzzrpm.rpm_seeds,
            fuzzrpm.rpm,
            fuzzrpm.run_header,
        ),
        Target("cpio", "cpio of a .rpm", unpacking, fuzzrpm.cpio_seeds, fuzzrpm.cpio, fuzzrpm.run_cpio),
        Target(
            "debsize",
            "size of a .deb's data",
            unpacking,
            fuzzarchives.deb_seeds,
            deb,
            fuzzarchives.run_debsize,
        ),
        Target(
            "release",
            "InRelease's text",
            (IntegrityError,),
            lambda: [fuzzindexes.RELEASE],
            lines(fuzzindexes.RELEASE_WORDS),
            fuzzindexes.run_release,
        ),
        Target(
            "packages",
            "Packages.xz",
            (IntegrityError,),
            lambda: [lzma.compress(fuzzindexes.PACKAGES, preset=0)],
            fuzzformats.packed(".xz", lines(fuzzindexes.PACKAGES_WORDS)),
            fuzzindexes.run_packages,
        ),
        Target(
            "openpgp",
            "cleartext signatures",
            (IntegrityError,),
            lambda: [fuzzindexes.SIGNED],
            fuzzrecords.cleartext(
                (*fuzzindexes.RELEASE_WORDS, "- x", "-----END PGP SIGNATURE-----", "Hash: MD5", "\u2028")
            ),
            fuzzindexes.run_openpgp,
        ),
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
        Target("manifest", "records of a component", (StoreError,), _manifest_seeds, document, run_manifest),
        Target(
            "cache",
            "exported caches imported",
            (ArchiveError, StoreError),
            _cache_seeds,
            fuzzrecords.cache,
            run_cache,
        ),
    ]
    for name, file, seeds in (
        ("lock", "locks/x86_64-ppc64le.toml", _lock_seeds),
        ("target", "targets/ppc64le.toml", partial(_toml_seeds, "targets/ppc64le.toml")),
        ("sources", "sources.toml", partial(_toml_seeds, "sources.toml")),
        ("components", "components.toml", partial(_toml_seeds, "components.toml")),
    ):
        run = partial(run_catalog, file)
        found.append(Target(name, f"toolchains/{file}", (UsageError,), seeds, toml, run))
    return {target.name: target for target in found}


def digest(data: bytes) -> str:
    """The short name of an input."""
    return hashlib.sha256(data).hexdigest()[:16]
