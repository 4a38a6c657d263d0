"""What packages a request comes to: dependencies, alternatives, virtual packages, versions, exclusions."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable

import pytest

from xtool.catalog import default_root
from xtool.errors import IntegrityError, UsageError
from xtool.fetch.closure import closure, near
from xtool.fetch.relations import DebianUniverse, Relation, relations
from xtool.fetch.release import Index
from xtool.sysrootrules import read_rules


def universe(*stanzas: str) -> DebianUniverse:
    """A suite of packages, each given as `name version; Field: value; ...`."""
    texts = []
    for stanza in stanzas:
        head, *fields = (part.strip() for part in stanza.split(";"))
        name, version, *arch = head.split()
        sha256 = hashlib.sha256(head.encode()).hexdigest()
        lines = [f"Package: {name}", f"Version: {version}", f"Architecture: {(arch or ['ppc64el'])[0]}"]
        lines += [f"Filename: pool/{name}.deb", "Size: 10", f"SHA256: {sha256}", *fields]
        texts.append("\n".join(lines) + "\n")
    text = "\n".join(texts).encode()
    return DebianUniverse(Index(lzma.compress(text), limit=len(text), what="Packages"), "trixie", "ppc64el")


def names(where: DebianUniverse, *wanted: str, given: Callable[[str], bool] = lambda _: False) -> list[str]:
    return [chosen.offer.name for chosen in closure(where, wanted, given=given)]


def test_dependencies_are_followed_and_pre_dependencies_too() -> None:
    where = universe(
        "a-dev 1; Depends: liba (= 1), b-dev (>= 1.0~), nothing-else", "liba 1; Pre-Depends: multi",
        "b-dev 1.0", "multi 3 all", "nothing-else 1", "stranger 1; Depends: a-dev",
    )  # fmt: skip
    found = closure(where, ["a-dev"], given=lambda _: False)
    assert [one.offer.name for one in found] == ["a-dev", "b-dev", "liba", "multi", "nothing-else"]
    assert {one.offer.name: one.needed_by for one in found}["multi"] == "liba"
    assert {one.offer.name: one.needed_by for one in found}["a-dev"] == ""


def test_circles_end() -> None:
    assert names(universe("a 1; Depends: b", "b 1; Depends: a"), "a") == ["a", "b"]


def test_what_is_given_is_neither_taken_nor_followed() -> None:
    where = universe("a 1; Depends: libc6 (>= 9), perl | b", "libc6 1; Depends: missing", "b 1")
    assert names(where, "a", "libc6", given=lambda name: name in ("libc6", "perl")) == ["a"]


def test_the_first_alternative_that_there_is_counts() -> None:
    where = universe("a 1; Depends: gone | b (>= 2) | c | d", "b 1", "c 1", "d 1")
    assert names(where, "a") == ["a", "c"]


def test_an_alternative_that_is_there_already_is_not_doubled() -> None:
    where = universe("a 1; Depends: d, c | d", "c 1", "d 1")
    assert names(where, "a") == ["a", "d"]


def test_virtual_packages_are_answered_by_who_provides_them() -> None:
    where = universe(
        "a 1; Depends: jpeg-dev (>= 2)", "libjpeg1-dev 1; Provides: jpeg-dev (= 1)",
        "libjpeg2-dev 1; Provides: other, jpeg-dev (= 2)", "libjpeg0-dev 1; Provides: jpeg-dev",
    )  # fmt: skip
    assert names(where, "a") == ["a", "libjpeg2-dev"]


def test_the_highest_version_counts_and_other_architectures_do_not() -> None:
    where = universe("a 1.9", "a 1.10", "a 2.0 amd64")
    (chosen,) = closure(where, ["a"], given=lambda _: False)
    assert chosen.offer.version == "1.10"


def test_a_package_is_found_by_the_one_name_that_it_provides() -> None:
    assert names(universe("zlib1g-dev 1; Provides: libz-dev"), "libz-dev") == ["zlib1g-dev"]


def test_a_name_that_several_provide_is_an_error_that_lists_them() -> None:
    where = universe("one 1; Provides: x", "two 1; Provides: x")
    with pytest.raises(UsageError, match="several packages") as caught:
        names(where, "x")
    assert caught.value.facts == ("one, two",)
    assert caught.value.exit_code == 2


def test_a_requirement_without_an_answer_says_who_brought_it() -> None:
    where = universe("a 1; Depends: b", "b 1; Depends: c (>> 1)", "c 1")
    with pytest.raises(UsageError, match=r"b requires `c \(>> 1\)`") as caught:
        names(where, "a")
    assert caught.value.facts == ("b is needed by a",)


@pytest.mark.parametrize("field", ["Conflicts: b", "Breaks: b (<< 2)", "Conflicts: virtual"])
def test_packages_that_exclude_each_other_are_an_error(field: str) -> None:
    where = universe(f"a 1; {field}", "b 1; Provides: virtual", "both 1; Depends: a, b")
    with pytest.raises(UsageError, match="cannot be in one sysroot") as caught:
        names(where, "both")
    assert set(caught.value.facts) == {"a is needed by both", "b is needed by both"}


@pytest.mark.parametrize("field", ["Conflicts: b (<< 1)", "Breaks: b (= 2)", "Conflicts: virtual (= 1)"])
def test_exclusions_of_other_versions_do_no_harm(field: str) -> None:
    assert names(universe(f"a 1; {field}", "b 1; Provides: virtual"), "a", "b") == ["a", "b"]


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        ("libffi-devel", "libffi-dev"), ("zlib-devel", "zlib1g-dev"), ("libxslt-dev", "libxslt1-dev"),
        ("libfii-dev", "libffi-dev"), ("zlib1g-dve", "zlib1g-dev"),
    ],
)  # fmt: skip
def test_mistyped_and_foreign_names_get_the_near_one(wanted: str, best: str) -> None:
    known = ["libffi-dev", "libffi8", "zlib1g-dev", "zlib1g", "libxslt1-dev", "libxml2-dev", "libfido2-dev"]
    assert near(known, wanted)[0] == best
    with pytest.raises(UsageError, match=f"has no package `{wanted}`") as caught:
        names(universe(*(f"{name} 1" for name in known)), wanted)
    assert f"`{best}`" in str(caught.value.hint)


def test_relations_are_read_as_policy_writes_them() -> None:
    text = "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.14~), gcc [amd64] <!nocheck>"
    assert [alternatives for _, alternatives in relations(text)] == [
        (Relation("libc6", ">=", "2.34"),),
        (Relation("debconf", ">=", "0.5"), Relation("debconf-2.0")),
        (Relation("python3", "<<", "3.14~"),),
        (Relation("gcc"),),
    ]


@pytest.mark.parametrize("text", ["a (2)", "a (>= )", "a b", "(>= 1)", "a (>= 1", "-a"])
def test_malformed_relations_are_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match="malformed relation"):
        relations(text)


def test_the_shipped_rules_keep_the_c_library_and_the_compiler_out() -> None:
    rules = read_rules(default_root())
    for name in ("libc6", "libc6-dev", "libgcc-s1", "libstdc++-14-dev", "perl-base", "python3", "rpmlib(X)"):
        assert rules.is_given(name), name
    for name in ("zlib1g", "libssl3t64", "libgcrypt20", "libcom-err2", "libdb5.3t64", "libpq5", "tcl8.6-dev"):
        assert not rules.is_given(name), name
    assert rules.other_name("openssl-devel") == "libssl-dev"
    assert rules.other_name("libssl-dev") == "openssl-devel"
    header = rules.library_of_header("openssl/evp.h")
    assert header is not None
    assert (header.package("derived"), header.package("almalinux9")) == ("libssl-dev", "openssl-devel")
    known = {module for library in rules.libraries for module in library.modules}
    assert {"libxml-2.0", "libxslt", "libpq"} <= {tool.module for tool in rules.tools} & known
