"""What the store writes into a component: a small record that makes it trusted, and a list of all its files.

`share/xtool/files.json` lists every folder, file (mode, size, sha256) and link; its own sha256 is the
component's tree digest. Loader slots count as zeros, so the digest does not depend on where the tree stands.
`share/xtool/manifest.json` is written last: a tree without it, or with half of it, is not a component.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xtool.archive.tree import MTIME
from xtool.errors import StoreError
from xtool.recipes import Recipe

SCHEMA = 1
FOLDER = "share/xtool"
MANIFEST = f"{FOLDER}/manifest.json"
FILES = f"{FOLDER}/files.json"
OWN = frozenset({MANIFEST, FILES})
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of a component.

    Args:
        schema: version of the store's format.
        name: the recipe's name.
        title: what a user reads.
        digest: the recipe's digest: what it was made from.
        inputs: the recipe's inputs.
        tree: sha256 of `files.json`: what came of it.
        count: number of files.
        size: bytes of all files.
        slots: whether host programs in it hold the path where the tree stands.
        stands_at: that path; empty in an exported component.
        complete: always true; nothing is written of a tree that is not.
    """

    schema: int
    name: str
    title: str
    digest: str
    inputs: Mapping[str, Any]
    tree: str
    count: int
    size: int
    slots: bool
    stands_at: str
    complete: bool = True

    @property
    def folder(self) -> str:
        """Name of the component's folder in the store; the same as its recipe's."""
        return f"{self.name}-{self.digest[:16]}"

    def at(self, path: str) -> Manifest:
        """The same for a tree that stands elsewhere."""
        return replace(self, stands_at=path)

    def as_bytes(self) -> bytes:
        """The file's content."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One regular file: path below the tree, executable or not, bytes, digest with slots as zeros."""

    path: str
    executable: bool
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything in a tree but the two records themselves, sorted by path."""

    folders: tuple[str, ...]
    files: tuple[FileEntry, ...]
    links: tuple[tuple[str, str], ...]

    def as_bytes(self) -> bytes:
        """Content of `files.json`; one line an entry, equal for equal trees."""
        document = {
            "schema": SCHEMA,
            "folders": self.folders,
            "files": [[f.path, f.executable, f.size, f.sha256] for f in self.files],
            "links": self.links,
        }
        return json.dumps(document, separators=(",", ":")).replace("],[", "],\n[").encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest | None:
    """Read a manifest; None for everything that is not a whole one of this schema."""
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA or document["complete"] is not True:
            return None
        manifest = Manifest(**document)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (manifest.name, manifest.title, manifest.digest, manifest.tree, manifest.stands_at)
    if not all(isinstance(text, str) for text in texts):
        return None
    return manifest


def read_manifest(tree: Path) -> Manifest | None:
    """The manifest of a tree, or None when it has none that can be trusted."""
    try:
        return parse_manifest((tree / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


def parse_listing(data: bytes) -> Listing:
    """Read `files.json`.

    Raises:
        ValueError: it is not one of this schema.
    """
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        listing = Listing(
            tuple(document["folders"]),
            tuple(FileEntry(*entry) for entry in document["files"]),
            tuple((path, target) for path, target in document["links"]),
        )
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a list of files: {error}") from error
    texts = [*listing.folders, *(part for link in listing.links for part in link)]
    texts += [text for entry in listing.files for text in (entry.path, entry.sha256)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a path that is not text")
    if not all(type(f.size) is int and type(f.executable) is bool and f.size >= 0 for f in listing.files):
        raise ValueError("a file without size or mode")
    return listing


def seal(tree: Path, recipe: Recipe, *, jobs: int) -> tuple[Manifest, Listing]:
    """Make a staged tree read-only, write `files.json`; the manifest returned is still to be written.

    Modes become 0444 or 0555, times `MTIME`. The manifest names no place yet.

    Raises:
        StoreError: the tree holds something that cannot be stored, or a link that leads out of it.
    """
    slots = slots_of(tree)
    (tree / FOLDER).mkdir(parents=True, exist_ok=True)
    folders, files, links = _walk(tree)
    for path, target in links:
        if target.startswith("/") or _leads_out(path, target):
            raise StoreError(
                f"{recipe.title}: link `{path}` to `{target}` leads out of the component", code="recipe"
            )
        os.utime(tree / path, (MTIME, MTIME), follow_symlinks=False)
    entries = tuple(_digests(tree, files, slots, jobs, settle=True))
    listing = Listing(tuple(folders), entries, tuple(links))
    data = listing.as_bytes()
    _write(tree / FILES, data)
    record = Manifest(
        schema=SCHEMA,
        name=recipe.name,
        title=recipe.title,
        digest=recipe.digest,
        inputs=recipe.inputs,
        tree=hashlib.sha256(data).hexdigest(),
        count=len(entries),
        size=sum(entry.size for entry in entries),
        slots=bool(slots),
        stands_at="",
    )
    return record, listing


def write_listing(tree: Path, data: bytes) -> None:
    """Write `files.json` of a tree that comes from an exported cache: as it was, for its digest is known."""
    (tree / FOLDER).mkdir(parents=True, exist_ok=True)
    _write(tree / FILES, data)


def finish(tree: Path, manifest: Manifest, folders: Sequence[str]) -> None:
    """Write the manifest, then close all folders below the root for writing.

    The root stays writable until it has its final name: moving a folder to another one needs that.
    """
    _write(tree / MANIFEST, manifest.as_bytes())
    for path in sorted(folders, reverse=True):
        folder = tree / path
        folder.chmod(0o555)
        os.utime(folder, (MTIME, MTIME))


def rewrite(tree: Path, manifest: Manifest) -> None:
    """Replace the manifest of an installed component."""
    folder = tree / FOLDER
    folder.chmod(0o755)
    try:
        new = tree / f"{MANIFEST}.new"
        new.unlink(missing_ok=True)
        _write(new, manifest.as_bytes())
        new.replace(tree / MANIFEST)
    finally:
        folder.chmod(0o555)
        os.utime(folder, (MTIME, MTIME))


def compare(tree: Path, manifest: Manifest, *, jobs: int) -> list[str]:
    """Where an installed tree differs from its record, one line each and sorted; empty when it is whole."""
    try:
        data = (tree / FILES).read_bytes()
    except OSError as error:
        return [f"{FILES}: {error.strerror}"]
    if hashlib.sha256(data).hexdigest() != manifest.tree:
        return [f"{FILES}: differs from what the manifest says"]
    listing = parse_listing(data)
    folders, files, links = _walk(tree)
    problems = [f"{path}: missing folder" for path in set(listing.folders) - set(folders)]
    problems += [f"{path}: unknown folder" for path in set(folders) - set(listing.folders)]
    expected = {entry.path: entry for entry in listing.files}
    problems += [f"{path}: missing" for path in expected.keys() - set(files)]
    problems += [f"{path}: unknown file" for path in set(files) - expected.keys()]
    there = [path for path in files if path in expected]
    for found in _digests(tree, there, slots_of(tree), jobs, settle=False):
        entry = expected[found.path]
        if found.size != entry.size:
            problems.append(f"{found.path}: {found.size} bytes instead of {entry.size}")
        elif found.sha256 != entry.sha256:
            problems.append(f"{found.path}: changed")
        elif found.executable != entry.executable:
            problems.append(f"{found.path}: other mode")
    for path, target in set(links) ^ set(listing.links):
        problems.append(f"{path}: link to `{target}` {'unknown' if (path, target) in links else 'missing'}")
    return sorted(problems)


def slots_of(tree: Path) -> dict[str, tuple[int, int]]:
    """Offset and length of the loader slot of each file that has one."""
    from xtool.toolchain import relocate

    slots = relocate.read_slots(tree)
    return {slot.path: (slot.offset, slot.length) for slot in slots.slots} if slots else {}


def _walk(tree: Path) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Folders, files and links of a tree, each sorted, without the two records."""
    folders: list[str] = []
    files: list[str] = []
    links: list[tuple[str, str]] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(tree / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_symlink():
                    links.append((path, os.readlink(entry.path)))  # noqa: PTH115 (a hot loop)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                    pending.append(path)
                elif not entry.is_file(follow_symlinks=False):
                    raise StoreError(f"{entry.path} is neither file, folder nor link")
                elif path not in OWN:
                    files.append(path)
    return sorted(folders), sorted(files), sorted(links)


def _digests(
    tree: Path, paths: Sequence[str], slots: Mapping[str, tuple[int, int]], jobs: int, *, settle: bool
) -> Iterator[FileEntry]:
    """Entries for files, in the order given; with `settle`, modes and times are set on the way."""
    # Many small files: one task a file would cost more than the hashing.
    step = 64
    batches = [paths[at : at + step] for at in range(0, len(paths), step)]

    def work(batch: Sequence[str]) -> list[FileEntry]:
        return [_entry(tree, path, slots.get(path), settle=settle) for path in batch]

    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        for done in pool.map(work, batches):
            yield from done


def _entry(tree: Path, path: str, slot: tuple[int, int] | None, *, settle: bool) -> FileEntry:
    fd = os.open(tree / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        state = os.fstat(fd)
        executable = bool(state.st_mode & stat.S_IXUSR)
        digest = hashlib.sha256()
        size = 0
        while data := os.read(fd, _CHUNK):
            digest.update(blanked(data, size, slot) if slot else data)
            size += len(data)
        if settle:
            os.fchmod(fd, 0o555 if executable else 0o444)
            os.utime(fd, (MTIME, MTIME))
    finally:
        os.close(fd)
    return FileEntry(path, executable, size, digest.hexdigest())


def blanked(data: bytes, at: int, slot: tuple[int, int]) -> bytes:
    """A piece of a file with what lies in its slot set to zero.

    Args:
        data: the piece.
        at: its offset in the file.
        slot: offset and length of the slot.
    """
    start = max(slot[0], at) - at
    end = min(slot[0] + slot[1], at + len(data)) - at
    if start >= end:
        return data
    return data[:start] + bytes(end - start) + data[end:]


def _leads_out(path: str, target: str) -> bool:
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in ("", "."):
            depth += 1
    return False


def _write(path: Path, data: bytes) -> None:
    """Write a new read-only file to the disk, not only to memory."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(fd, 0o444)
        os.utime(fd, (MTIME, MTIME))
        os.fsync(fd)
