"""Imported symbols against what a floor really exports and against the policy of its platform tag."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xtool.elf import ElfFacts, Import
from xtool.errors import UsageError
from xtool.targets import Glibc, format_glibc
from xtool.wheel.contents import Contents
from xtool.wheel.findings import Finding, error, warning
from xtool.wheel.policy import LOADER, Policies, Policy, Violation, glibc_of

PYTHON_API = re.compile(r"_?Py[A-Z_]\w*")
"""Names that the interpreter gives: CPython prefixes everything that it exports."""


@dataclass(frozen=True)
class Floor:
    """The oldest system that a wheel is for.

    Args:
        glibc: its glibc.
        policies: the machine's policies.
        exports: SONAME -> `symbol@version` of each library of the floor; empty where unknown.
        later: symbol that none of them exports -> the first glibc that has it.
    """

    glibc: Glibc
    policies: Policies
    exports: Mapping[str, frozenset[str]]
    later: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, glibc: Glibc, policies: Policies, exports: Path | None) -> Floor:
        """A floor with the exports that a sysroot recorded.

        Raises:
            UsageError: the file cannot be read.
        """
        if exports is None:
            return cls(glibc, policies, {})
        try:
            table = json.loads(exports.read_text(encoding="utf-8"))
            beside = exports.with_name("later.json")
            later = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
            return cls(glibc, policies, {soname: frozenset(names) for soname, names in table.items()}, later)
        except (OSError, ValueError, AttributeError, TypeError) as problem:
            raise UsageError(
                f"cannot read the sysroot's list of exports {exports}",
                facts=[str(problem)],
                hint="`xtool verify` finds damaged components",
            ) from problem

    @cached_property
    def policy(self) -> Policy:
        """The policy of the floor."""
        return self.policies.for_floor(self.glibc)

    @cached_property
    def versions(self) -> Mapping[str, frozenset[str]]:
        """SONAME -> versions that it defines."""
        return {so: frozenset(n.partition("@")[2] for n in names) for so, names in self.exports.items()}

    @cached_property
    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """Symbol -> SONAMEs that export it in any version."""
        found: dict[str, dict[str, None]] = {}
        for soname, names in self.exports.items():
            for name in names:
                found.setdefault(name.partition("@")[0], {})[soname] = None
        return {name: tuple(sonames) for name, sonames in found.items()}

    def __str__(self) -> str:
        return f"glibc {format_glibc(self.glibc)}"


def check_symbols(
    contents: Contents, member: str, floor: Floor, *, grafted: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Everything that a file imports.

    Args:
        contents: the wheel's machine code.
        member: the file.
        floor: what it may rely on.
        grafted: names of libraries that will be put into the wheel.
    """
    facts = contents.files[member]
    inside = contents.inside(member) | grafted
    reported: set[tuple[str, str]] = set()
    loose: dict[str, list[str]] = {}
    for symbol in facts.imports:
        for finding in _check_import(contents, member, symbol, floor, inside, loose):
            reported.add((symbol.library or "", symbol.version or ""))
            yield finding
    yield from _underlinked(member, loose)
    for violation in floor.policy.violations(facts, inside=inside):
        if violation.kind != "version" or (violation.library, violation.item) not in reported:
            yield from _policy_findings(contents, member, violation, floor)
    for library, version in facts.version_needs:
        known = floor.versions.get(library)
        if known is None or version in known or library in inside or (library, version) in reported:
            continue
        if floor.policy.allows_version(version, library):
            yield error(
                "symbol-version",
                f"asks for version {version} of {library}, which {floor} does not have",
                file=member,
                symbol=version,
                cure=_newer(floor, version, library),
            )


def _check_import(
    contents: Contents,
    member: str,
    symbol: Import,
    floor: Floor,
    inside: frozenset[str],
    loose: dict[str, list[str]],
) -> Iterator[Finding]:
    if symbol.version is None:
        yield from _check_unversioned(contents, member, symbol, floor, inside, loose)
        return
    library = symbol.library or ""
    provider = contents.resolve(member, library) if library in inside else None
    if provider is not None:
        exports = contents.files[provider].exports
        if not symbol.weak and not any(
            e.name == symbol.name and e.version == symbol.version for e in exports
        ):
            yield error(
                "undefined-symbol",
                f"`{symbol.versioned}` is not in {provider}, which it is asked of",
                file=member,
                symbol=symbol.versioned,
                cure="build the library and the extension from the same source",
            )
    elif library in floor.exports and symbol.versioned not in floor.exports[library]:
        # Even a weak symbol counts: the loader wants its version to exist before it looks at the symbol.
        if symbol.weak and symbol.version in floor.versions[library]:
            return
        newer = glibc_of(symbol.version)
        if newer is not None and newer > floor.glibc:
            yield _too_new(member, symbol.versioned, library, floor, _newer(floor, symbol.version, library))
            return
        yield error(
            "symbol",
            f"`{symbol.versioned}` is not exported by {library} of {floor}",
            file=member,
            symbol=symbol.versioned,
            cure=_elsewhere(floor, symbol),
        )


def _elsewhere(floor: Floor, symbol: Import) -> str:
    holders = floor.providers.get(symbol.name)
    if holders:
        return f"link with {' or '.join(holders)} of the sysroot, which has it there"
    return "link against xtool's sysroot, not against another system's libraries"


def _too_new(member: str, symbol: str, library: str, floor: Floor, cure: str) -> Finding:
    return error(
        "symbol",
        f"`{symbol}` of {library} is newer than {floor}, which was asked for",
        file=member,
        symbol=symbol,
        cure=cure,
    )


def _newer(floor: Floor, version: str, library: str) -> str:
    """Cure for something too new: the next floor that has it."""
    wanted = glibc_of(version)
    # xtool's compiler has no shared libstdc++ to link with: whoever found one found another system's.
    first = "link libstdc++ statically, or " if library.startswith("libstdc++.") else ""
    for policy in floor.policies:
        if policy.allows_version(version, library) and (wanted is None or policy.glibc >= wanted):
            floors = f"`--glibc {format_glibc(policy.glibc)}`, the oldest floor that has {version}"
            return f"{first}build with {floors}"
    return f"no manylinux policy allows {version}: keep the code from using it"


def _policy_findings(
    contents: Contents, member: str, violation: Violation, floor: Floor
) -> Iterator[Finding]:
    policy, library = floor.policy, violation.library
    if violation.kind == "library":
        yield _outside(contents, member, library, policy)
    elif violation.kind == "forbidden":
        allowing = floor.policies.first_allowing(contents.files[member], violation)
        yield error(
            "forbidden-symbol",
            f"`{violation.item}` of {library} is forbidden by {policy.tag}: not every such system has it",
            file=member,
            symbol=violation.item,
            cure=f"build with `--glibc {format_glibc(allowing.glibc)}`" if allowing else None,
        )
    else:
        cure = _newer(floor, violation.item, library)
        for name in violation.symbols or ("",):
            symbol = f"{name}@{violation.item}" if name else violation.item
            yield error(
                "symbol",
                f"`{symbol}` of {library} is newer than {policy.tag} allows",
                file=member,
                symbol=symbol,
                cure=cure,
            )


def _outside(contents: Contents, member: str, library: str, policy: Policy) -> Finding:
    if library in contents.providers:
        return error(
            "rpath-missing",
            f"needs {library}, which is in the wheel, but no RPATH leads to it",
            file=member,
            cure=f"link with an RPATH from `$ORIGIN` to the folder of {contents.providers[library][0]}",
        )
    return error(
        "library",
        f"needs {library}, which {policy.tag} does not expect on every system",
        file=member,
        cure=f"link {library} statically, or build it for the target so that it can be put into the wheel",
    )


def _check_unversioned(
    contents: Contents,
    member: str,
    symbol: Import,
    floor: Floor,
    inside: frozenset[str],
    loose: dict[str, list[str]],
) -> Iterator[Finding]:
    """Find who gives a symbol; what others than the needed libraries give is added to `loose`."""
    facts = contents.files[member]
    if symbol.weak or PYTHON_API.match(symbol.name) or not floor.exports:
        return
    for library in facts.needed:
        provider = contents.resolve(member, library)
        if provider is None and library not in floor.exports and not LOADER.fullmatch(library):
            # A library that nothing is known about may have it: libz, libX11, one that will be grafted.
            return
        if provider is not None and symbol.name in contents.files[provider].export_names:
            return
        if library not in inside and library in floor.providers.get(symbol.name, ()):
            return
    others = [name for name, other in contents.files.items() if symbol.name in other.export_names]
    holders = [*others, *floor.providers.get(symbol.name, ())]
    since = floor.later.get(symbol.name)
    if holders:
        loose.setdefault(holders[0], []).append(symbol.name)
    elif since is not None:
        yield error(
            "symbol",
            f"`{symbol.name}` came with glibc {since}; {floor} was asked for",
            file=member,
            symbol=f"{symbol.name}@GLIBC_{since}",
            cure=f"build with `--glibc {since}` or keep the code from using `{symbol.name}`",
        )
    else:
        yield error(
            "undefined-symbol",
            f"`{symbol.name}` is in no library that the file needs, nor in Python",
            file=member,
            symbol=symbol.name,
            cure="add the missing source or library to the link",
        )


def _underlinked(member: str, loose: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for holder, names in loose.items():
        shown = ", ".join(f"`{name}`" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield warning(
            "underlinked",
            f"uses {shown}{more} of {holder}, which it does not ask for",
            file=member,
            symbol=names[0],
            cure=f"link with {holder}",
        )


def unwanted(facts: ElfFacts, tag: Policy, inside: frozenset[str]) -> Iterator[str]:
    """What keeps a file from a policy, in words."""
    for violation in tag.violations(facts, inside=inside):
        if violation.kind == "library":
            yield f"needs {violation.library}"
        elif violation.kind == "forbidden":
            yield f"imports `{violation.item}` of {violation.library}, which the tag forbids"
        else:
            names = (
                ", ".join(f"`{name}@{violation.item}`" for name in violation.symbols[:3]) or violation.item
            )
            more = f" and {len(violation.symbols) - 3} more" if len(violation.symbols) > 3 else ""
            yield f"imports {names}{more} of {violation.library}"
