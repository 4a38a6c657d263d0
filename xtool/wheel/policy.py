"""The manylinux policies, read from auditwheel: what a wheel may import to be called by a platform tag.

No number stands here: versions, libraries and forbidden symbols are auditwheel's (`manylinux-policy.json`).
Where auditwheel overlooks something, xtool is stricter: it counts what is asked of the dynamic linker
(`ld64.so.2`) as well, because a system without it cannot load the file either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from xtool.elf import ElfFacts
from xtool.errors import UsageError
from xtool.targets import Glibc, format_glibc

_GLIBC_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_TAG = re.compile(r"manylinux_(\d+)_(\d+)_")
_MOST_BETWEEN = 100
"""How many glibc versions a tag may be newer than the newest policy: a name can say any number."""

LOADER = re.compile(r"ld-linux[-\w]*\.so\.\d+|ld64\.so\.[12]|ld\.so\.1")
"""SONAMEs of glibc's dynamic linker, which is always there and belongs to no whitelist."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a file does not fit a policy.

    Args:
        kind: `version`, `forbidden` or `library`.
        library: the SONAME concerned.
        item: the symbol version or the forbidden symbol; empty for a library.
        symbols: symbols that ask for it.
    """

    kind: str
    library: str
    item: str
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """One manylinux policy for one machine.

    Args:
        tag: PEP 600 platform tag (`manylinux_2_17_ppc64le`).
        aliases: older names (`manylinux2014_ppc64le`).
        glibc: the glibc it stands for.
        versions: allowed versions by prefix: `GLIBCXX` -> `3.4.19`, ...
        libraries: SONAMEs that may stay outside the wheel.
        forbidden: SONAME -> symbols that may not be imported although the library is allowed.
    """

    tag: str
    aliases: tuple[str, ...]
    glibc: Glibc
    versions: Mapping[str, frozenset[str]]
    libraries: frozenset[str]
    forbidden: Mapping[str, frozenset[str]]

    @property
    def tags(self) -> tuple[str, ...]:
        """All its tags, in the order of auditwheel's file names."""
        return tuple(sorted((self.tag, *self.aliases)))

    def allows_version(self, version: str, library: str = "") -> bool:
        """Whether a symbol version may be asked for; prefixes without a rule pass, as in auditwheel."""
        prefix, _, number = version.partition("_")
        if LOADER.fullmatch(library):
            needed = glibc_of(version)
            return needed is None or needed <= self.glibc
        return prefix not in self.versions or number in self.versions[prefix]

    def allows_library(self, library: str) -> bool:
        """Whether a library may stay outside the wheel."""
        return library in self.libraries or LOADER.fullmatch(library) is not None

    def fits(self, files: Iterable[tuple[ElfFacts, frozenset[str]]]) -> bool:
        """Whether no file breaks the policy; each comes with the libraries that it finds in the wheel."""
        return not any(True for facts, inside in files for _ in self.violations(facts, inside=inside))

    def violations(self, facts: ElfFacts, *, inside: frozenset[str] = frozenset()) -> Iterator[Violation]:
        """What in a file breaks the policy.

        Args:
            facts: the file.
            inside: names of libraries that the wheel brings itself.
        """
        for library, version in facts.version_needs:
            if library not in inside and not self.allows_version(version, library):
                yield Violation("version", library, version, tuple(_asking(facts, library, version)))
        undefined = {i.name for i in facts.imports if not i.weak} | {"*"}
        for library in facts.needed:
            if library in inside:
                continue
            if not self.allows_library(library):
                yield Violation("library", library, "", ())
            for symbol in sorted(self.forbidden.get(library, frozenset()) & undefined):
                yield Violation("forbidden", library, symbol, (symbol,))


def _asking(facts: ElfFacts, library: str, version: str) -> Iterator[str]:
    for symbol in facts.imports:
        if symbol.version == version and symbol.library == library:
            yield symbol.name


class Policies:
    """All policies of one machine, from the oldest glibc to the newest."""

    def __init__(self, machine: str, policies: Iterable[Policy]) -> None:
        self.machine = machine
        self.all = tuple(sorted(policies, key=lambda p: p.glibc))

    def __iter__(self) -> Iterator[Policy]:
        return iter(self.all)

    def for_floor(self, glibc: Glibc) -> Policy:
        """The oldest policy whose systems all have a floor's glibc.

        Raises:
            UsageError: no policy reaches that far.
        """
        for policy in self.all:
            if policy.glibc >= glibc:
                return policy
        raise UsageError(
            f"no manylinux policy for {self.machine} covers glibc {format_glibc(glibc)}",
            facts=[f"the newest is {self.all[-1].tag}"] if self.all else [],
            hint=f"choose a floor up to `--glibc {format_glibc(self.all[-1].glibc)}`" if self.all else None,
        )

    def named(self, tag: str) -> Policy | None:
        """The policy of a platform tag, new or old; None where there is none of that name."""
        return next((p for p in self.all if tag == p.tag or tag in p.aliases), None)

    def promised(self, tag: str) -> Policy | None:
        """What a tag promises: its policy, or what follows from the next older one; None for other tags.

        PEP 600 has a tag for any glibc. One without a policy promises systems between two of them: what the
        older one expects is on all of these, and of glibc's own symbols those of the tag's.
        """
        glibc = tag_glibc(tag)
        older = [policy for policy in self.all if glibc and policy.glibc < glibc]
        named = self.named(tag)
        if named or glibc is None or not older or tag != f"manylinux_{glibc[0]}_{glibc[1]}_{self.machine}":
            return named
        base = older[-1]
        first, last = base.glibc[1] + 1, min(glibc[1], base.glibc[1] + _MOST_BETWEEN)
        added = {f"{glibc[0]}.{minor}" for minor in range(first, last + 1)}
        versions = {**base.versions, "GLIBC": base.versions.get("GLIBC", frozenset()) | added}
        return replace(base, tag=tag, aliases=(), glibc=glibc, versions=versions)

    def best(self, files: Iterable[tuple[ElfFacts, frozenset[str]]]) -> Policy | None:
        """The oldest policy that all files fit, or None.

        Args:
            files: each file with the names of the libraries that it finds in the wheel.
        """
        files = list(files)
        return next((policy for policy in self.all if policy.fits(files)), None)

    def first_allowing(self, facts: ElfFacts, broken: Violation) -> Policy | None:
        """The oldest policy that has nothing against one thing a file asks for, or None."""
        for policy in self.all:
            if not any(
                (v.kind, v.library, v.item) == (broken.kind, broken.library, broken.item)
                for v in policy.violations(facts)
            ):
                return policy
        return None

    def glibc_required(self, files: Iterable[ElfFacts]) -> Glibc | None:
        """The glibc that the symbol versions of files ask for, or None where they ask for none.

        `GLIBC_ABI_DT_RELR` and its like have no number; the oldest policy that allows them tells it.
        """
        wanted: set[Glibc] = set()
        for facts in files:
            for library, version in facts.version_needs:
                number = glibc_of(version)
                if number is None and version.startswith("GLIBC_"):
                    allowing = (p.glibc for p in self.all if p.allows_version(version, library))
                    number = next(allowing, None)
                if number is not None:
                    wanted.add(number)
        return max(wanted, default=None)


@lru_cache(maxsize=16)
def policies(machine: str) -> Policies:
    """The glibc policies for a wheel machine (`ppc64le`); none for what auditwheel does not know."""
    from auditwheel.architecture import Architecture
    from auditwheel.libc import Libc
    from auditwheel.policy import WheelPolicies

    try:
        architecture = Architecture(machine)
    except ValueError:
        return Policies(machine, ())
    found = []
    for policy in WheelPolicies(libc=Libc.GLIBC, arch=architecture):
        glibc = tag_glibc(policy.name)
        if glibc is not None:
            found.append(
                Policy(
                    tag=policy.name,
                    aliases=tuple(policy.aliases),
                    glibc=glibc,
                    versions=dict(policy.symbol_versions),
                    libraries=policy.whitelist,
                    forbidden=dict(policy.blacklist),
                )
            )
    return Policies(machine, found)


def tag_glibc(tag: str) -> Glibc | None:
    """The glibc of a PEP 600 tag: `manylinux_2_17_ppc64le` -> (2, 17); None for other tags."""
    match = _TAG.match(tag)
    return (int(match[1]), int(match[2])) if match else None


def glibc_of(version: str) -> Glibc | None:
    """The glibc of a symbol version: `GLIBC_2.2.5` -> (2, 2); None for versions of other libraries."""
    match = _GLIBC_VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None
