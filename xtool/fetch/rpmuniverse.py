"""What RPM packages say of each other, over the repositories of one release (`xtool.fetch.closure.Universe`).

rpm's rules (rpm-dependencies(7)): a requirement is met by whatever provides its name in a range of versions
that overlaps with its own; without a range on either side the name alone counts; a missing epoch is 0, a
missing release is not compared, and what is provided without one is provided in every release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from xtool.fetch.rpmrepo import RpmPackage
from xtool.fetch.rpmversions import part_key

_OPERATORS = ("<", "<=", "=", ">=", ">")


@dataclass(frozen=True, slots=True)
class Capability:
    """A name with a range of versions: something required, provided or excluded.

    Args:
        name: of a package, a library (`libz.so.1()(64bit)`), a file, `pkgconfig(zlib)`.
        op: `<`, `<=`, `=`, `>=`, `>`, or empty for any version.
        version: `[epoch:]version[-release]`.
    """

    name: str
    op: str = ""
    version: str = ""

    def overlaps(self, other: Capability) -> bool:
        """Whether what is provided and what is required, conflicted or obsoleted have a version in common."""
        if self.name != other.name:
            return False
        if not self.op or not other.op:
            return True
        order = _compare(self.version, other.version)
        if order == 0 and "=" in self.op and not _split(self.version)[2] and _split(other.version)[2]:
            return True
        if order == 0:
            return any(sign in self.op and sign in other.op for sign in "<=>")
        lower, upper = (self, other) if order < 0 else (other, self)
        return ">" in lower.op or "<" in upper.op


def capability(text: str) -> Capability:
    """Read `name` or `name >= 1:2.17-317.el7`, as `RpmPackage` has them."""
    words = text.rsplit(" ", 2)
    if len(words) == 3 and words[1] in _OPERATORS:
        return Capability(words[0], words[1], words[2])
    return Capability(text)


class RpmUniverse:
    """The newest package of each name.

    Args:
        packages: the packages of all repositories, those of the first repository first.
        title: what they are, for messages: `CentOS 7 (ppc64le)`.
    """

    def __init__(self, packages: Iterable[RpmPackage], title: str) -> None:
        self.title = title
        self._packages: dict[str, RpmPackage] = {}
        for package in packages:
            known = self._packages.get(package.name)
            if known is None or package.order > known.order:
                self._packages[package.name] = package
        self._providers: dict[str, list[tuple[RpmPackage, Capability]]] = {}
        for package in self._packages.values():
            for one in _offered(package):
                self._providers.setdefault(one.name, []).append((package, one))

    def names(self) -> Collection[str]:
        """The names of all packages."""
        return self._packages.keys()

    def named(self, name: str) -> RpmPackage | None:
        """The newest package of a name, or None."""
        return self._packages.get(name)

    def requires(self, offer: RpmPackage) -> Sequence[str]:
        """What a package requires to be linked against.

        Left out are conditions (`(a if b)`), and files that no package lists: programs for its scripts.
        """
        found = dict.fromkeys(offer.requires)
        return [
            text
            for text in found
            if not text.startswith("(") and not (text.startswith("/") and text not in self._providers)
        ]

    def answers(self, requirement: str) -> Sequence[RpmPackage]:
        """What provides it: the package of that name first, then the shortest name."""
        wanted = capability(requirement)
        found = {
            package.name: package
            for package, offered in self._providers.get(wanted.name, ())
            if offered.overlaps(wanted)
        }
        return sorted(found.values(), key=lambda one: (one.name != wanted.name, len(one.name), one.name))

    def mentions(self, requirement: str) -> Sequence[str]:
        """The one name in it."""
        return [capability(requirement).name]

    def excludes(self, offer: RpmPackage, other: RpmPackage) -> bool:
        """`Conflicts` with what the other one provides, and `Obsoletes` of the other one's own name."""
        offered = _offered(other)
        if any(one.overlaps(capability(text)) for text in offer.conflicts for one in offered):
            return True
        itself = Capability(other.name, "=", other.version)
        return any(itself.overlaps(capability(text)) for text in offer.obsoletes)


def _offered(package: RpmPackage) -> list[Capability]:
    """What a package provides: what it says, itself, and its files."""
    itself = Capability(package.name, "=", package.version)
    return [itself, *map(capability, package.provides), *map(Capability, package.files)]


def _compare(one: str, other: str) -> int:
    (epoch, version, release), (epoch2, version2, release2) = _split(one), _split(other)
    first, second = [(epoch,), part_key(version)], [(epoch2,), part_key(version2)]
    if release and release2:
        first.append(part_key(release))
        second.append(part_key(release2))
    return (first > second) - (first < second)


def _split(text: str) -> tuple[int, str, str]:
    epoch, colon, rest = text.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit() and len(epoch) < 10):
        epoch, rest = "0", text if not colon else rest
    version, _, release = rest.partition("-")
    return int(epoch), version, release
