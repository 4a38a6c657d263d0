"""xtool as a user starts it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def xtool(cache: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run xtool with a cache folder and further variables; whatever comes of it is the answer.

    One Python is enough, unless a test names others: builds would be for all that a project supports.
    """
    env = {"XTOOL_PYTHON": "3.13", **os.environ, "XTOOL_CACHE_DIR": str(cache), **environ}
    return subprocess.run(
        [sys.executable, "-m", "xtool", *words], capture_output=True, text=True, env=env, check=False
    )
