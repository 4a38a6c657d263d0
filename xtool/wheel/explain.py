"""Why a wheel earns its platform tag: what stands between it and each older policy, with a cure for each.

The policies are auditwheel's (`xtool.wheel.policy`); PEP 600 defines the tags, PEP 656 those of musl.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from xtool.elf import ElfFacts
from xtool.errors import UsageError
from xtool.targets import Glibc, format_glibc
from xtool.wheel.checks import is_libpython
from xtool.wheel.policy import LOADER, Policies, Policy, Violation, glibc_of

_HASHED = re.compile(r"-[0-9a-f]{8}(?=\.so)")
"""What auditwheel puts into the name of a library that it grafts."""

_MUSL = re.compile(r"libc\.musl-[\w-]+\.so\.1|ld-musl-[\w-]+\.so\.1")
_STATIC = {
    "GLIBCXX": "link libstdc++ statically (`-static-libstdc++`, as xtool's toolchain does)",
    "CXXABI": "link libstdc++ statically (`-static-libstdc++`, as xtool's toolchain does)",
    "GCC": "link libgcc statically (`-static-libgcc`); xtool links with a libgcc_s as old as the floor",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a file from a policy.

    Args:
        kind: `version` (a symbol version is too new), `library` (a library is not allowed outside the
            wheel) or `forbidden` (a symbol of an allowed library is not).
        file: member of the wheel, or the file's name.
        library: SONAME that it is asked of.
        item: the symbol version, or the forbidden symbol; empty for a library.
        symbols: symbols that ask for it.
        cure: what would take it away.
    """

    kind: str
    file: str
    library: str
    item: str
    symbols: tuple[str, ...]
    cure: str


@dataclass(frozen=True, slots=True)
class Step:
    """One policy of the ladder.

    Args:
        tag: its platform tag.
        aliases: older names of the tag.
        glibc: the glibc it stands for.
        status: `earned`; `blocked` where something stands in its way that does not stand in the way of a
            newer policy; `follows` where nothing does.
        obstacles: what stands in its way, without what blocks newer policies already.
        total: how many obstacles it has, those of newer policies included.
        reaches: the oldest tag that the wheel earns when the obstacles down to this step are gone.
    """

    tag: str
    aliases: tuple[str, ...]
    glibc: str
    status: str
    obstacles: tuple[Obstacle, ...]
    total: int
    reaches: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The tag of the name against the tag that the contents earn.

    Args:
        relation: `equal`; `newer` (true, but the wheel would run on older systems); `older` (untrue:
            installers put it where it cannot be loaded); `unproved` (musl has no symbol versions, or no
            policy is known); `none` (nothing is claimed).
        tag: the oldest tag that is claimed, or None.
        words: the comparison in one sentence.
    """

    relation: str
    tag: str | None
    words: str


Files = Mapping[str, tuple[ElfFacts, frozenset[str]]]
"""Facts of each file, with the names of the libraries that it finds in the wheel."""


def ladder(files: Files, known: Policies) -> tuple[Step, ...]:
    """Every policy from the earned one down to the oldest; from the newest where none is earned.

    Args:
        files: the machine code.
        known: the machine's policies.
    """
    best = known.best(files.values())
    policies = [p for p in reversed(known.all) if best is None or p.glibc <= best.glibc]
    before: set[tuple[str, str, str, str]] = set()
    found: list[tuple[Policy, dict[str, list[Violation]], int]] = []
    for policy in policies:
        new: dict[str, list[Violation]] = {}
        total = 0
        for name, (facts, inside) in sorted(files.items()):
            for violation in policy.violations(facts, inside=inside):
                total += 1
                identity = (name, violation.kind, violation.library, violation.item)
                if identity not in before:
                    before.add(identity)
                    new.setdefault(name, []).append(violation)
        found.append((policy, new, total))
    steps: list[Step] = []
    reached: Policy | None = None
    for policy, new, total in reversed(found):
        # What nothing more blocks comes with the step above it: that is what its cures must reach.
        reached = reached or policy
        status = "earned" if policy is best else "blocked" if new else "follows"
        obstacles = tuple(_obstacles(new, reached, known.machine))
        tag, glibc = policy.tag, format_glibc(policy.glibc)
        steps.insert(0, Step(tag, policy.aliases, glibc, status, obstacles, total, reached.tag))
        if new:
            reached = None
    return tuple(steps)


def _obstacles(found: Mapping[str, Sequence[Violation]], policy: Policy, machine: str) -> Iterator[Obstacle]:
    for name, violations in found.items():
        for v in sorted(violations, key=lambda v: (v.kind, v.library, v.item)):
            symbols = tuple(sorted(set(v.symbols)))
            yield Obstacle(v.kind, name, v.library, v.item, symbols, cure(name, v, policy, machine))


def cure(file: str, violation: Violation, policy: Policy, machine: str) -> str:
    """What would make a file fit a policy, as far as one thing is concerned.

    Args:
        file: member of the wheel.
        violation: the thing.
        policy: the policy to reach.
        machine: the machine, as wheels name it.
    """
    library = violation.library
    if is_libpython(library):
        return "link the extension without `-lpython`: the interpreter is in the process already"
    if violation.kind == "version":
        kind = violation.item.partition("_")[0]
        if kind in _STATIC:
            return _STATIC[kind]
        if kind == "GLIBC" or LOADER.fullmatch(library):
            return _older_glibc(file, violation, policy, machine)
    elif violation.kind == "library" and library.startswith("libstdc++."):
        return _STATIC["GLIBCXX"]
    elif violation.kind == "forbidden":
        return f"put a copy of {library} into the wheel (`auditwheel repair`), or link it statically"
    return f"link {library} statically, or put it into the wheel: `auditwheel repair` does, `xtool build` too"


def _older_glibc(file: str, violation: Violation, policy: Policy, machine: str) -> str:
    if violation.item == "GLIBC_ABI_DT_RELR":
        return "link without packed relocations (`-Wl,-z,nopack-relative-relocs`)"
    floor = format_glibc(policy.glibc)
    lowest = _lowest(machine)
    if lowest is not None and policy.glibc < lowest:
        oldest = f"xtool's oldest for {machine} has {format_glibc(lowest)}"
        return f"build against a sysroot with glibc {floor} or older; {oldest}"
    if grafted(file):
        return (
            f"build what is put into the wheel against glibc {floor} or older, or take it from such a system"
        )
    if lowest is not None:
        return f"build against an older sysroot: `xtool build --target {machine} --glibc {floor}`"
    return f"build against a sysroot with glibc {floor} or older"


@lru_cache(maxsize=16)
def _lowest(machine: str) -> Glibc | None:
    """The oldest floor that xtool has for a machine, or None where it does not build for it."""
    from xtool.catalog import Catalog

    try:
        return Catalog().target(machine).lowest_glibc
    except UsageError:
        return None


def grafted(member: str) -> bool:
    """Whether a library was put into the wheel by a repair, going by its place and its name."""
    folder, name = posixpath.split(member)
    return folder.endswith(".libs") or _HASHED.search(name) is not None


def plain_library(name: str) -> str:
    """A library's name without the hash that a repair gave it: `libpq-1a2b3c4d.so.5` -> `libpq.so.5`."""
    return _HASHED.sub("", name)


def is_musl(platforms: Sequence[str], files: Mapping[str, ElfFacts]) -> bool:
    """Whether code is for musl: its tags say so, or it needs musl's libc."""
    needed = {library for facts in files.values() for library in facts.needed}
    loaders = {posixpath.basename(facts.interpreter or "") for facts in files.values()}
    tagged = bool(platforms) and all(tag.startswith("musllinux_") for tag in platforms)
    return tagged or any(_MUSL.fullmatch(name) for name in needed | loaders)


def musl_tag(platforms: Sequence[str], files: Files, machine: str) -> tuple[str, tuple[str, ...]]:
    """The tag of musl code: the oldest one claimed where its libraries allow that, else `linux_*`.

    musl's symbols have no versions: contents cannot prove for which release they are.

    Returns:
        The tag, and the libraries that must be in the wheel but are not.
    """
    allowed = _musl_libraries(machine)
    needed = {
        library for facts, inside in files.values() for library in facts.needed if library not in inside
    }
    outside = tuple(sorted(name for name in needed if name not in allowed and not _MUSL.fullmatch(name)))
    claimed = sorted((t for t in platforms if t.startswith("musllinux_")), key=_numbers)
    return (claimed[0] if claimed and not outside else f"linux_{machine}"), outside


@lru_cache(maxsize=16)
def _musl_libraries(machine: str) -> frozenset[str]:
    """SONAMEs that auditwheel's musl policy lets stay outside a wheel."""
    from auditwheel.architecture import Architecture
    from auditwheel.libc import Libc
    from auditwheel.policy import WheelPolicies

    try:
        known = WheelPolicies(libc=Libc.MUSL, arch=Architecture(machine), musl_policy="musllinux_1_2")
    except ValueError:
        return frozenset()
    return frozenset(library for policy in known for library in policy.whitelist)


def _numbers(tag: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", tag)[:2])


def claim(
    platforms: Sequence[str], earned_tag: str, known: Policies, files: Files, *, musl: bool = False
) -> Claim:
    """Hold what a name claims against what the contents earn."""
    if musl:
        return _musl_claim(platforms, known)
    promised = [policy for policy in map(known.promised, platforms) if policy is not None]
    if not promised:
        return _other_claim(platforms, earned_tag)
    oldest = min(promised, key=lambda policy: policy.glibc)
    earned = known.named(earned_tag)
    if earned_tag == "any":
        words = "true, but needlessly narrow: no machine code is in it, and it would run anywhere"
        return Claim("newer", oldest.tag, words)
    if earned is None or oldest.glibc < earned.glibc:
        return _older_claim(oldest, earned, earned_tag, files)
    if oldest.glibc > earned.glibc:
        words = f"true, and cautious: the contents would run on older systems, down to {earned_tag}"
        return Claim("newer", oldest.tag, words)
    return Claim("equal", oldest.tag, f"true: {oldest.tag} is exactly what the contents earn")


def _older_claim(oldest: Policy, earned: Policy | None, earned_tag: str, files: Files) -> Claim:
    """A claim of an older tag than that of the policy which the contents fit."""
    if earned and oldest.fits(files.values()):
        words = (
            f"true: the contents run on glibc {format_glibc(oldest.glibc)}; auditwheel, which has no policy "
            f"for it, calls them {earned.tag}"
        )
        return Claim("equal", oldest.tag, words)
    needs = f"need {earned.tag}" if earned else f"fit no manylinux policy ({earned_tag})"
    words = (
        f"untrue: {oldest.tag} is claimed, but the contents {needs}; "
        "installers put the wheel on systems where it cannot be loaded"
    )
    return Claim("older", oldest.tag, words)


def _musl_claim(platforms: Sequence[str], known: Policies) -> Claim:
    """What code for musl may be claimed to be."""
    tag = min((t for t in platforms if t.startswith("musllinux_")), key=_numbers, default=None)
    glibc = next((t for t in platforms if known.named(t)), None)
    if tag is None and glibc is not None:
        words = f"untrue: {glibc} is claimed, but the code is for musl, and loads on none of its systems"
        return Claim("older", glibc, words)
    words = "musl's symbols have no versions: the contents cannot prove or disprove a musllinux tag"
    return Claim("unproved" if tag else "none", tag, words)


def _other_claim(platforms: Sequence[str], earned_tag: str) -> Claim:
    """A claim of `any`, `linux_*`, another system, or nothing."""
    if not platforms:
        return Claim("none", None, "no tag is claimed")
    claimed = platforms[0]
    if claimed == earned_tag:
        return Claim("equal", claimed, f"true: {claimed} is what the contents earn")
    words = f"{claimed} promises no particular system; the contents earn {earned_tag}"
    return Claim("none" if claimed.startswith("linux_") else "unproved", claimed, words)


def floor_of(facts: ElfFacts, inside: frozenset[str], known: Policies) -> tuple[str | None, str]:
    """The oldest policy that one file fits, and what decides that.

    Returns:
        The policy's tag, or None; and `symbol@version`, a library, or nothing.
    """
    best = known.best([(facts, inside)])
    position = known.all.index(best) - 1 if best else len(known.all) - 1
    if position < 0:
        return (best.tag if best else None), ""
    broken = list(known.all[position].violations(facts, inside=inside))
    decider = max(
        broken, key=lambda v: (v.kind == "library", glibc_of(v.item) or (0, 0), v.item), default=None
    )
    return (best.tag if best else None), _decider(decider) if decider else ""


def _decider(violation: Violation) -> str:
    if violation.kind == "library":
        return violation.library
    if violation.kind == "forbidden":
        return f"{violation.item} of {violation.library}"
    symbols = sorted(set(violation.symbols))
    more = f" +{len(symbols) - 1}" if len(symbols) > 1 else ""
    return f"{symbols[0]}@{violation.item}{more}" if symbols else violation.item


def installs_on(pythons: Sequence[str], abis: Sequence[str]) -> str:
    """Which Pythons take a wheel, in words (PEP 425; PEP 384 for the stable ABI)."""
    stable = any(abi.startswith("abi3") for abi in abis)
    words: list[str] = []
    for tag in pythons:
        match = re.fullmatch(r"(cp|py|pp)(\d)(\d*)", tag)
        if match is None:
            words.append(tag)
            continue
        kind = {"cp": "CPython", "pp": "PyPy", "py": "any Python"}[match[1]]
        version = f"{match[2]}.{match[3]}" if match[3] else match[2]
        newer = " and newer" if (stable and match[1] == "cp") or (match[1] == "py" and match[3]) else ""
        words.append(f"{kind} {version}{newer}")
    free = ", free-threaded" if any(re.fullmatch(r"cp\d+t|abi3t", abi) for abi in abis) else ""
    return ", ".join(words) + free + (", stable ABI" if stable else "")
