"""The families of errors and their exit codes are a contract (docs: exit codes)."""

from __future__ import annotations

import pytest

from xtool import errors

CODES = {
    "XtoolError": 1,
    "CommandFailed": 1,
    "WheelRejected": 1,
    "UsageError": 2,
    "CatalogError": 2,
    "NetworkError": 3,
    "OfflineError": 3,
    "IntegrityError": 4,
    "ArchiveError": 4,
    "StoreError": 5,
    "ProblemsFound": 6,
    "Interrupted": 130,
}


def _classes() -> dict[str, type[errors.XtoolError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.XtoolError)
    }


def test_every_family_has_its_exit_code() -> None:
    assert {name: value.exit_code for name, value in _classes().items()} == CODES


def test_families_have_names_of_their_own() -> None:
    families = [value.family for value in _classes().values()]
    assert len(set(families)) == len(families)


@pytest.mark.parametrize("kind", _classes().values())
def test_an_error_keeps_what_it_is_given(kind: type[errors.XtoolError]) -> None:
    error = kind("what happened", facts=["a", "b"], hint="do this", code="special")
    assert (str(error), error.facts, error.hint, error.code) == (
        "what happened",
        ("a", "b"),
        "do this",
        "special",
    )
    assert kind("x").code == kind.family
