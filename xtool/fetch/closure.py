"""Which packages a request comes to: each package, what it requires, what that requires, and no further.

The rules are those of any package manager that installs into an empty root from one consistent state of one
distribution; how a requirement is written and what answers it, each kind of repository says for itself
(`Universe`). There is no search: the first answer is taken, and where two packages exclude each other that is
an error for the user to decide.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from xtool.errors import UsageError

_NEAR = 3
"""How many similar names an error offers."""


class Offer(Protocol):
    """One package of a repository: what the resolver reads of it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version, as the repository spells it."""


O = TypeVar("O", bound=Offer)  # noqa: E741 - a type, not a number


class Universe(Protocol[O]):
    """All packages of one consistent state of a distribution, for one architecture."""

    @property
    def title(self) -> str:
        """What it is, for messages: `Debian trixie (ppc64el)`."""

    def names(self) -> Collection[str]:
        """The names of all packages."""

    def named(self, name: str) -> O | None:
        """The package of a name that would be installed, or None."""

    def requires(self, offer: O) -> Sequence[str]:
        """What a package requires, each as the repository writes it (`libc6 (>= 2.34) | libc6.1`)."""

    def answers(self, requirement: str) -> Sequence[O]:
        """The packages that answer a requirement, the preferred one first."""

    def mentions(self, requirement: str) -> Sequence[str]:
        """The bare names in a requirement: of packages, libraries, capabilities."""

    def excludes(self, offer: O, other: O) -> bool:
        """Whether a package says that it cannot be installed together with another."""


@dataclass(frozen=True, slots=True)
class Chosen(Generic[O]):
    """A package of a closure.

    Args:
        offer: the package.
        needed_by: name of the package that brought it first; empty for those that were asked for.
    """

    offer: O
    needed_by: str


def closure(
    universe: Universe[O], wanted: Sequence[str], *, given: Callable[[str], bool]
) -> tuple[Chosen[O], ...]:
    """The packages that some packages come to, sorted by name.

    Args:
        universe: what there is.
        wanted: names that the user asks for.
        given: whether a name is of something that is there already or that nobody needs for building;
            neither asked for nor followed.

    Raises:
        UsageError: a package does not exist, a requirement has no answer, or two packages exclude each other.
    """
    chosen: dict[str, Chosen[O]] = {}
    todo: deque[tuple[O, str]] = deque((_asked(universe, name), "") for name in wanted if not given(name))
    coming = {offer.name for offer, _ in todo}
    while todo:
        offer, needed_by = todo.popleft()
        if offer.name in chosen:
            continue
        chosen[offer.name] = Chosen(offer, needed_by)
        for requirement in universe.requires(offer):
            if any(given(name) for name in universe.mentions(requirement)):
                continue
            found = universe.answers(requirement)
            here = any(answer.name in coming or given(answer.name) for answer in found)
            if found and not here:
                todo.append((found[0], offer.name))
                coming.add(found[0].name)
            elif not found:
                raise UsageError(
                    f"{offer.name} requires `{requirement}`, which {universe.title} does not have",
                    facts=_chain(chosen, offer.name),
                    hint="name a package that brings it with another `--sysroot-package`",
                    code="sysroot-package-requirement",
                )
    _check_exclusions(universe, chosen)
    return tuple(chosen[name] for name in sorted(chosen))


def near(names: Collection[str], wanted: str) -> list[str]:
    """Names that a mistyped or another distribution's package name may have meant, the likeliest first.

    RPM distributions call the development part of a library `zlib-devel`, Debian `zlib1g-dev`.
    """
    stem = re.sub(r"-(devel|dev)$", "", wanted)
    bare = stem.removeprefix("lib")
    shape = re.compile(rf"(lib)?{re.escape(bare)}[0-9.+a-z]{{0,6}}-(dev|devel)")
    swapped = sorted((name for name in names if shape.fullmatch(name)), key=lambda name: (len(name), name))
    close = difflib.get_close_matches(wanted, [name for name in names if _like(name, bare)], n=_NEAR)
    return list(dict.fromkeys([*swapped, *close]))[:_NEAR]


def _like(name: str, bare: str) -> bool:
    """Whether a name is worth comparing; tens of thousands of comparisons would take seconds."""
    return name.removeprefix("lib")[:1] == bare[:1]


def _asked(universe: Universe[O], name: str) -> O:
    found = universe.named(name)
    if found is not None:
        return found
    answers = universe.answers(name)
    if answers and len({answer.name for answer in answers}) == 1:
        return answers[0]
    if answers:
        some = ", ".join(sorted({answer.name for answer in answers}))
        raise UsageError(
            f"`{name}` is what several packages of {universe.title} provide",
            facts=[some],
            hint="name one of them with `--sysroot-package`",
            code="unknown-sysroot-package",
        )
    similar = near(universe.names(), name)
    said = " or ".join(f"`{item}`" for item in similar)
    raise UsageError(
        f"{universe.title} has no package `{name}`",
        hint=f"did you mean {said}?" if similar else "`--sysroot-package` takes the distribution's own names",
        code="unknown-sysroot-package",
    )


def _chain(chosen: dict[str, Chosen[O]], name: str) -> list[str]:
    """How a package came in, for messages."""
    facts = []
    while chosen[name].needed_by:
        facts.append(f"{name} is needed by {chosen[name].needed_by}")
        name = chosen[name].needed_by
    return facts


def _check_exclusions(universe: Universe[O], chosen: dict[str, Chosen[O]]) -> None:
    for one in chosen.values():
        for other in chosen.values():
            if one is not other and universe.excludes(one.offer, other.offer):
                raise UsageError(
                    f"{one.offer.name} and {other.offer.name} cannot be in one sysroot: they exclude each "
                    "other",
                    facts=[*_chain(chosen, one.offer.name), *_chain(chosen, other.offer.name)],
                    hint="leave one of the packages out that bring them",
                    code="sysroot-package-conflict",
                )
