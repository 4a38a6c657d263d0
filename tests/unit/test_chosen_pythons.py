"""Which Pythons a project is built for where none are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace

import pytest
from packaging.specifiers import SpecifierSet

from xtool import housekeeping, setup
from xtool.build import pythons
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import UsageError
from xtool.python import offers, portable
from xtool.python.offers import Offered
from xtool.setup import DEFAULT_PYTHON, Request

REQUEST = Request(Catalog().target("ppc64le"))
BOTH = ("portable", "debian")


@pytest.fixture(autouse=True)
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what there is, and whether portable builds are in reach."""

    def offer(reachable: bool, **found: tuple[str, ...]) -> None:
        table: Mapping[str, Offered] = {
            (version := name.removeprefix("py").replace("_", ".").removesuffix("rc")): Offered(
                version, sources, name.endswith("rc")
            )
            for name, sources in found.items()
        }
        monkeypatch.setattr(offers, "offered", lambda ctx, host, target: table)
        monkeypatch.setattr(portable, "reachable", lambda ctx: reachable)

    offer(
        True,
        py3_10=("portable",),
        py3_11=BOTH,
        py3_13=BOTH,
        py3_13t=("portable",),
        py3_14=("debian",),
        py3_15rc=("debian",),
    )
    return offer


def choose(ctx: Context, allowed: str | None, request: Request = REQUEST) -> tuple[str, ...]:
    return pythons.choose(ctx, request, None if allowed is None else SpecifierSet(allowed), "x 1")


def test_all_final_releases_that_the_project_is_for(ctx: Context) -> None:
    assert choose(ctx, ">=3.8") == ("3.10", "3.11", "3.13", "3.14")
    assert choose(ctx, ">=3.11,<3.14") == ("3.11", "3.13")
    assert choose(ctx, ">=3.11.7") == ("3.11", "3.13", "3.14")
    assert choose(ctx, "!=3.13.*,>=3.11") == ("3.11", "3.14")


def test_the_default_alone_for_a_project_that_states_nothing(ctx: Context) -> None:
    assert choose(ctx, None) == (DEFAULT_PYTHON,)


def test_what_is_out_of_reach_is_not_taken_unasked(ctx: Context, offer: Callable[..., None]) -> None:
    offer(False, py3_10=("portable",), py3_11=BOTH, py3_14=("debian",))
    assert choose(ctx, ">=3.8") == ("3.11", "3.14")
    assert choose(ctx, ">=3.8", replace(REQUEST, python_source="debian")) == ("3.11", "3.14")
    assert choose(ctx, ">=3.8", replace(REQUEST, pythons=("3.10",))) == ("3.10",)


def test_a_source_that_is_named_is_the_only_one(ctx: Context) -> None:
    assert choose(ctx, ">=3.8", replace(REQUEST, python_source="debian")) == ("3.11", "3.13", "3.14")
    assert choose(ctx, ">=3.8", replace(REQUEST, python_source="portable")) == ("3.10", "3.11", "3.13")


def test_what_is_named_is_taken_as_it_is(ctx: Context) -> None:
    named = replace(REQUEST, pythons=("3.15", "3.13t"))
    assert choose(ctx, ">=3.13", named) == ("3.15", "3.13t")
    assert choose(ctx, None, named) == ("3.15", "3.13t")
    with pytest.raises(UsageError, match=r"x 1 does not support Python 3\.15"):
        choose(ctx, "<3.15", named)


def test_a_project_for_no_python_that_there_is(ctx: Context) -> None:
    with pytest.raises(UsageError, match="supports none of the Pythons") as caught:
        choose(ctx, ">=3.15")
    assert caught.value.facts == ("its requires-python is `>=3.15`", "there are 3.10, 3.11, 3.13, 3.14")
    assert "pre-release" in (caught.value.hint or "")


def test_offline_only_what_needs_no_download(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = make_context(offline=True)
    monkeypatch.setattr(pythons, "_at_hand", lambda ctx, request, version: version == "3.11")
    assert choose(offline, ">=3.8") == ("3.11",)
    # Where nothing is, the set-up says what is missing.
    monkeypatch.setattr(pythons, "_at_hand", lambda ctx, request, version: False)
    assert choose(offline, ">=3.8") == (DEFAULT_PYTHON,)


def test_nothing_is_at_hand_in_an_empty_cache(make_context: Callable[..., Context]) -> None:
    for version in ("3.13", "3.10"):
        assert not pythons._at_hand(make_context(offline=True), REQUEST, version)


def test_a_portable_build_that_is_not_there_is_not_at_hand(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(ctx: Context, recipes: object) -> tuple[list[SimpleNamespace], list[object]]:
        return [SimpleNamespace(parameters={"source": source}) for source in absent], []

    monkeypatch.setattr(housekeeping, "missing", missing)
    monkeypatch.setattr(setup, "plan", lambda ctx, request: SimpleNamespace(recipes=()))
    absent = ["debian"]
    assert pythons._at_hand(make_context(offline=True), REQUEST, "3.10")
    absent.append("portable")
    assert not pythons._at_hand(make_context(offline=True), REQUEST, "3.10")


def test_names_are_checked_before_anything_is_done(ctx: Context) -> None:
    pythons.check_asked(ctx, [REQUEST, replace(REQUEST, pythons=("3.13", "3.15"))])
    with pytest.raises(UsageError, match=r"there is no Python 3\.7 for ppc64le") as caught:
        pythons.check_asked(ctx, [REQUEST, replace(REQUEST, pythons=("3.13", "3.7"))])
    assert caught.value.code == "unknown-python"
    assert any("3.13" in fact for fact in caught.value.facts)
