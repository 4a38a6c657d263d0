"""What can be built, the private copy of it, and how sdists are found."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from xtool.build.source import obtain
from xtool.context import Context
from xtool.errors import ArchiveError, IntegrityError, NetworkError, UsageError

MakeContext = Callable[..., Context]


def make_sdist(path: Path, name: str = "demo", version: str = "1.0", **extra: str) -> bytes:
    with tarfile.open(path, "w:gz") as archive:
        members = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "setup.py": "",
        } | extra
        for member, text in members.items():
            info = tarfile.TarInfo(f"{name}-{version}/{member}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path.read_bytes()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "My_Project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'My.Project'\nversion = '2.0'\n")
    return folder


def test_a_folder_is_copied_with_its_name_and_version(ctx: Context, project: Path, tmp_path: Path) -> None:
    source = obtain(ctx, str(project), tmp_path / "copy")
    assert (source.kind, source.name, source.version) == ("folder", "my-project", "2.0")
    assert source.label == "my-project 2.0"
    assert source.path != project
    assert (source.path / "pyproject.toml").is_file()


def test_the_pythons_that_a_project_is_for_are_known_before_the_build(
    ctx: Context, project: Path, tmp_path: Path
) -> None:
    assert obtain(ctx, str(project), tmp_path / "copy").requires_python is None
    (project / "pyproject.toml").write_text("[project]\nname = 'a'\nrequires-python = '>=3.12'\n")
    assert str(obtain(ctx, str(project), tmp_path / "copy2").requires_python) == ">=3.12"
    (project / "pyproject.toml").write_text("[project]\nname = 'a'\nrequires-python = 'new ones'\n")
    assert obtain(ctx, str(project), tmp_path / "copy3").requires_python is None
    info = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n"
    make_sdist(tmp_path / "demo-1.0.tar.gz", **{"PKG-INFO": info})
    assert str(obtain(ctx, str(tmp_path / "demo-1.0.tar.gz"), tmp_path / "s").requires_python) == ">=3.9"


def test_a_folder_wins_over_a_requirement(
    ctx: Context, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert obtain(ctx, "My_Project", tmp_path / "copy").kind == "folder"


def test_the_copy_has_what_is_the_projects_and_not_what_tools_left(
    ctx: Context, project: Path, tmp_path: Path
) -> None:
    kept = [".git/HEAD", "src/a.c", "build/config.py", "pkg/data.so", "pkg/build/x.c", ".gitignore"]
    left = [
        "src/__pycache__/a.cpython-313.pyc",
        "my_project.egg-info/PKG-INFO",
        ".venv/pyvenv.cfg",
        "env with other name/pyvenv.cfg",
        "pkg/_c.cpython-313-x86_64-linux-gnu.so",
        "pkg/_c.abi3.so",
        "dist/my_project-1.0.tar.gz",
        "wheelhouse/my_project-1.0-py3-none-any.whl",
        ".mypy_cache/x",
    ]
    for name in (*kept, *left):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    copy = obtain(ctx, str(project), tmp_path / "copy").path
    assert all((copy / name).is_file() for name in kept)
    assert [name for name in left if (copy / name).exists()] == []


def test_a_build_folder_of_distutils_is_left_out(ctx: Context, project: Path, tmp_path: Path) -> None:
    (project / "build" / "temp.linux-x86_64-3.13").mkdir(parents=True)
    assert not (obtain(ctx, str(project), tmp_path / "copy").path / "build").exists()


def test_links_stay_inside_and_outer_ones_become_files(ctx: Context, project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "shared"
    outside.mkdir()
    (outside / "x.h").write_text("shared")
    (project / "inner.toml").symlink_to("pyproject.toml")
    (project / "absolute.toml").symlink_to(project / "pyproject.toml")
    (project / "shared").symlink_to(outside)
    (project / "loop").symlink_to(tmp_path)
    (project / "broken").symlink_to("nowhere")
    os.mkfifo(project / "pipe")
    copy = obtain(ctx, str(project), tmp_path / "copy").path
    assert (copy / "inner.toml").readlink() == Path("pyproject.toml")
    assert (copy / "absolute.toml").resolve() == copy / "pyproject.toml"
    assert (copy / "shared" / "x.h").read_text() == "shared"
    assert not (copy / "shared").is_symlink()
    assert not (copy / "loop").exists()
    assert (copy / "broken").is_symlink()
    assert not (copy / "pipe").exists()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("./nowhere", "there is no file or folder `./nowhere`"),
        ("nowhere/demo", "there is no file or folder"),
        ("demo-1.0.tar.gz", "there is no file or folder"),
        ("demo; python_version > '3'", "has no marker"),
        ("demo[fast]==1", "extras do not change what is built"),
        ("demo @ https://example.org/demo-1.0.tar.gz", "cannot build from a URL"),
        ("demo==", "neither a file nor a folder nor a requirement"),
        ("", "neither a file nor a folder nor a requirement"),
    ],
)
def test_what_cannot_be_built_is_told_with_what_can(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        obtain(ctx, spec, tmp_path / "copy")
    assert said in caught.value.message
    assert caught.value.hint


def test_a_folder_that_is_no_project_is_refused(ctx: Context, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is not a Python project"):
        obtain(ctx, str(tmp_path / "empty"), tmp_path / "copy")


@pytest.mark.parametrize("name", ["demo-1.0-py3-none-any.whl", "demo-1.0.zip", "notes.txt"])
def test_files_that_are_no_sdists_are_refused(ctx: Context, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        obtain(ctx, str(tmp_path / name), tmp_path / "copy")
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["demo-1.0.tar.gz", "demo-1.0.tgz"])
def test_an_sdist_file_is_unpacked(ctx: Context, tmp_path: Path, name: str) -> None:
    make_sdist(tmp_path / name)
    source = obtain(ctx, str(tmp_path / name), tmp_path / "copy")
    assert (source.kind, source.name, source.version) == ("sdist", "demo", "1.0")
    assert source.sdist == tmp_path / name
    assert (source.path / "setup.py").is_file()


def test_a_hostile_sdist_writes_nothing_outside(ctx: Context, tmp_path: Path) -> None:
    sdist = tmp_path / "demo-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        info = tarfile.TarInfo("demo-1.0/../../../escaped")
        archive.addfile(info, io.BytesIO(b""))
    with pytest.raises(ArchiveError):
        obtain(ctx, str(sdist), tmp_path / "a" / "b" / "copy")
    assert not list(tmp_path.rglob("escaped"))


def test_an_sdist_of_several_folders_is_none(ctx: Context, tmp_path: Path) -> None:
    sdist = tmp_path / "demo-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name in ("one/setup.py", "two/setup.py"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(UsageError, match="is not an sdist"):
        obtain(ctx, str(sdist), tmp_path / "copy")


# A package index on loopback ------------------------------------------------------------------------------


class Index:
    """A simple index (PEP 503) with what a test puts into it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.pages: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def add_sdist(self, version: str, *, sha256: str | None = None) -> None:
        name = f"demo-{version}.tar.gz"
        self.files[name] = make_sdist(self.folder / name, version=version)
        digest = sha256 or hashlib.sha256(self.files[name]).hexdigest()
        self.pages["demo"] = (
            self.pages.get("demo", "") + f'<a href="/files/{name}#sha256={digest}">{name}</a>\n'
        )
        self._add_wheel(version)

    def _add_wheel(self, version: str) -> None:
        """A wheel too, so that uv need not run the sdist to know its metadata."""
        name = f"demo-{version}-py3-none-any.whl"
        buffer = io.BytesIO()
        info = f"demo-{version}.dist-info"
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        self.files[name] = buffer.getvalue()
        digest = hashlib.sha256(self.files[name]).hexdigest()
        self.pages["demo"] = (
            self.pages.get("demo", "") + f'<a href="/files/{name}#sha256={digest}">{name}</a>\n'
        )

    add_wheel_only = _add_wheel


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            index.asked.append(self.path)
            parts = self.path.strip("/").split("/")
            body: bytes | None = None
            kind = "text/html"
            if parts[0] == "simple" and parts[-1] in index.pages:
                body = f"<!DOCTYPE html><html><body>{index.pages[parts[-1]]}</body></html>".encode()
            elif parts[0] == "files" and parts[-1] in index.files:
                body, kind = index.files[parts[-1]], "application/octet-stream"
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_HEAD(self) -> None:
            self.do_GET()

        def handle(self) -> None:
            # xtool closes a connection whose headers said all it wanted to know.
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = Index(f"http://127.0.0.1:{server.server_port}/simple", folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield index
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def online(make_context: MakeContext, served: Index, tmp_path: Path) -> Context:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "no_proxy": "*",
    }
    return make_context(index_url=served.url, environ=environ, retries=0)


def test_a_requirement_is_resolved_downloaded_and_verified(
    online: Context, served: Index, tmp_path: Path
) -> None:
    served.add_sdist("1.0")
    served.add_sdist("2.0")
    source = obtain(online, "demo", tmp_path / "copy", python="3.13")
    assert (source.kind, source.name, source.version) == ("requirement", "demo", "2.0")
    assert obtain(online, "Demo==1.0", tmp_path / "copy1", python="3.13").version == "1.0"
    assert source.sdist is not None
    assert source.sdist.is_relative_to(online.settings.cache_dir)


def test_an_sdist_that_is_in_the_cache_is_not_downloaded_again(
    online: Context, served: Index, tmp_path: Path
) -> None:
    served.add_sdist("1.0")
    obtain(online, "demo", tmp_path / "one", python="3.13")
    served.asked.clear()
    obtain(online, "demo", tmp_path / "two", python="3.13")
    assert not [path for path in served.asked if path.endswith(".tar.gz")]


def test_a_wrong_hash_is_never_unpacked(online: Context, served: Index, tmp_path: Path) -> None:
    served.add_sdist("1.0", sha256="0" * 64)
    with pytest.raises(IntegrityError) as caught:
        obtain(online, "demo", tmp_path / "copy", python="3.13")
    assert "XTOOL_DEBIAN_MIRROR" not in (caught.value.hint or "")
    assert not (tmp_path / "copy").exists()


def test_a_name_or_version_that_does_not_exist_is_told_in_the_indexs_words(
    online: Context, served: Index, tmp_path: Path
) -> None:
    served.add_sdist("1.0")
    for spec in ("demmo", "demo==9.9"):
        with pytest.raises(UsageError) as caught:
            obtain(online, spec, tmp_path / "copy", python="3.13")
        assert caught.value.code == "no-such-package"
        assert any(spec.partition("=")[0] in fact for fact in caught.value.facts)


def test_a_project_with_wheels_only_is_told_so(online: Context, served: Index, tmp_path: Path) -> None:
    served.add_wheel_only("3.0")
    with pytest.raises(UsageError, match=r"demo 3\.0 has no sdist"):
        obtain(online, "demo", tmp_path / "copy", python="3.13")


def test_offline_says_so(make_context: MakeContext, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "uv")}
    with pytest.raises(NetworkError) as caught:
        obtain(make_context(offline=True, environ=environ), "demo", tmp_path / "copy", python="3.13")
    assert caught.value.exit_code == 3
    assert "`--offline` forbids" in caught.value.message


def test_an_index_that_cannot_be_reached_is_a_network_error(
    make_context: MakeContext, tmp_path: Path
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_HTTP_RETRIES": "0",
        "no_proxy": "*",
    }
    context = make_context(index_url="http://127.0.0.1:9/simple", environ=environ)
    with pytest.raises(NetworkError) as caught:
        obtain(context, "demo", tmp_path / "copy", python="3.13")
    assert caught.value.exit_code == 3
