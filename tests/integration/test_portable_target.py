"""A portable build of the target's Python in a root whose libraries come from the lock."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.commandline import xtool
from support.fakeserver import FakeServer
from support.portablebuilds import Build, publish, stand_in
from support.targetkit import make_target_kit

from xtool import emulator, installer, proc
from xtool.catalog import Catalog, default_root
from xtool.context import Context
from xtool.kit import Kit
from xtool.python import portable
from xtool.python.target import target_python, target_python_recipe
from xtool.store import remove_tree
from xtool.targetenv import TargetEnv

PROJECT = Path(__file__).parent.parent / "projects" / "c-setuptools"


@pytest.fixture(scope="module")
def target_kit(shared_cache: Path) -> tuple[Context, Kit]:
    return make_target_kit(shared_cache, ("3.13",))


@pytest.fixture(scope="module", autouse=True)
def nothing_left(shared_cache: Path, target_kit: tuple[Context, Kit]) -> Iterator[None]:
    """No later test may find these interpreters: what is installed is taken first."""
    del target_kit
    store = shared_cache / "v1" / "store"
    before = set(store.glob("*python*"))
    yield
    for path in set(store.glob("*python*")) - before:
        remove_tree(path)


@pytest.fixture(scope="module")
def environ(
    target_kit: tuple[Context, Kit], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What makes uv take a stand-in for the real build: the same interpreter, laid out as uv unpacks it."""
    _, kit = target_kit
    python = kit.pythons["3.13"]
    place = stand_in(python.root, "3.13", kit.target, tmp_path_factory.mktemp("mirror") / "python")
    with FakeServer() as server:
        yield publish(server, [Build(portable.machine(kit.target), python.full_version, place)])


@pytest.fixture
def without_debians(tmp_path: Path) -> Path:
    """A catalog whose Debian has no Python 3.13 for the target."""
    folder = tmp_path / "toolchains"
    shutil.copytree(default_root(), folder)
    for name in ("components.toml", "locks/x86_64-ppc64le.toml"):
        text = (folder / name).read_text()
        parts = re.split(r"(?m)^(?=\[\[component\]\]$)", text)
        left = [part for part in parts if '\nname = "python3.13"\n' not in part.partition("[[component.")[0]]
        assert len(left) == len(parts) - 1
        (folder / name).write_text("".join(left))
    return folder


def test_portable_build_runs_in_a_root_of_the_locks_libraries(
    target_kit: tuple[Context, Kit], environ: dict[str, str], tmp_path: Path
) -> None:
    ctx, kit = target_kit
    settings = replace(ctx.settings, python_mirror=environ["XTOOL_PYTHON_MIRROR"])
    ctx = replace(ctx, settings=settings, environ={**ctx.environ, **environ})
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


def test_a_project_is_built_and_tested_with_a_portable_python(
    shared_cache: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    environ = {**environ, "XTOOL_PYTHON_SOURCE": "portable"}
    done = xtool(shared_cache, "setup", "ppc64le", **environ)
    assert done.returncode == 0, done.stderr
    program = "import sysconfig; print(sysconfig.get_platform())"
    done = xtool(shared_cache, "run", "--target", "ppc64le", "--", "python", "-c", program, **environ)
    assert (done.returncode, done.stdout) == (0, "linux-ppc64le\n"), done.stderr
    words = ["build", str(PROJECT), "--target", "ppc64le", "--python", "3.13", "--outdir", str(tmp_path)]
    done = xtool(shared_cache, *words, "--output", "json", **environ)
    assert done.returncode == 0, done.stdout
    (wheel,) = json.loads(done.stdout)["data"]["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    assert "portable" in xtool(shared_cache, "list").stdout
    assert "portable" not in xtool(shared_cache, "prune", "--dry-run").stderr


def test_a_python_that_debian_has_not(
    shared_cache: Path, environ: dict[str, str], without_debians: Path, tmp_path: Path
) -> None:
    """It comes from the portable source by itself, and what is locked for portable builds is all it needs."""
    variables = {**environ, "XTOOL_TOOLCHAINS_DIR": str(without_debians)}
    listed = json.loads(xtool(shared_cache, "list", "--available", "--output", "json", **variables).stdout)
    (pythons,) = (t["pythons"] for t in listed["data"]["targets"] if t["target"] == "ppc64le")
    (offered,) = (python for python in pythons if python["version"] == "3.13")
    assert offered["sources"] == ["portable"]
    words = ("build", str(PROJECT), "--target", "ppc64le", "--frozen", "--output", "json")
    done = xtool(shared_cache, *words, "--outdir", str(tmp_path / "wheels"), **variables)
    assert done.returncode == 0, done.stdout
    (wheel,) = json.loads(done.stdout)["data"]["wheels"]
    assert (wheel["python"], wheel["smoke"]["status"]) == ("3.13", "passed")
    # In a cache without it, a mirror that does not answer is the reason, and said to be.
    away = {**variables, "XTOOL_PYTHON_MIRROR": "http://127.0.0.1:9/"}
    done = xtool(tmp_path / "cache", "setup", "ppc64le", "--frozen", **away)
    assert done.returncode == 3
    assert "Python 3.13 for ppc64le is a portable build, and these are out of reach" in done.stderr
    assert "what can be had now: 3.11, 3.14, 3.15" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mirror_that_is_down_is_a_network_error(target_kit: tuple[Context, Kit], tmp_path: Path) -> None:
    """In a cache that lacks the portable Python alone."""
    cache = tmp_path / "cache"
    shutil.copytree(target_kit[0].settings.cache_dir, cache, symlinks=True)
    for folder in (cache / "v1" / "store").glob("python3.13-ppc64le-*"):
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
        shutil.rmtree(folder)
    away = {"XTOOL_PYTHON_MIRROR": "http://127.0.0.1:9/", "XTOOL_RETRIES": "0"}
    done = xtool(cache, "setup", "ppc64le", XTOOL_PYTHON_SOURCE="portable", **away)
    assert done.returncode == 3
    assert "could not be fetched" in done.stderr
    assert "`--python-source debian`" in done.stderr
    assert "Traceback" not in done.stderr
