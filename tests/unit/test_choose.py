"""Which sysroot is taken: names, floors, orders, and what comes after one that is out of reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xtool import choose, fetch
from xtool.catalog import Catalog
from xtool.choose import Candidate
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, NetworkError, UsageError
from xtool.fetch import Vanished
from xtool.recipes import Recipe
from xtool.setup import Request, plan, shipped_recipes
from xtool.targets import current_host, parse_glibc
from xtool.toolchain.gcc import gcc_recipe


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(scope="module")
def chosen(catalog: Catalog) -> Callable[..., choose.Choice]:
    """`chosen("centos7,derived", "2.17")` is what there is for aarch64."""
    target = catalog.target("aarch64")
    lock = catalog.lock(current_host(), target)
    gcc = gcc_recipe(current_host(), target, lock)

    def call(sysroot: str, glibc: str | None = None, **more: Any) -> choose.Choice:
        floor = parse_glibc(glibc) if glibc else None
        request = Request(target, glibc=floor, sysroot=sysroot, **more)
        return choose.choose(None, catalog, request, lock, gcc)

    return call


@pytest.mark.parametrize(
    ("sysroot", "glibc", "floor", "kinds"),
    [
        ("auto", None, (2, 17), ["derived", "centos7"]),
        ("auto", "2.28", (2, 28), ["derived", "almalinux8"]),
        ("auto", "2.30", (2, 30), ["derived"]),
        ("auto", "2.39", (2, 39), ["derived", "almalinux10", "rocky10"]),
        ("auto", "2.41", (2, 41), ["derived", "debian"]),
        ("centos7", None, (2, 17), ["centos7"]),
        ("almalinux9", None, (2, 34), ["almalinux9"]),
        ("debian", None, (2, 41), ["debian"]),
        ("derived", None, (2, 17), ["derived"]),
        (" almalinux8 , derived,almalinux8", None, (2, 28), ["almalinux8", "derived"]),
        ("centos7,almalinux8,derived", "2.28", (2, 28), ["almalinux8", "derived"]),
    ],
)
def test_what_is_tried(
    chosen: Callable[..., choose.Choice], sysroot: str, glibc: str | None, floor: Any, kinds: list[str]
) -> None:
    choice = chosen(sysroot, glibc)
    assert choice.floor == floor
    assert [one.kind for one in choice.candidates] == kinds


def test_a_reason_is_given(chosen: Callable[..., choose.Choice], catalog: Catalog) -> None:
    rule = catalog.sysroots.rule("aarch64", (2, 17))
    assert rule is not None
    assert chosen("auto").first({})[1] == rule.why
    assert chosen("centos7").first({})[1] == "`--sysroot` names it"
    passed = chosen("centos7,almalinux8,derived", "2.28")
    assert passed.first({})[1] == "first of `--sysroot centos7,almalinux8,derived`; centos7: floor 2.17"
    taken, why = passed.first({"almalinux8": "no network"})
    assert (taken.kind, why) == ("derived", "AlmaLinux 8.9: no network")


@pytest.mark.parametrize(
    ("sysroot", "message"),
    [
        ("centos9", "there is no sysroot `centos9`"),
        ("derived,nothing", "there is no sysroot `nothing`"),
        ("auto,centos7", "`auto` is an order by itself"),
    ],
)
def test_names_that_there_are_not(catalog: Catalog, sysroot: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose.names(catalog, sysroot)
    assert caught.value.message == message


def test_a_floor_that_nothing_named_has(chosen: Callable[..., choose.Choice]) -> None:
    with pytest.raises(UsageError) as caught:
        chosen("centos7,almalinux8", "2.34")
    error = caught.value
    assert error.message == "there is no glibc 2.34 sysroot for aarch64 from centos7 or almalinux8"
    assert error.facts[:3] == (
        "centos7: floor 2.17",
        "almalinux8: floor 2.28",
        "derived: floors from 2.17 to 2.41",
    )
    assert error.hint is not None
    assert "`--sysroot derived`" in error.hint
    with pytest.raises(UsageError) as caught:
        chosen("auto", "2.99")
    assert caught.value.hint == "use `--glibc 2.41`"


def test_a_lock_that_is_older_than_its_declaration(
    make_context: Callable[..., Context], tmp_path: Path, catalog: Catalog
) -> None:
    import shutil

    copy = Path(shutil.copytree(catalog.root, tmp_path / "toolchains"))
    path = copy / "locks/sysroots/centos7-aarch64.toml"
    lines = path.read_text().splitlines()
    lines = ['declaration = "' + "0" * 64 + '"' if line.startswith("declaration") else line for line in lines]
    path.write_text("\n".join(lines) + "\n")
    ctx = make_context(toolchains_dir=copy, offline=True)
    request = Request(catalog.target("aarch64"), sysroot="centos7", python_source="debian")
    assert plan(ctx, request).sysroot.kind == "centos7"
    assert plan(ctx, replace(request, frozen=True)).sysroot.kind == "centos7"
    with pytest.raises(UsageError) as caught:
        plan(ctx, replace(request, locked=True))
    assert caught.value.hint is not None
    assert "xtool lock --update --sysroot centos7 aarch64" in caught.value.hint


def test_a_portable_python_stands_on_the_distribution(ctx: Context, catalog: Catalog) -> None:
    """And only there: what is derived has no C library that runs, and Debian's Python needs Debian's."""

    def python(sysroot: str, source: str) -> Recipe:
        request = Request(catalog.target("aarch64"), sysroot=sysroot, python_source=source)
        (found,) = [r for r in shipped_recipes(ctx, request) if r.name == "python3.13-aarch64"]
        return found

    on = python("centos7", "portable")
    assert on.title == "CPython 3.13 for aarch64 (portable, on CentOS 7's glibc 2.17)"
    assert {need.name for need in on.needs} == {"qemu-aarch64", "sysroot-aarch64-centos7"}
    assert "libc6" not in {artifact.name for artifact in on.artifacts}
    assert python("derived", "portable").digest != on.digest
    assert python("centos7", "debian").digest == python("derived", "debian").digest


@pytest.fixture
def centos(chosen: Callable[..., choose.Choice]) -> Candidate:
    return chosen("centos7").candidates[0]


def _unreachable(ctx: Context, candidate: Candidate, error: Exception) -> NetworkError | None:
    catalog = Catalog()
    lock = catalog.lock(current_host(), catalog.target("aarch64"))
    return choose.unreachable(ctx, catalog, lock, candidate, error)


def test_only_what_is_out_of_reach_gives_way(
    ctx: Context, centos: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    raised: list[Exception] = []

    def again(_ctx: Context, _catalog: Catalog, artifacts: Any, **_: Any) -> None:
        asked.append(list(artifacts))
        if raised:
            raise raised[0]

    monkeypatch.setattr(fetch, "fetch", again)
    # Another command failed, or something else could not be had: the vault answers.
    assert _unreachable(ctx, centos, CommandFailed("gcc failed")) is None
    assert not asked
    assert _unreachable(ctx, centos, NetworkError("no gcc")) is None
    assert asked == [list(centos.packages)]
    raised.append(NetworkError("no vault"))
    reason = _unreachable(ctx, centos, NetworkError("no gcc"))
    assert reason is raised[0]
    # What the vault gives is false: that never gives way.
    raised[:] = [IntegrityError("checksum mismatch")]
    with pytest.raises(IntegrityError):
        _unreachable(ctx, centos, NetworkError("no gcc"))
    assert _unreachable(ctx, centos, IntegrityError("checksum mismatch")) is None


def test_a_vanished_package_is_known_without_asking_again(ctx: Context, centos: Candidate) -> None:
    gone = Vanished(centos.packages[:1])
    assert _unreachable(ctx, centos, gone) is gone
    other = replace(centos.packages[0], name="gcc", sha256="0" * 64)
    assert _unreachable(ctx, centos, Vanished([other])) is None
