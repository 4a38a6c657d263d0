"""The one reader of `toolchains/`: targets, archives, components and locks, checked when loaded.

Every unknown or missing field is an error that names the file: a declaration that is half understood would
install half a toolchain.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xtool.artifacts import Artifact
from xtool.errors import CatalogError, UsageError
from xtool.targets import ElfIdentity, Host, Target, parse_glibc

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


SCHEMA = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEND = "reinstall xtool, or mend what XTOOL_TOOLCHAINS_DIR names"


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
        kind: which protocol it speaks; `debian` is the only one so far.
        snapshot: URL of the archive as it was at `{timestamp}`, asked for files that have left the mirrors.
        suites: its suites by name.
    """

    name: str
    kind: str
    snapshot: str
    suites: Mapping[str, Suite]


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
    """

    suite: str
    date: str
    fingerprint: str
    snapshot: str


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
            raise CatalogError(f"no targets in {self.root}", hint=_MEND)
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
        document = _load(path)
        _fields(document, path, required={"schema", "archive", "portable_python"})
        archives = {}
        for name, entry in document["archive"].items():
            _fields(entry, path, required={"kind", "snapshot", "suite"}, where=f"archive.{name}")
            suites = {}
            for suite, keys in entry["suite"].items():
                _fields(keys, path, required={"keyring", "fingerprints"}, where=f"suite.{suite}")
                suites[suite] = Suite(suite, keys["keyring"], tuple(keys["fingerprints"]))
            archives[name] = Archive(name, entry["kind"], entry["snapshot"], suites)
        return archives

    @cached_property
    def portable_python_mirror(self) -> str:
        """Where uv gets portable CPython builds when nothing else is configured."""
        path = self.root / "sources.toml"
        document = _load(path)
        _fields(document.get("portable_python"), path, required={"mirror"}, where="portable_python")
        return str(document["portable_python"]["mirror"])

    def declarations(self, host: Host, target: Target) -> Mapping[str, Declaration]:
        """The declared components for a host and a target, by name."""
        path = self.root / "components.toml"
        document = _load(path)
        _fields(document, path, required={"schema", "component"})
        # Debian's source-package spelling of a triplet has no underscore: x86-64-linux-gnu.
        values = {"gnu": target.triplet.replace("_", "-"), "debian": target.debian, "host": host.debian}
        found = {}
        for entry in document["component"]:
            _fields(entry, path, required={"name", "title", "version", "packages"}, optional={"optional"})
            packages = []
            for block in entry["packages"]:
                _fields(block, path, required={"suite", "arch", "names"}, where=entry["name"])
                names = tuple(name.format_map(values) for name in block["names"])
                packages.append(PackageSet(block["suite"], block["arch"].format_map(values), names))
            found[entry["name"]] = Declaration(
                entry["name"], entry["title"], entry["version"], entry.get("optional", False), tuple(packages)
            )
        return found

    def declaration_digest(self, host: Host, target: Target) -> str:
        """Digest of all that a lock for this host and target is made from."""
        declared = [
            [d.name, d.version, [[p.suite, p.arch, list(p.names)] for p in d.packages]]
            for d in self.declarations(host, target).values()
        ]
        return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()

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


def default_root() -> Path:
    """The `toolchains/` folder: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "_toolchains"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "toolchains"


def _load(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogError(f"cannot read {path}: {error.strerror}", hint=_MEND) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path} is not valid TOML", facts=[str(error)], hint=_MEND) from error
    if document.get("schema") != SCHEMA:
        raise CatalogError(
            f"{path} has schema {document.get('schema')!r}; this xtool reads schema {SCHEMA}",
            hint="use the xtool that the file was made for",
        )
    return document


def _fields(
    entry: Any,
    path: Path,
    *,
    required: Iterable[str],
    optional: Iterable[str] = (),
    where: str = "",
) -> None:
    """Refuse an entry that lacks a field or has one that nobody reads."""
    at = f"{path}: {where}" if where else str(path)
    if not isinstance(entry, dict):
        raise CatalogError(f"{at}: expected a table", hint=_MEND)
    missing = set(required) - entry.keys()
    unknown = entry.keys() - set(required) - set(optional)
    if missing:
        raise CatalogError(f"{at}: missing {', '.join(sorted(missing))}", hint=_MEND)
    if unknown:
        raise CatalogError(f"{at}: unknown {', '.join(sorted(unknown))}", hint=_MEND)


def _read_target(path: Path) -> Target:
    document = _load(path)
    fields = set(Target.__dataclass_fields__)
    _fields(document, path, required=fields | {"schema"})
    elf = document.pop("elf")
    _fields(elf, path, required=set(ElfIdentity.__dataclass_fields__), where="elf")
    document.pop("schema")
    try:
        document["lowest_glibc"] = parse_glibc(document["lowest_glibc"])
    except ValueError as error:
        raise CatalogError(f"{path}: {error}", hint=_MEND) from error
    document["cflags"] = tuple(document["cflags"])
    document["ldflags"] = tuple(document["ldflags"])
    return Target(**document, elf=ElfIdentity(**elf))


def _read_lock(path: Path) -> Lock:
    document = _load(path)
    _fields(document, path, required={"schema", "host", "target", "declaration", "suite", "component"})
    evidence = {}
    for entry in document["suite"]:
        _fields(entry, path, required=set(SuiteEvidence.__dataclass_fields__), where="suite")
        evidence[entry["suite"]] = SuiteEvidence(**entry)
    components = {}
    for entry in document["component"]:
        _fields(entry, path, required={"name", "artifact"}, where="component")
        components[entry["name"]] = tuple(_read_artifact(item, path) for item in entry["artifact"])
    return Lock(
        host=document["host"],
        target=document["target"],
        declaration=document["declaration"],
        evidence=evidence,
        components=components,
        digest=hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest(),
    )


def _read_artifact(entry: Any, path: Path) -> Artifact:
    _fields(entry, path, required=set(Artifact.__dataclass_fields__), where="artifact")
    where = f"{path}: {entry['name']}"
    for field in ("name", "version", "arch", "archive", "suite", "path"):
        if not isinstance(entry[field], str):
            raise CatalogError(f"{where}: {field} is not text", hint=_MEND)
    if not (isinstance(entry["sha256"], str) and _SHA256.fullmatch(entry["sha256"])):
        raise CatalogError(f"{where}: sha256 is not 64 lower-case hex digits", hint=_MEND)
    for field in ("size", "unpacked_size"):
        if not isinstance(entry[field], int) or isinstance(entry[field], bool) or entry[field] <= 0:
            raise CatalogError(f"{where}: {field} is not a positive number of bytes", hint=_MEND)
    parts = Path(entry["path"]).parts
    if not parts or entry["path"].startswith("/") or ".." in parts or "\0" in entry["path"]:
        raise CatalogError(f"{where}: path must lie below the archive's base", hint=_MEND)
    return Artifact(**entry)
