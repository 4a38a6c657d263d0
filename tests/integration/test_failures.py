"""What a user meets when something fails, by the command line alone: real packages, a mirror on loopback.

One cache is set up once. Each test takes the sysroot out of it, the component that is made fastest (six
packages, a few calls of GCC), spoils what is needed for making it, and sees what is said, what is left, and
that the next run heals it. `docs/failure-cases.md` tells which test holds which case.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.fakeserver import FakeServer, Reply

from xtool.artifacts import Artifact
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.fetch import cached, fetch
from xtool.log import SilentLog
from xtool.setup import Request, plan
from xtool.store import remove_tree

PATIENCE = 60.0
"""Seconds that a loaded machine may take for what should be instant."""

_OWN = ("XTOOL_", "PYTHON", "LC_", "LANG", "HOME", "XDG_", "NO_COLOR", "TERM", "PATH", "PYTEST")
"""Variables that a test sets by itself, or that must not be those of whoever runs the tests."""

SYSROOT = "sysroot-ppc64le-glibc2.17"


@dataclass(frozen=True)
class Packages:
    """What a set-up downloads: artifacts with their bytes, and those that the sysroot is made from."""

    content: dict[Artifact, bytes]
    sysroot: tuple[Artifact, ...]

    @property
    def largest(self) -> Artifact:
        """The largest package of the sysroot."""
        return max(self.sysroot, key=lambda artifact: artifact.size)


@pytest.fixture(scope="module")
def packages(shared_cache: Path) -> Packages:
    """The locked packages, from the shared cache as far as they are there."""
    ctx = Context(Settings(shared_cache), SilentLog(), dict(os.environ))
    catalog = Catalog()
    planned = plan(ctx, Request(catalog.target("ppc64le"), python_source="debian"))
    wanted = [artifact for recipe in planned.recipes for artifact in recipe.artifacts]
    downloads = shared_cache / "v1" / "downloads"
    files = fetch(ctx, catalog, wanted, evidence=planned.lock.evidence, downloads=downloads)
    content = {file.artifact: file.path.read_bytes() for file in files.values()}
    return Packages(content, planned.sysroot.recipe.artifacts)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


class World:
    """A cache that is set up but for the sysroot, a good mirror, and the command line."""

    def __init__(self, cli: Any, cache: Path, server: FakeServer, packages: Packages) -> None:
        self.cli = cli
        self.cache = cache
        self.server = server
        self.packages = packages
        # Builds ask the package index, which may stand behind a proxy.
        around = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        self.env: dict[str, str | None] = {
            **around,
            "NO_PROXY": "127.0.0.1",
            "XTOOL_CACHE_DIR": str(cache),
            "XTOOL_DEBIAN_MIRROR": server.base,
            "XTOOL_SNAPSHOT_MIRROR": server.url("/snapshot/"),
            "XTOOL_APT_SOURCES": "0",
            # The declared order of sysroots has one after the derived: it is out of reach as well.
            "XTOOL_CENTOS_MIRROR": server.url("/centos/"),
            "XTOOL_PYTHON_SOURCE": "debian",
            "XTOOL_RETRIES": "0",
        }

    @property
    def store(self) -> Path:
        return self.cache / "v1" / "store"

    def installed(self) -> list[str]:
        """Names of what is installed, without digests."""
        return sorted(path.name.rpartition("-")[0] for path in self.store.iterdir())

    def leftovers(self, folder: str) -> list[str]:
        """What lies in `partial` or `staging`."""
        place = self.cache / "v1" / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def serve(self) -> None:
        """Let the mirror have every package, and nobody have asked."""
        for artifact, data in self.packages.content.items():
            self.server.add(f"/{artifact.path}", Reply(data, etag=f'"{artifact.sha256[:8]}"'))
        self.server.requests.clear()

    def spoil(self, artifact: Artifact, reply: Reply) -> None:
        """Let the mirror answer something else for one package."""
        self.server.add(f"/{artifact.path}", reply)

    def empty(self) -> None:
        """Take the sysroot and everything that is not installed out of the cache."""
        for path in self.store.glob(f"{SYSROOT}-*"):
            remove_tree(path)
        for name in ("downloads", "partial", "staging"):
            shutil.rmtree(self.cache / "v1" / name, ignore_errors=True)

    def keep_downloads(self) -> None:
        """Put the sysroot's packages where downloads lie."""
        for artifact in self.packages.sysroot:
            path = cached(self.cache / "v1" / "downloads", artifact)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.packages.content[artifact])

    def __call__(self, *words: str | Path, **env: str | None) -> Any:
        return self.cli(*words, env={**self.env, **env})

    def start(self, *words: str, **env: str | None) -> subprocess.Popen[str]:
        """A run in the background, in a process group of its own."""
        return subprocess.Popen(
            self.cli.command(*words),
            env=self.cli.environ({**self.env, **env}),
            cwd=self.cli.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def fails(self, code: int, *, hint: str, **env: str | None) -> dict[str, Any]:
        """Set up, with both kinds of output: exit code, explanation, nothing installed, nothing staged."""
        spoken = self("setup", "ppc64le", **env)
        assert spoken.code == code, spoken.stderr
        assert spoken.stdout == ""
        done = self("setup", "ppc64le", "--output", "json", **env)
        assert done.document["status"] == "error"
        [error] = done.document["errors"]
        for text in (spoken.stderr, done.stderr):
            assert f"error: {error['message']}" in text or "error: " in text
            assert "Traceback" not in text
        assert f"\nhint: {error['hint']}" in done.stderr
        assert hint in error["hint"]
        assert done.code == code
        assert SYSROOT not in self.installed()
        assert self.leftovers("staging") == []
        found: dict[str, Any] = error
        return found

    def heals(self, **env: str | None) -> None:
        """The next run succeeds without manual work, and what it made is whole."""
        done = self("setup", "ppc64le", **env)
        assert done.code == 0, done.stderr
        assert SYSROOT in self.installed()
        assert self.leftovers("staging") == []
        assert self.leftovers("partial") == []
        checked = self("verify", **env)
        assert checked.code == 0, checked.stderr


@pytest.fixture(scope="module")
def base(server: FakeServer, packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all tests, not yet set up."""
    del server, packages
    return tmp_path_factory.mktemp("failures") / "cache"


@pytest.fixture
def world(cli: Any, base: Path, server: FakeServer, packages: Packages) -> World:
    made = World(cli, base, server, packages)
    made.serve()
    if not base.exists():
        done = made("setup", "ppc64le")
        assert done.code == 0, done.stderr
        made.server.requests.clear()
    made.empty()
    return made


def test_two_cold_set_ups_at_once_fetch_every_file_once(world: World, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    both = [world.start("setup", "ppc64le", XTOOL_CACHE_DIR=str(cache)) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
    counts = {a.filename: world.server.count(f"/{a.path}") for a in world.packages.content}
    assert set(counts.values()) == {1}, counts
    assert world("verify", XTOOL_CACHE_DIR=str(cache)).code == 0
    shutil.rmtree(cache / "v1" / "downloads")
    remove_tree(cache)


def test_eight_set_ups_at_once(world: World) -> None:
    running = [world.start("setup", "ppc64le", "--output", "json") for _ in range(8)]
    paths = set()
    for process in running:
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        paths.add(json.loads(stdout)["data"]["kits"][0]["sysroot"]["path"])
    assert len(paths) == 1
    assert {world.server.count(f"/{a.path}") for a in world.packages.sysroot} == {1}
    world.heals()


def test_a_mirror_that_is_down(world: World) -> None:
    down = {"XTOOL_DEBIAN_MIRROR": "http://127.0.0.1:9/", "XTOOL_SNAPSHOT_MIRROR": "http://127.0.0.1:9/"}
    error = world.fails(3, hint="XTOOL_DEBIAN_MIRROR", **down)
    assert "cannot download" in error["message"]
    assert any("Connection refused" in fact for fact in error["facts"])
    world.heals()


def test_a_file_that_has_left_every_mirror(world: World) -> None:
    gone = world.packages.largest
    world.spoil(gone, Reply(status=404))
    error = world.fails(3, hint="XTOOL_DEBIAN_MIRROR")
    assert error["message"] == "cannot download the InRelease of trixie"
    spoken = world("setup", "ppc64le").stderr
    assert f"{gone.filename} has left every mirror; looking for what replaced it" in spoken
    frozen = world("setup", "ppc64le", "--frozen")
    assert frozen.code == 3
    assert f"error: {gone.filename} has left every mirror" in frozen.stderr
    assert world.server.url(f"/{gone.path}") in frozen.stderr
    assert "--frozen" in frozen.stderr.rpartition("hint: ")[2]
    world.serve()
    world.heals()
    assert [request.path for request in world.server.requests] == [f"/{gone.path}"]


def test_a_body_cut_short_is_resumed_by_the_next_run(world: World) -> None:
    large = world.packages.largest
    world.spoil(large, Reply(world.packages.content[large], cut_at=large.size // 2, ranges="ignored"))
    done = world("setup", "ppc64le")
    assert done.code == 3
    assert f"cannot download {large.filename}" in done.stderr
    assert "run it again to go on where it stopped" in done.stderr
    assert SYSROOT not in world.installed()
    assert large.sha256 in world.leftovers("partial")
    world.serve()
    world.heals()
    [asked] = world.server.asked(f"/{large.path}")
    assert asked["range"] == f"bytes={large.size // 2}-"


def test_wrong_bytes_of_the_right_size(world: World) -> None:
    large = world.packages.largest
    data = bytearray(world.packages.content[large])
    data[large.size // 2] ^= 1
    world.spoil(large, Reply(bytes(data)))
    error = world.fails(4, hint="XTOOL_DEBIAN_MIRROR")
    assert error["message"] == f"checksum mismatch for {large.filename}"
    facts = " ".join(error["facts"])
    assert f"expected sha256 {large.sha256}, got " in facts
    assert world.server.url(f"/{large.path}") in facts
    assert not cached(world.cache / "v1" / "downloads", large).exists()
    assert large.sha256 not in world.leftovers("partial")
    world.serve()
    world.heals()


def test_a_login_page_instead_of_packages(world: World) -> None:
    page = Reply(b"<!doctype html><title>Log in</title>", headers={"Content-Type": "text/html"})
    for artifact in world.packages.sysroot:
        world.spoil(artifact, page)
    error = world.fails(4, hint="captive portal")
    assert "content-type text/html" in " ".join(error["facts"])
    world.serve()
    world.heals()


def test_a_stalled_mirror_is_given_up(world: World) -> None:
    large = world.packages.largest
    world.spoil(large, Reply(world.packages.content[large], stall_at=1000))
    started = time.monotonic()
    world.fails(3, hint="run it again", XTOOL_STALL_TIMEOUT="0.5")
    assert time.monotonic() - started < PATIENCE
    world.serve()
    world.heals()


def test_a_damaged_file_in_the_cache(world: World) -> None:
    world.keep_downloads()
    damaged = cached(world.cache / "v1" / "downloads", world.packages.largest)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    error = world.fails(4, hint="--offline", XTOOL_OFFLINE="1")
    assert str(damaged) in error["facts"]
    world.heals()
    assert world.server.count() == 1


def test_offline_with_files_missing(world: World) -> None:
    error = world.fails(3, hint="xtool cache import", XTOOL_OFFLINE="1")
    assert f"{len(world.packages.sysroot)} files are not in the cache" in error["message"]
    for artifact in world.packages.sysroot:
        assert any(world.server.url(f"/{artifact.path}") in fact for fact in error["facts"])
        place = cached(world.cache / "v1" / "downloads", artifact)
        assert any(str(place) in fact for fact in error["facts"])
    assert world.server.count() == 0
    world.keep_downloads()
    world.heals(XTOOL_OFFLINE="1")


@pytest.mark.parametrize("place", ["mid-download", "pre-hash", "mid-unpack", "pre-marker", "pre-rename"])
def test_killed_anywhere_the_next_run_heals(world: World, place: str) -> None:
    process = world.start("setup", "ppc64le", XTOOL_TEST_CHECKPOINT=place)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it never came to {place}"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert SYSROOT not in world.installed()
    world.heals()


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def _group_is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(pid, 0)
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["downloading", "unpacking"])
def test_interrupted(world: World, number: signal.Signals, when: str) -> None:
    large = world.packages.largest
    if when == "downloading":
        world.spoil(large, Reply(world.packages.content[large], stall_at=100_000))
    else:
        world.keep_downloads()
    process = world.start("setup", "ppc64le")
    staging, partial = world.cache / "v1/staging", world.cache / "v1/partial" / large.sha256
    if when == "downloading":
        _wait_for(lambda: partial.exists() and partial.stat().st_size == 100_000, process)
    else:
        _wait_for(lambda: any(staging.glob("*/tree/*")) or any(staging.glob("*/scratch/*")), process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "error: interrupted" in stderr
    assert "hint: run the same command again" in stderr
    assert "Traceback" not in stderr
    assert _group_is_gone(process.pid)
    assert world.leftovers("staging") == []
    assert SYSROOT not in world.installed()
    world.serve()
    world.heals()


def _alone(world: World, script: str, folder: Path, **env: str | None) -> dict[str, Any]:
    """Run a shell script where it may mount things that nobody else sees; gives the documents it writes.

    In the script `xt NAME WORDS...` runs xtool and keeps its document and messages under a name; `plain` does
    so with what it prints for people, and must succeed.
    """
    program = f"""
set -eu
xt() {{
    name=$1; shift
    "$PYTHON" -m xtool "$@" --output json > "$OUT/$name.json" 2> "$OUT/$name.err" || true
}}
plain() {{
    name=$1; shift
    "$PYTHON" -m xtool "$@" > "$OUT/$name.out" 2> "$OUT/$name.err"
}}
{script}
"""
    python, *_ = world.cli.command()
    variables = {**world.env, "PYTHON": python, "OUT": str(folder), **env}
    asroot = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", "--mount", *asroot, "sh", "-c", program],
        env=world.cli.environ(variables),
        cwd=world.cli.cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for path in folder.glob("*.err"):
        assert "Traceback" not in path.read_text()
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


FULL_DISK = """
mount -t tmpfs -o size=100m xtool "$DISK"
xt small setup ppc64le
ls -A "$DISK/v1/store" "$DISK/v1/staging" > "$OUT/small.left" 2>&1 || true
mount -o remount,size=220m "$DISK"
xt unpacking setup ppc64le
ls -A "$DISK/v1/staging" > "$OUT/unpacking.left"
mount -o remount,size=1g "$DISK"
xt enough setup ppc64le
xt verify verify
"""


def test_a_full_disk(world: World, tmp_path: Path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    documents = _alone(world, FULL_DISK, out, DISK=str(disk), XTOOL_CACHE_DIR=str(disk))
    for name in ("small", "unpacking"):
        assert documents[name]["exit_code"] == 5, documents[name]
        [error] = documents[name]["errors"]
        assert error["code"] == "disk-full"
        assert any("needs " in fact and " free on the disk of " in fact for fact in error["facts"]), error
        assert "XTOOL_CACHE_DIR" in error["hint"]
    assert documents["small"]["errors"][0]["message"] == "the disk is too full for the downloads"
    assert (out / "unpacking.left").read_text() == ""
    assert documents["enough"]["exit_code"] == 0
    assert documents["verify"]["exit_code"] == 0
    # What had arrived before the disk was full was not asked for again.
    repeated = [a for a in world.packages.content if world.server.count(f"/{a.path}") > 1]
    assert len(repeated) <= 6


def test_a_limit_on_the_size_of_files(world: World) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", *world.cli.command("setup", "ppc64le")],
        env=world.cli.environ(world.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stderr
    assert "ulimit -f" in done.stderr.rpartition("hint: ")[2]
    assert world.leftovers("staging") == []
    world.heals()


READ_ONLY = """
mount --bind "$XTOOL_CACHE_DIR" "$XTOOL_CACHE_DIR"
mount -o remount,ro,bind "$XTOOL_CACHE_DIR"
xt setup setup ppc64le
plain run run --target ppc64le -- python -c 'import platform; print(platform.machine())'
xt build build markupsafe==3.0.3 --target ppc64le --python 3.13 --outdir "$OUT"
xt verify verify
xt missing setup ppc64le --glibc 2.28
"""


def test_a_read_only_cache(world: World, tmp_path: Path) -> None:
    world.heals()
    documents = _alone(world, READ_ONLY, tmp_path)
    missing = documents.pop("missing")
    codes = {name: document["exit_code"] for name, document in documents.items()}
    assert codes == {"setup": 0, "build": 0, "verify": 0}, documents
    assert (tmp_path / "run.out").read_text() == "ppc64le\n"
    assert list(tmp_path.glob("markupsafe-3.0.3-*_ppc64le.whl"))
    assert missing["exit_code"] == 5
    [error] = missing["errors"]
    assert "XTOOL_CACHE_DIR" in error["hint"]
    assert any("Read-only file system" in fact for fact in error["facts"])


def test_without_a_home_a_named_cache_works(world: World) -> None:
    world.heals(HOME=None)
    for home in (None, "", "/proc/no-home"):
        ran = world("run", "--target", "ppc64le", "--", "python", "-c", "print(6 * 7)", HOME=home)
        assert (ran.code, ran.stdout) == (0, "42\n"), ran.stderr


def test_a_home_that_cannot_be_written(world: World) -> None:
    done = world("setup", "ppc64le", HOME="/proc/no-home", XTOOL_CACHE_DIR=None)
    assert done.code == 5
    assert "/proc/no-home/.cache/xtool" in done.stderr
    assert "XTOOL_CACHE_DIR" in done.stderr.rpartition("hint: ")[2]
    assert "Traceback" not in done.stderr


def test_spaces_and_other_alphabets_in_the_cache_path(world: World, tmp_path: Path) -> None:
    cache = tmp_path / "mein Caché 日本 'x'"
    shutil.copytree(world.cache, cache, symlinks=True)
    world.cache = cache
    world.env["XTOOL_CACHE_DIR"] = str(cache)
    world.heals()
    kit = world("setup", "ppc64le", "--output", "json").document["data"]["kits"][0]
    assert str(cache) in kit["toolchain"]["path"]
    ran = world("run", "--target", "ppc64le", "--", "python", "-c", "print(6 * 7)")
    assert (ran.code, ran.stdout) == (0, "42\n"), ran.stderr
    words = ("build", "markupsafe==3.0.3", "--target", "ppc64le", "--python", "3.13")
    built = world(*words, "--outdir", tmp_path)
    assert built.code == 0, built.stderr
    assert list(tmp_path.glob("markupsafe-3.0.3-*_ppc64le.whl"))
    remove_tree(cache)


def test_a_reader_that_leaves_early(world: World) -> None:
    world.heals()
    command = '"$@" | head -1; exit 0'
    for words in (["setup", "ppc64le", "--output", "json"], ["show", "ppc64le"], ["list"], ["verify"]):
        done = subprocess.run(
            ["sh", "-c", command, "sh", *world.cli.command(*words)],
            env=world.cli.environ(world.env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert "error:" not in done.stderr


def _on_a_terminal(world: World, *words: str, **env: str | None) -> bytes:
    """Everything that a terminal is sent by a run."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        world.cli.command(*words), env=world.cli.environ({**world.env, **env}), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert process.wait() in (0, 2)
    return shown


def test_escapes_are_for_terminals_that_want_them(world: World) -> None:
    plain = world("setup", "ppc64le", TERM="xterm")
    assert plain.code == 0
    assert "\x1b" not in plain.stdout + plain.stderr
    assert "\r" not in plain.stderr
    assert b"\x1b" in _on_a_terminal(world, "setup", "ppc64", TERM="xterm", NO_COLOR=None)
    assert b"\x1b" not in _on_a_terminal(world, "setup", "ppc64", TERM="xterm", NO_COLOR="1")
    world.empty()
    shown = _on_a_terminal(world, "setup", "ppc64le", TERM="dumb")
    assert b"ppc64le is ready" in shown
    assert b"\x1b" not in shown


def test_modified_files_are_found_and_mended(world: World) -> None:
    world.heals()
    [sysroot] = world.store.glob(f"{SYSROOT}-*")
    header = sysroot / "usr/include/stdio.h"
    header.chmod(0o644)
    header.write_text("#error modified\n")
    found = world("verify", "--output", "json")
    assert found.code == 6
    assert "usr/include/stdio.h" in json.dumps(found.document["errors"][0]["facts"])
    for suite in ("bookworm", "trixie"):
        world.server.add(f"/dists/{suite}/InRelease", Reply(b"for doctor's eyes"))
    mended = world("doctor", "--fix")
    assert mended.code == 0, mended.stdout + mended.stderr
    assert world("verify").code == 0


def test_what_runs_is_not_cleaned_away(world: World, tmp_path: Path) -> None:
    cache, go = tmp_path / "cache", tmp_path / "go"
    shutil.copytree(world.cache, cache, symlinks=True)
    world.cache = cache
    world.env["XTOOL_CACHE_DIR"] = str(cache)
    world.heals()
    waits = "import pathlib, time\nprint('on', flush=True)\n"
    waits += f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.1)\n"
    waits += "import decimal\nprint(decimal.Decimal(42))"
    process = world.start("run", "--target", "ppc64le", "--", "python", "-c", waits)
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    cleaned = world("cache", "clean", "--output", "json")
    go.touch()
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout) == (0, "42\n"), stderr
    assert cleaned.code == 0
    kept = " ".join(cleaned.document["data"]["kept_in_use"])
    assert "python3.13-ppc64le" in kept
    assert "qemu-ppc64le" in kept
    world.heals()
    remove_tree(cache)
