"""One cache for the whole run: set-ups cost seconds, and tests that need a cold one make their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder shared by the integration tests; `XTOOL_TEST_CACHE` keeps it between runs."""
    kept = os.environ.get("XTOOL_TEST_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("cache")
