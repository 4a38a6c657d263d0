"""Downloads over a connection that breaks in every way (transfer cases 1 to 17 of the failure list)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from support.artifacts import Meter, Recorder, artifact, downloads, get, leftovers, noise, offer, said
from support.fakeserver import CERTIFICATE, FakeServer, Reply, captive_portal, redirect

from xtool.context import Context
from xtool.errors import IntegrityError, NetworkError, StoreError
from xtool.fetch import Vanished, cached, transfer
from xtool.fetch.session import Client

DATA = noise(300_000)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def make_context(make_context: Callable[..., Context], server: FakeServer) -> Callable[..., Context]:
    def make(**settings: object) -> Context:
        return make_context(snapshot_mirror=server.url("/snapshot/"), **settings)

    return make


@pytest.fixture
def ctx(make_context: Callable[..., Context], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)
    return make_context(debian_mirror=server.base, retries=2, stall_timeout=0.5)


def arrived(ctx: Context, data: bytes) -> bool:
    return cached(downloads(ctx), artifact("x", data)).read_bytes() == data


def test_a_file_arrives_and_is_counted(ctx: Context, server: FakeServer) -> None:
    item, meter, ready = offer(server, "x", DATA), Meter(), []
    files = get(ctx, item, progress=meter, on_ready=ready.append)
    assert files[item.sha256].path.read_bytes() == DATA
    assert meter.total == item.size
    assert ready == [files[item.sha256]]
    assert leftovers(ctx) == []
    assert server.asked("/pool/x.deb")[0]["accept-encoding"] == "identity"


def test_a_second_run_asks_nobody(ctx: Context, server: FakeServer) -> None:
    item, meter = offer(server, "x", DATA), Meter()
    get(ctx, item)
    get(ctx, item, progress=meter)
    assert server.count() == 1
    assert meter.total == item.size


@pytest.mark.parametrize("reply", [Reply(DATA, cut_at=200_000), Reply(DATA, reset_at=270_000)])
def test_a_broken_connection_is_resumed(ctx: Context, server: FakeServer, reply: Reply) -> None:
    item, meter = offer(server, "x", DATA, reply, Reply(DATA)), Meter()
    get(ctx, item, progress=meter)
    assert arrived(ctx, DATA)
    assert meter.total == item.size
    asked = server.asked("/pool/x.deb")
    assert len(asked) == 2
    start = int(asked[1]["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 270_000


def test_a_body_that_always_ends_early_is_a_network_error_and_its_bytes_are_kept(
    ctx: Context, server: FakeServer
) -> None:
    item = offer(server, "x", DATA, Reply(DATA, cut_at=100_000, ranges="ignored"))
    with pytest.raises(NetworkError) as caught:
        get(ctx, item)
    assert type(caught.value) is NetworkError
    assert "/pool/x.deb" in said(caught.value)
    assert item.sha256 in leftovers(ctx)
    assert server.count("/pool/x.deb") == 3
    server.add("/pool/x.deb", Reply(DATA))
    get(ctx, item)
    assert server.asked("/pool/x.deb")[-1]["range"] == "bytes=100000-"


def test_a_body_without_length_that_ends_early_never_counts(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(DATA, length=False, cut_at=100_000, ranges="ignored"))
    with pytest.raises(NetworkError, match=r"cannot download x\.deb"):
        get(ctx, item)
    assert not cached(downloads(ctx), item).exists()


def test_a_body_without_length_is_fine_when_it_is_whole(ctx: Context, server: FakeServer) -> None:
    get(
        ctx,
        offer(server, "x", DATA, Reply(DATA, length=False)),
        offer(server, "y", DATA[1:], Reply(DATA[1:], chunked=True)),
    )
    assert arrived(ctx, DATA)
    assert arrived(ctx, DATA[1:])


@pytest.mark.parametrize("reply", [Reply(DATA, endless=True), Reply(DATA + b"more")])
def test_a_body_that_is_too_long_is_refused_without_storing_it(
    ctx: Context, server: FakeServer, reply: Reply
) -> None:
    item = offer(server, "x", DATA, reply)
    with pytest.raises(IntegrityError, match="checksum mismatch") as caught:
        get(ctx, item)
    assert f"expected {item.size} bytes" in said(caught.value)
    assert item.sha256 not in leftovers(ctx)
    assert server.count("/pool/x.deb") == 1


@pytest.mark.parametrize("ranges", ["ignored", "wrong", "416"])
def test_a_wrong_answer_to_a_range_restarts(ctx: Context, server: FakeServer, ranges: str) -> None:
    item = offer(server, "x", DATA, Reply(DATA, cut_at=200_000), Reply(DATA, ranges=ranges), Reply(DATA))
    meter = Meter()
    get(ctx, item, progress=meter)
    assert arrived(ctx, DATA)
    assert meter.total == item.size
    assert "range" not in server.asked("/pool/x.deb")[2] if ranges != "ignored" else server.count() == 2


def test_a_changed_etag_restarts(ctx: Context, server: FakeServer) -> None:
    old = noise(300_000, seed=2)
    item = offer(server, "x", DATA, Reply(old, etag='"old"', cut_at=200_000), Reply(DATA, etag='"new"'))
    get(ctx, item)
    assert server.asked("/pool/x.deb")[1]["if-range"] == '"old"'
    assert arrived(ctx, DATA)


def test_a_weak_etag_is_not_used_for_resuming(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(DATA, etag='W/"a"', cut_at=200_000), Reply(DATA))
    get(ctx, item)
    assert "if-range" not in server.asked("/pool/x.deb")[1]


def test_a_complete_partial_needs_no_request(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA)
    partial = downloads(ctx).parent / "partial" / item.sha256
    partial.parent.mkdir(parents=True)
    partial.write_bytes(DATA)
    get(ctx, item)
    assert arrived(ctx, DATA)
    assert server.count() == 0


@pytest.mark.parametrize("left", [b"\0" * 100_000, b"\0" * 300_000, b"\0" * 400_000])
def test_a_corrupted_partial_is_thrown_away(ctx: Context, server: FakeServer, left: bytes) -> None:
    item, meter = offer(server, "x", DATA), Meter()
    partial = downloads(ctx).parent / "partial" / item.sha256
    partial.parent.mkdir(parents=True)
    partial.write_bytes(left)
    get(ctx, item, progress=meter)
    assert arrived(ctx, DATA)
    assert meter.total == item.size
    assert leftovers(ctx) == []


def test_a_corrupted_partial_and_a_wrong_file_end_after_one_full_retry(
    ctx: Context, server: FakeServer
) -> None:
    wrong = noise(300_000, seed=3)
    item = offer(server, "x", DATA, Reply(wrong))
    partial = downloads(ctx).parent / "partial" / item.sha256
    partial.parent.mkdir(parents=True)
    partial.write_bytes(wrong[:1000])
    with pytest.raises(IntegrityError):
        get(ctx, item)
    assert server.count("/pool/x.deb") == 2
    assert item.sha256 not in leftovers(ctx)


def test_retry_after_is_honoured(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(status=429, headers={"Retry-After": "1"}), Reply(DATA))
    started = time.monotonic()
    get(ctx, item)
    assert 1.0 <= time.monotonic() - started < 5.0


def test_a_server_that_wants_an_hour_is_given_up(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(NetworkError, match="cannot download") as caught:
        get(ctx, item)
    assert "asks to wait 3600 s" in said(caught.value)
    assert server.count("/pool/x.deb") == 1


def test_503_is_tried_again_with_growing_waits(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(status=503), Reply(status=503), Reply(DATA))
    get(ctx, item)
    assert server.count("/pool/x.deb") == 3
    assert all(transfer.backoff(n) <= transfer._FIRST_WAIT * 2 ** (n - 1) for n in range(1, 8))
    assert transfer.backoff(40) <= 60


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_file_is_asked_for_once_everywhere(ctx: Context, server: FakeServer, status: int) -> None:
    item, other = offer(server, "x", DATA, Reply(status=status)), artifact("y", b"y")
    with pytest.raises(Vanished) as caught:
        get(ctx, item, other)
    assert caught.value.artifacts == (item, other)
    assert caught.value.exit_code == 3
    assert server.url("/pool/x.deb") in said(caught.value)
    assert server.count("/pool/x.deb") == 1
    assert server.count("/snapshot/20260912T195541Z/pool/x.deb") == 1


@pytest.mark.parametrize("reply", [Reply(DATA, stall_at=100_000), Reply(DATA, drip=(50, 0.1))])
def test_a_stalled_download_is_given_up(
    make_context: Callable[..., Context], ctx: Context, server: FakeServer, reply: Reply
) -> None:
    del ctx
    item = offer(server, "x", DATA, reply)
    hurried = make_context(debian_mirror=server.base, retries=1, stall_timeout=0.3)
    started = time.monotonic()
    with pytest.raises(NetworkError, match="cannot download"):
        get(hurried, item)
    assert time.monotonic() - started < 10


def test_a_slow_but_steady_download_is_not_given_up(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    item = offer(server, "x", DATA, Reply(DATA, drip=(30_000, 0.1)))
    get(make_context(debian_mirror=server.base, retries=0, stall_timeout=0.3), item)
    assert server.count() == 1


def test_a_redirect_is_followed(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, redirect("/elsewhere/x"))
    server.add("/elsewhere/x", Reply(DATA))
    get(ctx, item)
    assert arrived(ctx, DATA)


def test_a_redirect_loop_ends(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, redirect("/loop"))
    server.add("/loop", redirect("/pool/x.deb"))
    with pytest.raises(NetworkError, match="cannot download") as caught:
        get(ctx, item)
    assert "more than 10 redirects" in said(caught.value)


def test_a_redirect_to_a_file_is_refused(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, redirect("file:///etc/passwd"))
    with pytest.raises(NetworkError) as caught:
        get(ctx, item)
    assert "is not a web address" in said(caught.value)


def test_https_works_with_the_named_authorities_and_does_not_lead_to_http(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    with FakeServer(tls=True) as secure:
        item = offer(secure, "x", DATA, Reply(DATA))
        environ = {"REQUESTS_CA_BUNDLE": str(CERTIFICATE)}
        ctx = make_context(debian_mirror=secure.base, environ=environ, retries=0)
        get(ctx, item)
        assert arrived(ctx, DATA)
        other = offer(secure, "y", DATA[1:], redirect(server.url("/pool/y.deb")))
        server.add("/pool/y.deb", Reply(DATA[1:]))
        with pytest.raises(NetworkError) as caught:
            get(ctx, other)
        assert "from https to http" in said(caught.value)
        assert server.count("/pool/y.deb") == 0


def test_a_certificate_that_nobody_vouches_for_names_the_variable(
    make_context: Callable[..., Context],
) -> None:
    with FakeServer(tls=True) as secure:
        item = offer(secure, "x", DATA)
        with pytest.raises(NetworkError) as caught:
            get(make_context(debian_mirror=secure.base, environ={}), item)
        assert "REQUESTS_CA_BUNDLE" in (caught.value.hint or "")
        assert "self-signed certificate" in said(caught.value)
        assert secure.count() == 0


def test_authorities_that_do_not_exist_name_the_variable(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    environ = {"SSL_CERT_FILE": "/nowhere/ca.pem"}
    with pytest.raises(NetworkError, match="SSL_CERT_FILE") as caught:
        get(make_context(debian_mirror=server.base, environ=environ), offer(server, "x", DATA))
    assert "/nowhere/ca.pem" in said(caught.value)


def test_authorities_that_are_none_name_the_variable(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    environ = {"REQUESTS_CA_BUNDLE": __file__}
    with FakeServer(tls=True) as secure, pytest.raises(NetworkError) as caught:
        get(make_context(debian_mirror=secure.base, environ=environ, retries=0), offer(secure, "x", DATA))
    assert "REQUESTS_CA_BUNDLE" in (caught.value.hint or "")


def test_credentials_stay_with_their_host_and_out_of_messages(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    with FakeServer() as other:
        item = offer(server, "x", DATA, redirect("/same/x"))
        server.add("/same/x", redirect(other.url("/x")))
        log = Recorder()
        ctx = make_context(debian_mirror=server.url("/", user="me:hunter2"), retries=1, log=log)
        with pytest.raises(NetworkError) as caught:
            get(ctx, item)
        assert "authorization" in server.asked("/pool/x.deb")[0]
        assert "authorization" in server.asked("/same/x")[0]
        assert "authorization" not in other.asked("/x")[0]
        shown = said(caught.value, log.lines)
        assert "hunter2" not in shown
        assert "***@" in shown


def test_a_body_that_was_compressed_on_the_way_is_refused(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(DATA, encoding="gzip"))
    with pytest.raises(IntegrityError) as caught:
        get(ctx, item)
    assert "the server encoded it: gzip" in said(caught.value)


def test_raw_bytes_are_hashed_when_the_header_lies(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, Reply(DATA, headers={"Content-Encoding": "gzip"}))
    get(ctx, item)
    assert arrived(ctx, DATA)


def test_a_captive_portal_is_recognised(ctx: Context, server: FakeServer) -> None:
    with pytest.raises(IntegrityError) as caught:
        get(ctx, offer(server, "x", DATA, captive_portal()))
    assert "content-type text/html" in said(caught.value)
    assert "captive portal" in (caught.value.hint or "")
    assert caught.value.exit_code == 4


def test_a_proxy_that_is_not_there_is_named(make_context: Callable[..., Context], server: FakeServer) -> None:
    environ = {"http_proxy": "http://me:hunter2@127.0.0.1:9/"}
    with pytest.raises(NetworkError) as caught:
        get(make_context(debian_mirror=server.base, environ=environ), offer(server, "x", DATA))
    assert "http_proxy" in (caught.value.hint or "")
    assert "hunter2" not in said(caught.value)
    assert server.count() == 0


def test_a_host_can_be_exempted_from_the_proxy(
    make_context: Callable[..., Context], server: FakeServer
) -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:9/", "NO_PROXY": "example.org, 127.0.0.0/8"}
    get(make_context(debian_mirror=server.base, environ=environ), offer(server, "x", DATA))
    assert server.count() == 1


def test_a_proxy_is_used(make_context: Callable[..., Context], server: FakeServer) -> None:
    item = artifact("x", DATA)
    server.add("http://mirror.invalid/debian/pool/x.deb", Reply(DATA))
    environ = {"HTTP_PROXY": server.base}
    get(make_context(debian_mirror="http://mirror.invalid/debian", environ=environ), item)
    assert server.count() == 1


def test_a_name_from_the_server_is_ignored(ctx: Context, server: FakeServer) -> None:
    evil = {"Content-Disposition": 'attachment; filename="../../evil"'}
    get(ctx, offer(server, "x", DATA, Reply(DATA, headers=evil)))
    files = [path for path in ctx.settings.cache_dir.rglob("*") if path.is_file()]
    assert files == [cached(downloads(ctx), artifact("x", DATA))]


def test_control_characters_from_the_server_are_not_shown(ctx: Context, server: FakeServer) -> None:
    item = offer(server, "x", DATA, redirect("ftp://a\x1b[31m/"))
    with pytest.raises(NetworkError) as caught:
        get(ctx, item)
    assert "\x1b" not in said(caught.value)


def test_a_dead_mirror_is_not_asked_for_every_file(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)
    log = Recorder()
    with FakeServer() as alive:
        items = [offer(alive, f"x{n}", noise(1000, seed=n)) for n in range(40)]
        ctx = make_context(debian_mirror=f"http://127.0.0.1:9/ {alive.base}", retries=2, log=log)
        get(ctx, *items)
    tries = [line for line in log.lines if "trying again" in line]
    assert 2 <= len(tries) <= 12


def test_a_full_disk_is_a_store_error(
    ctx: Context, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from xtool.fetch import partial

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partial.os, "write", full)
    with pytest.raises(StoreError) as caught:
        get(ctx, offer(server, "x", DATA))
    assert "needs 300.0 kB" in said(caught.value)
    assert "free on the disk" in said(caught.value)
    monkeypatch.undo()
    get(ctx, artifact("x", DATA))
    assert arrived(ctx, DATA)


def test_a_disk_that_is_too_small_is_said_before_the_download(
    ctx: Context, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xtool.fetch import fetcher

    monkeypatch.setattr(fetcher, "free_bytes", lambda _path: 1000)
    with pytest.raises(StoreError, match="too full") as caught:
        get(ctx, offer(server, "x", DATA))
    assert "needs 300.0 kB, 1.0 kB free" in said(caught.value)
    assert server.count() == 0


def test_ending_downloads_does_not_trip_over_one_that_has_just_ended(
    ctx: Context, server: FakeServer
) -> None:
    server.add("/whole", Reply(DATA))
    client = Client(ctx)
    with client.get(server.url("/whole")) as response:
        assert response.content == DATA
        client.cancel()
    client.close()
