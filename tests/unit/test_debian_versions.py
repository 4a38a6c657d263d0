"""The order of Debian versions, held against Policy's words and dpkg itself."""

from __future__ import annotations

import itertools
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xtool.fetch.versions import DebianVersion

ORDERED = [
    "1.0~~",
    "1.0~~a",
    "1.0~",
    "1.0",
    "1.0-1~deb12u1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb13u2",
    "1.0-1+deb13u10",
    "1.0a",
    "1.0+dfsg-1",
    "1.0.1",
    "1.2",
    "1.10",
    "2.41-12+deb13u1",
    "14.2.0-19",
    "14.2.0-19cross1",
    "1:0.1",
]


@pytest.mark.parametrize(("low", "high"), list(itertools.combinations(ORDERED, 2)))
def test_order(low: str, high: str) -> None:
    assert DebianVersion(low) < DebianVersion(high)
    assert DebianVersion(high) > DebianVersion(low)
    assert DebianVersion(low) != DebianVersion(high)


@pytest.mark.parametrize(
    ("one", "other"), [("0:1.0", "1.0"), ("1.0", "1.00"), ("1.0-0", "1.0"), ("1.", "1.0")]
)
def test_equal(one: str, other: str) -> None:
    assert DebianVersion(one) == DebianVersion(other)
    assert hash(DebianVersion(one)) == hash(DebianVersion(other))


def test_a_part_that_ends_early_goes_on_as_empty_text_and_the_number_0() -> None:
    assert DebianVersion("1-0~") < DebianVersion("1")
    assert not DebianVersion("1") < DebianVersion("1-0~")
    assert DebianVersion("1") < DebianVersion("1-0a")


@pytest.mark.parametrize("text", ["", "a:1", ":1", "1:"])
def test_not_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="not a Debian version"):
        DebianVersion(text)


_PART = st.text(alphabet="019ab~+.", max_size=5)


@settings(max_examples=60, deadline=None)
@given(_PART, _PART, _PART, _PART)
def test_the_same_as_dpkg(upstream: str, revision: str, other_upstream: str, other_revision: str) -> None:
    one = f"1{upstream}" + (f"-{revision}" if revision else "")
    other = f"1{other_upstream}" + (f"-{other_revision}" if other_revision else "")
    for relation, ours in (
        ("lt", DebianVersion(one) < DebianVersion(other)),
        ("eq", DebianVersion(one) == DebianVersion(other)),
    ):
        done = subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False)
        assert (done.returncode == 0) == ours, (one, relation, other)
