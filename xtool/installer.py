"""Makes components: downloads what they are made from and assembles them, all at once.

Assembling starts before the downloads end: a recipe's function is given mappings that wait for what they are
asked for, a file or a component that the recipe needs. Going through the files gives them as they come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.artifacts import Artifact, VerifiedFile
from xtool.errors import CatalogError, XtoolError
from xtool.manifest import read_manifest
from xtool.recipes import Assembly, Recipe
from xtool.store import Store
from xtool.text import format_bytes, format_seconds

if TYPE_CHECKING:
    from xtool.catalog import Catalog, Lock
    from xtool.context import Context


_THREADS = 6
"""How many components of one target are made at once, whatever the number of CPUs."""


class _Cancelled(Exception):
    """Something else has failed; this work is not wanted any more."""


def ensure(ctx: Context, catalog: Catalog, lock: Lock, recipes: Sequence[Recipe]) -> dict[str, Path]:
    """Make sure that components are installed; make what is missing.

    What is there costs the reading of its manifest: no network, no lock, nothing written. What is missing is
    downloaded in one go and assembled in threads. Other processes that want the same wait and then find it.

    Args:
        ctx: settings, log, environment.
        catalog: where the archives of artifacts are described.
        lock: gives the evidence (suites, snapshot timestamps) for fetching.
        recipes: what is wanted; what they need comes along where it is needed to make them.

    Returns:
        Path of each component asked for, by recipe name.

    Raises:
        NetworkError, OfflineError, IntegrityError: a file could not be fetched or is not the right one.
        StoreError: disk, permission or lock.
    """
    found = ensure_all(ctx, catalog, lock, [recipes])
    return {recipe.name: found[recipe.folder] for recipe in recipes}


def ensure_all(
    ctx: Context, catalog: Catalog, lock: Lock, groups: Sequence[Sequence[Recipe]]
) -> dict[str, Path]:
    """Like `ensure`, for several wholes at once; what two of them need is made once.

    Args:
        ctx: settings, log, environment.
        catalog: where the archives of artifacts are described.
        lock: gives the evidence for fetching.
        groups: what belongs together. Files come group by group, so that the first are assembled while those
            of the next are downloaded.

    Returns:
        Path of each component by its folder's name.

    Raises:
        The same as `ensure`; then some components may be there, and some not.
    """
    store = Store(ctx)
    found: dict[str, Path] = {}
    todo: dict[str, Recipe] = {}
    ranks: dict[str, int] = {}
    for rank, recipes in enumerate(groups):
        for recipe in recipes:
            _look(store, recipe, found, todo)
        ranks |= {folder: rank for folder in todo if folder not in ranks}
    if todo:
        store.prepare()
        with ExitStack() as stack:
            stack.enter_context(store.busy())
            held = {}
            # One order for everybody: two processes never wait for each other in a circle.
            for folder in sorted(todo):
                own = stack.enter_context(ExitStack())
                there = own.enter_context(store.making(todo[folder]))
                if there is None:
                    held[folder] = own
                else:
                    found[folder] = there
                    own.close()
            if held:
                left = {folder: recipe for folder, recipe in todo.items() if folder in held}
                picks = stack.enter_context(_picks(store, left.values()))
                _Run(ctx, store, left, found, held, ranks, picks).go(catalog, lock)
    return found


def _look(store: Store, recipe: Recipe, found: dict[str, Path], todo: dict[str, Recipe]) -> None:
    """Sort a recipe and, when it is missing, what it needs into what is there and what is to be made."""
    if recipe.folder in found or recipe.folder in todo:
        return
    path = store.find(recipe)
    if path is not None:
        found[recipe.folder] = path
        return
    for need in recipe.needs:
        _look(store, need, found, todo)
    todo[recipe.folder] = recipe


class _Arrivals:
    """Files as they come, for all threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._files: dict[str, VerifiedFile] = {}
        self._cancelled = False

    def add(self, file: VerifiedFile) -> None:
        """A file is there. Raises `_Cancelled` to end the downloads when they are not wanted any more."""
        with self._changed:
            self._files[file.artifact.sha256] = file
            self._changed.notify_all()
            if self._cancelled:
                raise _Cancelled

    def cancel(self) -> None:
        """Let all who wait, and all who ask from now on, get `_Cancelled`."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def next_of(self, wanted: Mapping[str, object]) -> VerifiedFile:
        """Wait for any of some files, by sha256."""
        with self._changed:
            while True:
                if self._cancelled:
                    raise _Cancelled
                for sha256 in wanted:
                    if sha256 in self._files:
                        return self._files[sha256]
                self._changed.wait()


class _Waits:
    """Seconds that a recipe's function has spent waiting: they are not what its component took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time of the block."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - started


class _Files(Mapping[str, VerifiedFile]):
    """A recipe's files by package name; asking for one waits until it is there."""

    def __init__(self, artifacts: Sequence[Artifact], arrivals: _Arrivals, waits: _Waits) -> None:
        self._waits = waits
        self._artifacts = {artifact.name: artifact for artifact in artifacts}
        self._arrivals = arrivals
        if len(self._artifacts) != len(artifacts):
            raise CatalogError("a recipe has two artifacts of one name")

    def __getitem__(self, name: str) -> VerifiedFile:
        with self._waits.counted():
            return self._arrivals.next_of({self._artifacts[name].sha256: None})

    def __iter__(self) -> Iterator[str]:
        left = {artifact.sha256: name for name, artifact in self._artifacts.items()}
        while left:
            with self._waits.counted():
                file = self._arrivals.next_of(left)
            yield left.pop(file.artifact.sha256)

    def __len__(self) -> int:
        return len(self._artifacts)

    def __contains__(self, name: object) -> bool:
        return name in self._artifacts


class _Needs(Mapping[str, Path]):
    """Components that a recipe needs, by name; asking for one waits until it is made."""

    def __init__(self, needs: Sequence[Recipe], wait_for: Callable[[Recipe], Path], waits: _Waits) -> None:
        self._needs = {need.name: need for need in needs}
        self._wait_for = wait_for
        self._waits = waits

    def __getitem__(self, name: str) -> Path:
        need = self._needs[name]
        with self._waits.counted():
            return self._wait_for(need)

    def __iter__(self) -> Iterator[str]:
        return iter(self._needs)

    def __len__(self) -> int:
        return len(self._needs)

    def __contains__(self, name: object) -> bool:
        return name in self._needs


class _Picks:
    """Single members of large archives: each archive is read once for all recipes that take from it.

    Args:
        folder: where members are unpacked to; None where no recipe wants any.
        recipes: the recipes.
    """

    def __init__(self, folder: Path | None, recipes: Iterable[Recipe]) -> None:
        self._folder = folder
        self._wanted: dict[str, frozenset[str]] = {}
        for recipe in recipes:
            for artifact in recipe.artifacts if recipe.members else ():
                known = self._wanted.get(artifact.sha256, frozenset())
                self._wanted[artifact.sha256] = known | recipe.members
        self._turns = {sha256: threading.Lock() for sha256 in self._wanted}
        self._read: set[str] = set()

    def of(self, recipe: Recipe, files: Mapping[str, VerifiedFile], waits: _Waits) -> Mapping[str, Path]:
        """Where a recipe's members lie."""
        if self._folder is None or not recipe.members:
            return {}
        from xtool.archive import unpack

        (file,) = files.values()
        sha256 = file.artifact.sha256
        with waits.counted():
            self._turns[sha256].acquire()
        try:
            wanted, place = self._wanted[sha256], self._folder / sha256[:16]
            if sha256 not in self._read:
                unpack(file, place, only=wanted.__contains__, stop_after=wanted)
                self._read.add(sha256)
        finally:
            self._turns[sha256].release()
        return {name: place / name for name in recipe.members}


@contextmanager
def _picks(store: Store, recipes: Collection[Recipe]) -> Iterator[_Picks]:
    if not any(recipe.members for recipe in recipes):
        yield _Picks(None, ())
        return
    with store.area("picked", "members of packages", need=0) as folder:
        yield _Picks(folder, recipes)


class _Run:
    """One go at making components that are missing, their locks being held."""

    def __init__(
        self,
        ctx: Context,
        store: Store,
        todo: Mapping[str, Recipe],
        found: dict[str, Path],
        held: Mapping[str, ExitStack],
        ranks: Mapping[str, int],
        picks: _Picks,
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._todo = todo
        self._found = found
        self._held = held
        self._ranks = ranks
        self._picks = picks
        self._arrivals = _Arrivals()
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def go(self, catalog: Catalog, lock: Lock) -> None:
        """Download and assemble; returns when all is installed."""
        # A thread a component, as far as these go: most wait for downloads, or in decompressors that need no
        # GIL. A component comes after what it needs, so those that wait for others never take all threads.
        threads = min(len(self._todo), max(_THREADS, 2 * self._ctx.settings.jobs))
        with ThreadPoolExecutor(threads, thread_name_prefix="assemble") as pool:
            futures = [pool.submit(self._make, recipe) for recipe in self._todo.values()]
            try:
                self._fetch(catalog, lock)
                unit = "component" if len(futures) == 1 else "components"
                with self._ctx.log.progress("Assembling", len(futures), unit) as progress:
                    for future in as_completed(futures):
                        future.result()
                        progress.advance(1)
            except BaseException as error:  # noqa: BLE001 (raised below, once the threads have ended)
                self._fail(error)
        if self._error is not None:
            raise self._error

    def _fetch(self, catalog: Catalog, lock: Lock) -> None:
        wanted = {a.sha256: a for recipe in self._todo.values() for a in recipe.artifacts}
        if not wanted:
            return
        from xtool.fetch import cached, fetch

        rank: dict[str, int] = {}
        for folder, recipe in self._todo.items():
            for artifact in recipe.artifacts:
                rank[artifact.sha256] = min(self._ranks[folder], rank.get(artifact.sha256, len(self._ranks)))
        # The largest first: it is the last to be unpacked otherwise, with nothing left to do beside it.
        artifacts = sorted(wanted.values(), key=lambda artifact: (rank[artifact.sha256], -artifact.size))
        # A size that no lock knows leaves the whole unknown.
        total = sum(artifact.size for artifact in artifacts) if all(a.size for a in artifacts) else 0
        offline = self._ctx.settings.offline
        missing = [a for a in artifacts if not cached(self._store.downloads, a).is_file()]
        doing = "Downloading" if missing and not offline else "Checking"
        with self._ctx.log.progress(f"{doing} {len(artifacts)} packages", total) as progress:
            fetch(
                self._ctx,
                catalog,
                artifacts,
                evidence=lock.evidence,
                downloads=self._store.downloads,
                on_ready=self._arrivals.add,
                progress=progress,
            )

    def _make(self, recipe: Recipe) -> None:
        try:
            waits = _Waits()
            needs = _Needs(recipe.needs, self._await, waits)
            files = _Files(recipe.artifacts, self._arrivals, waits)
            started = time.monotonic()

            def fill(staging: Path, scratch: Path) -> None:
                picked = self._picks.of(recipe, files, waits)
                recipe.assemble(Assembly(self._ctx, staging, files, needs, scratch, picked))

            path = self._store.build(recipe, fill)
            record = read_manifest(path)
            size = f"{format_bytes(record.size)}, " if record else ""
            seconds = time.monotonic() - started - waits.seconds
            self._ctx.log.info(f"{recipe.title} ({size}{format_seconds(seconds)})")
            with self._changed:
                self._found[recipe.folder] = path
                self._changed.notify_all()
            self._held[recipe.folder].close()
        except BaseException as error:
            self._fail(error)
            raise

    def _await(self, need: Recipe) -> Path:
        """Wait until a needed component is made."""
        with self._changed:
            while need.folder not in self._found:
                if self._error is not None:
                    raise _Cancelled
                self._changed.wait()
            return self._found[need.folder]

    def _fail(self, error: BaseException) -> None:
        """Remember the first error and let everything else end."""
        with self._changed:
            first = self._error is None or isinstance(self._error, _Cancelled)
            # What a user pressed or meant goes before what came of it.
            louder = isinstance(error, KeyboardInterrupt) or (
                isinstance(error, XtoolError) and not isinstance(self._error, (XtoolError, KeyboardInterrupt))
            )
            if first or louder:
                self._error = error
            self._changed.notify_all()
        self._arrivals.cancel()
