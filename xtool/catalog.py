"""The one reader of `toolchains/`: targets, archives, components and locks, checked when loaded.

Every unknown or missing field is an error that names the file: a declaration that is half understood would
install half a toolchain.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xtool.artifacts import Artifact
from xtool.errors import CatalogError, UsageError
from xtool.records import MEND, check_fields, check_texts, digest_of, load, read_artifact, texts, well_formed
from xtool.sysroots import Distribution, SysrootLock, Sysroots, read_sysroot_lock, read_sysroots
from xtool.targets import ElfIdentity, Host, Target, parse_glibc, same_machine

_WEB = re.compile(r"https?://[^/\s]+/(?:\S*/)?")


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of a Debian archive and who may sign it.

    Args:
        name: `trixie`.
        keyring: file of OpenPGP certificates below `toolchains/`.
        fingerprints: upper-case hex fingerprints of the primary keys that may sign its `InRelease`.
    """

    name: str
    keyring: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of `toolchains/sources.toml`.

    Args:
        name: `debian`.
        kind: which protocol it speaks: `debian` (signed suites) or `rpm` (`repodata/` in every repository).
        snapshot: URL of the archive as it was at `{timestamp}`, asked for files that have left the mirrors;
            empty for `rpm`.
        suites: its suites by name; none for `rpm`.
        bases: for `rpm`, URLs that paths are appended to, asked in this order.
    """

    name: str
    kind: str
    snapshot: str
    suites: Mapping[str, Suite]
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Packages of one suite and architecture, placeholders already filled in."""

    suite: str
    arch: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A component as declared for one host and target: which packages it is made of.

    Args:
        name: `gcc`, `glibc`, `qemu`, `python3.13`, `build-python3.13`, ...
        title: what a user reads.
        version: the upstream version it stands for.
        optional: not set up unless asked for.
        packages: the packages by suite and architecture.
    """

    name: str
    title: str
    version: str
    optional: bool
    packages: tuple[PackageSet, ...]


@dataclass(frozen=True, slots=True)
class SuiteEvidence:
    """What a lock says about the index that it was made from.

    Args:
        suite: `trixie`.
        date: the `Date` of its `InRelease`, ISO 8601, UTC.
        fingerprint: primary fingerprint of the key whose signature was checked.
        snapshot: timestamp at which the snapshot archive has every locked file (`20261122T000000Z`).
        earlier: timestamps to look at for those that it has not: of locks that files were taken over from.
    """

    suite: str
    date: str
    fingerprint: str
    snapshot: str
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """One file of `toolchains/locks/`: the exact artifacts of each component for one host and target.

    Args:
        host: host name.
        target: target name.
        declaration: digest of the declarations it was made from; another digest means it is out of date.
        evidence: by suite, the index that it was made from.
        components: artifacts by component name, sorted by package name.
        digest: sha256 of the lock's content.
    """

    host: str
    target: str
    declaration: str
    evidence: Mapping[str, SuiteEvidence]
    components: Mapping[str, tuple[Artifact, ...]]
    digest: str

    def artifacts(self, component: str) -> tuple[Artifact, ...]:
        """The artifacts of a component.

        Raises:
            CatalogError: the lock has no such component.
        """
        try:
            return self.components[component]
        except KeyError:
            raise CatalogError(
                f"the lock for {self.target} on {self.host} has no component `{component}`",
                facts=[f"it has {', '.join(sorted(self.components))}"],
                hint="a newer xtool may have it; `xtool list --available` shows what this one has",
            ) from None


class Catalog:
    """Everything that `toolchains/` declares.

    Args:
        root: the folder; the one shipped with xtool by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """All targets by name, sorted.

        Raises:
            CatalogError: a record is malformed.
        """
        found = (_read_target(path) for path in sorted((self.root / "targets").glob("*.toml")))
        targets = {target.name: target for target in found}
        if not targets:
            raise CatalogError(f"no targets in {self.root}", hint=MEND)
        return targets

    def target(self, name: str) -> Target:
        """The target of this name, or of any other name it goes by (triplet, Debian or RPM architecture).

        Raises:
            UsageError: there is no such target; names the nearest one.
        """
        for target in self.targets.values():
            if name in (target.name, target.triplet, target.debian, target.rpm, target.rust):
                return target
        aliases = {alias: t.name for t in self.targets.values() for alias in (t.name, t.debian, t.triplet)}
        close = difflib.get_close_matches(name, aliases, n=1, cutoff=0.5)
        known = ", ".join(self.targets)
        raise UsageError(
            f"there is no target `{name}`",
            facts=[f"known targets: {known}"],
            hint=f"did you mean `{aliases[close[0]]}`?" if close else "`xtool list --available` shows them",
            code="unknown-target",
        )

    @cached_property
    def archives(self) -> Mapping[str, Archive]:
        """All archives by name."""
        path = self.root / "sources.toml"
        document = load(path)
        check_fields(document, path, required={"schema", "archive", "portable_python"})
        with well_formed(path):
            return {name: _read_archive(name, entry, path) for name, entry in document["archive"].items()}

    @cached_property
    def sysroots(self) -> Sysroots:
        """The distributions that a sysroot can be taken from, and what `auto` tries.

        A distribution may be declared for targets that this catalog does not have.

        Raises:
            CatalogError: a record is malformed.
        """
        path = self.root / "sysroots.toml"
        archives = self.archives
        with well_formed(path):
            return read_sysroots(path, archives)

    def sysroot_lock_path(self, distribution: Distribution) -> Path:
        """Where the lock for a distribution's sysroot lies, whether it exists or not."""
        return self.root / "locks" / "sysroots" / f"{distribution.name}-{distribution.target}.toml"

    def sysroot_lock(self, distribution: Distribution) -> SysrootLock:
        """The lock for a distribution's sysroot.

        Raises:
            CatalogError: there is none, or it is malformed.
        """
        path = self.sysroot_lock_path(distribution)
        if not path.is_file():
            raise CatalogError(
                f"there is no lock for sysroot {distribution.name} of target {distribution.target}",
                hint="`xtool lock --update --sysroot "
                f"{distribution.name} {distribution.target}` makes one from its repositories",
                code="no-lock",
            )
        unsized = self._unsized
        with well_formed(path):
            return read_sysroot_lock(path, unsized)

    @property
    def _unsized(self) -> frozenset[str]:
        """Archives whose files may be pinned by hash alone."""
        return frozenset(archive.name for archive in self.archives.values() if archive.kind == "rpm")

    @property
    def portable_python_mirror(self) -> str:
        """Where uv gets portable CPython builds when nothing else is configured."""
        return self._portable_python["mirror"]

    @property
    def portable_python_oldest(self) -> str:
        """The oldest version of portable CPython builds that is offered, as `X.Y`."""
        return self._portable_python["oldest"]

    @cached_property
    def _portable_python(self) -> Mapping[str, str]:
        path = self.root / "sources.toml"
        table: Any = load(path).get("portable_python")
        fields = ("mirror", "oldest")
        check_fields(table, path, required=set(fields), where="portable_python")
        check_texts(table, fields, path, "portable_python")
        return {name: table[name] for name in fields}

    def declarations(self, host: Host, target: Target) -> Mapping[str, Declaration]:
        """The declared components for a host and a target, by name; without those that the target lacks."""
        path = self.root / "components.toml"
        document = load(path)
        check_fields(document, path, required={"schema", "component"})
        found = {}
        with well_formed(path):
            for entry in document["component"]:
                check_fields(
                    entry,
                    path,
                    required={"name", "title", "version", "packages"},
                    optional={"optional", "without"},
                )
                if target.name in entry.get("without", ()):
                    continue
                check_texts(entry, ("name", "title", "version"), path)
                packages = (_read_block(block, host, target, path, entry) for block in entry["packages"])
                found[entry["name"]] = Declaration(
                    entry["name"],
                    entry["title"],
                    entry["version"],
                    entry.get("optional", False),
                    tuple(filter(None, packages)),
                )
        return found

    def declaration_digest(self, host: Host, target: Target) -> str:
        """Digest of all that a lock for this host and target is made from."""
        declared = [
            [d.name, d.version, [[p.suite, p.arch, list(p.names)] for p in d.packages]]
            for d in self.declarations(host, target).values()
        ]
        return digest_of(declared)

    def lock_path(self, host: Host, target: Target) -> Path:
        """Where the lock for a host and a target lies, whether it exists or not."""
        return self.root / "locks" / f"{host.name}-{target.name}.toml"

    def lock(self, host: Host, target: Target) -> Lock:
        """The lock for a host and a target.

        Raises:
            CatalogError: there is none, or it is malformed.
        """
        path = self.lock_path(host, target)
        if not path.is_file():
            raise CatalogError(
                f"there is no lock for target {target.name} on a {host.name} host",
                hint="`xtool list --available` shows which targets this host can build for",
                code="no-lock",
            )
        return _read_lock(path)


def merge_evidence(several: Iterable[Mapping[str, SuiteEvidence]]) -> dict[str, SuiteEvidence]:
    """By suite, what several locks say of it: the newest index, and every snapshot that has their files."""
    found: dict[str, list[SuiteEvidence]] = {}
    for evidence in several:
        for suite, one in evidence.items():
            found.setdefault(suite, []).append(one)
    merged = {}
    for suite, ones in found.items():
        newest = max(ones, key=lambda one: one.date)
        every = {time for one in ones for time in (one.snapshot, *one.earlier)}
        merged[suite] = replace(newest, earlier=tuple(sorted(every - {newest.snapshot}, reverse=True)))
    return merged


def default_root() -> Path:
    """The `toolchains/` folder: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "_toolchains"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "toolchains"


def _read_archive(name: str, entry: Any, path: Path) -> Archive:
    where = f"archive.{name}"
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if kind == "rpm":
        check_fields(entry, path, required={"kind", "bases"}, where=where)
        bases = texts(entry, "bases", path, where)
        if not bases or not all(map(_WEB.fullmatch, bases)):
            raise CatalogError(f"{path}: {where}: bases must be URLs that end with a slash", hint=MEND)
        return Archive(name, kind, "", {}, bases)
    check_fields(entry, path, required={"kind", "snapshot", "suite"}, where=where)
    if kind != "debian":
        raise CatalogError(f"{path}: {where}: kind must be debian or rpm, not {kind!r}", hint=MEND)
    suites = {}
    check_texts(entry, ("snapshot",), path, where)
    for suite, keys in entry["suite"].items():
        check_fields(keys, path, required={"keyring", "fingerprints"}, where=f"suite.{suite}")
        check_texts(keys, ("keyring",), path, f"suite.{suite}")
        suites[suite] = Suite(suite, keys["keyring"], texts(keys, "fingerprints", path, f"suite.{suite}"))
    return Archive(name, kind, entry["snapshot"], suites)


def _read_block(block: Any, host: Host, target: Target, path: Path, entry: Any) -> PackageSet | None:
    """Packages of one suite and architecture; None where they are not for this host and target."""
    name = entry["name"]
    optional = {"suites", "also", "when"}
    check_fields(block, path, required={"suite", "arch", "names"}, optional=optional, where=name)
    check_texts(block, ("suite", "arch"), path, name)
    kind = "native" if same_machine(host, target) else "cross"
    if block.get("when", kind) not in ("native", "cross"):
        raise CatalogError(f"{path}: {name}: when must be native or cross, not {block['when']!r}", hint=MEND)
    if block.get("when", kind) != kind:
        return None
    # Debian's source-package spelling of a triplet has no underscore: x86-64-linux-gnu.
    values = {"gnu": target.triplet.replace("_", "-"), "debian": target.debian, "host": host.debian}
    listed = [*block["names"], *block.get("also", {}).get(target.name, ())]
    names = tuple(package.format_map(values) for package in listed)
    suite = str(block.get("suites", {}).get(target.name, block["suite"]))
    return PackageSet(suite, block["arch"].format_map(values), names)


def _read_target(path: Path) -> Target:
    document = load(path)
    fields = set(Target.__dataclass_fields__)
    lists = ("cflags", "ldflags", "limits")
    document.setdefault("limits", [])
    check_fields(document, path, required=fields | {"schema"})
    elf = document.pop("elf")
    check_fields(elf, path, required=set(ElfIdentity.__dataclass_fields__), where="elf")
    document.pop("schema")
    numbers = {"char_signed": bool, "double_alignment": int}
    check_texts(document, fields - {"elf", *lists, *numbers}, path)
    check_texts(elf, ("machine",), path, "elf")
    _check_kinds(document, numbers, path)
    _check_kinds(elf, {"bits": int, "flags": int, "flags_mask": int, "little_endian": bool}, path, "elf: ")
    try:
        document["lowest_glibc"] = parse_glibc(document["lowest_glibc"])
    except ValueError as error:
        raise CatalogError(f"{path}: {error}", hint=MEND) from error
    document |= {name: texts(document, name, path, "flags") for name in lists}
    return Target(**document, elf=ElfIdentity(**elf))


def _check_kinds(table: Mapping[str, Any], kinds: Mapping[str, type], path: Path, where: str = "") -> None:
    for name, kind in kinds.items():
        if type(table[name]) is not kind:
            raise CatalogError(f"{path}: {where}{name} is of the wrong kind", hint=MEND)


def _read_lock(path: Path) -> Lock:
    document = load(path)
    check_fields(document, path, required={"schema", "host", "target", "declaration", "suite", "component"})
    check_texts(document, ("host", "target", "declaration"), path)
    evidence: dict[str, SuiteEvidence] = {}
    components: dict[str, tuple[Artifact, ...]] = {}
    with well_formed(path):
        for entry in document["suite"]:
            fields = set(SuiteEvidence.__dataclass_fields__) - {"earlier"}
            check_fields(entry, path, required=fields, optional={"earlier"}, where="suite")
            check_texts(entry, fields, path, "suite")
            earlier = texts(entry, "earlier", path, "suite") if "earlier" in entry else ()
            evidence[entry["suite"]] = SuiteEvidence(**{**entry, "earlier": earlier})
        for entry in document["component"]:
            check_fields(entry, path, required={"name", "artifact"}, where="component")
            check_texts(entry, ("name",), path, "component")
            components[entry["name"]] = tuple(read_artifact(item, path) for item in entry["artifact"])
    return Lock(
        host=document["host"],
        target=document["target"],
        declaration=document["declaration"],
        evidence=evidence,
        components=components,
        digest=digest_of(document),
    )
