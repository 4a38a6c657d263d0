"""Which interpreter of the machine may run back ends: of the version and the flavour, no other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xtool.context import Context
from xtool.python import build
from xtool.python.build import find_build_python

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
RELEASE = "3.99"
"""No interpreter on any machine, so that only those made here can be found."""


def interpreter(path: Path, abiflags: str, release: str = RELEASE) -> Path:
    """A stand-in that says of itself what an interpreter would say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' cpython {release} '{abiflags}' '{path}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def find(make_context: Callable[..., Context], tmp_path: Path) -> Callable[..., Path | None]:
    """`find("3.99t")` looks on a PATH of one folder, with nothing of uv's."""

    def look(version: str, folder: Path | None = None) -> Path | None:
        environ = {"PATH": str(folder or tmp_path / "bin"), "UV_PYTHON_INSTALL_DIR": str(tmp_path / "none")}
        found = find_build_python(make_context(environ=environ), version)
        return found.executable if found is not None else None

    return look


def test_each_flavour_has_its_own(find: Callable[..., Path | None], tmp_path: Path) -> None:
    plain = interpreter(tmp_path / "bin" / f"python{RELEASE}", "")
    assert find(f"{RELEASE}t") is None
    threaded = interpreter(tmp_path / "bin" / f"python{RELEASE}t", "t")
    assert find(RELEASE) == plain
    assert find(f"{RELEASE}t") == threaded


@pytest.mark.parametrize(("asked", "abiflags"), [(RELEASE, "t"), (RELEASE, "td"), (f"{RELEASE}t", "")])
def test_a_name_is_no_proof(
    find: Callable[..., Path | None], tmp_path: Path, asked: str, abiflags: str
) -> None:
    interpreter(tmp_path / "bin" / f"python{asked}", abiflags)
    assert find(asked) is None


def test_pyenvs_folders_bear_the_letter_too(find: Callable[..., Path | None], tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    for name in (f"python{RELEASE}", f"python{RELEASE}t"):
        interpreter(shims / name, "neither")
    plain = interpreter(tmp_path / f"versions/{RELEASE}.1/bin/python{RELEASE}", "")
    threaded = interpreter(tmp_path / f"versions/{RELEASE}.2t/bin/python{RELEASE}t", "t")
    interpreter(tmp_path / f"versions/{RELEASE}.2t/bin/python{RELEASE}", "t")
    assert find(f"{RELEASE}t", shims) == threaded
    assert find(RELEASE, shims) == plain


def test_the_one_that_runs_xtool_has_a_flavour_too(
    find: Callable[..., Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(getattr(sys, "_base_executable", "") or sys.executable)
    threaded = "t" in sys.abiflags
    assert find(f"{OWN}t" if threaded else OWN) == own
    assert find(OWN if threaded else f"{OWN}t") != own
    monkeypatch.setattr(build.sys, "abiflags", "" if threaded else "t")
    assert find(OWN if threaded else f"{OWN}t") == own
