"""A portable build of the target's Python in a root whose libraries come from the lock."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path

from support.fakeserver import FakeServer, Reply
from support.targetkit import make_target_kit

from xtool import emulator, installer, proc
from xtool.catalog import Catalog
from xtool.python.target import target_python, target_python_recipe
from xtool.targetenv import TargetEnv

RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"


def test_portable_build_runs_in_a_root_of_the_locks_libraries(shared_cache: Path, tmp_path: Path) -> None:
    """Stands in for the real build: the same interpreter, in the layout that uv unpacks."""
    ctx, kit = make_target_kit(shared_cache, ("3.13",))
    usr = kit.pythons["3.13"].root / "usr"
    archive = tmp_path / "build.tar.gz"
    comment = "# system configuration generated and used by the sysconfig module\n"
    (sysconfig,) = (usr / "lib/python3.13").glob("_sysconfigdata_*linux_*.py")
    (tmp_path / sysconfig.name).write_text(comment + sysconfig.read_text().partition("\n")[2])

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in member.name or "_sysconfigdata_" in member.name else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(usr / "bin/python3.13", "python/bin/python3.13")
        tar.add(usr / "include/python3.13", "python/include/python3.13")
        tar.add(usr / "lib/python3.13", "python/lib/python3.13", filter=kept)
        tar.add(tmp_path / sysconfig.name, f"python/lib/python3.13/{sysconfig.name}")
    data = archive.read_bytes()
    with FakeServer() as server:
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
        server.add("/1/build.tar.gz", Reply(data))
        server.add("/table.json", Reply(json.dumps({"cpython-3.13.5-linux-powerpc64le-gnu": entry}).encode()))
        environ = {**ctx.environ, "UV_PYTHON_DOWNLOADS_JSON_URL": server.url("/table.json")}
        settings = replace(ctx.settings, python_mirror=server.base)
        ctx = replace(ctx, settings=settings, environ=environ)
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
