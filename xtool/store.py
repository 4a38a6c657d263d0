"""The store: read-only components under names that say what they were made from.

What stands under a final name is whole: a component is made in a staging folder of its own, gets its manifest
last, and is renamed. A process may be killed anywhere; what it leaves in staging is swept by the next one.

    CACHEDIR.TAG
    v1/downloads/ab/ab12...   verified files            v1/staging/   trees in the making
    v1/store/NAME-DIGEST/     components                v1/locks/     lock files
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xtool import locking, manifest
from xtool.archive.tree import MTIME
from xtool.diskerrors import as_store_error, reported
from xtool.errors import StoreError
from xtool.folders import flush, folder_size, remove_tree, sync_folder
from xtool.manifest import Listing, Manifest
from xtool.recipes import Recipe

if TYPE_CHECKING:
    from xtool.context import Context

__all__ = ["BUCKET", "TAG", "Entry", "Store", "folder_size", "is_cache", "remove_tree"]

BUCKET = "v1"
"""Folder of this store format; another format gets another one, so old and new xtools do not meet."""

TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_TAG_TEXT = f"""{_SIGNATURE}
# This folder is a cache of xtool; everything in it can be made again (`xtool cache clean` empties it).
# About this file: https://bford.info/cachedir/
"""

Fill = Callable[[Path, Path], None]
"""Fills a staging folder (first argument); may use a scratch folder (second)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One folder of the store.

    Args:
        folder: its name.
        path: where it stands.
        manifest: its record; None for a folder that is not a whole component.
    """

    folder: str
    path: Path
    manifest: Manifest | None


class Store:
    """The store of one cache folder. Reading never creates anything.

    Args:
        ctx: settings (cache folder, lock timeout, jobs), log, environment.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.cache = ctx.settings.cache_dir.absolute()
        self.root = self.cache / BUCKET
        self.components = self.root / "store"
        self.staging = self.root / "staging"
        self.locks = self.root / "locks"
        self._ready = False
        self._checked = False
        locking.arm(ctx.environ)

    @property
    def downloads(self) -> Path:
        """Folder of verified downloads."""
        return self.root / "downloads"

    def path(self, recipe: Recipe) -> Path:
        """Where a recipe's component stands, whether it is there or not."""
        return self.components / recipe.folder

    def prepare(self) -> None:
        """Create what is missing of the cache folder.

        Raises:
            StoreError: it cannot be written, is somebody else's, or holds other things.
        """
        if self._ready:
            return
        self._check_owner()
        with reported(self.cache, f"cannot use {self.cache} as cache folder"):
            if self.cache.is_dir():
                self._check_ours()
            self.cache.mkdir(parents=True, exist_ok=True)
            tag = self.cache / TAG
            if not tag.exists():
                with suppress(FileExistsError):
                    fd = os.open(tag, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                    with os.fdopen(fd, "w", encoding="ascii") as file:
                        file.write(_TAG_TEXT)
            for folder in (self.components, self.staging, self.locks, self.downloads):
                folder.mkdir(parents=True, exist_ok=True)
        self._ready = True

    def find(self, recipe: Recipe) -> Path | None:
        """The component of a recipe when it is there and whole, judged by its manifest; no file is hashed.

        A tree that was moved or copied with its cache gets its loader paths set for where it stands now.

        Raises:
            StoreError: it was moved and cannot be mended, or the store is somebody else's.
        """
        return self._find(recipe.folder, recipe.digest)

    def _find(self, folder: str, digest: str) -> Path | None:
        path = self.components / folder
        try:
            record = manifest.read_manifest(path)
        except OSError as error:
            raise as_store_error(error, path, f"cannot read {folder} in the cache") from error
        if record is None or record.digest != digest:
            return None
        self._check_owner()
        if not self._stands_right(path, record):
            self._settle(path)
        return path

    def install(self, recipe: Recipe, fill: Fill) -> Path:
        """Make a component unless it is there; any number of processes may try at once.

        Args:
            recipe: what to make.
            fill: called with an empty staging folder and an empty scratch folder beside it.

        Raises:
            StoreError: disk, permission or lock.
            XtoolError: whatever `fill` raises; nothing is left behind.
        """
        found = self.find(recipe)
        if found is not None:
            return found
        with self.making(recipe) as found:
            return found if found is not None else self.build(recipe, fill)

    @contextmanager
    def making(self, made: Recipe | Manifest) -> Iterator[Path | None]:
        """Hold the right to make a component; gives its path when another process has made it meanwhile."""
        self.prepare()
        with self._locked(f"{made.folder}.lock", made.title):
            yield self._find(made.folder, made.digest)

    def build(self, recipe: Recipe, fill: Fill) -> Path:
        """Make a component; the caller is inside `making`."""
        final = self.path(recipe)
        need = sum(artifact.unpacked_size for artifact in recipe.artifacts)
        with self.area(recipe.folder, recipe.title, need=need) as area:
            tree, scratch = area / "tree", area / "scratch"
            tree.mkdir()
            scratch.mkdir()
            fill(tree, scratch)
            record, listing = manifest.seal(tree, recipe, jobs=self._ctx.settings.jobs)
            self.commit(tree, record, listing, final)
        return final

    @contextmanager
    def area(self, folder: str, title: str, *, need: int) -> Iterator[Path]:
        """A staging folder to make a component in; gone afterwards. Disk errors become StoreErrors.

        Args:
            folder: the component's folder.
            title: what is made, for messages.
            need: bytes that will be written, for messages.
        """
        with reported(self.cache, f"cannot install {title}", need=need), self._area(folder) as area:
            yield area

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the cache from being emptied while the block runs; downloads are used without a lock each."""
        with self._locked("cache.use", "the cache", shared=True):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one to use downloads and staging; raises LockTimeout at once when that is not so."""
        self.prepare()
        with self._locked("cache.use", "the cache", wait=False):
            yield

    def commit(self, tree: Path, record: Manifest, listing: Listing, final: Path) -> None:
        """Give a sealed tree its final name: slots, manifest, rename."""
        if record.slots:
            from xtool.toolchain import relocate

            relocate.fill_slots(tree, final)
            self._restore_times(tree)
        # The manifest must not reach the disk before what it vouches for, even if the power goes.
        flush(tree)
        locking.checkpoint(self._ctx, "pre-marker")
        manifest.finish(tree, record.at(str(final)), listing.folders)
        locking.checkpoint(self._ctx, "pre-rename")
        if final.exists():
            # Something is there that `find` does not trust. Nobody may be using it while it goes.
            with self._locked(f"{final.name}.use", record.title):
                self._discard(final)
        self._rename(tree, final)
        final.chmod(0o555)
        sync_folder(self.components)

    @contextmanager
    def using(self, paths: Iterable[Path]) -> Iterator[None]:
        """Keep components from being removed while the block runs.

        Args:
            paths: components, or anything below them; paths outside the store are ignored.

        Raises:
            StoreError: one of them has been removed in the meantime.
        """
        folders = sorted({name for path in paths if (name := self._folder_of(path)) is not None})
        with ExitStack() as stack:
            for folder in folders:
                lock = self.locks / f"{folder}.use"
                try:
                    stack.enter_context(self._locked(lock.name, folder, shared=True))
                except locking.LockTimeout:
                    raise
                except StoreError as error:
                    # A cache that cannot be written cannot be pruned either, at least not through it.
                    self._ctx.log.detail(f"using {folder} without a lock: {error.message}")
                if not (self.components / folder / manifest.MANIFEST).is_file():
                    raise StoreError(
                        f"{folder} was removed from the cache a moment ago",
                        hint="run the command again; it will be set up anew",
                        code="removed",
                    )
            yield

    def entries(self) -> list[Entry]:
        """All folders of the store, sorted by name, whole or not."""
        try:
            names = sorted(p.name for p in self.components.iterdir() if not p.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise as_store_error(error, self.components, "cannot read the cache") from error
        found = []
        for name in names:
            path = self.components / name
            with suppress(OSError):
                found.append(Entry(name, path, manifest.read_manifest(path)))
        return found

    def verify(self, entry: Entry) -> list[str]:
        """Compare every file of a component with its record; one line for each difference."""
        if entry.manifest is None or entry.manifest.folder != entry.folder:
            return [f"{manifest.MANIFEST}: missing or damaged"]
        with reported(entry.path, f"cannot read {entry.manifest.title}"):
            problems = manifest.compare(entry.path, entry.manifest, jobs=self._ctx.settings.jobs)
        if not self._stands_right(entry.path, entry.manifest):
            problems.append(f"made to stand at {entry.manifest.stands_at}")
        return problems

    def remove(self, folder: str) -> None:
        """Remove a component.

        Raises:
            LockTimeout: it is in use or being made.
            StoreError: it cannot be removed.
        """
        path = self.components / folder
        if "/" in folder or folder.startswith("."):
            raise StoreError(f"`{folder}` is not a component of the cache")
        self.prepare()
        with (
            self._locked(f"{folder}.lock", folder, wait=False),
            self._locked(f"{folder}.use", folder, wait=False),
            reported(path, f"cannot remove {folder}"),
        ):
            self._discard(path)

    def sweep(self) -> int:
        """Remove what dead processes have left in staging; returns how many folders."""
        swept = 0
        for lock in sorted(self.staging.glob("*.lock")):
            try:
                fd = locking.acquire(lock, log=self._ctx.log, timeout=0.0, what=lock.stem)
            except StoreError:
                continue
            try:
                for folder in (self.staging / lock.stem, self.components / f".{lock.stem}"):
                    if folder.is_dir():
                        remove_tree(folder)
                        swept += 1
                lock.unlink(missing_ok=True)
            except OSError as error:
                self._ctx.log.detail(f"cannot sweep {lock.stem}: {error}")
            finally:
                os.close(fd)
        return swept

    @contextmanager
    def _area(self, name: str) -> Iterator[Path]:
        """A fresh folder in staging, swept by others should this process die."""
        self.prepare()
        self.sweep()
        label = f"{name}.{secrets.token_hex(4)}"
        area = self.staging / label
        lock = self.staging / f"{label}.lock"
        fd = locking.acquire(lock, log=self._ctx.log, timeout=1.0, what=label)
        try:
            area.mkdir(mode=0o755)
            yield area
        finally:
            try:
                remove_tree(area)
            finally:
                lock.unlink(missing_ok=True)
                os.close(fd)

    def _discard(self, path: Path) -> None:
        """Take a folder out of the store at once, then delete it."""
        if not path.is_dir() or path.is_symlink():
            with suppress(FileNotFoundError):
                path.unlink()
            return
        with self._area(path.name) as area:
            path.chmod(0o755)
            path.rename(area / "removed")
            locking.checkpoint(self._ctx, "mid-prune")

    def _rename(self, tree: Path, final: Path) -> None:
        try:
            tree.rename(final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Staging is on another filesystem (a bind mount): copy, then rename where it will stand. The
            # name is that of the staging area, so that the same sweep finds it.
            beside = self.components / f".{tree.parent.name}"
            shutil.copytree(tree, beside, symlinks=True)
            beside.chmod(0o755)
            beside.rename(final)

    def _settle(self, path: Path) -> None:
        """Set the loader paths of a component that was moved."""
        from xtool.toolchain import relocate

        try:
            self.prepare()
            with self._locked(f"{path.name}.lock", path.name):
                record = manifest.read_manifest(path)
                if record is None or self._stands_right(path, record):
                    return
                relocate.fill_slots(path, path)
                self._restore_times(path)
                manifest.rewrite(path, record.at(str(path)))
        except (OSError, StoreError) as error:
            if isinstance(error, locking.LockTimeout):
                raise
            reason = error.message if isinstance(error, StoreError) else str(error)
            raise StoreError(
                f"the cache was moved to {self.cache} and cannot be adapted",
                facts=[reason, "its programs name the folder they stand in"],
                hint="make it writable once, or use `xtool cache export` and `xtool cache import`",
                code="moved",
            ) from error
        self._ctx.log.detail(f"{path.name} now stands at {path}")

    def _stands_right(self, path: Path, record: Manifest) -> bool:
        if not record.slots or record.stands_at == str(path):
            return True
        # Another spelling of the same place (a link on the way) works just as well.
        with suppress(OSError):
            return Path(record.stands_at).samefile(path)
        return False

    def _restore_times(self, tree: Path) -> None:
        for path in manifest.slots_of(tree):
            os.utime(tree / path, (MTIME, MTIME))

    def _folder_of(self, path: Path) -> str | None:
        for candidate in (path, path.resolve()):
            for base in (self.components, self.components.resolve()):
                if candidate.is_relative_to(base) and candidate != base:
                    return candidate.relative_to(base).parts[0]
        return None

    def _locked(
        self, name: str, what: str, *, shared: bool = False, wait: bool = True
    ) -> AbstractContextManager[None]:
        return locking.locked(
            self.locks / name,
            log=self._ctx.log,
            timeout=self._ctx.settings.lock_timeout,
            what=what,
            shared=shared,
            wait=wait,
        )

    def _check_owner(self) -> None:
        """Refuse a store that somebody else could have filled: its programs are run."""
        if self._checked:
            return
        try:
            state = os.lstat(self.root)
        except FileNotFoundError:
            return
        except OSError as error:
            raise as_store_error(error, self.root, f"cannot use {self.cache} as cache folder") from error
        if not stat.S_ISDIR(state.st_mode):
            raise StoreError(
                f"{self.root} is not a folder",
                hint="remove it, or point XTOOL_CACHE_DIR to another folder",
                code="not-a-cache",
            )
        if state.st_uid not in (os.geteuid(), 0):
            raise StoreError(
                f"{self.root} belongs to another user",
                facts=[f"owner: user {state.st_uid}; xtool runs as user {os.geteuid()}"],
                hint="point XTOOL_CACHE_DIR to a folder of your own",
                code="foreign-cache",
            )
        self._checked = True

    def _check_ours(self) -> None:
        # In this order: another process may be making the folder a cache at this moment.
        ours = {TAG, BUCKET, "lost+found"}
        others = sorted(p.name for p in self.cache.iterdir() if p.name not in ours)
        if (self.cache / TAG).is_file() or self.root.is_dir():
            return
        if others:
            raise StoreError(
                f"{self.cache} is not a cache of xtool and is not empty",
                facts=[f"it holds {', '.join(others[:5])}{', ...' if len(others) > 5 else ''}"],
                hint="point XTOOL_CACHE_DIR to a folder of its own",
                code="not-a-cache",
            )


def is_cache(path: Path) -> bool:
    """Whether a folder bears xtool's own cache tag."""
    try:
        text = (path / TAG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.startswith(_SIGNATURE) and "xtool" in text
