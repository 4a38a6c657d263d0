"""Which mirrors are asked, from real shapes of apt configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.artifacts import EVIDENCE

from xtool.catalog import Archive, Catalog
from xtool.context import Context
from xtool.errors import UsageError
from xtool.fetch.mirrors import apt_mirrors, mirrors
from xtool.fetch.session import proxy_for, redact

DEBIAN_SOURCES = """\
Types: deb
# snapshot of the base image
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


@pytest.fixture
def archive() -> Archive:
    return Catalog().archives["debian"]


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def bases(apt: Path) -> list[str]:
    return [mirror.base for mirror in apt_mirrors(apt)]


def write(apt: Path, name: str, text: str) -> None:
    (apt / "sources.list.d" / name).write_text(text)


def test_the_archive_is_found_and_the_security_archive_left_out(apt: Path) -> None:
    write(apt, "debian.sources", DEBIAN_SOURCES)
    (found,) = apt_mirrors(apt)
    assert found.base == "http://mirror.example.org/debian/"
    assert found.origin == str(apt / "sources.list.d" / "debian.sources")


@pytest.mark.parametrize(
    "line",
    [
        "deb http://m.example.org/debian bookworm main contrib",
        "deb http://m.example.org/debian/ stable main # with a comment",
        "deb [arch=amd64,arm64] http://m.example.org/debian trixie main",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example.org/debian sid main",
    ],
)
def test_lines_that_count(apt: Path, line: str) -> None:
    (apt / "sources.list").write_text(f"# a comment\n\n{line}\n")
    assert bases(apt) == ["http://m.example.org/debian/"]


@pytest.mark.parametrize(
    "line",
    [
        "# deb http://m.example.org/debian bookworm main",
        "deb-src http://m.example.org/debian bookworm main",
        "deb https://download.example.com/linux/debian bookworm stable",
        "deb https://apt.example.com/repo cloud-sdk-bookworm main",
        "deb http://security.example.org/debian-security bookworm-security main",
        "deb http://archive.example.com/ubuntu noble main universe",
        "deb http://raspbian.example.org/raspbian bookworm main",
        "deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.example.com/debian bookworm main",
        "deb cdrom:[Debian GNU/Linux 12]/ bookworm main",
        "deb file:/srv/debian bookworm main",
        "deb [broken http://m.example.org/debian bookworm main",
        "deb",
    ],
)
def test_lines_that_do_not_count(apt: Path, line: str) -> None:
    (apt / "sources.list").write_text(line + "\n")
    assert bases(apt) == []


def test_paragraphs_that_do_not_count(apt: Path) -> None:
    write(apt, "a.sources", DEBIAN_SOURCES.replace("Types: deb\n", "Types: deb\nEnabled: no\n"))
    write(apt, "b.sources", DEBIAN_SOURCES.replace("Types: deb", "Types: deb-src"))
    write(apt, "c.sources", DEBIAN_SOURCES.replace("bookworm", "nodistro"))
    write(apt, "d.sources.save", DEBIAN_SOURCES)
    assert bases(apt) == []


def test_an_odd_path_counts_when_debians_keyring_signs_it(apt: Path) -> None:
    write(apt, "a.sources", DEBIAN_SOURCES.replace("/debian\n", "/proxy/deb-remote\n"))
    assert bases(apt) == ["http://mirror.example.org/proxy/deb-remote/"]


def test_several_mirrors_of_one_entry_each_count_once(apt: Path) -> None:
    both = "http://a.example.org/debian http://b.example.org/debian/"
    write(apt, "a.sources", DEBIAN_SOURCES.replace("http://mirror.example.org/debian\n", both + "\n"))
    (apt / "sources.list").write_text("deb http://b.example.org/debian bookworm main\n")
    assert bases(apt) == ["http://b.example.org/debian/", "http://a.example.org/debian/"]


def test_a_machine_without_apt_has_no_mirrors(tmp_path: Path) -> None:
    assert apt_mirrors(tmp_path / "nothing") == []


def test_the_configured_mirror_takes_the_place_of_apts(
    make_context: Callable[..., Context], archive: Archive, apt: Path
) -> None:
    write(apt, "debian.sources", DEBIAN_SOURCES)
    evidence = EVIDENCE["trixie"]
    found = mirrors(make_context(use_apt_sources=True), archive, evidence, apt=apt)
    assert [mirror.base for mirror in found] == [
        "http://mirror.example.org/debian/",
        "https://snapshot.debian.org/archive/debian/20260912T195541Z/",
    ]
    ctx = make_context(use_apt_sources=True, debian_mirror="http://mine.example.org/d")
    assert [mirror.base for mirror in mirrors(ctx, archive, evidence, apt=apt)] == [
        "http://mine.example.org/d/",
        "https://snapshot.debian.org/archive/debian/20260912T195541Z/",
    ]
    without = mirrors(make_context(use_apt_sources=False), archive, evidence, apt=apt)
    assert [(mirror.snapshot, mirror.origin) for mirror in without] == [
        (True, "the snapshot archive of 20260912")
    ]


@pytest.mark.parametrize("configured", ["http://s.example.org/x", "http://s.example.org/x/{timestamp}/"])
def test_the_snapshot_archive_can_be_another_one(
    make_context: Callable[..., Context], archive: Archive, configured: str
) -> None:
    (found,) = mirrors(make_context(snapshot_mirror=configured), archive, EVIDENCE["trixie"])
    assert found.base == "http://s.example.org/x/20260912T195541Z/"


@pytest.mark.parametrize("url", ["mirror.example.org/debian", "ftp://m.example.org/debian", "http://"])
def test_a_mirror_that_is_no_url_is_a_usage_error(
    make_context: Callable[..., Context], archive: Archive, url: str
) -> None:
    with pytest.raises(UsageError, match="XTOOL_DEBIAN_MIRROR is not a web address"):
        mirrors(make_context(debian_mirror=url), archive, None)


def test_the_example_of_a_mirror_is_one_of_that_archive(make_context: Callable[..., Context]) -> None:
    centos = Archive("centos", "rpm", "", {}, ("https://vault.example.org/",))
    with pytest.raises(UsageError) as caught:
        mirrors(make_context(rpm_mirrors={"centos": "vault"}), centos, None)
    assert caught.value.hint == "set XTOOL_CENTOS_MIRROR to a URL like `https://mirror.example.org/centos/`"


def test_urls_are_shown_without_secrets() -> None:
    assert redact("https://me:pw@h.example:8443/a?token=x#f") == "https://***@h.example:8443/a?..."
    assert redact("http://h.example/a") == "http://h.example/a"


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("http://h.example/", {"http_proxy": "http://p:1"}, ("http_proxy", "http://p:1")),
        ("https://h.example/", {"http_proxy": "http://p:1"}, None),
        ("https://h.example/", {"HTTPS_PROXY": "p:1"}, ("HTTPS_PROXY", "http://p:1")),
        ("https://h.example/", {"ALL_PROXY": "http://p:1"}, ("ALL_PROXY", "http://p:1")),
        ("https://h.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://h.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, None),
        ("https://h.example/", {"HTTPS_PROXY": "http://p:1", "no_proxy": "x,h.example"}, None),
        ("https://h.example:44/", {"HTTPS_PROXY": "http://p:1", "no_proxy": "h.example:44"}, None),
        ("https://h.example/", {"HTTPS_PROXY": "p:1", "no_proxy": "ample"}, ("HTTPS_PROXY", "http://p:1")),
        ("http://10.1.2.3/", {"HTTP_PROXY": "p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("http://[::1]/", {"HTTP_PROXY": "p:1", "no_proxy": "::1"}, None),
    ],
)
def test_proxies_are_chosen_as_curl_does(
    url: str, environ: dict[str, str], expected: tuple[str, str] | None
) -> None:
    assert proxy_for(url, environ) == expected
