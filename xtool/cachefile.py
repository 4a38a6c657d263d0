"""The cache as one file, for CI services and machines without network; and a key that names its content.

An exported cache is a zstd-compressed tar of regular files: `xtool-cache.json`, which says what follows, then
for each component its manifest, its list of files, and the files in the order of that list. Folders and links
stand in the list only. Loader slots are blank, so the bytes do not tell where the cache stood; equal
components make equal files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from xtool import manifest
from xtool.archive.tar import BLOCK, Kind, Member, TarReader
from xtool.archive.tree import MTIME, Tree, clean_name
from xtool.diskerrors import as_store_error, free_bytes, reported
from xtool.errors import ArchiveError, StoreError, UsageError
from xtool.manifest import FileEntry, Listing, Manifest
from xtool.store import BUCKET, Entry, Store
from xtool.text import format_bytes

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.setup import Request

SCHEMA = 1
CONTENTS = "xtool-cache.json"
_LEVEL = 3
_READ = 1 << 20
_IN_FLIGHT = 1 << 28
"""Bytes of files that may wait for a thread to write them."""

_LARGEST_RECORD = 1 << 26
_MEMBERS = 5_000_000
_WINDOW = 1 << 27
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""Names of components: a recipe's name and the beginning of its digest."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: folders of the components, bytes of the file."""

    components: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: folders of the components that are new, and of those that were there already."""

    installed: tuple[str, ...]
    present: tuple[str, ...]


def cache_key(ctx: Context, requests: Sequence[Request]) -> str:
    """A name for what a set-up makes; it changes exactly when that would.

    The locks are taken as they are shipped, so the key does not depend on what is in the cache.

    Raises:
        UsageError: a request names a Python or floor that does not exist.
    """
    from xtool.setup import shipped_recipes
    from xtool.targets import current_host

    digests = [recipe.digest for request in requests for recipe in shipped_recipes(ctx, request)]
    digests += [_packages_digest(request) for request in requests if request.sysroot_packages]
    return key_of(current_host().name, [request.target.name for request in requests], digests)


def _packages_digest(request: Request) -> str:
    """Which packages a sysroot gets, as far as the request and the file that records them tell."""
    lock = request.sysroot_lock
    recorded = lock.read_text(encoding="utf-8") if lock is not None and lock.is_file() else ""
    return hashlib.sha256(json.dumps([sorted(request.sysroot_packages), recorded]).encode()).hexdigest()


def key_of(host: str, targets: Iterable[str], recipes: Iterable[str]) -> str:
    """The key for a host and targets by name, and recipes by digest.

    A recipe's digest covers the locked files, versions, floors, and the revision of the code that assembles.
    """
    names = "+".join(sorted(set(targets)))
    inputs = json.dumps([BUCKET, manifest.SCHEMA, SCHEMA, host, names, sorted(set(recipes))])
    return f"xtool-{BUCKET}-{host}-{names}-{hashlib.sha256(inputs.encode()).hexdigest()[:20]}"


def export_cache(ctx: Context, file: Path | None, names: Sequence[str] | None = None) -> Exported:
    """Write installed components into one file.

    Args:
        ctx: settings (cache folder, jobs) and log.
        file: the file; it gets its name when it is whole. None for standard output.
        names: names or folders of the components wanted; all by default.

    Raises:
        UsageError: a component that is not installed.
        StoreError: a component is damaged, or the file cannot be written.
    """
    store = Store(ctx)
    entries = _choose(store.entries(), names)
    with ExitStack() as stack:
        stack.enter_context(store.using(entry.path for entry in entries))
        where = file if file is not None else Path("standard output")
        stack.enter_context(reported(where, f"cannot export the cache to {where}"))
        sink = stack.enter_context(_sink(file))
        written = _write_archive(sink, entries, jobs=max(ctx.settings.jobs, 1))
    return Exported(tuple(entry.folder for entry in entries), written)


def import_cache(ctx: Context, file: Path | None) -> Imported:
    """Install the components of an exported cache; those that are there already are left alone.

    Every file is held against its digest while it is written; each component gets its name when it is whole.

    Args:
        ctx: settings (cache folder, jobs) and log.
        file: the file; None for standard input.

    Raises:
        ArchiveError: it is not an exported cache, or it is damaged.
        StoreError: disk, permission or lock.
    """
    store = Store(ctx)
    label = file.name if file is not None else "standard input"
    installed, present = [], []
    with ExitStack() as stack:
        try:
            source: IO[bytes] = stack.enter_context(file.open("rb")) if file is not None else sys.stdin.buffer
        except OSError as error:
            raise UsageError(
                f"cannot read {file}",
                facts=[error.strerror or str(error)],
                hint="name a file that `xtool cache export` wrote",
            ) from error
        store.prepare()
        stack.enter_context(store.busy())
        chunks = stack.enter_context(closing(_chunks(source, label)))
        archive = _Archive(TarReader(chunks, label, limit=_MEMBERS), label)
        expected = archive.contents()
        _check_room(store, expected)
        for folder in expected:
            record, listing, data = archive.component(folder)
            with store.making(record) as there:
                if there is None:
                    _install(ctx, store, archive, record, listing, data)
                    installed.append(folder)
                else:
                    archive.skip(folder, listing)
                    present.append(folder)
        archive.end()
    return Imported(tuple(installed), tuple(present))


# --- writing


def _choose(entries: Sequence[Entry], names: Sequence[str] | None) -> list[Entry]:
    whole = [entry for entry in entries if entry.manifest is not None]
    if names is None:
        return whole
    chosen = []
    for name in names:
        found = [e for e in whole if name in (e.folder, e.manifest.name if e.manifest else None)]
        if not found:
            raise UsageError(f"`{name}` is not installed", hint="`xtool list` shows what is")
        chosen += [entry for entry in found if entry not in chosen]
    return sorted(chosen, key=lambda entry: entry.folder)


@contextmanager
def _sink(file: Path | None) -> Iterator[BinaryIO]:
    """The file to write, under another name until it is whole."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with temporary.open("xb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(file)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


class _Counted:
    """Counts the bytes that go to a file."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.count = 0

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        self._sink.write(data)
        self.count += len(data)
        return len(data)


def _write_archive(sink: BinaryIO, entries: Sequence[Entry], *, jobs: int) -> int:
    import zstandard

    # With at least one worker the output does not depend on how many there are; without any it differs.
    parameters = zstandard.ZstdCompressionParameters.from_level(_LEVEL, threads=jobs, write_checksum=True)
    counted = _Counted(sink)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with compressor.stream_writer(counted, closefd=False) as out, ThreadPoolExecutor(jobs) as pool:  # type: ignore[arg-type]
        records = [(entry, entry.manifest) for entry in entries if entry.manifest is not None]
        contents = {
            "schema": SCHEMA,
            "components": [
                {"folder": entry.folder, "tree": record.tree, "size": record.size, "count": record.count}
                for entry, record in records
            ],
        }
        _put(out.write, CONTENTS, json.dumps(contents, indent=1).encode() + b"\n")
        for entry, record in records:
            data = (entry.path / manifest.FILES).read_bytes()
            if hashlib.sha256(data).hexdigest() != record.tree:
                raise _damaged(entry, manifest.FILES)
            _put(out.write, f"{entry.folder}/{manifest.MANIFEST}", record.at("").as_bytes())
            _put(out.write, f"{entry.folder}/{manifest.FILES}", data)
            for file, content in _contents(entry, manifest.parse_listing(data), pool):
                _put(out.write, f"{entry.folder}/{file.path}", content, executable=file.executable)
        out.write(bytes(2 * BLOCK))
    return counted.count


def _contents(entry: Entry, listing: Listing, pool: ThreadPoolExecutor) -> Iterator[tuple[FileEntry, bytes]]:
    """The files of a component in order, read and checked ahead by other threads."""
    slots = manifest.slots_of(entry.path)

    def read(file: FileEntry) -> bytes:
        content = (entry.path / file.path).read_bytes()
        slot = slots.get(file.path)
        if slot is not None:
            content = manifest.blanked(content, 0, slot)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _damaged(entry, file.path)
        return content

    ahead: deque[tuple[FileEntry, Future[bytes]]] = deque()
    waiting = 0
    for file in listing.files:
        ahead.append((file, pool.submit(read, file)))
        waiting += file.size
        while ahead and (waiting > _IN_FLIGHT or len(ahead) > 256):
            first, content = ahead.popleft()
            waiting -= first.size
            yield first, content.result()
    for file, content in ahead:
        yield file, content.result()


def _put(write: Callable[[bytes], object], name: str, content: bytes, *, executable: bool = False) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o555 if executable else 0o444
    info.mtime = MTIME
    write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
    write(content)
    write(bytes(-len(content) % BLOCK))


def _damaged(entry: Entry, path: str) -> StoreError:
    return StoreError(
        f"{entry.folder} in the cache is damaged: {path} has changed",
        hint="`xtool verify` shows all of it, `xtool setup` repairs it",
        code="damaged",
    )


# --- reading


def _chunks(source: IO[bytes], label: str) -> Generator[bytes, None, None]:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(source)
    try:
        while chunk := reader.read(_READ):
            yield chunk
    except zstandard.ZstdError as error:
        raise _broken(label, str(error)) from error
    except OSError as error:
        raise as_store_error(error, Path(label), f"cannot read {label}") from error


class _Archive:
    """An exported cache, read from its beginning to its end."""

    def __init__(self, reader: TarReader, label: str) -> None:
        self._reader = reader
        self._members = reader.members()
        self._label = label
        self._expected: dict[str, dict[str, object]] = {}

    def contents(self) -> dict[str, int]:
        """Bytes of each component that follows, by folder, in order.

        Raises:
            ArchiveError: it is not an exported cache, or one of another format.
        """
        try:
            document = json.loads(self._record(CONTENTS))
            if document["schema"] != SCHEMA:
                raise ArchiveError(
                    f"{self._label} has format {document['schema']!r}; this xtool reads format {SCHEMA}",
                    hint="export it again with this xtool",
                    code="cache-format",
                )
            self._expected = {item["folder"]: item for item in document["components"]}
            sizes = {item["folder"]: item["size"] for item in document["components"]}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._broken(f"{CONTENTS} is not readable") from error
        if not all(isinstance(folder, str) and _FOLDER.fullmatch(folder) for folder in sizes):
            raise self._broken("a component has no proper name")
        if not all(type(size) is int and size >= 0 for size in sizes.values()):
            raise self._broken("a component has no proper size")
        return sizes

    def component(self, folder: str) -> tuple[Manifest, Listing, bytes]:
        """The records of the next component, checked against each other; the list as bytes as well."""
        record = manifest.parse_manifest(self._record(f"{folder}/{manifest.MANIFEST}"))
        if record is None:
            raise self._broken(f"the manifest of {folder} is not readable")
        inputs = hashlib.sha256(json.dumps(record.inputs, sort_keys=True).encode()).hexdigest()
        if record.digest != inputs or record.folder != folder or record.inputs.get("name") != record.name:
            raise self._broken(f"the manifest of {folder} does not say what it was made from")
        data = self._record(f"{folder}/{manifest.FILES}")
        tree = hashlib.sha256(data).hexdigest()
        if tree not in (record.tree, self._expected[folder].get("tree")) or tree != record.tree:
            raise self._broken(f"the list of files of {folder} is not the one of its manifest")
        try:
            listing = manifest.parse_listing(data)
        except ValueError as error:
            raise self._broken(f"the list of files of {folder} is not readable") from error
        if len(listing.files) != record.count or sum(f.size for f in listing.files) != record.size:
            raise self._broken(f"the list of files of {folder} is not the one of its manifest")
        named = {*(entry.path for entry in listing.files), *(path for path, _ in listing.links)}
        if named & manifest.OWN or manifest.FOLDER not in listing.folders:
            raise self._broken(f"the list of files of {folder} has no room for its own records")
        paths = (*listing.folders, *named)
        if any(clean_name(path, folder) != path for path in paths):
            raise self._broken(f"the list of files of {folder} has a path that is not in its shortest form")
        if not {path.rpartition("/")[0] for path in paths} <= {"", *listing.folders}:
            raise self._broken(f"the list of files of {folder} leaves out a folder")
        if record.size != self._expected[folder].get("size"):
            raise self._broken(f"{folder} has another size than announced")
        return record, listing, data

    def files(self, folder: str, listing: Listing) -> Iterator[tuple[FileEntry, Iterator[memoryview]]]:
        """The files of a component, in the order of its list."""
        for entry in listing.files:
            member = self._next(f"{folder}/{entry.path}")
            if member.size != entry.size:
                raise self._broken(f"{member.name} has {member.size} bytes instead of {entry.size}")
            yield entry, self._reader.payload()

    def skip(self, folder: str, listing: Listing) -> None:
        """Pass over the files of a component."""
        for _ in self.files(folder, listing):
            pass

    def end(self) -> None:
        """Make sure that nothing follows."""
        extra = next(self._members, None)
        if extra is not None:
            raise self._broken(f"{extra.name} does not belong there")

    def _record(self, name: str) -> bytes:
        member = self._next(name)
        if member.size > _LARGEST_RECORD:
            raise self._broken(f"{name} has {member.size} bytes")
        return b"".join(self._reader.payload())

    def _next(self, name: str) -> Member:
        member = next(self._members, None)
        if member is None or member.name != name or member.kind is not Kind.FILE:
            raise self._broken(f"{name} is missing")
        return member

    def _broken(self, reason: str) -> ArchiveError:
        return _broken(self._label, reason)


def _broken(label: str, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{label} is not an exported cache, or damaged",
        facts=[reason],
        hint="`xtool cache export` makes one",
    )


class _Budget:
    """Bounds the bytes that wait to be written."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._changed = threading.Condition()

    def take(self, amount: int) -> None:
        """Wait until there is room; an amount beyond the limit has to itself what there is."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= min(amount, _IN_FLIGHT))
            self._left -= min(amount, _IN_FLIGHT)

    def give(self, amount: int) -> None:
        """Give room back."""
        with self._changed:
            self._left += min(amount, _IN_FLIGHT)
            self._changed.notify_all()


def _check_room(store: Store, expected: dict[str, int]) -> None:
    need = sum(amount for folder, amount in expected.items() if not (store.components / folder).exists())
    free = free_bytes(store.cache)
    if free is not None and need > free:
        raise StoreError(
            "there is not enough room for the imported cache",
            facts=[f"needs {format_bytes(need)}, {format_bytes(free)} free on the disk of {store.cache}"],
            hint="make room or point XTOOL_CACHE_DIR to a larger disk",
            code="disk-full",
        )


def _install(
    ctx: Context, store: Store, archive: _Archive, record: Manifest, listing: Listing, data: bytes
) -> None:
    """Write one component into a staging folder and commit it."""
    final = store.components / record.folder
    with store.area(record.folder, record.title, need=record.size) as area:
        tree = area / "tree"
        _write_tree(ctx, tree, archive, record, listing)
        manifest.write_listing(tree, data)
        known = {entry.path for entry in listing.files}
        if bool(slots := manifest.slots_of(tree)) != record.slots or not slots.keys() <= known:
            raise ArchiveError(f"the list of loader paths of {record.folder} is not the one of its manifest")
        store.commit(tree, record, listing, final)


def _write_tree(ctx: Context, folder: Path, archive: _Archive, record: Manifest, listing: Listing) -> None:
    origin = record.folder
    budget = _Budget(_IN_FLIGHT)
    with Tree(folder, read_only=True) as tree, ThreadPoolExecutor(max(ctx.settings.jobs, 1)) as pool:
        for path in listing.folders:
            tree.add(Member(path, Kind.FOLDER, True, 0, ""), clean_name(path, origin), (), origin)

        def write(entry: FileEntry, content: bytes) -> None:
            try:
                if hashlib.sha256(content).hexdigest() != entry.sha256:
                    raise ArchiveError(f"{origin}: {entry.path} is damaged in the exported cache")
                member = Member(entry.path, Kind.FILE, entry.executable, entry.size, "")
                tree.add(member, clean_name(entry.path, origin), (content,), origin)
            finally:
                budget.give(entry.size)

        pending: deque[Future[None]] = deque()
        try:
            for entry, pieces in archive.files(record.folder, listing):
                budget.take(entry.size)
                pending.append(pool.submit(write, entry, b"".join(pieces)))
                while pending and pending[0].done():
                    pending.popleft().result()
            for future in pending:
                future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for path, target in listing.links:
            tree.add(Member(path, Kind.LINK, False, 0, target), clean_name(path, origin), (), origin)
