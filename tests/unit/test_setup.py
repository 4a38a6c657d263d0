"""What a set-up does when files have left the mirrors, or portable Pythons cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xtool import choose, installer, setup
from xtool.artifacts import Artifact
from xtool.catalog import Catalog, merge_evidence
from xtool.choose import Candidate
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, Interrupted, NetworkError, XtoolError
from xtool.fetch import Vanished, debian
from xtool.kit import BuildPython
from xtool.log import SilentLog
from xtool.python import build, portable
from xtool.recipes import Recipe
from xtool.setup import Plan, Request, ensure_kit
from xtool.toolchain import packages


class Warned(SilentLog):
    """Remembers warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str, *, hint: str | None = None) -> None:
        self.warnings.append(message)


@pytest.fixture
def log() -> Warned:
    return Warned()


@pytest.fixture
def here(ctx: Context, log: Warned, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A context whose kits are the plans that they were made from."""
    monkeypatch.setattr(setup, "_kit", lambda planned, _: planned)
    found = BuildPython(Path("/python"), "3.13", "host")
    monkeypatch.setattr(build, "find_build_python", lambda *_: found)
    monkeypatch.setattr(choose, "unreachable", lambda *_: None)
    return replace(ctx, log=log)


@pytest.fixture
def request_() -> Request:
    return Request(Catalog().target("ppc64le"), python_source="debian")


Ensure = Callable[[Context, Catalog, Any, Sequence[Recipe]], dict[str, Path]]


def _failing(*errors: XtoolError) -> tuple[Ensure, list[Sequence[Recipe]]]:
    """An installer that raises these errors, one a call, and then succeeds; and what it was asked for."""
    left, asked = list(errors), []

    def ensure(_ctx: Context, _catalog: Catalog, _lock: Any, recipes: Sequence[Recipe]) -> dict[str, Path]:
        asked.append(recipes)
        if left:
            raise left.pop(0)
        return {}

    return ensure, asked


def _glibc(planned: Any) -> Artifact:
    assert isinstance(planned, Plan)
    return next(a for a in planned.lock.artifacts("glibc") if a.name == "libc6")


def test_a_vanished_file_is_replaced_and_remembered(
    here: Context, log: Warned, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _glibc(setup.plan(here, request_))
    new = replace(old, version="2.41-99", sha256="9" * 64)
    ensure, asked = _failing(Vanished([old]))
    monkeypatch.setattr(installer, "ensure", ensure)
    monkeypatch.setattr(debian, "replacements", lambda *_: {old.sha256: new})
    assert _glibc(ensure_kit(here, request_)) == new
    assert [recipe.folder for recipe in asked[0]] != [recipe.folder for recipe in asked[1]]
    assert any("has left every mirror" in warning and "2.41-99" in warning for warning in log.warnings)
    # The next run takes the same file without asking again; a frozen one takes the lock's.
    assert _glibc(setup.plan(here, request_)) == new
    assert _glibc(setup.plan(here, replace(request_, frozen=True))) == old


def test_a_replacement_that_vanishes_too_is_replaced_in_turn(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _glibc(setup.plan(here, request_))
    for number in ("8", "9"):
        lost = _glibc(setup.plan(here, request_))
        new = replace(first, version=f"2.41-{number}", sha256=number * 64)
        monkeypatch.setattr(installer, "ensure", _failing(Vanished([lost]))[0])
        monkeypatch.setattr(debian, "replacements", lambda *_, old=lost, new=new: {old.sha256: new})
        ensure_kit(here, request_)
    assert _glibc(setup.plan(here, request_)).version == "2.41-9"


def test_frozen_takes_no_replacement(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = replace(request_, frozen=True)
    old = _glibc(setup.plan(here, frozen))
    monkeypatch.setattr(installer, "ensure", _failing(Vanished([old]))[0])
    with pytest.raises(Vanished):
        ensure_kit(here, frozen)


def test_files_that_vanish_twice_in_one_run_are_an_error(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _glibc(setup.plan(here, request_))
    new = replace(old, sha256="9" * 64)
    monkeypatch.setattr(installer, "ensure", _failing(Vanished([old]), Vanished([new]))[0])
    monkeypatch.setattr(debian, "replacements", lambda *_: {old.sha256: new})
    with pytest.raises(Vanished):
        ensure_kit(here, request_)


@pytest.mark.parametrize("error", [CommandFailed("uv failed"), NetworkError("no connection")])
def test_portable_pythons_that_cannot_be_had_give_way_to_debians(
    here: Context, log: Warned, request_: Request, monkeypatch: pytest.MonkeyPatch, error: XtoolError
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    ensure, asked = _failing(error)
    monkeypatch.setattr(installer, "ensure", ensure)
    ensure_kit(here, replace(request_, python_source="auto"))
    sources = [{r.parameters.get("source") for r in recipes if "python" in r.name} for recipes in asked]
    assert sources == [{"portable"}, {"debian"}]
    assert any(error.message in warning for warning in log.warnings)


@pytest.mark.parametrize("versions", [("3.12",), ("3.13", "3.12")])
def test_a_portable_python_that_debian_lacks_has_nothing_to_give_way_to(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch, versions: tuple[str, ...]
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    error = NetworkError("no connection")
    ensure, asked = _failing(error)
    monkeypatch.setattr(installer, "ensure", ensure)
    with pytest.raises(NetworkError) as caught:
        ensure_kit(here, replace(request_, pythons=versions, python_source="auto"))
    assert (caught.value, len(asked)) == (error, 1)


def test_a_python_out_of_reach_is_told_before_anything_is_fetched(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: False)
    ensure, asked = _failing()
    monkeypatch.setattr(installer, "ensure", ensure)
    wanted = replace(request_, pythons=("3.13t",), python_source="auto")
    with pytest.raises(NetworkError, match=r"Python 3\.13t for ppc64le is a portable build"):
        ensure_kit(here, wanted)
    assert asked == []
    # What it would come to can be shown all the same.
    (python,) = setup.plan(here, wanted).pythons.values()
    assert python.parameters["key"] == "cpython-3.13t-linux-powerpc64le-gnu"


@pytest.mark.parametrize(
    ("source", "error"),
    [("auto", IntegrityError("wrong hash")), ("portable", CommandFailed("uv failed"))],
)
def test_a_false_portable_python_or_one_asked_for_is_an_error(
    here: Context, request_: Request, monkeypatch: pytest.MonkeyPatch, source: str, error: XtoolError
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    monkeypatch.setattr(installer, "ensure", _failing(error)[0])
    with pytest.raises(type(error)):
        ensure_kit(here, replace(request_, python_source=source))


@pytest.mark.parametrize("kinds", ["centos7,derived", "centos7"])
def test_packages_that_cannot_be_looked_up_give_way_to_the_next_sysroot(
    here: Context, log: Warned, request_: Request, monkeypatch: pytest.MonkeyPatch, kinds: str
) -> None:
    def add(_ctx: Context, _catalog: Any, _request: Any, _lock: Any, sysroot: Candidate) -> Candidate:
        if sysroot.kind == "centos7":
            raise NetworkError("cannot download the repomd.xml")
        return sysroot

    monkeypatch.setattr(packages, "add", add)
    monkeypatch.setattr(installer, "ensure", _failing()[0])
    asked = replace(request_, sysroot=kinds, sysroot_packages=("zlib1g-dev",))
    if kinds == "centos7":
        with pytest.raises(NetworkError, match="repomd"):
            setup.ensure_kit(here, asked)
        return
    planned = setup.ensure_kit(here, asked)
    assert isinstance(planned, Plan)
    assert planned.sysroot.kind == "derived"
    assert planned.why == "CentOS 7: cannot download the repomd.xml"
    assert [warning for warning in log.warnings if "out of reach" in warning] == [
        "the CentOS 7 sysroot is out of reach: cannot download the repomd.xml; the derived one is taken"
    ]
    # Where nothing is to be set up, what would be taken is not changed by what is out of reach now.
    with pytest.raises(NetworkError, match="repomd"):
        setup.plan(here, asked)


@pytest.fixture
def several() -> list[Request]:
    return [Request(Catalog().target(name), python_source="debian") for name in ("ppc64le", "s390x", "i686")]


def _together(*errors: XtoolError | None) -> tuple[Callable[..., dict[str, Path]], list[list[set[str]]]]:
    """An installer of several wholes that raises these errors, one a call; and what it was asked for."""
    left, asked = list(errors), []

    def ensure_all(
        _ctx: Context, _catalog: Catalog, _lock: Any, groups: Sequence[Sequence[Recipe]]
    ) -> dict[str, Path]:
        asked.append([{recipe.name for recipe in group} for group in groups])
        if left and (error := left.pop(0)):
            raise error
        return {recipe.folder: Path("/store") / recipe.folder for group in groups for recipe in group}

    return ensure_all, asked


def test_several_kits_are_made_in_one_go(
    here: Context, several: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_all, asked = _together()
    monkeypatch.setattr(installer, "ensure_all", ensure_all)
    kits: Any = setup.ensure_kits(here, several)
    assert [kit.request.target.name for kit in kits] == ["ppc64le", "s390x", "i686"]
    (groups,) = asked
    assert all(f"gcc-{kit.request.target.name}" in group for kit, group in zip(kits, groups, strict=True))


def test_what_fails_together_is_tried_one_by_one(
    here: Context, several: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one target's trouble is its own, and its own ways out of it are tried."""
    ensure_all, asked = _together(NetworkError("no connection"), None, IntegrityError("wrong hash"), None)
    monkeypatch.setattr(installer, "ensure_all", ensure_all)
    first, second, third = setup.ensure_kits(here, several)
    assert isinstance(second, IntegrityError)
    assert [kit.request.target.name for kit in (first, third)] == ["ppc64le", "i686"]  # type: ignore[union-attr]
    assert [len(groups) for groups in asked] == [3, 1, 1, 1]


def test_a_request_that_makes_no_sense_does_not_spoil_the_rest(
    here: Context, several: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    several[1] = replace(several[1], glibc=(2, 5))
    ensure_all, asked = _together()
    monkeypatch.setattr(installer, "ensure_all", ensure_all)
    outcomes = setup.ensure_kits(here, several)
    assert [isinstance(outcome, XtoolError) for outcome in outcomes] == [False, True, False]
    assert [len(groups) for groups in asked] == [2]


def test_ctrl_c_ends_all_of_them(
    here: Context, several: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_all, asked = _together(Interrupted("interrupted"))
    monkeypatch.setattr(installer, "ensure_all", ensure_all)
    with pytest.raises(Interrupted):
        setup.ensure_kits(here, several)
    assert len(asked) == 1


def test_snapshots_of_all_locks_are_looked_at(
    here: Context, several: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = [setup.plan(here, request).lock for request in several[:2]]
    old = replace(locks[0].evidence["trixie"], date="2026-01-01T00:00:00Z", snapshot="20260101T000000Z")
    merged = merge_evidence([{"trixie": old}, locks[1].evidence])
    newest = locks[1].evidence["trixie"]
    assert merged["trixie"] == replace(newest, earlier=(*newest.earlier, "20260101T000000Z"))
