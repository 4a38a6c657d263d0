"""Downloads and the cache: hashes, several mirrors, offline, several processes, crashes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.artifacts import SNAPSHOT, Recorder, artifact, downloads, get, leftovers, noise, offer, said
from support.fakeserver import FakeServer, Reply

from xtool.artifacts import VerifiedFile
from xtool.context import Context
from xtool.errors import IntegrityError, NetworkError, OfflineError, StoreError
from xtool.fetch import Vanished, cached, transfer

DATA = noise(300_000)
STALE = noise(300_000, seed=9)

_FETCH = """
import sys
from pathlib import Path
from support.artifacts import artifact, get, noise
from xtool.config import Settings
from xtool.context import Context
from xtool.log import SilentLog
import os
settings = Settings(Path(sys.argv[1]), debian_mirror=sys.argv[2], use_apt_sources=False)
get(Context(settings, SilentLog(), dict(os.environ)), artifact("x", noise(300_000)))
"""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def make(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)

    def make_one(*mirrors: FakeServer, **settings: object) -> Context:
        bases = " ".join(mirror.base for mirror in mirrors)
        snapshot = mirrors[-1].url("/snapshot/")
        return make_context(debian_mirror=bases, snapshot_mirror=snapshot, retries=1, **settings)

    return make_one


def start(ctx: Context, base: str, **environ: str) -> subprocess.Popen[bytes]:
    """A process that fetches `x` into the context's cache."""
    tests = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent))), **environ}
    command = [sys.executable, "-c", _FETCH, str(ctx.settings.cache_dir), base]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_wrong_hash_tells_both_and_keeps_nothing(make: Callable[..., Context], server: FakeServer) -> None:
    ctx, item = make(server), offer(server, "x", DATA, Reply(STALE))
    with pytest.raises(IntegrityError, match=r"checksum mismatch for x\.deb") as caught:
        get(ctx, item)
    assert f"expected sha256 {item.sha256}, got {artifact('y', STALE).sha256}" in said(caught.value)
    assert server.url("/pool/x.deb") in said(caught.value)
    assert "XTOOL_DEBIAN_MIRROR" in (caught.value.hint or "")
    assert not cached(downloads(ctx), item).exists()
    assert leftovers(ctx) == []


def test_a_stale_mirror_is_passed_over_with_a_warning(
    make: Callable[..., Context], server: FakeServer
) -> None:
    with FakeServer() as stale:
        item = offer(server, "x", DATA)
        offer(stale, "x", DATA, Reply(STALE))
        log = Recorder()
        files = get(make(stale, server, log=log), item)
        assert files[item.sha256].path.read_bytes() == DATA
        assert f"{stale.base} (XTOOL_DEBIAN_MIRROR) gave another file" in log.text


def test_only_stale_mirrors_are_an_integrity_error(make: Callable[..., Context], server: FakeServer) -> None:
    with FakeServer() as other:
        item = offer(server, "x", DATA, Reply(STALE))
        offer(other, "x", DATA, Reply(STALE[:-1]))
        with pytest.raises(IntegrityError) as caught:
            get(make(other, server), item)
        assert len([fact for fact in caught.value.facts if "expected" in fact]) == 2


def test_another_packages_valid_file_is_refused(make: Callable[..., Context], server: FakeServer) -> None:
    offer(server, "y", STALE)
    item = offer(server, "x", DATA, Reply(STALE))
    with pytest.raises(IntegrityError):
        get(make(server), item, artifact("y", STALE))


@pytest.mark.parametrize("wrong", [299_999, 300_001])
def test_a_wrong_size_in_the_lock_is_named(
    make: Callable[..., Context], server: FakeServer, wrong: int
) -> None:
    item = replace(offer(server, "x", DATA), size=wrong)
    with pytest.raises(IntegrityError) as caught:
        get(make(server), item)
    assert f"expected {wrong} bytes" in said(caught.value)
    if wrong > len(DATA):
        assert "the size in the lock is wrong" in (caught.value.hint or "")


def test_the_snapshot_has_what_the_mirror_has_not(make: Callable[..., Context], server: FakeServer) -> None:
    item = artifact("x", DATA)
    server.add(f"{SNAPSHOT}pool/x.deb", Reply(DATA))
    assert get(make(server), item)[item.sha256].path.read_bytes() == DATA


def test_gone_from_the_mirror_with_an_unreachable_snapshot_counts_as_vanished(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    settings = {"snapshot_mirror": "http://127.0.0.1:9/", "retries": 0}
    with pytest.raises(Vanished) as caught:
        get(make_context(debian_mirror=server.base, **settings), artifact("x", DATA))
    assert "no connection to 127.0.0.1" in said(caught.value)
    with pytest.raises(NetworkError) as other:
        get(make_context(**settings), artifact("x", DATA))
    assert not isinstance(other.value, Vanished)
    assert "set XTOOL_DEBIAN_MIRROR" in (other.value.hint or "")


def test_every_vanished_file_is_named_and_the_others_arrive(
    make: Callable[..., Context], server: FakeServer
) -> None:
    ctx = make(server)
    there = [offer(server, f"t{n}", noise(500, seed=n)) for n in range(10)]
    gone = [artifact(f"g{n}", noise(600, seed=n)) for n in range(10)]
    with pytest.raises(Vanished) as caught:
        get(ctx, *there, *gone)
    assert set(caught.value.artifacts) == set(gone)
    assert all(cached(downloads(ctx), item).is_file() for item in there)


def test_offline_names_file_url_and_place_and_opens_no_socket(
    make: Callable[..., Context], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    ctx = make(server, offline=True)
    item, other = artifact("x", DATA), artifact("y", b"y")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(OfflineError) as caught:
        get(ctx, item, other)
    text = said(caught.value)
    for wanted in (item, other):
        place = cached(downloads(ctx), wanted)
        assert f"from {server.url('/' + wanted.path)}" in text
        assert f"to   {place}" in text
        place.parent.mkdir(parents=True)
    cached(downloads(ctx), item).write_bytes(DATA)
    cached(downloads(ctx), other).write_bytes(b"y")
    assert set(get(ctx, item, other)) == {item.sha256, other.sha256}


def test_a_flipped_bit_in_the_cache_is_fetched_again(
    make: Callable[..., Context], server: FakeServer
) -> None:
    log = Recorder()
    ctx, item = make(server, log=log), offer(server, "x", DATA)
    path = get(ctx, item)[item.sha256].path
    path.write_bytes(DATA[:-1] + b"!")
    offline = make(server, offline=True)
    with pytest.raises(IntegrityError, match="damaged in the cache") as caught:
        get(offline, item)
    assert str(path) in said(caught.value)
    get(ctx, item)
    assert path.read_bytes() == DATA
    assert "x.deb is damaged in the cache and is fetched again" in log.text
    assert server.count() == 2


def test_a_read_only_cache_serves_what_it_has(make: Callable[..., Context], server: FakeServer) -> None:
    ctx, item = make(server), offer(server, "x", DATA)
    get(ctx, item)
    before = sorted(path for path in ctx.settings.cache_dir.rglob("*"))
    get(ctx, item)
    assert sorted(path for path in ctx.settings.cache_dir.rglob("*")) == before


def test_a_cache_that_cannot_be_made_names_the_variable(
    make: Callable[..., Context], server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        get(make(server, cache_dir=tmp_path / "file"), offer(server, "x", DATA))
    assert "XTOOL_CACHE_DIR" in (caught.value.hint or "")


def test_a_wrong_rpm_may_come_of_a_vault_of_the_users_own(
    make: Callable[..., Context], server: FakeServer
) -> None:
    item = replace(offer(server, "x", DATA, Reply(STALE)), archive="centos")
    with pytest.raises(IntegrityError, match="checksum mismatch") as caught:
        get(make(server, rpm_mirrors={"centos": server.base}), item)
    assert "XTOOL_CENTOS_MIRROR" in (caught.value.hint or "")
    assert "`xtool lock --update --sysroot NAME --key FILE`" in (caught.value.hint or "")


def test_the_first_failure_ends_the_others(make: Callable[..., Context], server: FakeServer) -> None:
    slow = [
        offer(server, f"s{n}", noise(90_000, seed=n), Reply(noise(90_000, seed=n), stall_at=10))
        for n in range(3)
    ]
    bad = offer(server, "x", DATA, Reply(STALE))
    started = time.monotonic()
    with pytest.raises(IntegrityError):
        get(make(server, stall_timeout=20.0), bad, *slow)
    assert time.monotonic() - started < 5


def test_a_callback_that_fails_ends_the_work(make: Callable[..., Context], server: FakeServer) -> None:
    def broken(file: VerifiedFile) -> None:
        raise StoreError(f"no room for {file.artifact.name}")

    with pytest.raises(StoreError, match="no room for x"):
        get(make(server), offer(server, "x", DATA), on_ready=broken)


def test_files_come_in_parallel_and_big_ones_first(make: Callable[..., Context], server: FakeServer) -> None:
    gate = threading.Event()
    items = [offer(server, f"x{n}", d := noise(1000 + n, seed=n), Reply(d, gate=gate)) for n in range(12)]
    ctx = make(server)
    thread = threading.Thread(target=get, args=(ctx, *items))
    thread.start()
    deadline = time.monotonic() + 10
    while server.count() < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    first = {request.path for request in server.requests}
    gate.set()
    thread.join()
    assert first == {f"/pool/x{n}.deb" for n in range(6, 12)}


def test_eight_processes_make_one_request(make: Callable[..., Context], server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(DATA, drip=(60_000, 0.05)))
    ctx = make(server)
    processes = [start(ctx, server.base) for _ in range(8)]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"")
    assert server.count() == 1
    assert cached(downloads(ctx), item).read_bytes() == DATA
    assert leftovers(ctx) == []


@pytest.mark.parametrize("checkpoint", ["mid-download", "pre-hash"])
def test_a_killed_download_heals(make: Callable[..., Context], server: FakeServer, checkpoint: str) -> None:
    item = offer(server, "x", DATA, Reply(DATA, drip=(100_000, 0.02)), Reply(DATA))
    ctx = make(server)
    process = start(ctx, server.base, XTOOL_TEST_CHECKPOINT=checkpoint)
    with process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        process.kill()
        out, _ = process.communicate(timeout=30)
    assert os.WIFSTOPPED(status), out.decode()
    assert not cached(downloads(ctx), item).exists()
    get(ctx, item)
    assert cached(downloads(ctx), item).read_bytes() == DATA
    assert leftovers(ctx) == []
    if checkpoint == "pre-hash":
        assert server.count() == 1
    else:
        assert server.asked("/pool/x.deb")[1]["range"].startswith("bytes=")
