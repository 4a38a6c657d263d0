"""Where xtool keeps things that belong to a user: the cache and the configuration file."""

from __future__ import annotations

from pathlib import Path

from xtool.errors import StoreError


def default_cache_dir() -> Path:
    """The user's cache folder for xtool (XDG_CACHE_HOME, else below the home folder).

    Raises:
        StoreError: there is no home folder to put it in.
    """
    path = _user_folder("cache")
    if path is None:
        raise StoreError(
            "there is no folder for the cache: this user has no home folder",
            facts=["HOME is not set, and the user database names no home folder"],
            hint="set XTOOL_CACHE_DIR or pass `--cache-dir`",
            code="no-home",
        )
    return path


def user_config_file() -> Path | None:
    """The user's configuration file, whether it exists or not; None for a user without a home folder."""
    folder = _user_folder("config")
    return folder / "config.toml" if folder is not None else None


def _user_folder(kind: str) -> Path | None:
    import platformdirs

    dirs = platformdirs.PlatformDirs("xtool", appauthor=False)
    try:
        path: Path = dirs.user_cache_path if kind == "cache" else dirs.user_config_path
    except RuntimeError:
        return None
    # Older versions of platformdirs leave the tilde of a user without a home where it is.
    return path if path.is_absolute() else None
