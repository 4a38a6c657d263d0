"""What Debian packages say of each other (Debian Policy, chapter 7), over one signed index."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from xtool.errors import IntegrityError
from xtool.fetch.release import Index, Package, highest_of
from xtool.fetch.versions import DebianVersion

_RELATION = re.compile(
    r"\s*(?P<name>[a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::[a-z0-9-]+)?"
    r"\s*(?:\(\s*(?P<op><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?\s*(?:\[[^]]*\])?\s*(?:<[^>]*>\s*)*"
)
_OPERATORS: dict[str, Callable[[DebianVersion, DebianVersion], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a relationship field: a name and the versions that will do.

    Args:
        name: of a package, real or virtual.
        op: `<<`, `<=`, `=`, `>=`, `>>`, or empty for any version.
        version: what the operator compares with.
    """

    name: str
    op: str = ""
    version: str = ""

    def accepts(self, version: str) -> bool:
        """Whether a version will do; an empty one (a virtual package without) only where any does."""
        if not self.op:
            return True
        return bool(version) and _OPERATORS[self.op](DebianVersion(version), DebianVersion(self.version))


def relations(text: str) -> tuple[tuple[str, tuple[Relation, ...]], ...]:
    """Read a relationship field: for each of its entries the text and its alternatives.

    Raises:
        IntegrityError: an entry is malformed.
    """
    found = []
    for entry in text.split(","):
        if entry.strip():
            words = " ".join(entry.split())
            found.append((words, tuple(_relation(part, words) for part in words.split("|"))))
    return tuple(found)


def _relation(text: str, entry: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise IntegrityError(f"a package index has a malformed relation `{entry[:200]}`")
    version = match["version"] or ""
    try:
        DebianVersion(version or "0")
    except ValueError as error:
        raise IntegrityError(f"a package index has a malformed relation `{entry[:200]}`: {error}") from None
    return Relation(match["name"], match["op"] or "", version)


class DebianUniverse:
    """The packages of one suite and architecture (`xtool.fetch.closure.Universe`).

    Args:
        index: the suite's index.
        suite: its name.
        arch: Debian architecture.
    """

    def __init__(self, index: Index, suite: str, arch: str) -> None:
        self._index = index
        self._arch = arch
        self.title = f"Debian {suite} ({arch})"

    def names(self) -> Collection[str]:
        """The names of all packages."""
        return self._index.names

    def named(self, name: str) -> Package | None:
        """The highest version of a package for this architecture or for all."""
        return highest_of(self._index.packages(name), (self._arch, "all"))

    def requires(self, offer: Package) -> Sequence[str]:
        """Entries of `Pre-Depends` and `Depends`."""
        return [words for field in (offer.pre_depends, offer.depends) for words, _ in relations(field)]

    def answers(self, requirement: str) -> Sequence[Package]:
        """Real packages in the order of the alternatives, then those that provide one of them, by name."""
        real, virtual = [], []
        for _, alternatives in relations(requirement):
            for wanted in alternatives:
                package = self.named(wanted.name)
                if package is not None and wanted.accepts(package.version):
                    real.append(package)
                virtual += self._providers_of(wanted)
        return [*real, *virtual]

    def mentions(self, requirement: str) -> Sequence[str]:
        """The names of all alternatives."""
        return [wanted.name for _, alternatives in relations(requirement) for wanted in alternatives]

    def excludes(self, offer: Package, other: Package) -> bool:
        """`Conflicts` and `Breaks`, also of what the other one provides (Policy 7.4)."""
        for field in (offer.conflicts, offer.breaks):
            for _, alternatives in relations(field):
                for excluded in alternatives:
                    if excluded.name == other.name and excluded.accepts(other.version):
                        return True
                    if any(excluded.name == name and excluded.accepts(v) for name, v in _provided(other)):
                        return True
        return False

    def _providers_of(self, wanted: Relation) -> list[Package]:
        names = sorted(self._providers.get(wanted.name, ()))
        packages = [package for name in names if (package := self.named(name)) is not None]
        return [p for p in packages if any(n == wanted.name and wanted.accepts(v) for n, v in _provided(p))]

    @cached_property
    def _providers(self) -> dict[str, set[str]]:
        return self._index.providers()


def _provided(package: Package) -> list[tuple[str, str]]:
    """The names that a package provides, each with its version or an empty one."""
    return [(r.name, r.version) for _, alternatives in relations(package.provides) for r in alternatives]
