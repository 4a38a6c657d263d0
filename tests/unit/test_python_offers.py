"""Which Pythons there are, and which source each is taken from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakeserver import FakeServer, Reply

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import NetworkError, OfflineError, UsageError
from xtool.log import SilentLog
from xtool.python import offers, portable, uvtable
from xtool.python.offers import Choice, Offered, offered
from xtool.recipes import Assembly, Recipe
from xtool.store import Store
from xtool.targets import Host, Target, current_host


@pytest.fixture
def target() -> Target:
    return Catalog().target("ppc64le")


@pytest.fixture
def host() -> Host:
    return current_host()


def table(*builds: str) -> bytes:
    """uv's table with some builds for ppc64le: `3.13.5`, `3.13.5t`, `3.15.0rc1`."""
    made = {}
    for build in builds:
        version, threaded, _ = build.partition("t")
        release, early, serial = version.partition("rc")
        major, minor, patch = map(int, release.split("."))
        flavour = "+freethreaded" if threaded else ""
        made[f"cpython-{version}{flavour}-linux-powerpc64le-gnu"] = {
            "name": "cpython",
            "arch": {"family": "powerpc64le", "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": early + serial,
            "url": f"https://example.invalid/{build}.tar.gz",
            "sha256": "0" * 64,
            "variant": "freethreaded" if threaded else None,
            "build": "1",
        }
    return json.dumps(made).encode()


Tables = Callable[..., Context]


@pytest.fixture
def with_table(make_context: Callable[..., Context], tmp_path: Path) -> Tables:
    """`with_table("3.13.5", "3.14.0t")` makes a context whose uv has just these builds, for ppc64le."""

    def make(*builds: str, **settings: object) -> Context:
        path = tmp_path / "table.json"
        path.write_bytes(table(*builds))
        environ = {uvtable.TABLE_VARIABLE: str(path), "PATH": "/usr/bin:/bin"}
        return make_context(environ=environ, **settings)

    return make


def lock_with(*components: str, version: str = "") -> Lock:
    """The lock of ppc64le with just these components of Pythons."""
    lock = Catalog().lock(current_host(), Catalog().target("ppc64le"))
    (some,) = (a for a in lock.artifacts("python3.13") if a.name == "python3.13")

    def artifact(component: str) -> Artifact:
        name = component.removeprefix("build-")
        return replace(some, name=name, version=version or f"{name.removeprefix('python')}.1-1")

    return replace(lock, components={name: (artifact(name),) for name in components})


def test_uvs_own_table_has_what_debian_has_not(ctx: Context, host: Host, target: Target) -> None:
    found = offered(ctx, host, target)
    assert {"3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t"} <= set(found)
    assert found["3.12"].sources == ("portable",)
    assert found["3.13t"].sources == ("portable",)
    assert found["3.13"] == Offered("3.13", ("portable", "debian"))
    assert "3.9" not in found
    assert list(found)[:5] == ["3.10", "3.11", "3.12", "3.13", "3.13t"]


@pytest.mark.parametrize("name", sorted(Catalog().targets))
def test_every_targets_record_names_uvs_machine_for_it(ctx: Context, name: str) -> None:
    """But for the one that uv has no builds for."""
    builds = uvtable.builds(ctx).get(portable.machine(Catalog().target(name)), {})
    assert ("3.10" in builds) == (name != "loongarch64")


def test_a_table_of_the_users_is_read_instead(with_table: Tables, host: Host, target: Target) -> None:
    ctx = with_table("3.12.1", "3.14.0t", "3.16.0rc1", "3.15.0rc1", "3.15.0", "3.9.9")
    assert offered(ctx, host, target) == {
        "3.11": Offered("3.11", ("debian",)),
        "3.12": Offered("3.12", ("portable",)),
        "3.13": Offered("3.13", ("debian",)),
        "3.14": Offered("3.14", ("debian",)),
        "3.14t": Offered("3.14t", ("portable",)),
        "3.15": Offered("3.15", ("portable", "debian")),
        "3.16": Offered("3.16", ("portable",), prerelease=True),
    }


@pytest.mark.parametrize(
    ("version", "early"),
    [("3.15.0~rc1-1", True), ("3.15.0~b4-2", True), ("3.15.0-1", False), ("3.13.5-2+deb13u4", False)],
)
def test_debians_pre_releases_have_a_tilde(version: str, early: bool) -> None:
    assert offers.debian(lock_with("python3.15", "gcc", version=version)) == {"3.15": early}


def test_nothing_that_is_locked_is_a_pre_release(host: Host) -> None:
    catalog = Catalog()
    for target in catalog.targets.values():
        found = offers.debian(catalog.lock(host, target))
        assert {"3.13", "3.14", "3.15"} <= set(found), target.name
        assert not any(found.values()), target.name


def test_a_table_is_asked_for_once(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(ctx).prepare()
    first = uvtable.builds(ctx)
    monkeypatch.setattr(uvtable, "_ask", lambda *_: pytest.fail("uv was asked again"))
    assert uvtable.builds(ctx) == first
    monkeypatch.setattr(uvtable, "_uv_version", lambda: "99.0")
    with pytest.raises(pytest.fail.Exception):
        uvtable.builds(ctx)


@pytest.mark.parametrize("damage", ["{", "[]", '{"key": 1}', '{"builds": {"a": {"b": 1}}}', ""])
def test_a_damaged_memory_is_no_hindrance(ctx: Context, damage: str) -> None:
    Store(ctx).prepare()
    first = uvtable.builds(ctx)
    (path,) = (ctx.settings.cache_dir / "v1" / "state").iterdir()
    text = path.read_text()
    path.write_text(damage)
    assert uvtable.builds(ctx) == first
    assert path.read_text() == text


def test_asking_makes_no_cache(ctx: Context) -> None:
    assert uvtable.builds(ctx)
    assert not ctx.settings.cache_dir.exists()


def test_a_table_on_the_web_may_change_and_may_be_out_of_reach(make_context: Callable[..., Context]) -> None:
    with FakeServer() as server:
        environ = {uvtable.TABLE_VARIABLE: server.url("/table.json"), "PATH": "/usr/bin:/bin"}
        ctx = make_context(environ=environ, retries=0)
        offline = make_context(environ=environ, offline=True)
        Store(ctx).prepare()
        with pytest.raises(NetworkError) as caught:
            uvtable.builds(ctx)
        assert uvtable.TABLE_VARIABLE in (caught.value.hint or "")
        assert any(server.url("/table.json") in fact for fact in caught.value.facts)
        with pytest.raises(OfflineError):
            uvtable.builds(offline)
        server.add("/table.json", Reply(table("3.12.1")))
        assert uvtable.builds(ctx) == {"powerpc64le-gnu": {"3.12": False}}
        server.add("/table.json", Reply(table("3.12.1", "3.13.1t")))
        assert uvtable.builds(ctx) == {"powerpc64le-gnu": {"3.12": False, "3.13t": False}}
        before = server.count()
        assert "3.13t" in uvtable.builds(offline)["powerpc64le-gnu"]
        assert server.count() == before
        server.add("/table.json", Reply(b"", status=503))
        assert "3.13t" in uvtable.builds(ctx)["powerpc64le-gnu"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": {}}', b'{"a": 1}'])
def test_a_table_that_is_none_is_told_of(
    make_context: Callable[..., Context], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    environ = {uvtable.TABLE_VARIABLE: str(path), "PATH": "/usr/bin:/bin"}
    with pytest.raises(NetworkError) as caught:
        uvtable.builds(make_context(environ=environ))
    assert caught.value.code == "portable-table"


class Warned(SilentLog):
    """Remembers warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str, *, hint: str | None = None) -> None:
        self.warnings.append(message)


def recipe(source: str) -> Recipe:
    def assemble(_work: Assembly) -> None:
        raise AssertionError

    return Recipe(
        name="python", title="", revision=1, artifacts=(), assemble=assemble, parameters={"source": source}
    )


def install(ctx: Context, sources: Iterable[str]) -> None:
    for source in sources:
        Store(ctx).install(recipe(source), lambda staging, scratch: (staging / "file").touch())


def taken(ctx: Context, target: Target, version: str, wanted: str = "auto", **has: bool) -> str:
    """The source that a version is taken from."""
    choice = Choice(ctx, wanted, lock_with("python3.13", "python3.15"), **has)
    return choice.of_target(target, version, recipe).parameters["source"]


@pytest.mark.parametrize(
    ("wanted", "installed", "answers", "chosen"),
    [
        ("auto", set(), True, "portable"),
        ("auto", set(), False, "debian"),
        ("auto", {"debian"}, True, "debian"),
        ("auto", {"debian", "portable"}, False, "portable"),
        ("portable", {"debian"}, False, "portable"),
        ("debian", {"portable"}, True, "debian"),
    ],
)
def test_source_is_what_was_asked_then_what_is_there_then_what_can_be_reached(
    with_table: Tables,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    installed: set[str],
    answers: bool,
    chosen: str,
) -> None:
    ctx = with_table("3.13.5")
    install(ctx, installed)
    probes = []
    monkeypatch.setattr(portable, "reachable", lambda _: probes.append(1) or answers)
    assert taken(ctx, target, "3.13", wanted) == chosen
    assert len(probes) == (1 if wanted == "auto" and not installed else 0)


def test_a_version_that_uv_lacks_is_debians_even_in_reach(
    with_table: Tables, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    assert taken(with_table("3.13.5"), target, "3.15") == "debian"


def test_a_broken_table_leaves_debians(
    make_context: Callable[..., Context], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    log = Warned()
    ctx = make_context(environ={uvtable.TABLE_VARIABLE: "/no/such/table"}, log=log)
    assert taken(ctx, target, "3.13") == "debian"
    assert log.warnings == ["uv cannot say which portable Pythons there are; Debian's is taken"]


def test_the_mirror_is_probed_once_for_many_pythons(
    with_table: Tables, target: Target, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = []
    monkeypatch.setattr(portable, "reachable", lambda _: probes.append(1) or False)
    ctx = with_table("3.13.5", "3.15.0")
    choice = Choice(ctx, "auto", lock_with("python3.13", "python3.15", "build-python3.13"))
    for version in ("3.13", "3.15"):
        choice.of_target(target, version, recipe)
    choice.of_host(host, "3.13", recipe)
    assert len(probes) == 1


def test_a_python_that_only_the_portable_source_has(
    with_table: Tables, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "reachable", lambda _: True)
    assert taken(with_table("3.12.5"), target, "3.12") == "portable"
    monkeypatch.setattr(portable, "reachable", lambda _: False)
    ctx = with_table("3.12.5")
    with pytest.raises(NetworkError) as caught:
        taken(ctx, target, "3.12")
    assert caught.value.message == "Python 3.12 for ppc64le is a portable build, and these are out of reach"
    assert caught.value.facts == ("what can be had now: 3.13, 3.15",)
    assert "XTOOL_PYTHON_MIRROR" in (caught.value.hint or "")
    # Where nothing is to be set up, it does not matter what is in reach.
    assert taken(ctx, target, "3.12", reach=False) == "portable"
    install(ctx, ["portable"])
    assert taken(ctx, target, "3.12") == "portable"


def test_offline_a_python_that_only_the_portable_source_has(with_table: Tables, target: Target) -> None:
    ctx = with_table("3.12.5", offline=True)
    with pytest.raises(OfflineError, match="`--offline` forbids fetching it") as caught:
        taken(ctx, target, "3.12")
    assert caught.value.facts == ("Debian's packages have 3.13, 3.15",)


@pytest.mark.parametrize(
    ("version", "wanted", "hint"),
    [
        ("3.11", "auto", "`xtool list --available`"),
        ("3.12", "debian", "there is a portable build of 3.12, which `--python-source debian` excludes"),
        ("3.15", "portable", "Debian has 3.15, which `--python-source portable` excludes"),
    ],
)
def test_a_version_that_no_source_has(
    with_table: Tables, target: Target, version: str, wanted: str, hint: str
) -> None:
    choice = Choice(with_table("3.12.5", "3.13.5t"), wanted, lock_with("python3.13", "python3.15"))
    for ask in (choice.check, lambda *words: choice.of_target(*words, recipe)):
        with pytest.raises(UsageError) as caught:
            ask(target, version)
        assert caught.value.message == f"there is no Python {version} for ppc64le"
        assert caught.value.facts == ("debian: 3.13, 3.15", "portable: 3.12, 3.13t")
        assert hint in (caught.value.hint or "")


def test_a_build_python_may_be_installed_by_hand(ctx: Context, host: Host) -> None:
    with pytest.raises(UsageError, match=r"no Python 3\.6 for this host") as caught:
        Choice(ctx, "auto", lock_with("build-python3.13")).of_host(host, "3.6", recipe)
    assert (caught.value.hint or "").startswith("install it on this machine, or choose another one")


def test_unknown_source_is_a_usage_error(ctx: Context) -> None:
    with pytest.raises(UsageError, match="no Python source `conda`"):
        Choice(ctx, "conda", lock_with("python3.13"))


@pytest.mark.parametrize(("wanted", "source"), [("auto", "debian"), ("portable", "portable")])
def test_a_cache_key_does_not_depend_on_what_is_in_reach(ctx: Context, wanted: str, source: str) -> None:
    choice = Choice(ctx, wanted, lock_with("python3.13"))
    assert choice.unasked("3.13") == source
    assert choice.unasked("3.12") == "portable"


def test_a_table_for_people_and_one_for_programs(inside) -> None:
    done = inside("list", "--available")
    (start,) = (n for n, line in enumerate(done.stdout.splitlines()) if line.startswith("PYTHON"))
    lines = done.stdout.splitlines()[start:]
    header, *rows = (line.split() for line in lines if line)
    assert header[:5] == ["PYTHON", "3.10", "3.11", "3.12", "3.13"]
    cells = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows[:-1]}
    assert (cells["ppc64le"]["3.11"], cells["ppc64le"]["3.12"]) == ("dp", "p")
    assert (cells["loongarch64"]["3.12"], cells["loongarch64"]["3.14"]) == ("-", "d")
    assert lines[-1].startswith("d: Debian's packages, p: portable builds through uv, *: a pre-release")
    document = inside("list", "--available", "--output", "json").document
    (listed,) = (t["pythons"] for t in document["data"]["targets"] if t["target"] == "ppc64le")
    by_version: Mapping[str, Mapping[str, object]] = {one["version"]: one for one in listed}
    assert by_version["3.12"] == {"version": "3.12", "sources": ["portable"], "prerelease": False}
    assert by_version["3.15"]["sources"] == ["portable", "debian"]
    early = {version for version, one in by_version.items() if one["prerelease"]}
    assert {version for version, cell in cells["ppc64le"].items() if cell.endswith("*")} == early


def test_show_tells_the_sources_of_one_target(
    inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(table("3.12.1", "3.16.0rc1"))
    monkeypatch.setenv(uvtable.TABLE_VARIABLE, str(path))
    data = inside("show", "ppc64le", "--output", "json").document["data"]
    assert data["pythons"] == ["3.11", "3.12", "3.13", "3.14", "3.15", "3.16"]
    assert data["python_sources"]["3.12"] == ["portable"]
    assert data["python_prereleases"] == ["3.16"]
    done = inside("show", "ppc64le", "--python", "3.12")
    assert done.code == 0, done.stderr
    assert "3.12 (portable), 3.13 (debian)" in done.stdout
    assert "3.16 (portable, pre-release)" in done.stdout
