"""Which libraries of a sysroot may go into a wheel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtool.errors import StoreError
from xtool.kit import Sysroot
from xtool.toolchain.runtimes import offer_libraries


@pytest.fixture
def sysroot(tmp_path: Path) -> Sysroot:
    """A sysroot with libraries of the C library, a runtime, and a package's."""
    root = tmp_path / "sysroot"
    folder = root / "usr" / "lib"
    folder.mkdir(parents=True)
    (root / "usr" / "lib64").symlink_to("lib")
    for name in ("libc.so.6", "libm.so.6", "libcrypt.so.1", "libgomp.so.1", "libz.so.1.3"):
        (folder / name).write_text(name)
    for link, name in (
        ("libm.so", "libm.so.6"),
        ("libgomp.so", "libgomp.so.1"),
        ("libz.so.1", "libz.so.1.3"),
        ("libcrypt.so", "libcrypt.so.1"),
    ):
        (folder / link).symlink_to(name)
    made = Sysroot(path=root, glibc=(2, 17), kind="derived")
    made.exports.parent.mkdir(parents=True)
    made.exports.write_text(json.dumps({"libc.so.6": [], "libm.so.6": [], "libcrypt.so.1": []}))
    return made


def test_the_c_library_is_never_offered(sysroot: Sysroot, tmp_path: Path) -> None:
    offered = offer_libraries(sysroot, tmp_path / "offered")
    found = {path.name: path.read_text() for path in offered.iterdir()}
    assert found == {
        "libgomp.so": "libgomp.so.1",
        "libgomp.so.1": "libgomp.so.1",
        "libz.so.1": "libz.so.1.3",
        "libz.so.1.3": "libz.so.1.3",
    }


@pytest.mark.parametrize("text", [None, "{"])
def test_a_sysroot_that_does_not_say_what_it_has_offers_nothing(
    sysroot: Sysroot, tmp_path: Path, text: str | None
) -> None:
    sysroot.exports.unlink()
    if text is not None:
        sysroot.exports.write_text(text)
    with pytest.raises(StoreError, match="cannot read"):
        offer_libraries(sysroot, tmp_path / "offered")
