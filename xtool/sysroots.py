"""Sysroots as data: distributions they can be taken from, their locks, and the order in which `auto` tries.

`toolchains/sysroots.toml` declares them; `toolchains/locks/sysroots/NAME-TARGET.toml` holds each one's exact
packages. A derived sysroot (`xtool.toolchain.sysroot`) needs neither: it is made from the target's own lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.artifacts import Artifact
from xtool.errors import CatalogError
from xtool.records import MEND, check_fields, digest_of, is_below, load, read_artifact, texts
from xtool.targets import Glibc, parse_glibc

if TYPE_CHECKING:
    from xtool.catalog import Archive

_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")

DERIVED = "derived"
"""The kind that is computed from the locked Debian glibc at any floor."""

DEBIAN = "debian"
"""The locked Debian glibc as it is; its version is the only floor it gives."""

AUTO = "auto"
"""What stands for the declared order."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One package repository of a distribution for one target.

    Args:
        path: its folder below the archive's base, ending with a slash (`altarch/7.9.2009/os/ppc64le/`); for a
            Debian archive the suite's name.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution's C library as a sysroot, for one target.

    Args:
        name: what `--sysroot` calls it: `centos7`.
        title: what a user reads: `CentOS 7`.
        target: target name.
        glibc: its glibc, which is the only floor it can give.
        archive: archive of `sources.toml`; its kind decides how packages are found and unpacked.
        arch: the architecture as its packages spell it (`ppc64le`, `ppc64el`).
        repositories: where its packages are, asked in this order.
        packages: names of the packages that make the sysroot.
        keyring: file of OpenPGP certificates below `toolchains/`; empty for pins by hash only.
        fingerprints: upper-case hex fingerprints of the primary keys that may sign.
    """

    name: str
    title: str
    target: str
    glibc: Glibc
    archive: str
    arch: str
    repositories: tuple[Repository, ...]
    packages: tuple[str, ...]
    keyring: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepositoryEvidence:
    """What a sysroot's lock says about a repository that it was made from.

    Args:
        repository: path below the archive's base.
        url: base URL that was read, without credentials.
        date: `revision` of its `repomd.xml` or `Date` of its `InRelease`, ISO 8601, UTC; empty when unknown.
        fingerprint: primary fingerprint that signed its metadata; empty where that is not signed.
        packages_fingerprint: primary fingerprint that signed the packages; empty for pins by hash only.
    """

    repository: str
    url: str
    date: str
    fingerprint: str
    packages_fingerprint: str


@dataclass(frozen=True, slots=True)
class SysrootLock:
    """The exact packages of one distribution's sysroot for one target.

    Args:
        sysroot: `centos7`.
        target: target name.
        declaration: digest of the declaration it was made from.
        evidence: the repositories it was made from, sorted by path; empty for pins that were imported.
        artifacts: the packages, sorted by name. `size` is 0 where only the hash is known.
        digest: sha256 of the lock's content.
    """

    sysroot: str
    target: str
    declaration: str
    evidence: tuple[RepositoryEvidence, ...]
    artifacts: tuple[Artifact, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Order:
    """What `--sysroot auto` tries for some targets and floors.

    Args:
        targets: target names, or `*` for all.
        floors: glibc versions, or nothing for all.
        sysroots: names to try, in this order; one that cannot give the floor is passed over.
        why: the reason, shown to users.
    """

    targets: tuple[str, ...]
    floors: tuple[Glibc, ...]
    sysroots: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Sysroots:
    """All that `sysroots.toml` declares.

    Args:
        distributions: by name, then by target name.
        order: rules for `auto`; the first that fits a target and a floor counts.
    """

    distributions: Mapping[str, Mapping[str, Distribution]]
    order: tuple[Order, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that `--sysroot` accepts."""
        return (AUTO, DERIVED, DEBIAN, *self.distributions)

    def rule(self, target: str, floor: Glibc) -> Order | None:
        """The order that is declared for a target and a floor."""
        for rule in self.order:
            if (target in rule.targets or "*" in rule.targets) and (not rule.floors or floor in rule.floors):
                return rule
        return None


def read_sysroots(path: Path, archives: Mapping[str, Archive]) -> Sysroots:
    """Read `sysroots.toml`.

    Raises:
        CatalogError: a record is malformed, or names an archive that is not declared.
    """
    document = load(path)
    check_fields(document, path, required={"schema", "distribution"}, optional={"order"})
    distributions: dict[str, Mapping[str, Distribution]] = {}
    for entry in document["distribution"]:
        found = _read_distribution(entry, path, archives)
        name = next(iter(found.values())).name
        if name in distributions or name in (AUTO, DERIVED, DEBIAN):
            raise CatalogError(f"{path}: distribution {name} is declared twice", hint=MEND)
        distributions[name] = found
    orders = [_read_order(entry, path, distributions) for entry in document.get("order", [])]
    return Sysroots(distributions, tuple(orders))


def declaration_digest(distribution: Distribution) -> str:
    """Digest of all that a sysroot's lock is made from."""
    one = distribution
    return digest_of(
        [one.name, one.target, one.archive, one.arch, [r.path for r in one.repositories], list(one.packages)]
    )


_OF_DISTRIBUTION = {"name", "title", "glibc", "target"}
_OF_SYSROOT = {"arch", "archive", "repositories", "packages", "keyring", "fingerprints"}


def _read_distribution(entry: Any, path: Path, archives: Mapping[str, Archive]) -> Mapping[str, Distribution]:
    """One distribution by target; what a target's table says goes before what stands above it."""
    check_fields(entry, path, required=_OF_DISTRIBUTION, optional=_OF_SYSROOT, where="distribution")
    name = entry["name"]
    where = f"distribution {name}"
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise CatalogError(f"{path}: {where}: name must be a lower-case word", hint=MEND)
    if not isinstance(entry["target"], dict) or not entry["target"]:
        raise CatalogError(f"{path}: {where} has no target", hint=MEND)
    try:
        glibc = parse_glibc(str(entry["glibc"]))
    except ValueError as error:
        raise CatalogError(f"{path}: {where}: {error}", hint=MEND) from error
    common = {key: entry[key] for key in ("title", *_OF_SYSROOT) if key in entry}
    found = {}
    for target, own in entry["target"].items():
        at = f"{where}, target {target}"
        check_fields(own, path, required=(), optional={"title", *_OF_SYSROOT}, where=at)
        merged = {**common, **own}
        check_fields(merged, path, required={"title", *_OF_SYSROOT}, where=at)
        lists = {key: texts(merged, key, path, at) for key in ("repositories", "packages", "fingerprints")}
        for key in ("title", "arch", "archive", "keyring"):
            if not isinstance(merged[key], str):
                raise CatalogError(f"{path}: {at}: {key} is not text", hint=MEND)
        paths = tuple(text.replace("{arch}", merged["arch"]) for text in lists["repositories"])
        found[target] = Distribution(
            name=name,
            title=merged["title"],
            target=target,
            glibc=glibc,
            archive=merged["archive"],
            arch=merged["arch"],
            repositories=tuple(map(Repository, paths)),
            packages=lists["packages"],
            keyring=merged["keyring"],
            fingerprints=lists["fingerprints"],
        )
        _check_distribution(found[target], archives, f"{path}: {at}")
    return found


def _check_distribution(distribution: Distribution, archives: Mapping[str, Archive], where: str) -> None:
    archive = archives.get(distribution.archive)
    problem = ""
    if archive is None:
        problem = f"there is no archive `{distribution.archive}`"
    elif not distribution.repositories or not distribution.packages:
        problem = "repositories and packages must not be empty"
    elif archive.kind == "debian":
        unknown = [one.path for one in distribution.repositories if one.path not in archive.suites]
        problem = f"archive {archive.name} has no suite {unknown[0]}" if unknown else ""
    elif not all(is_below(one.path) and one.path.endswith("/") for one in distribution.repositories):
        problem = "repositories must be paths below the archive's base that end with a slash"
    elif not all(map(_FINGERPRINT.fullmatch, distribution.fingerprints)):
        problem = "fingerprints must be 40 or 64 upper-case hex digits"
    elif bool(distribution.keyring) != bool(distribution.fingerprints):
        problem = "keyring and fingerprints go together"
    elif distribution.keyring and not is_below(distribution.keyring):
        problem = "keyring must be a path below toolchains/"
    if problem:
        raise CatalogError(f"{where}: {problem}", hint=MEND)


def _read_order(entry: Any, path: Path, distributions: Mapping[str, Mapping[str, Distribution]]) -> Order:
    check_fields(entry, path, required=set(Order.__dataclass_fields__), where="order")
    targets, floors, sysroots = (
        texts(entry, key, path, "order") for key in ("targets", "floors", "sysroots")
    )
    unknown = [name for name in sysroots if name not in (DERIVED, DEBIAN, *distributions)]
    if unknown or not targets or not sysroots or not isinstance(entry["why"], str):
        what = f"there is no sysroot `{unknown[0]}`" if unknown else "targets, sysroots and why must be given"
        raise CatalogError(f"{path}: order: {what}", hint=MEND)
    try:
        versions = tuple(map(parse_glibc, floors))
    except ValueError as error:
        raise CatalogError(f"{path}: order: {error}", hint=MEND) from error
    return Order(targets, versions, sysroots, entry["why"])


def read_sysroot_lock(path: Path, unsized: frozenset[str]) -> SysrootLock:
    """Read a file of `locks/sysroots/`; artifacts of the archives in `unsized` may have size 0.

    Raises:
        CatalogError: it is malformed.
    """
    document = load(path)
    required = {"schema", "sysroot", "target", "declaration", "artifact"}
    check_fields(document, path, required=required, optional={"repository"})
    evidence = []
    for entry in document.get("repository", []):
        check_fields(entry, path, required=set(RepositoryEvidence.__dataclass_fields__), where="repository")
        if not all(isinstance(value, str) for value in entry.values()):
            raise CatalogError(f"{path}: repository: every field is text", hint=MEND)
        evidence.append(RepositoryEvidence(**entry))
    return SysrootLock(
        sysroot=str(document["sysroot"]),
        target=str(document["target"]),
        declaration=str(document["declaration"]),
        evidence=tuple(evidence),
        artifacts=tuple(read_artifact(item, path, unsized) for item in document["artifact"]),
        digest=digest_of(document),
    )
