"""Which compiler cache is used, and the folders that make one of use."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from xtool.build import places
from xtool.context import Context
from xtool.crossenv import compilercache
from xtool.errors import UsageError


@pytest.fixture
def bindir(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("ccache", "sccache"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def find(
    make_context: Callable[..., Context], path: Path, wanted: str = "auto", **environ: str
) -> str | None:
    ctx = make_context(compiler_cache=wanted, environ={"PATH": str(path), **environ})
    found = compilercache.find(ctx)
    return None if found is None else f"{found.kind} {found.program.name}"


def test_the_one_that_is_installed_is_used(make_context: Callable[..., Context], bindir: Path) -> None:
    assert find(make_context, bindir) == "ccache ccache"
    assert find(make_context, bindir, "sccache") == "sccache sccache"
    assert find(make_context, bindir, "none") is None
    # The variable with which ccache itself is switched off.
    assert find(make_context, bindir, CCACHE_DISABLE="1") == "sccache sccache"
    assert find(make_context, bindir, "ccache", CCACHE_DISABLE="1") == "ccache ccache"
    (bindir / "ccache").unlink()
    assert find(make_context, bindir) == "sccache sccache"
    (bindir / "sccache").unlink()
    assert find(make_context, bindir) is None


def test_one_that_is_asked_for_must_be_there(make_context: Callable[..., Context], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no `ccache` on PATH"):
        find(make_context, tmp_path, "ccache")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_place_is_the_same_each_time_and_empty(temporary: Path, tmp_path: Path) -> None:
    with places.lasting(["folder", "/x", "ppc64le", "3.13"], tmp_path / "spare") as first:
        (first / "left").write_text("")
        assert first.is_relative_to(temporary)
        root = first.parent
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert list(temporary.iterdir()) == []
    with places.lasting(["folder", "/x", "ppc64le", "3.13"], tmp_path / "spare") as again:
        assert again == first
        assert list(again.iterdir()) == []
    with places.lasting(["folder", "/x", "ppc64le", "3.11"], tmp_path / "spare") as other:
        assert other != first


def test_a_place_in_use_is_not_shared(temporary: Path, tmp_path: Path) -> None:
    names = ["folder", "/x", "ppc64le", "3.13"]
    with places.lasting(names, tmp_path / "spare") as first:
        with places.lasting(names, tmp_path / "spare") as second:
            assert second == tmp_path / "spare"
            assert first.is_dir()
        assert not second.exists()
        assert first.is_dir()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed(temporary: Path, tmp_path: Path) -> None:
    names = ["a"]
    with places.lasting(names, tmp_path / "spare") as first:
        pass
    first.mkdir(parents=True)
    first.parent.chmod(0o700)
    (first / "left").write_text("")
    (first.parent / f"{first.name}.lock").write_text("")
    with places.lasting(names, tmp_path / "spare") as again:
        assert again == first
        assert list(again.iterdir()) == []


@pytest.mark.parametrize("trick", ["link", "writable", "file"])
def test_a_folder_that_another_user_may_have_made_is_not_used(
    temporary: Path, tmp_path: Path, trick: str
) -> None:
    root = temporary / f"xtool-{os.geteuid()}"
    if trick == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        root.symlink_to(tmp_path / "elsewhere")
    elif trick == "writable":
        root.mkdir()
        root.chmod(0o777)
    else:
        root.write_text("")
    with places.lasting(["a"], tmp_path / "spare") as place:
        assert place == tmp_path / "spare"
