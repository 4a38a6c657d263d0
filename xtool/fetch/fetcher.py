"""Many files at once: verified downloads, in the cache under the hash that they were asked for by."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, SuiteEvidence
from xtool.config import RPM_ARCHIVES
from xtool.context import Context
from xtool.diskerrors import as_store_error, free_bytes, reported
from xtool.errors import CatalogError, IntegrityError, NetworkError, OfflineError, StoreError
from xtool.fetch.mirrors import Mirror, mirror_variable, mirrors
from xtool.fetch.partial import Partial
from xtool.fetch.session import AttemptError, Client, Trouble, redact
from xtool.fetch.transfer import CancelledError, transfer
from xtool.locking import locked
from xtool.log import Progress
from xtool.text import format_bytes

CONNECTIONS = 6
"""How many files are downloaded at once."""

_CHUNK = 1 << 20
_GRACE = 2.0
"""Seconds that threads get to notice that the work was given up."""

_NAMED = 3
"""How many vanished files a message names; its facts name them all."""

_OWN_VAULT = "`xtool lock --update --sysroot NAME --key FILE` makes the lock from a vault of your own"

OnReady = Callable[[VerifiedFile], None]


class Vanished(NetworkError):
    """Files have left every mirror and the snapshot archive.

    Args:
        artifacts: the files.
        facts: where they were looked for.
    """

    family = "vanished"

    def __init__(self, artifacts: Sequence[Artifact], facts: Sequence[str] = ()) -> None:
        names = ", ".join(artifact.filename for artifact in artifacts[:_NAMED])
        if len(artifacts) > _NAMED:
            names += f" and {len(artifacts) - _NAMED} more"
        super().__init__(
            f"{names} {'has' if len(artifacts) == 1 else 'have'} left every mirror",
            facts=facts,
            hint="without `--frozen` the suite's current version is taken; a newer xtool has newer locks",
        )
        self.artifacts = tuple(artifacts)


def cached(downloads: Path, artifact: Artifact) -> Path:
    """Where a file lies in the folder of downloads, whether it is there or not."""
    return downloads / artifact.sha256[:2] / artifact.sha256


def fetch(
    ctx: Context,
    catalog: Catalog,
    artifacts: Iterable[Artifact],
    *,
    evidence: Mapping[str, SuiteEvidence],
    downloads: Path,
    on_ready: OnReady | None = None,
    progress: Progress | None = None,
) -> dict[str, VerifiedFile]:
    """Get files, from the cache or from a mirror, and verify each by size and sha256.

    Args:
        ctx: settings (mirrors, timeouts, offline), log, environment.
        catalog: knows the archives.
        artifacts: the files.
        evidence: by suite, what the lock says about it; it names the snapshot to fall back to.
        downloads: folder of verified downloads; partial ones lie beside it.
        on_ready: called from a worker thread as soon as a file is verified.
        progress: advanced by the bytes of every file, those in the cache included.

    Returns:
        The verified files by sha256.

    Raises:
        OfflineError: files are missing and the settings say offline.
        Vanished: files are gone everywhere.
        NetworkError: a file cannot be downloaded.
        IntegrityError: what came is not what the lock says.
        StoreError: the cache cannot take it.
    """
    wanted = list({artifact.sha256: artifact for artifact in artifacts}.values())
    places: dict[tuple[str, str], list[Mirror]] = {}
    for artifact in wanted:
        key = (artifact.archive, artifact.suite)
        if key not in places:
            if artifact.archive not in catalog.archives:
                raise CatalogError(f"{artifact.name}: there is no archive `{artifact.archive}`")
            places[key] = mirrors(ctx, catalog.archives[artifact.archive], evidence.get(artifact.suite))
    try:
        return fetch_from(
            ctx,
            wanted,
            lambda artifact: places[artifact.archive, artifact.suite],
            downloads=downloads,
            on_ready=on_ready,
            progress=progress,
        )
    except Vanished as error:
        fixed = [one for one in error.artifacts if catalog.archives[one.archive].kind == "rpm"]
        if not fixed:
            raise
        # A vault does not replace files: nothing newer stands in their place.
        hint = f"{mirror_variable(fixed[0].archive)} names another mirror; {_OWN_VAULT}"
        raise NetworkError(error.message, facts=error.facts, hint=hint, code="gone") from error


def fetch_from(
    ctx: Context,
    artifacts: Sequence[Artifact],
    places: Callable[[Artifact], Sequence[Mirror]],
    *,
    downloads: Path,
    on_ready: OnReady | None = None,
    progress: Progress | None = None,
) -> dict[str, VerifiedFile]:
    """Like `fetch`, from the mirrors that `places` gives for each file."""
    missing = [artifact for artifact in artifacts if not cached(downloads, artifact).is_file()]
    if missing and ctx.settings.offline:
        raise _offline(missing, places, downloads)
    _check_room(missing, downloads)
    lost = set(missing)
    here = [artifact for artifact in artifacts if artifact not in lost]
    job = _Job(ctx, places, downloads, on_ready, progress)
    return job.run([*here, *sorted(missing, key=lambda artifact: -artifact.size)])


@dataclass
class _Job:
    """The state that the worker threads share."""

    ctx: Context
    places: Callable[[Artifact], Sequence[Mirror]]
    downloads: Path
    on_ready: OnReady | None
    progress: Progress | None
    dead: dict[str, AttemptError] = field(default_factory=dict)
    _client: Client | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, artifacts: Sequence[Artifact]) -> dict[str, VerifiedFile]:
        """Process all files; the first failure ends the rest, except that all vanished files are found."""
        tasks: queue.SimpleQueue[Artifact] = queue.SimpleQueue()
        results: queue.SimpleQueue[VerifiedFile | BaseException] = queue.SimpleQueue()
        for artifact in artifacts:
            tasks.put(artifact)
        workers = [
            threading.Thread(target=self._work, args=(tasks, results), daemon=True, name="xtool-fetch")
            for _ in range(min(CONNECTIONS, len(artifacts)))
        ]
        done: dict[str, VerifiedFile] = {}
        vanished: list[Vanished] = []
        for worker in workers:
            worker.start()
        try:
            for _ in artifacts:
                result = results.get()
                if isinstance(result, Vanished):
                    vanished.append(result)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    done[result.artifact.sha256] = result
        finally:
            self._end(workers)
        if vanished:
            lost = sorted((a for error in vanished for a in error.artifacts), key=lambda a: a.filename)
            raise Vanished(lost, [fact for error in vanished for fact in error.facts])
        return done

    def _end(self, workers: Sequence[threading.Thread]) -> None:
        self._stop.set()
        with self._mutex:
            client = self._client
        if client is not None:
            client.cancel()
        deadline = time.monotonic() + _GRACE
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        if client is not None:
            client.close()

    def _work(
        self,
        tasks: queue.SimpleQueue[Artifact],
        results: queue.SimpleQueue[VerifiedFile | BaseException],
    ) -> None:
        while not self._stop.is_set():
            try:
                artifact = tasks.get_nowait()
            except queue.Empty:
                return
            try:
                file = self._get(artifact)
                if self.on_ready is not None:
                    self.on_ready(file)
                results.put(file)
            except CancelledError:
                return
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                results.put(error)

    def _get(self, artifact: Artifact) -> VerifiedFile:
        """One file: from the cache if it is good there, else by download."""
        file = self._from_cache(artifact)
        if file is not None:
            return file
        folder = self.downloads.parent / "partial"
        with reported(folder, "cannot make the folder of downloads"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = folder / f"{artifact.sha256}.lock"
        timeout = self.ctx.settings.lock_timeout
        with locked(lock, log=self.ctx.log, timeout=timeout, what=f"the download of {artifact.filename}"):
            try:
                # Whoever held the lock before may have brought it.
                file = self._from_cache(artifact) or self._download(artifact, folder)
            finally:
                if not (folder / artifact.sha256).exists():
                    with suppress(OSError):
                        lock.unlink()
        return file

    def _from_cache(self, artifact: Artifact) -> VerifiedFile | None:
        path = cached(self.downloads, artifact)
        try:
            problem = mismatch(path, artifact)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise as_store_error(error, path, f"cannot read {artifact.filename} from the cache") from error
        if problem is None:
            self._advance(artifact.size or path.stat().st_size)
            return VerifiedFile(artifact, path)
        if self.ctx.settings.offline:
            raise IntegrityError(
                f"{artifact.filename} is damaged in the cache",
                facts=[str(path), problem],
                hint="run once without `--offline`; xtool fetches it again",
                code="damaged-download",
            )
        again = f"{artifact.filename} is damaged in the cache and is fetched again ({problem})"
        self.ctx.log.warning(again)
        with reported(path, f"cannot remove the damaged {artifact.filename}"):
            path.unlink(missing_ok=True)
        return None

    def _download(self, artifact: Artifact, folder: Path) -> VerifiedFile:
        """Ask one mirror after the other."""
        final = cached(self.downloads, artifact)
        failed: list[tuple[Mirror, AttemptError]] = []
        partial = Partial(folder, artifact, self._advance)
        try:
            for mirror in self.places(artifact):
                error = self._from_mirror(mirror, partial)
                if error is None:
                    checked = VerifiedFile(artifact, final)
                    partial.finish(final)
                    if any(e.trouble is Trouble.WRONG for _, e in failed):
                        self.ctx.log.warning(_stale_warning(artifact, failed))
                    return checked
                failed.append((mirror, error))
                self.ctx.log.detail(f"{redact(mirror.url(artifact.path))}: {error.reason}")
        finally:
            partial.close()
        raise _failure(artifact, failed)

    def _from_mirror(self, mirror: Mirror, partial: Partial) -> AttemptError | None:
        """None when the file is complete and right, else why this mirror did not give it."""
        if mirror.base in self.dead:
            return self.dead[mirror.base]
        url = mirror.url(partial.artifact.path)
        for _ in range(2):
            try:
                transfer(self.ctx, self._connect(), url, partial)
            except AttemptError as error:
                if error.trouble is Trouble.WRONG:
                    resumed = partial.resumed
                    partial.restart()
                    if resumed:
                        # The bytes of an earlier run may be what is wrong: once more, from the start.
                        continue
                if error.trouble is Trouble.UNREACHABLE:
                    self.dead[mirror.base] = error
                return error
            return None
        raise AssertionError("a download that starts anew is not resumed")

    def _connect(self) -> Client:
        with self._mutex:
            if self._stop.is_set():
                raise CancelledError
            if self._client is None:
                self._client = Client(self.ctx)
            return self._client

    def _advance(self, amount: int) -> None:
        if self.progress is not None and amount:
            self.progress.advance(amount)


def mismatch(path: Path, artifact: Artifact) -> str | None:
    """How a file differs from its artifact, or None; where the size is unknown the hash alone counts.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if artifact.size not in (0, size):
        return f"expected {artifact.size} bytes, got {size}"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    got = digest.hexdigest()
    return None if got == artifact.sha256 else f"expected sha256 {artifact.sha256}, got {got}"


def _check_room(missing: Iterable[Artifact], downloads: Path) -> None:
    """Say that the disk is too small before an hour of downloading instead of after it."""
    need = sum(artifact.size for artifact in missing)
    free = free_bytes(downloads)
    if free is not None and need > free:
        raise StoreError(
            "the disk is too full for the downloads",
            facts=[f"needs {format_bytes(need)}, {format_bytes(free)} free on the disk of {downloads}"],
            hint="make room (`xtool prune`, `xtool cache clean`) or point XTOOL_CACHE_DIR to a larger disk",
            code="disk-full",
        )


def _offline(
    missing: Sequence[Artifact], places: Callable[[Artifact], Sequence[Mirror]], downloads: Path
) -> OfflineError:
    facts = []
    for artifact in sorted(missing, key=lambda item: item.filename):
        urls = [redact(mirror.url(artifact.path)) for mirror in places(artifact)]
        size = format_bytes(artifact.size) if artifact.size else "size unknown"
        facts.append(f"{artifact.filename} ({size})")
        facts += [f"  from {url}" for url in urls[:1]]
        facts.append(f"  to   {cached(downloads, artifact)}")
    files = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
    total = format_bytes(sum(artifact.size for artifact in missing))
    if not all(artifact.size for artifact in missing):
        total = "size unknown"
    return OfflineError(
        f"{files} not in the cache, and `--offline` forbids fetching ({total})",
        facts=facts,
        hint="run once without `--offline`, `xtool cache import` a cache, or put each file in its place",
    )


def _stale_warning(artifact: Artifact, failed: Sequence[tuple[Mirror, AttemptError]]) -> str:
    stale = [mirror.shown for mirror, error in failed if error.trouble is Trouble.WRONG]
    places = ", ".join(stale)
    return f"{places} gave another file than the locked {artifact.filename}; the next mirror had it"


def _failure(artifact: Artifact, failed: Sequence[tuple[Mirror, AttemptError]]) -> Exception:
    """What it comes to when no mirror gave the file."""
    facts = [
        f"{redact(mirror.url(artifact.path))} ({mirror.origin}): {error.reason}" for mirror, error in failed
    ]
    hints = [error.hint for _, error in failed if error.hint]
    variable = mirror_variable(artifact.archive)
    wrong = any(error.trouble is Trouble.WRONG for _, error in failed)
    if wrong:
        own = f"; {_OWN_VAULT}" if artifact.archive in RPM_ARCHIVES else ""
        return IntegrityError(
            f"checksum mismatch for {artifact.filename}",
            facts=facts,
            hint=hints[0] if hints else f"the mirror may be stale; name another one with {variable}{own}",
            code="checksum",
        )
    gone = [mirror for mirror, error in failed if error.trouble is Trouble.GONE]
    # Whether an unreachable snapshot archive still has it nobody knows; the mirrors' word must do then.
    undecided = [m for m, error in failed if error.trouble is not Trouble.GONE and not m.snapshot]
    if gone and not undecided:
        return Vanished([artifact], facts)
    if not failed:
        return NetworkError(
            f"there is no mirror to get {artifact.filename} from",
            hint=f"set {variable} to the URL of a mirror of {artifact.archive}",
        )
    configured = any(not mirror.snapshot for mirror, _ in failed)
    fallback = (
        f"run it again to go on where it stopped; {variable} names another mirror"
        if configured
        else f"set {variable} to the URL of a mirror of {artifact.archive} that this machine can reach"
    )
    return NetworkError(
        f"cannot download {artifact.filename}", facts=facts, hint=hints[0] if hints else fallback
    )
