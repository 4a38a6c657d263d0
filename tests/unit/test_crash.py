"""A process is killed at each place where a crash would hurt most; the next run must heal it by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xtool.config import Settings
from xtool.context import Context
from xtool.locking import CHECKPOINT_VARIABLE
from xtool.log import SilentLog
from xtool.manifest import MANIFEST
from xtool.store import Store

PROGRAM = """
import os, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pytest
from support import forge, parts
from xtool import cachefile, installer
from xtool.archive import unpack_all
from xtool.config import Settings
from xtool.context import Context
from xtool.log import SilentLog
from xtool.store import Store

deb = Path(sys.argv[3])
file = forge.verified(deb, deb.read_bytes())
fetch = parts.FakeFetch(pytest.MonkeyPatch(), deb.parent)
ctx = Context(Settings(Path(sys.argv[2]), lock_timeout=20), SilentLog(), os.environ)
made = parts.recipe(
    artifacts=(file.artifact,), assemble=lambda work: unpack_all(work.files.values(), work.staging)
)
class Lock: evidence = {}
if sys.argv[4] == "install":
    print(installer.ensure(ctx, None, Lock, [made])["part"])
elif sys.argv[4] == "remove":
    Store(ctx).remove(made.folder)
elif sys.argv[4] == "import":
    cachefile.import_cache(ctx, Path(sys.argv[5]))
"""

TESTS = Path(__file__).parent.parent


class Crash:
    """Runs a verb in a process of its own, to the end or to a checkpoint where it is killed."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        source = folder / "source"
        (source / "DEBIAN").mkdir(parents=True)
        (source / "DEBIAN/control").write_text(
            "Package: sample\nVersion: 1\nArchitecture: all\n"
            "Maintainer: A <a@example.invalid>\nDescription: a\n"
        )
        (source / "usr/bin").mkdir(parents=True)
        for n in range(5):
            (source / f"usr/bin/tool{n}").write_bytes(os.urandom(1000))
        self.deb = folder / "sample_1_all.deb"
        command = ["dpkg-deb", "--root-owner-group", "--build", str(source), str(self.deb)]
        subprocess.run(command, check=True, capture_output=True)
        self.store = Store(Context(Settings(self.cache), SilentLog(), {}))

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-c", PROGRAM, str(TESTS), str(self.cache), str(self.deb), *map(str, words)]

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill_at(self, checkpoint: str, *words: str | Path) -> None:
        environ = {**os.environ, CHECKPOINT_VARIABLE: checkpoint}
        process = subprocess.Popen(self.command(*words), env=environ, stdout=subprocess.DEVNULL)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it never came to {checkpoint}"
        process.send_signal(signal.SIGKILL)
        process.wait()

    def assert_whole(self) -> None:
        [entry] = self.store.entries()
        assert entry.manifest is not None
        assert self.store.verify(entry) == []
        assert list(self.store.staging.iterdir()) == []


@pytest.fixture
def crash(tmp_path: Path) -> Crash:
    return Crash(tmp_path)


@pytest.mark.parametrize("checkpoint", ["mid-unpack", "pre-marker", "pre-rename"])
def test_killed_while_installing(crash: Crash, checkpoint: str) -> None:
    crash.kill_at(checkpoint, "install")
    assert crash.store.entries() == []
    assert len(list(crash.store.staging.iterdir())) == 2
    crash.run("install")
    crash.assert_whole()


@pytest.mark.parametrize("checkpoint", ["mid-unpack", "pre-marker", "pre-rename"])
def test_killed_again_and_again(crash: Crash, checkpoint: str) -> None:
    for _ in range(3):
        crash.kill_at(checkpoint, "install")
    assert len(list(crash.store.staging.iterdir())) == 2
    crash.run("install")
    crash.assert_whole()


def test_killed_while_removing(crash: Crash) -> None:
    crash.run("install")
    [entry] = crash.store.entries()
    crash.kill_at("mid-prune", "remove")
    assert not entry.path.exists()
    assert crash.store.entries() == []
    crash.run("install")
    crash.assert_whole()


def test_killed_while_replacing_a_damaged_component(crash: Crash) -> None:
    path = Path(crash.run("install").strip())
    (path / "share/xtool").chmod(0o755)
    (path / MANIFEST).unlink()
    crash.kill_at("mid-prune", "install")
    crash.run("install")
    crash.assert_whole()


@pytest.mark.parametrize("checkpoint", ["pre-marker", "pre-rename"])
def test_killed_while_importing(crash: Crash, tmp_path: Path, checkpoint: str) -> None:
    from xtool.cachefile import export_cache

    crash.run("install")
    export_cache(Context(Settings(crash.cache), SilentLog(), {}), tmp_path / "cache.tar.zst")
    other = tmp_path / "other"
    crash.cache = other
    crash.store = Store(Context(Settings(other), SilentLog(), {}))
    crash.kill_at(checkpoint, "import", tmp_path / "cache.tar.zst")
    assert crash.store.entries() == []
    crash.run("import", tmp_path / "cache.tar.zst")
    crash.assert_whole()


def test_a_power_cut_after_the_rename(crash: Crash) -> None:
    path = Path(crash.run("install").strip())
    (path / MANIFEST).chmod(0o644)
    (path / MANIFEST).write_bytes(b"")
    assert crash.run("install").strip() == str(path)
    crash.assert_whole()


def test_the_waiting_one_goes_on_when_the_lock_holder_is_killed(crash: Crash) -> None:
    environ = {**os.environ, CHECKPOINT_VARIABLE: "pre-rename"}
    holder = subprocess.Popen(crash.command("install"), env=environ, stdout=subprocess.DEVNULL)
    _, status = os.waitpid(holder.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    waiter = subprocess.Popen(crash.command("install"), stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    assert waiter.poll() is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert waiter.wait(20) == 0
    crash.assert_whole()


def test_what_staging_holds_is_gone_when_interrupted(
    crash: Crash, make_context: Callable[..., Context]
) -> None:
    from support import parts

    ctx = make_context()

    def fill(staging: Path, scratch: Path) -> None:
        parts.write_files(staging, parts.FILES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(ctx).install(parts.recipe(), fill)
    assert list(Store(ctx).staging.iterdir()) == []
