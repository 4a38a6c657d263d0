"""One cache for the whole run: set-ups cost seconds, and tests that need a cold one make their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commandline import xtool


@pytest.fixture(scope="session", autouse=True)
def everything_is_compiled() -> Iterator[None]:
    """What ccache remembers of an earlier run would hide that something else is compiled now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XTOOL_COMPILER_CACHE", os.environ.get("XTOOL_COMPILER_CACHE", "none"))
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder shared by the integration tests; `XTOOL_TEST_CACHE` keeps it between runs."""
    kept = os.environ.get("XTOOL_TEST_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cache(shared_cache: Path) -> Path:
    """The shared cache with ppc64le set up in it."""
    done = xtool(shared_cache, "setup", "ppc64le")
    assert done.returncode == 0, done.stderr
    return shared_cache
