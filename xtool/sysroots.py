"""Sysroots as data: distributions they can be taken from, their locks, and the order in which `auto` tries.

`toolchains/sysroots.toml` declares them; `toolchains/locks/sysroots/NAME-TARGET.toml` holds each one's exact
packages. A derived sysroot (`xtool.toolchain.sysroot`) needs neither: it is made from the target's own lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xtool.artifacts import Artifact
from xtool.targets import Glibc

DERIVED = "derived"
"""The kind that is computed from the locked Debian glibc at any floor."""

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
        return (AUTO, DERIVED, *sorted(self.distributions))

    def rule(self, target: str, floor: Glibc) -> Order | None:
        """The order that is declared for a target and a floor."""
        for rule in self.order:
            if (target in rule.targets or "*" in rule.targets) and (not rule.floors or floor in rule.floors):
                return rule
        return None
