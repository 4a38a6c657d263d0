"""Kept build environments: when one is used again, when not, and what makes it go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from xtool import housekeeping, proc
from xtool.build import kept, logs
from xtool.build.environment import BuildEnvironment
from xtool.context import Context
from xtool.errors import CommandFailed, Interrupted, NetworkError
from xtool.kit import BuildPython
from xtool.store import Store

Use = Callable[..., AbstractContextManager[BuildEnvironment]]

PYTHON = BuildPython(
    Path(getattr(sys, "_base_executable", "") or sys.executable),
    f"{sys.version_info[0]}.{sys.version_info[1]}",
    "host",
)


def wheel(folder: Path, name: str, version: str, *, text: str = "", requires: str = "") -> None:
    """A wheel of one module, in a folder that uv looks into."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    members = {
        f"{name}.py": f"VERSION = {version!r}\n{text}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in (*members, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)


@pytest.fixture
def links(tmp_path: Path) -> Path:
    folder = tmp_path / "links"
    wheel(folder, "backend", "1.0", requires="helper")
    wheel(folder, "helper", "1.0")
    return folder


@pytest.fixture
def ctx(make_context: Callable[..., Context], tmp_path: Path, links: Path) -> Context:
    ctx = make_context(cache_dir=tmp_path / "cache")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(links),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_NO_CONFIG": "1",
    }
    Store(ctx).prepare()
    return Context(ctx.settings, ctx.log, environ)


@pytest.fixture
def use(ctx: Context, tmp_path: Path) -> Use:
    count = iter(range(1000))

    @contextmanager
    def use(
        *requirements: str, project: Path | None = None, used: Context = ctx
    ) -> Iterator[BuildEnvironment]:
        folder = tmp_path / f"work{next(count)}" / "env"
        folder.parent.mkdir()
        with kept.environment(used, PYTHON, requirements, folder=folder, project=project) as env:
            yield env

    return use


def version(env: BuildEnvironment, module: str = "backend") -> str:
    code = f"import {module}; print({module}.VERSION)"
    return subprocess.run([env.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_same_requirements_share_an_environment_and_others_do_not(use: Use, ctx: Context) -> None:
    with use("backend") as first:
        assert version(first) == version(first, "helper") == "1.0"
    with use("backend>=1") as second:
        assert second.path == first.path
    with use("helper") as third:
        assert third.path != first.path
        assert not (third.site_packages / "backend.py").exists()
    with use() as empty:
        assert {path.suffix for path in empty.site_packages.iterdir()} <= {".py", ".pth", ".virtualenv"}
    assert len(kept.names(ctx)) == 3


def test_a_newer_release_and_other_bytes_of_the_same_one_get_a_new_environment(use: Use, links: Path) -> None:
    with use("backend") as first:
        pass
    wheel(links, "helper", "1.0", text="OTHER = 1\n")
    with use("backend") as second:
        assert second.path != first.path
        assert "OTHER" in (second.site_packages / "helper.py").read_text()
    wheel(links, "backend", "2.0")
    with use("backend") as third:
        assert version(third) == "2.0"


def test_constraints_choose_the_environment(use: Use, ctx: Context, links: Path, tmp_path: Path) -> None:
    wheel(links, "backend", "2.0")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("backend<2\n")
    bound = Context(ctx.settings, ctx.log, {**ctx.environ, "XTOOL_BUILD_CONSTRAINT": str(constraints)})
    with use("backend") as free, use("backend", used=bound) as held:
        assert version(free) == "2.0"
        assert version(held) == "1.0"


def test_what_names_files_is_not_kept(use: Use, ctx: Context, links: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[tool.uv]\nno-binary-package = []\n")
    own = f"helper @ {(links / 'helper-1.0-py3-none-any.whl').as_uri()}"
    with use(own) as first, use("helper", project=project) as second:
        for env in (first, second):
            assert version(env, "helper") == "1.0"
            assert env.path.is_relative_to(tmp_path)
            assert not env.path.is_relative_to(ctx.settings.cache_dir)
    assert kept.names(ctx) == []


def test_a_requirement_that_cannot_be_had_is_reported_and_leaves_nothing(use: Use, ctx: Context) -> None:
    with pytest.raises(NetworkError, match="cannot fetch the build requirements"), use("nosuch"):
        pass
    with pytest.raises(CommandFailed), use("--index-url=x"):
        pass
    assert kept.names(ctx) == []


@pytest.mark.parametrize("change", ["rewrite", "add", "remove", "unsealed"])
def test_one_that_a_build_altered_is_made_anew(use: Use, ctx: Context, change: str) -> None:
    with use("backend") as env:
        helper = env.site_packages / "helper.py"
        before = helper.stat()
        match change:
            case "rewrite":
                helper.write_text(helper.read_text().replace("1.0", "9.9"))
                os.utime(helper, ns=(before.st_atime_ns, before.st_mtime_ns))
            case "add":
                (env.site_packages / "intruder.py").write_text("")
            case "remove":
                helper.unlink()
            case "unsealed":
                (env.path.parent / "seal").unlink()
                helper.write_text("half a file")
    with use("backend") as again:
        assert again.path == env.path
        assert version(again, "helper") == "1.0"
        assert not (again.site_packages / "intruder.py").exists()


def test_an_altered_one_in_use_is_not_waited_for(use: Use, ctx: Context) -> None:
    with use("backend") as env:
        (env.site_packages / "intruder.py").write_text("")
        with use("backend") as other:
            assert other.path != env.path
            assert not (other.site_packages / "intruder.py").exists()
            assert version(other) == "1.0"


def test_bytecode_survives_and_that_of_the_build_folder_does_not(use: Use, tmp_path: Path) -> None:
    work = tmp_path / "project"
    work.mkdir()
    (work / "own.py").write_text("")
    for _ in range(2):
        with use("backend") as env:
            assert env.bytecode is not None
            environ = {"PYTHONPYCACHEPREFIX": str(env.bytecode), "PYTHONPATH": str(work)}
            subprocess.run([env.python, "-c", "import backend, own"], env=environ, check=True)
            assert len(list(env.bytecode.rglob("own.*.pyc"))) == 1
            kept.forget_bytecode(env, work)
            assert len(list(env.bytecode.rglob("backend.*.pyc"))) == 1
            assert not list(env.bytecode.rglob("own.*"))


def test_builds_at_the_same_time_make_one_environment(use: Use, ctx: Context) -> None:
    found = []

    def build() -> None:
        with use("backend") as env:
            found.append((env.path, version(env)))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(kept.names(ctx)) == 1


def test_builds_of_one_run_ask_uv_once_and_make_an_environment_once(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    run = proc.run

    def counted(argv: Sequence[str], **options: Any) -> proc.Completed:
        calls.append(" ".join(map(str, argv)))
        return run(argv, **options)

    monkeypatch.setattr(kept.proc, "run", counted)
    sharing = kept.Sharing()
    found: list[Path] = []

    def build(number: int) -> None:
        folder = tmp_path / f"cell{number}" / "env"
        folder.parent.mkdir()
        with kept.environment(ctx, PYTHON, ["backend"], folder=folder, project=None, sharing=sharing) as env:
            found.append(env.path)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert sum("pip compile" in call for call in calls) == 1
    assert sum(" venv " in call for call in calls) == 1


def test_an_answer_that_did_not_come_is_asked_for_again() -> None:
    sharing = kept.Sharing()

    def stopped() -> str:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        sharing.once("key", stopped)
    assert sharing.once("key", lambda: "answer") == "answer"
    assert sharing.once("key", lambda: "another") == "answer"


def test_prune_removes_logs_of_long_ago(ctx: Context) -> None:
    for age in (1.0, logs.KEPT_FOR + 60):
        with logs.folder(ctx, None) as run:
            (run / logs.file_name("x", "ppc64le", "3.13")).write_text("a log\n")
        os.utime(run, (time.time() - age, time.time() - age))
    assert len(logs.runs(ctx)) == 2
    (found,) = housekeeping.leftovers(ctx)
    assert (found.kind, found.path, found.size) == ("log", run, 6)
    assert housekeeping.remove(ctx, found)
    assert len(logs.runs(ctx)) == 1
    assert housekeeping.leftovers(ctx) == []


def test_a_run_without_logs_leaves_no_folder(ctx: Context) -> None:
    with logs.folder(ctx, None) as run:
        assert run.is_dir()
    assert logs.runs(ctx) == []


def test_a_cache_that_cannot_hold_one_is_no_obstacle(use: Use, ctx: Context) -> None:
    (Store(ctx).root / "state").write_text("a file where a folder should be")
    with use("backend") as env:
        assert version(env) == "1.0"
        assert not env.path.is_relative_to(ctx.settings.cache_dir)


def test_prune_removes_what_has_not_been_used_for_long(use: Use, ctx: Context) -> None:
    with use("backend"), use("helper"):
        pass
    assert housekeeping.leftovers(ctx) == []
    long_ago = time.time() - kept.UNUSED_AFTER - 60
    for name in kept.names(ctx):
        os.utime(kept.path(ctx, name) / "seal", (long_ago, long_ago))
    with use("backend") as env:
        (found,) = housekeeping.leftovers(ctx)
        assert found.kind == "build environment"
        assert found.size > 1000
        assert not found.path.samefile(env.path.parent)
    assert housekeeping.remove(ctx, found)
    assert not found.path.exists()
    assert len(kept.names(ctx)) == 1


def test_clean_leaves_an_environment_in_use_alone(use: Use, ctx: Context) -> None:
    with use("helper"):
        pass
    with use("backend") as env:
        assert housekeeping.cache_sizes(ctx)["other"] > 1000
        _, left = housekeeping.clean(ctx)
        assert left == [env.path.parent]
        assert version(env) == "1.0"
    _, left = housekeeping.clean(ctx)
    assert left == []
    assert kept.names(ctx) == []
    assert not (Store(ctx).root / "state").exists()
