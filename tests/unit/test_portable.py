"""Portable CPython builds: fetched by the real uv from a server on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.fakeserver import FakeServer, Reply

from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, NetworkError, OfflineError
from xtool.python import portable
from xtool.python.target import read_sysconfig

KEY = "cpython-3.13-linux-powerpc64le-gnu"
RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"
NAME = "20260101/cpython-3.13.5-20260101-ppc64le-unknown-linux-gnu-install_only_stripped.tar.gz"
SYSCONFIG = """\
# system configuration generated and used by the sysconfig module
build_time_vars = {'prefix': '/install', 'INCLUDEPY': '/install/include/python3.13', 'CC': 'clang'}
"""


def archive() -> bytes:
    """A build in the layout of python-build-standalone."""
    files = {
        "python/bin/python3.13": "an interpreter",
        "python/lib/libpython3.13.so.1.0": "a library",
        "python/lib/python3.13/os.py": "",
        "python/lib/python3.13/test/test_os.py": "",
        "python/lib/python3.13/__pycache__/os.cpython-313.pyc": "",
        "python/lib/python3.13/_sysconfigdata__linux_powerpc64le-linux-gnu.py": SYSCONFIG,
        "python/include/python3.13/Python.h": "",
        "python/share/man/man1/python3.13.1": "",
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


@dataclass
class Mirror:
    """A mirror with one build, and uv's table that names it."""

    server: FakeServer
    context: Callable[..., Context]

    def serve(self, data: bytes, sha256: str) -> Context:
        """A context that takes the build from here."""
        self.server.add("/" + NAME, Reply(data))
        table = {
            "cpython-3.13.5-linux-powerpc64le-gnu": {
                "name": "cpython",
                "arch": {"family": "powerpc64le", "variant": None},
                "os": "linux",
                "libc": "gnu",
                "major": 3,
                "minor": 13,
                "patch": 5,
                "prerelease": "",
                "url": f"{RELEASES}/{NAME}",
                "sha256": sha256,
                "variant": None,
                "build": "20260101",
            }
        }
        self.server.add("/table.json", Reply(json.dumps(table).encode()))
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.context().settings.cache_dir),
            "UV_PYTHON_DOWNLOADS_JSON_URL": self.server.url("/table.json"),
            "UV_HTTP_RETRIES": "0",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        return self.context(python_mirror=self.server.base, environ=environ)


@pytest.fixture
def mirror(make_context: Callable[..., Context]) -> Iterator[Mirror]:
    with FakeServer() as server:
        yield Mirror(server, make_context)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_build_is_fetched_verified_and_forgets_where_it_was_unpacked(mirror: Mirror, tmp_path: Path) -> None:
    data = archive()
    ctx = mirror.serve(data, digest(data))
    dest = portable.install(ctx, KEY, tmp_path / "python")
    assert (dest / "bin" / "python3.13").read_text() == "an interpreter"
    holding = [p for p in dest.rglob("*") if p.is_file() and str(tmp_path).encode() in p.read_bytes()]
    assert holding == []
    _, found = read_sysconfig(dest / "lib" / "python3.13")
    assert found["INCLUDEPY"] == "/usr/include/python3.13"
    assert [path.name for path in tmp_path.iterdir()] == ["python"]


def test_graft_brings_interpreter_library_headers_and_stdlib_only(mirror: Mirror, tmp_path: Path) -> None:
    data = archive()
    dest = portable.install(mirror.serve(data, digest(data)), KEY, tmp_path / "python")
    usr = tmp_path / "root" / "usr"
    (usr / "lib").mkdir(parents=True)
    portable.graft(dest, usr, "3.13")
    assert sorted(str(p.relative_to(usr)) for p in usr.rglob("*") if p.is_file()) == [
        "bin/python3.13",
        "include/python3.13/Python.h",
        "lib/libpython3.13.so.1.0",
        "lib/python3.13/_sysconfigdata__linux_powerpc64le-linux-gnu.py",
        "lib/python3.13/os.py",
    ]


def test_graft_of_another_layout_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "build" / "bin").mkdir(parents=True)
    with pytest.raises(CommandFailed) as caught:
        portable.graft(tmp_path / "build", tmp_path / "usr", "3.13")
    assert "lib/python3.13" in caught.value.facts[0]


def test_build_with_another_hash_is_an_integrity_error(mirror: Mirror, tmp_path: Path) -> None:
    ctx = mirror.serve(archive(), "0" * 64)
    with pytest.raises(IntegrityError, match=KEY):
        portable.install(ctx, KEY, tmp_path / "python")
    assert not (tmp_path / "python").exists()


def test_build_that_is_not_served_is_a_network_error(mirror: Mirror, tmp_path: Path) -> None:
    ctx = mirror.serve(b"", "0" * 64)
    mirror.server.add("/" + NAME, Reply(b"", status=404))
    with pytest.raises(NetworkError) as caught:
        portable.install(ctx, KEY, tmp_path / "python")
    assert "XTOOL_PYTHON_MIRROR" in (caught.value.hint or "")


def test_unknown_build_is_not_a_network_error(mirror: Mirror, tmp_path: Path) -> None:
    ctx = mirror.serve(b"", "0" * 64)
    with pytest.raises(CommandFailed, match="uv knows no portable Python"):
        portable.install(ctx, "cpython-3.12-linux-powerpc64le-gnu", tmp_path / "python")


def test_offline_never_asks(mirror: Mirror, make_context: Callable[..., Context], tmp_path: Path) -> None:
    ctx = make_context(offline=True, python_mirror=mirror.server.base)
    assert portable.reachable(ctx) is False
    with pytest.raises(OfflineError):
        portable.install(ctx, KEY, tmp_path / "python")
    assert mirror.server.count() == 0


def test_probe_tells_a_mirror_from_a_dead_port(mirror: Mirror, make_context: Callable[..., Context]) -> None:
    assert portable.reachable(make_context(python_mirror=mirror.server.base)) is True
    dead = "http://127.0.0.1:9"
    assert portable.reachable(make_context(python_mirror=dead)) is False


@pytest.mark.parametrize(
    ("target", "version", "key"),
    [
        ("ppc64le", "3.13", KEY),
        ("ppc64le", "3.13t", "cpython-3.13t-linux-powerpc64le-gnu"),
        ("armv7l", "3.12", "cpython-3.12-linux-armv7-gnueabihf"),
        ("riscv64", "3.12", "cpython-3.12-linux-riscv64gc-gnu"),
    ],
)
def test_keys_are_uvs(target: str, version: str, key: str) -> None:
    assert portable.key(version, portable.machine(Catalog().target(target))) == key
