"""Getting files: mirrors, resumable and verified downloads, Debian's signed indexes, and locks."""

from xtool.fetch.fetcher import Vanished, cached, fetch

__all__ = ["Vanished", "cached", "fetch"]
