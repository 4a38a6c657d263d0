"""Python 3.14 of Debian's testing suite, for the target and for builds, on a newer C library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commandline import xtool

from xtool.targets import parse_glibc

PROJECT = Path(__file__).parent.parent / "projects" / "c-setuptools"
CHOSEN = ("--target", "ppc64le", "--python", "3.14", "--python-source", "debian")

FACTS = """
import bz2, ctypes, json, lzma, sqlite3, ssl, sys, sysconfig, uuid, zlib
from compression import zstd
from datetime import datetime
from zoneinfo import ZoneInfo
assert zstd.decompress(zstd.compress(b"text")) == b"text"
print(json.dumps({
    "version": sys.version_info[:2],
    "platform": sysconfig.get_platform(),
    "hours east": datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")).utcoffset().seconds // 3600,
    "iconv": b"\\x82\\xa0".decode("cp932"),
    "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
}))
"""


@pytest.fixture(scope="module")
def wheel(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A wheel of a C project, built and tested where PATH has no Python that could run the back end."""
    outdir = tmp_path_factory.mktemp("wheels")
    words = ("build", str(PROJECT), *CHOSEN, "--outdir", str(outdir), "--output", "json")
    nowhere = str(outdir / "none")
    done = xtool(cache, *words, PATH="/usr/bin:/bin", UV_PYTHON_INSTALL_DIR=nowhere)
    assert done.returncode == 0, done.stdout
    (built,) = json.loads(done.stdout)["data"]["wheels"]
    return dict(built)


def test_a_wheel_is_built_and_passes(wheel: dict[str, object]) -> None:
    assert wheel["python"] == "3.14"
    assert Path(str(wheel["path"])).name.split("-")[2:4] == ["cp314", "cp314"]
    assert "manylinux_2_17_ppc64le" in str(wheel["platform_tag"])
    smoke = wheel["smoke"]
    assert isinstance(smoke, dict)
    assert smoke["status"] == "passed"
    assert parse_glibc(smoke["glibc"]) > (2, 41)


def test_its_standard_library_is_whole(cache: Path, wheel: dict[str, object]) -> None:
    done = xtool(cache, "run", *CHOSEN, "--with", str(wheel["path"]), "--", "python", "-c", FACTS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "version": [3, 14],
        "platform": "linux-ppc64le",
        "hours east": 2,
        "iconv": "あ",
        "suffix": ".cpython-314-powerpc64le-linux-gnu.so",
    }


def test_its_wheel_is_not_for_another_python(cache: Path, wheel: dict[str, object]) -> None:
    done = xtool(cache, "run", "--target", "ppc64le", "--with", str(wheel["path"]), "--", "python", "-V")
    assert done.returncode == 2
    assert "is not for Python 3.13 on ppc64le" in done.stderr
