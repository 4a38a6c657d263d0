"""How a component comes to be: its inputs, and the function that fills a folder from them.

A recipe is a value: its digest names the component in the store, so a component is made again exactly when
something it is made from changes. `xtool.installer` runs recipes; the rooms `toolchain`, `python` and
`emulator` write them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.artifacts import Artifact, VerifiedFile

if TYPE_CHECKING:
    from xtool.context import Context


@dataclass(frozen=True)
class Assembly:
    """What a recipe's function works with.

    Args:
        ctx: settings, log, environment.
        staging: an empty folder to fill; it becomes the component. Absolute paths below it must not be
            written into any file, except as loader slots (`xtool.toolchain.relocate`).
        files: the verified artifacts by package name.
        needs: root folders of the components that the recipe needs, by recipe name.
        scratch: an empty folder on the same filesystem, removed afterwards.
        picked: by name, the recipe's `members`, unpacked; to be taken away.
    """

    ctx: Context
    staging: Path
    files: Mapping[str, VerifiedFile]
    needs: Mapping[str, Path]
    scratch: Path
    picked: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One component: what it is made from and how.

    Args:
        name: the component's name in the store, for example `gcc-ppc64le`; letters, digits, `.`, `-`, `_`.
        title: what a user reads, for example `GCC 14.2.0 for ppc64le`.
        revision: raised when `assemble` changes what it makes from the same inputs.
        artifacts: the files it is made from.
        assemble: fills `Assembly.staging`.
        parameters: further inputs (a glibc floor, a version), part of the digest.
        needs: recipes whose components must be installed first.
        members: all that is wanted of the recipe's one file, where that holds much else: recipes that are
            made together have it read once. No input by itself.
    """

    name: str
    title: str
    revision: int
    artifacts: tuple[Artifact, ...]
    assemble: Callable[[Assembly], None]
    parameters: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Recipe, ...] = ()
    members: frozenset[str] = frozenset()

    @cached_property
    def digest(self) -> str:
        """Sha256 over everything the component depends on, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    @property
    def inputs(self) -> dict[str, object]:
        """The inputs as plain data; stored in the component's manifest."""
        return {
            "name": self.name,
            "revision": self.revision,
            "artifacts": sorted(a.sha256 for a in self.artifacts),
            "parameters": dict(self.parameters),
            "needs": sorted(recipe.digest for recipe in self.needs),
        }

    @property
    def folder(self) -> str:
        """Name of the component's folder in the store."""
        return f"{self.name}-{self.digest[:16]}"
