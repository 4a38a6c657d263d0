"""Requirements of RPM packages: matched as rpm itself matches them, and followed over real metadata."""

from __future__ import annotations

import gzip
import itertools
import subprocess
from pathlib import Path

import pytest
from support.vault import Package, Repository, Vault

from xtool.errors import UsageError
from xtool.fetch.closure import closure
from xtool.fetch.rpmrepo import RpmPackage, read_primary
from xtool.fetch.rpmuniverse import RpmUniverse, capability


def _packages(repository: Repository) -> list[RpmPackage]:
    repository.publish()
    (path,) = (repository.folder / "repodata").glob("*-primary.xml.gz")
    data = gzip.decompress(path.read_bytes())
    return read_primary([data], arches={repository.arch, "noarch"}, what="primary")


def test_ranges_overlap_as_rpm_has_it(tmp_path: Path) -> None:
    """One package that provides, one that requires every combination; rpm lists what is not met."""
    versions = ["1", "1-1", "1-2", "1.0", "1~rc", "2", "0:1", "1:1", "1:1-1", "10-1"]
    wants = ["", *(f" {op} {version}" for op in ("<", "<=", "=", ">=", ">") for version in versions)]
    gives = ["", *(f" = {version}" for version in versions)]
    pairs = list(itertools.product(gives, wants))
    repository = Vault(tmp_path).repository("os/", arch="noarch")
    repository.build(
        [
            Package("giver", "1", "1", provides=[f"it{n}{give}" for n, (give, _) in enumerate(pairs)]),
            Package("taker", "1", "1", requires=[f"it{n}{want}" for n, (_, want) in enumerate(pairs)]),
        ]
    )
    words = ["rpm", "--root", str(tmp_path / "root"), "--install", "--test", "--ignorearch", "--nosignature"]
    files = [str(path) for path in repository.files.values()]
    done = subprocess.run([*words, *files], capture_output=True, text=True, check=False)
    unmet = {line.split()[0] for line in done.stderr.splitlines() if " is needed by taker" in line}
    assert 0 < len(unmet) < len(pairs)
    universe = RpmUniverse(_packages(repository), "the test")
    taker = universe.named("taker")
    assert taker is not None
    ours = {text.split()[0] for text in universe.requires(taker) if not universe.answers(text)}
    assert ours - {"rpmlib(CompressedFileNames)"} == unmet


@pytest.fixture(scope="module")
def universe(tmp_path_factory: pytest.TempPathFactory) -> RpmUniverse:
    repository = Vault(tmp_path_factory.mktemp("vault")).repository("os/")
    soname = "libssl.so.10()(64bit)"
    repository.build(
        [
            Package("glibc", "2.17", "317.el7", provides=["libc.so.6(GLIBC_2.17)(64bit)"]),
            Package(
                "openssl-devel",
                "1.0.2k",
                "19.el7",
                requires=[
                    "openssl-libs = 1:1.0.2k-19.el7",
                    "pkgconfig(zlib)",
                    "/usr/bin/pkg-config",
                    "(a if b)",
                ],
                epoch=1,
            ),
            Package(
                "openssl-libs",
                "1.0.2k",
                "19.el7",
                provides=[soname, "libssl.so.10(OPENSSL_1.0.2)(64bit)"],
                requires=["libc.so.6(GLIBC_2.17)(64bit)", "libz.so.1()(64bit)"],
                epoch=1,
            ),
            Package(
                "zlib-devel",
                "1.2.7",
                "18.el7",
                provides=["pkgconfig(zlib) = 1.2.7"],
                requires=["zlib = 1.2.7-18.el7"],
            ),
            Package("zlib", "1.2.7", "18.el7", provides=["libz.so.1()(64bit)"]),
            Package("other-ssl", "1", "1", provides=[soname]),
            Package("broken", "1", "1", requires=["libmissing.so.1()(64bit)"]),
            Package("users", "1", "1", requires=["/usr/bin/tool"]),
            Package("tools", "1", "1", {"usr/bin/tool": b"#!/bin/sh\n"}),
        ]
    )
    repository.build([Package("zlib", "1.2.3", "99.el7", provides=["libz.so.1()(64bit)"])])
    return RpmUniverse(_packages(repository), "CentOS 7 (ppc64le)")


def _given(name: str) -> bool:
    return name == "glibc"


def test_a_closure_over_sonames_pkgconfig_and_versions(universe: RpmUniverse) -> None:
    chosen = closure(universe, ["openssl-devel"], given=_given)
    assert [(one.offer.name, one.offer.version, one.needed_by) for one in chosen] == [
        ("openssl-devel", "1:1.0.2k-19.el7", ""),
        ("openssl-libs", "1:1.0.2k-19.el7", "openssl-devel"),
        ("zlib", "1.2.7-18.el7", "openssl-libs"),
        ("zlib-devel", "1.2.7-18.el7", "openssl-devel"),
    ]


def test_the_newest_of_a_name_and_the_preferred_provider(universe: RpmUniverse) -> None:
    zlib = universe.named("zlib")
    assert zlib is not None
    assert zlib.ver == "1.2.7"
    providers = universe.answers("libssl.so.10()(64bit)")
    assert [one.name for one in providers] == ["other-ssl", "openssl-libs"]
    assert [one.name for one in universe.answers("zlib >= 1.2.7")] == ["zlib"]
    assert universe.answers("zlib > 1.2.7") == []
    assert [one.name for one in universe.answers("/usr/bin/tool")] == ["tools"]
    assert "tools" in {one.offer.name for one in closure(universe, ["users"], given=_given)}


def test_what_cannot_be_met(universe: RpmUniverse) -> None:
    with pytest.raises(UsageError, match=r"broken requires `libmissing\.so\.1\(\)\(64bit\)`"):
        closure(universe, ["broken"], given=_given)
    with pytest.raises(UsageError, match=r"CentOS 7 .ppc64le. has no package `openssl-dev`") as caught:
        closure(universe, ["openssl-dev"], given=_given)
    assert "openssl-devel" in (caught.value.hint or "")


def test_names_with_blanks_and_operators_in_them() -> None:
    assert capability("(a >= 1 if b)").name == "(a >= 1 if b)"
    assert capability("a >= 1:2-3").version == "1:2-3"
    assert capability("libc.so.6(GLIBC_2.17)(64bit)").op == ""
