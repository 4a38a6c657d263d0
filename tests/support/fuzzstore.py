"""Fuzzing the readers of `toolchains/`, of the store's records and of exported caches."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from support import fuzzrecords, parts
from support.fuzzarchives import check_confined, check_tree, lay_out
from support.fuzzmutate import document, lines
from support.fuzztarget import CAP, Target, check

from xtool.errors import ArchiveError, StoreError, UsageError


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


_SHIPPED = ("sources.toml", "components.toml", "sysroots.toml", "targets/ppc64le.toml")
_SYSROOT_LOCK = "locks/sysroots/centos7-ppc64le.toml"


def run_catalog(file: str, data: bytes, folder: Path) -> None:
    """The file in place of the one that is shipped, read with all the others."""
    from xtool.catalog import Catalog, default_root
    from xtool.targets import Host

    root = folder / "toolchains"
    for name in (*_SHIPPED, "locks/x86_64-ppc64le.toml", _SYSROOT_LOCK):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name == file:
            (root / name).write_bytes(data)
        else:
            (root / name).symlink_to(default_root() / name)
    host = Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2")
    catalog = Catalog(root)
    target = catalog.target("ppc64le")
    if file == "locks/x86_64-ppc64le.toml":
        catalog.lock(host, target)
    elif file == "sources.toml":
        _ = catalog.archives, catalog.portable_python_mirror
    elif file == "sysroots.toml":
        _ = catalog.sysroots
    elif file == _SYSROOT_LOCK:
        catalog.sysroot_lock(catalog.sysroots.distributions["centos7"]["ppc64le"])
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


def targets() -> list[Target]:
    """Files of `toolchains/`, records of a component, exported caches."""
    toml = lines(_TOML_WORDS)
    found = [
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
        ("sysroots", "sysroots.toml", partial(_toml_seeds, "sysroots.toml")),
        ("sysrootlock", _SYSROOT_LOCK, partial(_toml_seeds, _SYSROOT_LOCK)),
    ):
        run = partial(run_catalog, file)
        found.append(Target(name, f"toolchains/{file}", (UsageError,), seeds, toml, run))
    return found
