"""The signed chain of a Debian archive: pinned key, `InRelease`, `Packages`, package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from xtool.artifacts import Artifact
from xtool.catalog import Archive, Catalog, Lock, SuiteEvidence
from xtool.context import Context
from xtool.errors import CatalogError, IntegrityError, NetworkError, OfflineError, XtoolError
from xtool.fetch.fetcher import Vanished, fetch_from
from xtool.fetch.mirrors import Mirror, mirrors
from xtool.fetch.openpgp import verify_cleartext
from xtool.fetch.release import (
    Index,
    Package,
    Release,
    check_release,
    highest,
    iso,
    parse_release,
    read_packages,
)
from xtool.fetch.session import AttemptError, Client, redact
from xtool.fetch.small import get_small
from xtool.targets import current_host

_IN_RELEASE_LIMIT = 8 << 20
_SLACK = 16 << 20
"""Bytes by which a replacement may exceed what its package declares as its installed size."""

_SNAPSHOT_DELAY = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class _Suite:
    archive: Archive
    release: Release
    mirror: Mirror


class Chain:
    """Reads suites of Debian archives, each `InRelease` once.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, and the keys that may sign.
        seen: by suite, the newest state that is known; an older one is refused.
        as_of: the day, UTC, that an index of a frozen mirror must have been valid on; one that was made later
            must be valid today. None for today throughout.
    """

    def __init__(
        self,
        ctx: Context,
        catalog: Catalog,
        *,
        seen: Mapping[str, SuiteEvidence],
        as_of: datetime | None = None,
    ) -> None:
        self._ctx = ctx
        self._catalog = catalog
        self._seen = seen
        self._as_of = as_of
        self._suites: dict[str, _Suite] = {}

    def archive(self, suite: str) -> Archive:
        """The archive that a suite belongs to.

        Raises:
            CatalogError: none has it.
        """
        for archive in self._catalog.archives.values():
            if suite in archive.suites:
                return archive
        raise CatalogError(f"no archive of sources.toml has a suite `{suite}`")

    def evidence(self, suite: str) -> SuiteEvidence:
        """What a lock made from the suite's present state has to say about it."""
        release = self._suite(suite).release
        # The snapshot archive looks at the mirrors a few times a day, and takes the last state before the
        # time asked for. Half a day later it has seen this release; the archive keeps what a release
        # replaces for longer than that.
        snapshot = (release.date + _SNAPSHOT_DELAY).strftime("%Y%m%dT%H%M%SZ")
        return SuiteEvidence(suite, iso(release.date), release.fingerprint, snapshot)

    def packages(self, suite: str, arch: str, wanted: Collection[str]) -> dict[str, list[Package]]:
        """What a suite's index for an architecture says about some packages.

        Raises:
            NetworkError: the index cannot be fetched.
            IntegrityError: the index is not what the signed release says.
        """
        data, limit, what = self._fetch_index(suite, arch)
        return read_packages(data, wanted=wanted, limit=limit, what=what)

    def index(self, suite: str, arch: str) -> Index:
        """A suite's whole index for an architecture.

        Raises:
            NetworkError: the index cannot be fetched.
            IntegrityError: the index is not what the signed release says.
        """
        data, limit, what = self._fetch_index(suite, arch)
        return Index(data, limit=limit, what=what)

    def _fetch_index(self, suite: str, arch: str) -> tuple[bytes, int, str]:
        """An index, compressed; the bytes that it unpacks to; what it is."""
        found = self._suite(suite)
        plain, packed = f"main/binary-{arch}/Packages", f"main/binary-{arch}/Packages.xz"
        files = found.release.files
        if plain not in files or packed not in files:
            raise IntegrityError(
                f"suite {suite} has no index of architecture {arch}",
                facts=[f"InRelease of {iso(found.release.date)} does not list {packed}"],
            )
        data = self._index(suite, found, packed, wanted=arch)
        return data, files[plain].size, f"Packages of {suite} {arch}"

    def _index(self, suite: str, found: _Suite, packed: str, *, wanted: str) -> bytes:
        """An index file by its hash, or by its name where the mirror has no by-hash folders."""
        file = found.release.files[packed]
        folder = f"dists/{suite}/{packed.rpartition('/')[0]}"
        paths = [f"dists/{suite}/{packed}"]
        if found.release.by_hash:
            paths.insert(0, f"{folder}/by-hash/SHA256/{file.sha256}")
        for path in paths:
            what = f"Packages.xz of {suite} {wanted}"
            artifact = Artifact(
                what, "", "", found.archive.name, suite, path, file.size, file.sha256, file.size
            )
            try:
                return self._download(artifact, found.mirror)
            except Vanished:
                if path == paths[-1]:
                    raise
        raise AssertionError("the last path returns or raises")

    def _download(self, artifact: Artifact, mirror: Mirror) -> bytes:
        # An index is read once and may change within hours: it has no place among the cache's downloads.
        with TemporaryDirectory(prefix="xtool-index-") as folder:
            try:
                downloads = Path(folder) / "downloads"
                files = fetch_from(self._ctx, [artifact], lambda _a: [mirror], downloads=downloads)
            except IntegrityError as error:
                raise IntegrityError(
                    f"{artifact.path} is not the index that the signed release lists",
                    facts=error.facts,
                    hint="the mirror is half updated: try again later, or one that has by-hash folders",
                    code="index-mismatch",
                ) from error
            return files[artifact.sha256].path.read_bytes()

    def _suite(self, suite: str) -> _Suite:
        if suite not in self._suites:
            self._suites[suite] = self._read_suite(suite)
        return self._suites[suite]

    def _read_suite(self, suite: str) -> _Suite:
        """The first mirror whose `InRelease` holds; why each other does not is said."""
        archive = self.archive(suite)
        if self._ctx.settings.offline:
            raise OfflineError(
                f"the index of suite {suite} is needed, and `--offline` forbids fetching it",
                hint="run it once without `--offline`",
            )
        places = mirrors(self._ctx, archive, self._seen.get(suite))
        errors: list[XtoolError] = []
        client = Client(self._ctx)
        try:
            for mirror in places:
                try:
                    return self._from_mirror(client, archive, suite, mirror)
                except (IntegrityError, NetworkError) as error:  # noqa: PERF203 - as rare as mirrors are
                    errors.append(error)
                    self._ctx.log.detail(f"{mirror.shown}: {error.message}")
        finally:
            client.close()
        raise _first_refusal(suite, errors)

    def _from_mirror(self, client: Client, archive: Archive, suite: str, mirror: Mirror) -> _Suite:
        keys = archive.suites[suite]
        url = mirror.url(f"dists/{suite}/InRelease")
        what = f"InRelease of {suite}"
        try:
            data = get_small(self._ctx, client, url, limit=_IN_RELEASE_LIMIT)
        except AttemptError as error:
            raise NetworkError(
                f"cannot download the {what}",
                facts=[f"{redact(url)}: {error.reason}"],
                hint=error.hint or "XTOOL_DEBIAN_MIRROR names another mirror; a whole one has this file",
            ) from error
        try:
            signed = verify_cleartext(
                data, keyring=self._catalog.root / keys.keyring, fingerprints=keys.fingerprints, what=what
            )
            release = parse_release(signed.content, signed.fingerprint, what)
            known, then = self._seen.get(suite), self._as_of
            check_release(
                release,
                suite,
                what,
                base=mirror.base,
                not_before=known.date if known else None,
                now=then if then and release.date <= then else datetime.now(timezone.utc),
            )
        except IntegrityError as error:
            facts = [*error.facts, f"from {redact(url)}"]
            raise IntegrityError(error.message, facts=facts, hint=error.hint, code=error.code) from error
        return _Suite(archive, release, mirror)


def artifact_of(package: Package, archive: str, suite: str, unpacked_size: int) -> Artifact:
    """The artifact that a package of an index is."""
    return Artifact(
        name=package.name,
        version=package.version,
        arch=package.arch,
        archive=archive,
        suite=suite,
        path=package.filename,
        size=package.size,
        sha256=package.sha256,
        unpacked_size=unpacked_size,
    )


def index_arch(arch: str, host: str) -> str:
    """Debian architecture of the index that a package stands in: `all` packages stand in every one."""
    return host if arch == "all" else arch


def replacements(
    ctx: Context, catalog: Catalog, lock: Lock, vanished: Iterable[Artifact]
) -> dict[str, Artifact]:
    """Find what stands today in the place of locked files that have left every mirror.

    The new file is the highest version of the same package, suite and architecture, from a signed index that
    is not older than the lock's. How much it unpacks to only its package knows: the cap is what the index
    says is installed, a fifth more for tar's padding, and 16 MiB.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, and the keys that may sign.
        lock: the lock; its evidence says how old an index may be.
        vanished: the files that are gone.

    Returns:
        The new artifacts by the sha256 of the old ones.

    Raises:
        IntegrityError: a signature or a hash does not hold, or an index is older than the lock's.
        NetworkError: an index cannot be fetched, or has no such package any more.
    """
    host = current_host().debian
    chain = Chain(ctx, catalog, seen=lock.evidence)
    groups: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in vanished:
        groups.setdefault((artifact.suite, index_arch(artifact.arch, host)), []).append(artifact)
    found = {}
    for (suite, arch), artifacts in groups.items():
        index = chain.packages(suite, arch, {artifact.name for artifact in artifacts})
        for old in artifacts:
            new = _replacement(old, index[old.name])
            cap = new.installed_size * 6 // 5 + _SLACK
            found[old.sha256] = artifact_of(new, old.archive, suite, cap)
    return found


def _replacement(old: Artifact, candidates: Sequence[Package]) -> Package:
    new = highest(candidates, old.arch)
    if new is None:
        raise NetworkError(
            f"suite {old.suite} has no {old.name} for {old.arch} any more",
            hint="a newer xtool may have a lock without it",
            code="no-replacement",
        )
    if new.sha256 == old.sha256:
        raise NetworkError(
            f"the mirrors list {old.filename} but do not have it",
            hint="they may be half updated: try again later, or name another one with XTOOL_DEBIAN_MIRROR",
            code="no-replacement",
        )
    return new


def _first_refusal(suite: str, errors: Sequence[XtoolError]) -> XtoolError:
    """What to raise when no mirror's `InRelease` holds: a bad signature says more than a dead mirror."""
    if not errors:
        return NetworkError(
            f"there is no mirror to get the index of suite {suite} from",
            hint="set XTOOL_DEBIAN_MIRROR to the URL of a Debian mirror",
        )
    return next((error for error in errors if isinstance(error, IntegrityError)), errors[0])


def default_downloads(ctx: Context) -> Path:
    """The cache's folder of verified downloads."""
    return ctx.settings.cache_dir / "v1" / "downloads"
