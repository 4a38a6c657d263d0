"""A portable build of the target's Python in a root whose libraries come from the lock."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakeserver import FakeServer, Reply
from support.targetkit import make_target_kit

from xtool import emulator, installer, proc
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.kit import Kit
from xtool.python.target import target_python, target_python_recipe
from xtool.targetenv import TargetEnv

PROJECT = Path(__file__).parent.parent / "projects" / "c-setuptools"
RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"


@pytest.fixture(scope="module")
def target_kit(shared_cache: Path) -> tuple[Context, Kit]:
    return make_target_kit(shared_cache, ("3.13",))


@pytest.fixture(scope="module")
def mirror(target_kit: tuple[Context, Kit], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeServer]:
    """Serves a stand-in for the real build: the same interpreter, in the layout that uv unpacks."""
    _, kit = target_kit
    folder = tmp_path_factory.mktemp("mirror")
    usr = kit.pythons["3.13"].root / "usr"
    archive = folder / "build.tar.gz"
    comment = "# system configuration generated and used by the sysconfig module\n"
    (sysconfig,) = (usr / "lib/python3.13").glob("_sysconfigdata_*linux_*.py")
    (folder / sysconfig.name).write_text(comment + sysconfig.read_text().partition("\n")[2])

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in member.name or "_sysconfigdata_" in member.name else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(usr / "bin/python3.13", "python/bin/python3.13")
        tar.add(usr / "include/python3.13", "python/include/python3.13")
        tar.add(usr / "lib/python3.13", "python/lib/python3.13", filter=kept)
        tar.add(folder / sysconfig.name, f"python/lib/python3.13/{sysconfig.name}")
    data = archive.read_bytes()
    entry = {
        "name": "cpython",
        "arch": {"family": "powerpc64le", "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": 3,
        "minor": 13,
        "patch": 5,
        "prerelease": "",
        "variant": None,
        "url": f"{RELEASES}/1/build.tar.gz",
        "sha256": hashlib.sha256(data).hexdigest(),
        "build": "1",
    }
    with FakeServer() as server:
        server.add("/1/build.tar.gz", Reply(data))
        server.add("/table.json", Reply(json.dumps({"cpython-3.13.5-linux-powerpc64le-gnu": entry}).encode()))
        yield server


def test_portable_build_runs_in_a_root_of_the_locks_libraries(
    target_kit: tuple[Context, Kit], mirror: FakeServer, tmp_path: Path
) -> None:
    ctx, kit = target_kit
    environ = {**ctx.environ, "UV_PYTHON_DOWNLOADS_JSON_URL": mirror.url("/table.json")}
    ctx = replace(ctx, settings=replace(ctx.settings, python_mirror=mirror.base), environ=environ)
    catalog = Catalog()
    lock = catalog.lock(kit.host, kit.target)
    recipe = target_python_recipe(kit.target, lock, "3.13", source="portable")
    found = installer.ensure(ctx, catalog, lock, [recipe])
    python = target_python(found[recipe.name], kit.target, "3.13")
    assert recipe.folder != target_python_recipe(kit.target, lock, "3.13").folder
    assert python.source == "portable"
    assert python.full_version.startswith("3.13.")
    assert isinstance(kit.emulator, emulator.Emulator)
    env = TargetEnv.create(ctx, replace(kit, pythons={"3.13": python}), "3.13", tmp_path / "env")
    argv, variables = env.command(["python", "-c", "import ssl, platform; print(platform.machine())"])
    assert proc.run(argv, log=ctx.log, env=variables).stdout == "ppc64le\n"


def _xtool(cache: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache), "XTOOL_PYTHON_SOURCE": "portable", **environ}
    command = [sys.executable, "-m", "xtool", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_a_project_is_built_and_tested_with_a_portable_python(
    shared_cache: Path, mirror: FakeServer, tmp_path: Path
) -> None:
    environ = {
        "XTOOL_PYTHON_MIRROR": mirror.base,
        "UV_PYTHON_DOWNLOADS_JSON_URL": mirror.url("/table.json"),
    }
    done = _xtool(shared_cache, "setup", "ppc64le", **environ)
    assert done.returncode == 0, done.stderr
    program = "import sysconfig; print(sysconfig.get_platform())"
    done = _xtool(shared_cache, "run", "--target", "ppc64le", "--", "python", "-c", program, **environ)
    assert (done.returncode, done.stdout) == (0, "linux-ppc64le\n"), done.stderr
    words = ["build", str(PROJECT), "--target", "ppc64le", "--python", "3.13", "--outdir", str(tmp_path)]
    words += ["--output", "json"]
    done = _xtool(shared_cache, *words, **environ)
    assert done.returncode == 0, done.stdout
    (wheel,) = json.loads(done.stdout)["data"]["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    assert "portable" in _xtool(shared_cache, "list").stdout
    assert "portable" not in _xtool(shared_cache, "prune", "--dry-run").stderr


def test_a_mirror_that_is_down_is_a_network_error(target_kit: tuple[Context, Kit], tmp_path: Path) -> None:
    """In a cache that lacks the portable Python alone."""
    cache = tmp_path / "cache"
    shutil.copytree(target_kit[0].settings.cache_dir, cache, symlinks=True)
    for folder in (cache / "v1" / "store").glob("python3.13-ppc64le-*"):
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
        shutil.rmtree(folder)
    done = _xtool(cache, "setup", "ppc64le", XTOOL_PYTHON_MIRROR="http://127.0.0.1:9/")
    assert done.returncode == 3
    assert "could not be fetched" in done.stderr
    assert "`--python-source debian`" in done.stderr
    assert "Traceback" not in done.stderr
