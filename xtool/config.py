"""Settings: what options, `XTOOL_*` variables and configuration files say, merged once at the start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged settings of one run.

    Args:
        cache_dir: folder of the store and of downloads (`--cache-dir`, `XTOOL_CACHE_DIR`).
        offline: refuse every network access (`--offline`, `XTOOL_OFFLINE`).
        toolchains_dir: folder of declarations and locks (`XTOOL_TOOLCHAINS_DIR`), the shipped one by default.
        debian_mirror: base URL of a Debian mirror, tried first (`XTOOL_DEBIAN_MIRROR`), or None.
        snapshot_mirror: base URL of a Debian snapshot archive instead of the catalog's, or None.
        python_mirror: base URL for portable CPython builds, passed to uv (`XTOOL_PYTHON_MIRROR`), or None.
        index_url: base URL of the Python package index (`XTOOL_INDEX_URL`), or None for uv's and pip's own.
        use_apt_sources: whether mirrors named by the host's apt configuration may be used.
        frozen: use the lock as it is and take no replacement for a file that has left the mirror.
        jobs: how many things may run at once; the number of usable CPUs by default.
        connect_timeout: seconds to wait for a connection.
        stall_timeout: seconds without a byte before a download counts as stalled.
        retries: how often a failed transfer is tried again.
        lock_timeout: seconds to wait for another xtool process that holds a lock of the store.
    """

    cache_dir: Path
    offline: bool = False
    toolchains_dir: Path | None = None
    debian_mirror: str | None = None
    snapshot_mirror: str | None = None
    python_mirror: str | None = None
    index_url: str | None = None
    use_apt_sources: bool = True
    frozen: bool = False
    jobs: int = 1
    connect_timeout: float = 15.0
    stall_timeout: float = 30.0
    retries: int = 4
    lock_timeout: float = 1800.0
