"""The chain of an RPM repository: `repomd.xml`, by signature where it has one, then `primary`, by hash."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from xtool.archive.streams import decompressed
from xtool.artifacts import Artifact
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import IntegrityError, NetworkError, OfflineError, XtoolError
from xtool.fetch.fetcher import fetch_from
from xtool.fetch.mirrors import Mirror, mirror_variable, mirrors
from xtool.fetch.rpmrepo import PRIMARY_LIMIT, Repomd, RpmPackage, read_primary, read_repomd
from xtool.fetch.session import AttemptError, Client, Trouble, redact
from xtool.fetch.signatures import Certificate, check_signature
from xtool.fetch.small import get_small
from xtool.sysroots import Distribution, RepositoryEvidence

_REPOMD_LIMIT = 1 << 20
_SIGNATURE_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Repo:
    """The state of a repository that was read.

    Args:
        path: below the archive's base, with a slash at the end.
        mirror: where it was read.
        repomd: its `repomd.xml`.
        fingerprint: primary fingerprint that signed it; empty where it is not signed.
    """

    path: str
    mirror: Mirror
    repomd: Repomd
    fingerprint: str


class RpmChain:
    """Reads the repositories of one distribution for one target, each `repomd.xml` once.

    Args:
        ctx: settings, log, environment.
        catalog: the archives.
        distribution: whose repositories.
        certificates: who may sign; nobody where packages are pinned by hash.
        seen: the state that the present lock was made from; an older one is refused, and so is one without a
            signature where there was one.
        now: the present time, UTC.
    """

    def __init__(
        self,
        ctx: Context,
        catalog: Catalog,
        distribution: Distribution,
        certificates: Sequence[Certificate],
        *,
        seen: Sequence[RepositoryEvidence] = (),
        now: datetime | None = None,
    ) -> None:
        self._ctx = ctx
        self._archive = catalog.archives[distribution.archive]
        self._distribution = distribution
        self._certificates = certificates
        self._seen: Mapping[str, RepositoryEvidence] = {one.repository: one for one in seen}
        self._now = now or datetime.now(timezone.utc)
        self._repos: dict[str, Repo] = {}

    def repositories(self) -> list[Repo]:
        """The state of every repository, in the declared order.

        Raises:
            NetworkError: one cannot be fetched.
            IntegrityError: a signature does not hold, or the state is older than the lock's.
        """
        return [self._repo(one.path) for one in self._distribution.repositories]

    def packages(self, repo: Repo, wanted: Collection[str] | None = None) -> list[RpmPackage]:
        """What a repository has for the distribution's architecture and for all of them.

        Args:
            repo: one of `repositories`.
            wanted: names of packages; None for all.

        Raises:
            NetworkError: its primary cannot be fetched.
            IntegrityError: it is not what `repomd.xml` says, or malformed.
        """
        primary = repo.repomd.primary
        what = f"primary of {repo.path}"
        artifact = Artifact(
            name=what,
            version="",
            arch="",
            archive=self._archive.name,
            suite="",
            path=repo.path + primary.location,
            size=primary.size,
            sha256=primary.sha256,
            unpacked_size=min(primary.open_size or PRIMARY_LIMIT, PRIMARY_LIMIT),
        )
        with self._downloaded(artifact, repo.mirror) as path, path.open("rb") as file:
            chunks = decompressed(
                file.fileno(),
                0,
                primary.size,
                primary.compression,
                cap=artifact.unpacked_size,
                label=what,
            )
            arches = {self._distribution.arch, "noarch"}
            return read_primary(chunks, arches=arches, what=what, wanted=wanted)

    def artifact(self, repo: Repo, package: RpmPackage, unpacked_size: int) -> Artifact:
        """The artifact that a package is."""
        return Artifact(
            name=package.name,
            version=package.version,
            arch=package.arch,
            archive=self._archive.name,
            suite="",
            path=repo.path + package.location,
            size=package.size,
            sha256=package.sha256,
            unpacked_size=unpacked_size,
        )

    @contextmanager
    def _downloaded(self, artifact: Artifact, mirror: Mirror) -> Iterator[Path]:
        # Read once, and gone with the next state of the repository: no place among the cache's downloads.
        with TemporaryDirectory(prefix="xtool-index-") as folder:
            try:
                files = fetch_from(
                    self._ctx, [artifact], lambda _: [mirror], downloads=Path(folder) / "downloads"
                )
            except IntegrityError as error:
                raise IntegrityError(
                    f"{artifact.path} is not the primary that repomd.xml lists",
                    facts=error.facts,
                    hint=f"the mirror is half updated or altered; {self._variable} names another one",
                    code="index-mismatch",
                ) from error
            yield files[artifact.sha256].path

    @property
    def _variable(self) -> str:
        return mirror_variable(self._archive.name)

    def _repo(self, path: str) -> Repo:
        if path not in self._repos:
            self._repos[path] = self._read(path)
        return self._repos[path]

    def _read(self, path: str) -> Repo:
        """The first mirror whose `repomd.xml` holds; a bad signature says more than a dead mirror."""
        if self._ctx.settings.offline:
            raise OfflineError(
                f"the metadata of repository {path} is needed, and `--offline` forbids fetching it",
                hint="run it once without `--offline`",
            )
        errors: list[XtoolError] = []
        client = Client(self._ctx)
        try:
            for mirror in mirrors(self._ctx, self._archive, None):
                try:
                    return self._from_mirror(client, path, mirror)
                except (IntegrityError, NetworkError) as error:  # noqa: PERF203 - as rare as mirrors are
                    errors.append(error)
                    self._ctx.log.detail(f"{mirror.shown}: {error.message}")
        finally:
            client.close()
        raise next((error for error in errors if isinstance(error, IntegrityError)), errors[0])

    def _from_mirror(self, client: Client, path: str, mirror: Mirror) -> Repo:
        what = f"repomd.xml of {path}"
        url = mirror.url(f"{path}repodata/repomd.xml")
        data = self._small(client, url, _REPOMD_LIMIT, what)
        if data is None:
            raise NetworkError(
                f"there is no {what}",
                facts=[f"{redact(url)}: HTTP 404"],
                hint=f"{self._variable} names another mirror; a whole one has this file",
            )
        try:
            fingerprint = self._signer(client, path, mirror, data, what)
            repomd = read_repomd(data, what)
            self._check_age(path, repomd, what)
        except IntegrityError as error:
            facts = [*error.facts, f"from {redact(url)}"]
            raise IntegrityError(error.message, facts=facts, hint=error.hint, code=error.code) from error
        return Repo(path, mirror, repomd, fingerprint)

    def _signer(self, client: Client, path: str, mirror: Mirror, data: bytes, what: str) -> str:
        """Who signed a `repomd.xml`: a signature that is there must hold, one that was there must be."""
        if not self._certificates:
            return ""
        url = mirror.url(f"{path}repodata/repomd.xml.asc")
        signature = self._small(client, url, _SIGNATURE_LIMIT, f"signature of {what}")
        if signature is not None:
            return check_signature(signature, lambda: [data], self._certificates, what, now=self._now)
        known = self._seen.get(path)
        if known is not None and known.fingerprint:
            raise IntegrityError(
                f"{what} is not signed, and the one that the lock was made from was",
                facts=[f"the lock's was signed by {known.fingerprint}"],
                hint=f"the mirror may leave signatures out; {self._variable} names another one",
                code="unsigned",
            )
        return ""

    def _check_age(self, path: str, repomd: Repomd, what: str) -> None:
        known = self._seen.get(path)
        if known is not None and known.date and repomd.date < known.date:
            raise IntegrityError(
                f"{what} is older than the one that the lock was made from",
                facts=[f"it is of {repomd.date or 'no date'}, the lock's of {known.date}"],
                hint=f"the mirror is out of date; {self._variable} names another one",
                code="rollback",
            )

    def _small(self, client: Client, url: str, limit: int, what: str) -> bytes | None:
        """A small file, or None where the mirror says that it has none."""
        try:
            return get_small(self._ctx, client, url, limit=limit)
        except AttemptError as error:
            if error.trouble is Trouble.GONE:
                return None
            raise NetworkError(
                f"cannot download the {what}",
                facts=[f"{redact(url)}: {error.reason}"],
                hint=error.hint or f"{self._variable} names another mirror",
            ) from error
