"""Where xtool keeps things that belong to a user: the cache and the configuration file."""

from __future__ import annotations

from pathlib import Path

from xtool.errors import StoreError


def default_cache_dir() -> Path:
    """The user's cache folder for xtool (XDG_CACHE_HOME, else below the home folder).

    Raises:
        StoreError: there is no home folder to put it in.
    """
    import platformdirs

    path = platformdirs.user_cache_path("xtool", appauthor=False)
    # Without HOME and without a line in the user database, expanduser leaves the tilde where it is.
    if str(path).startswith("~") or not path.is_absolute():
        raise StoreError(
            "there is no folder for the cache: this user has no home folder",
            facts=["HOME is not set, and the user database names no home folder"],
            hint="set XTOOL_CACHE_DIR or pass `--cache-dir`",
            code="no-home",
        )
    return path


def user_config_file() -> Path | None:
    """The user's configuration file, whether it exists or not; None for a user without a home folder."""
    import platformdirs

    path = platformdirs.user_config_path("xtool", appauthor=False) / "config.toml"
    return path if path.is_absolute() else None
