"""Where an archive's files can be asked for: a configured mirror, the host's, the snapshot archive.

An RPM archive has no snapshots: its bases, or the mirrors that replace them, are all there is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from xtool.catalog import Archive, SuiteEvidence
from xtool.context import Context
from xtool.errors import UsageError
from xtool.fetch.release import stanzas
from xtool.fetch.session import redact

APT = Path("/etc/apt")
"""Where apt's configuration lies (sources.list(5))."""

_SUITES = re.compile(
    r"(?:stable|oldstable|oldoldstable|testing|unstable|sid|experimental"
    r"|buster|bullseye|bookworm|trixie|forky|duke)(?:-updates|-backports|-proposed-updates)?"
)

_NO = ("no", "false", "0", "off", "without", "disable")
"""What apt takes for a no (apt.conf(5))."""

_DEB822_LISTS = ("uris", "suites", "components")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One place that has an archive's files.

    Args:
        base: URL that the files' paths are appended to; ends with a slash.
        origin: who named it, for messages (`XTOOL_DEBIAN_MIRROR`, a file of apt's, the snapshot archive).
        snapshot: whether it is the archive of former states.
    """

    base: str
    origin: str
    snapshot: bool = False

    def url(self, path: str) -> str:
        """The URL of a file."""
        return self.base + quote(path.lstrip("/"), safe="/+~:@,=")

    @property
    def shown(self) -> str:
        """The mirror in words, without credentials."""
        return f"{redact(self.base)} ({self.origin})"


def mirrors(
    ctx: Context,
    archive: Archive,
    evidence: SuiteEvidence | None,
    *,
    apt: Path = APT,
) -> list[Mirror]:
    """The places to ask, in this order: XTOOL_DEBIAN_MIRROR, or else the host's apt sources; the snapshot.

    For an RPM archive: the mirrors of its own variable (XTOOL_CENTOS_MIRROR), or else its bases.

    Args:
        ctx: settings.
        archive: the archive.
        evidence: what the lock says about the suite; without it there is no snapshot to ask.
        apt: folder of apt's configuration.

    Raises:
        UsageError: a configured URL is not one.
    """
    settings = ctx.settings
    if archive.kind == "rpm":
        named = mirror_variable(archive.name)
        configured = settings.rpm_mirrors.get(archive.name, "").split()
        if configured:
            return [Mirror(_checked(url, named), named) for url in configured]
        return [Mirror(base, "sources.toml") for base in archive.bases]
    found: list[Mirror] = []
    if settings.debian_mirror:
        named = "XTOOL_DEBIAN_MIRROR"
        found += [Mirror(_checked(url, named), named) for url in settings.debian_mirror.split()]
    elif settings.use_apt_sources:
        found += apt_mirrors(apt)
    if evidence is not None:
        for timestamp in (evidence.snapshot, *evidence.earlier):
            found.append(_snapshot(settings.snapshot_mirror, archive, timestamp))
    return list({mirror.base: mirror for mirror in reversed(found)}.values())[::-1]


def mirror_variable(archive: str) -> str:
    """The variable that names mirrors of an archive: `XTOOL_CENTOS_MIRROR` for `centos`."""
    return f"XTOOL_{archive.upper().replace('-', '_')}_MIRROR"


def apt_mirrors(apt: Path = APT) -> list[Mirror]:
    """Full Debian mirrors that the host's apt configuration names.

    Security archives, other vendors' repositories and derivatives are left out: an entry counts when its
    suite and component are Debian's own and either Debian's keyring signs it or, where no key is named, the
    path is the customary `/debian`.
    """
    files = [apt / "sources.list"]
    with suppress(OSError):
        files += sorted((apt / "sources.list.d").iterdir())
    found: dict[str, Mirror] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        entries = {".list": _one_line, ".sources": _deb822}.get(file.suffix)
        for entry in entries(text) if entries else ():
            for uri in entry.uris:
                if _is_debian(entry, uri):
                    base = uri.rstrip("/") + "/"
                    found.setdefault(base, Mirror(base, str(file)))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def _one_line(text: str) -> Iterator[_Entry]:
    """Entries of a one-line-style file: `deb [option=value ...] uri suite component ...`."""
    for line in text.splitlines():
        words, options = _words(line.partition("#")[0])
        if len(words) >= 4 and words[0] == "deb":
            signed_by = " ".join(v for k, _, v in (o.partition("=") for o in options) if k == "signed-by")
            yield _Entry((words[1],), (words[2],), tuple(words[3:]), signed_by)


def _words(line: str) -> tuple[list[str], list[str]]:
    before, bracket, rest = line.partition("[")
    options, closed, after = rest.partition("]")
    if not (bracket and closed):
        return line.split(), []
    try:
        return before.split() + after.split(), shlex.split(options)
    except ValueError:
        return [], []


def _deb822(text: str) -> Iterator[_Entry]:
    """Entries of a deb822-style file."""
    for fields in stanzas(text):
        lowered = {key.lower(): value for key, value in fields.items()}
        enabled = lowered.get("enabled", "yes").lower()
        if enabled not in _NO and "deb" in lowered.get("types", "").split():
            uris, suites, components = (tuple(lowered.get(key, "").split()) for key in _DEB822_LISTS)
            yield _Entry(uris, suites, components, lowered.get("signed-by", ""))


def _is_debian(entry: _Entry, uri: str) -> bool:
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname or "main" not in entry.components:
        return False
    if not any(_SUITES.fullmatch(suite) for suite in entry.suites):
        return False
    if entry.signed_by:
        return "debian-archive" in entry.signed_by and not _names_security(parts.path)
    return parts.path.rstrip("/").rpartition("/")[2] == "debian"


def _names_security(path: str) -> bool:
    return "security" in path.lower()


def _snapshot(configured: str | None, archive: Archive, timestamp: str) -> Mirror:
    if not configured:
        base, origin = archive.snapshot, "the snapshot archive"
    else:
        base, origin = _checked(configured, "XTOOL_SNAPSHOT_MIRROR"), "XTOOL_SNAPSHOT_MIRROR"
        if "{timestamp}" not in base:
            base += "{timestamp}/"
    filled = base.replace("{timestamp}", timestamp)
    return Mirror(filled.rstrip("/") + "/", f"{origin} of {timestamp[:8]}", snapshot=True)


def _checked(url: str, variable: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        name = variable.removeprefix("XTOOL_").removesuffix("_MIRROR").lower()
        raise UsageError(
            f"{variable} is not a web address: {redact(url)}",
            hint=f"set {variable} to a URL like `https://mirror.example.org/{name}/`",
            code="bad-mirror",
        )
    return url.rstrip("/") + "/"
