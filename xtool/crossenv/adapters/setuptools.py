"""setuptools, and every back end that compiles through it or through nothing at all.

The cross environment's variables are all that setuptools needs; an unknown back end gets the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xtool.crossenv.adapters import BuildSystem, ConfigSettings
    from xtool.crossenv.environment import CrossEnv


class SetuptoolsAdapter:
    """The default adapter."""

    name = "setuptools"

    def applies(self, system: BuildSystem) -> bool:
        """Whatever no other adapter claims is built this way."""
        del system
        return True

    def environment(self, cross: CrossEnv, jobs: int) -> Mapping[str, str]:
        """Compile extension modules side by side, as `build_ext --parallel` does.

        The option goes through an extra configuration file, because config settings for setuptools are global
        options, which not every `setup.py` takes.
        """
        if jobs < 2 or "DIST_EXTRA_CONFIG" in cross.environ:
            return {}
        path = cross.folder / "distutils.cfg"
        path.write_text(f"[build_ext]\nparallel = {jobs}\n", encoding="utf-8")
        return {"DIST_EXTRA_CONFIG": str(path)}

    def config_settings(self, cross: CrossEnv, settings: ConfigSettings) -> ConfigSettings:
        """The user's settings as they are."""
        del cross
        return settings
