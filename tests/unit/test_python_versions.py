"""Python versions as users write them."""

from __future__ import annotations

import pytest

from xtool.errors import UsageError
from xtool.python.versions import PythonVersion, parse_python, sort_key


def test_a_free_threaded_version_has_its_letter_where_pep_703_puts_it() -> None:
    version = parse_python("3.13t")
    assert version == PythonVersion(3, 13, free_threaded=True)
    assert (str(version), version.release) == ("3.13t", "3.13")
    assert (version.interpreter_tag, version.abi_tag) == ("cp313", "cp313t")


def test_versions_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["3.14", "3.13t", "3.9", "3.13"], key=sort_key) == ["3.9", "3.13", "3.13t", "3.14"]


@pytest.mark.parametrize("text", ["", "3", "3.", "3.13.5", "3.13td", "python3.13", "-3.13", "3.x"])
def test_anything_else_is_a_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="not a Python version"):
        parse_python(text)
