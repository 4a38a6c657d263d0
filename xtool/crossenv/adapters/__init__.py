"""What each family of build back ends needs on top of the cross environment.

One module a family; `adapter_for` picks the first that applies. A back end that is known to make wrong wheels
without more help, and has no adapter yet, is refused: a wheel that is silently wrong is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from xtool.errors import UsageError

if TYPE_CHECKING:
    from xtool.crossenv.environment import CrossEnv

ConfigSettings = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """The `[build-system]` table of a project (PEP 517, PEP 518), defaulted.

    Args:
        backend: `build-backend`.
        requires: `requires`, as written.
        backend_path: `backend-path`.
    """

    backend: str
    requires: tuple[str, ...]
    backend_path: tuple[str, ...] = ()

    @property
    def required_names(self) -> frozenset[str]:
        """Normalised names of what it requires; entries that cannot be read are left out."""
        return frozenset(filter(None, map(_name, self.requires)))


def _name(requirement: str) -> str | None:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return None


class Adapter(Protocol):
    """One family of build back ends."""

    name: str

    def applies(self, system: BuildSystem) -> bool:
        """Whether a project of this build system is this adapter's."""

    def environment(self, cross: CrossEnv, jobs: int) -> Mapping[str, str]:
        """Variables for the back end's process; may write files below `cross.folder`."""

    def config_settings(self, cross: CrossEnv, settings: ConfigSettings) -> ConfigSettings:
        """The user's config settings with what the back end must be told."""


_NOT_YET = {
    "scikit-build-core": "scikit-build-core",
    "scikit-build": "scikit-build",
    "meson-python": "meson-python",
    "maturin": "maturin",
    "setuptools-rust": "setuptools-rust",
}
"""Requirement -> name of the back end, for those that need an adapter which does not exist yet."""

_NOT_YET_BACKENDS = {
    "scikit_build_core": "scikit-build-core",
    "mesonpy": "meson-python",
    "maturin": "maturin",
}
"""Top-level module of `build-backend` -> name of the back end."""


def adapter_for(system: BuildSystem, *, what: str) -> Adapter:
    """The adapter for a project.

    Args:
        system: the project's build system.
        what: the project, for the message.

    Raises:
        UsageError: the back end is known to need an adapter that xtool does not have.
    """
    from xtool.crossenv.adapters.setuptools import SetuptoolsAdapter

    module = system.backend.partition(":")[0].partition(".")[0]
    unsupported = _NOT_YET_BACKENDS.get(module)
    if unsupported is None:
        unsupported = next((_NOT_YET[n] for n in sorted(system.required_names) if n in _NOT_YET), None)
    if unsupported is not None:
        raise UsageError(
            f"{what} is built with {unsupported}, which xtool cannot cross-compile yet",
            facts=[f"build-backend: {system.backend}", f"requires: {', '.join(system.requires)}"],
            hint="projects built with setuptools work; `xtool env` gives the variables and files to build "
            "others by hand",
            code="unsupported-backend",
        )
    adapters: tuple[Adapter, ...] = (SetuptoolsAdapter(),)
    return next(adapter for adapter in adapters if adapter.applies(system))
