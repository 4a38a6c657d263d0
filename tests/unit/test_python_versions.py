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


@pytest.mark.parametrize(
    "text",
    ["", "3", "3.", "3.13.5", "3.13td", "python3.13", "-3.13", "3.x", "3.1\N{ARABIC-INDIC DIGIT THREE}"],
)
def test_anything_else_is_a_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="not a Python version"):
        parse_python(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3.13.5", "3.13"),
        ("313", "3.13"),
        ("cp313", "3.13"),
        ("cp313t", "3.13t"),
        ("python3.13t", "3.13t"),
        ("cpython@3.9", "3.9"),
        ("cpython-3.14.0rc2", "3.14"),
        ("3.13+freethreaded", "3.13t"),
    ],
)
def test_what_others_call_a_version_is_put_right(text: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_python(text)
    assert f"`--python {meant}`" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["py3", "3", "latest"])
def test_what_nobody_can_know_is_not_guessed(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_python(text)
    assert "`--python 3.13`, or `--python 3.13t`" in (caught.value.hint or "")


def test_a_leading_zero_makes_no_other_version() -> None:
    assert str(parse_python("3.013")) == "3.13"


@pytest.mark.parametrize(
    "verb", ["setup ppc64le", "show ppc64le", "cache key ppc64le", "build --target ppc64le"]
)
def test_a_mistyped_version_is_found_before_anything_else(inside, verb: str) -> None:
    done = inside(*verb.split(), "--python", "3.13.5")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: `3.13.5` is not a Python version\n\n"
        "hint: write it as `--python 3.13`; which patch release that is, the source decides\n"
    )
