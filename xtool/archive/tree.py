"""The one safe writer: puts members into a folder so that nothing ever lands outside of it.

A model of the tree (what is a folder, a file, a link) decides where a member goes. Files are made fresh
through descriptors of real folders, symbolic links are made last, when every one of them has been resolved
inside the root; so while files are written the kernel has no link to follow.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.archive.tar import Kind, Member
from xtool.errors import ArchiveError

if TYPE_CHECKING:
    from types import TracebackType

MTIME = 946_684_800
"""Modification time of everything unpacked: 2000-01-01, so that equal contents make equal trees."""

_HOPS = 40
"""How many links a path may go through: the kernel's own limit (path_resolution(7))."""

_LONGEST = 4096
_LONGEST_PART = 255
_DEEPEST = 128
"""How many folders may lie one in the other: packages have some fifteen, and every tool can walk so many."""

_MOST_NODES = 1_000_000
"""How many files, folders and links a tree may have: a member can ask for many folders by its name alone."""

_MOST_STEPS = 10_000_000
"""How many parts of paths may be looked up for links: each can lead through forty others."""

_OPEN_FOLDERS = 32


def clean_name(name: str, label: str) -> str:
    """A member's name without leading `./` and trailing `/`; empty for the root itself.

    Raises:
        ArchiveError: a name that is empty, absolute, has `..`, a control character, or is too long.
    """
    if not name or name.startswith("/"):
        raise ArchiveError(
            f"{label}: a member has {'an absolute' if name else 'an empty'} name", facts=[name]
        )
    if any(character < " " or character == "\x7f" for character in name):
        raise ArchiveError(f"{label}: a control character in a member's name", facts=[repr(name)])
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(f"{label}: a member's name leads upwards", facts=[name])
    sizes = [_size(part, label) for part in parts]
    if sum(sizes) + len(sizes) > _LONGEST or max(sizes, default=0) > _LONGEST_PART or len(parts) > _DEEPEST:
        raise ArchiveError(f"{label}: a member's name is too long", facts=[f"{name[:100]}..."])
    return "/".join(parts)


def _size(text: str, label: str) -> int:
    """Bytes of a name on the disk."""
    try:
        return len(os.fsencode(text))
    except UnicodeEncodeError:
        raise ArchiveError(f"{label}: a name that no disk can hold", facts=[ascii(text[:100])]) from None


@dataclass(slots=True)
class _Node:
    """What the model knows of one path."""

    kind: Kind
    target: str = ""
    origin: str = ""


@dataclass(slots=True)
class _Twin:
    """A file that a second package brings as well; its bytes must be the same."""

    path: str
    size: int
    sha256: str
    origin: str


@dataclass(slots=True)
class _Folders:
    """Descriptors of the folders that were used last; one set a thread."""

    fds: dict[str, int] = field(default_factory=dict)


class Tree:
    """A folder that archives are unpacked into; for a `with` block, which makes the links at its end.

    Args:
        root: the folder; made when missing. What is in it already is taken into account.
        absolute_links: `refuse`, or `rewrite`: an absolute target means a path below the root, and is made
            relative. For packages that are unpacked as a system root.

    Raises:
        ArchiveError: on leaving the block, when a link leads outside or two packages disagree on a file.
    """

    def __init__(self, root: Path, *, absolute_links: str = "refuse", read_only: bool = False) -> None:
        if absolute_links not in ("refuse", "rewrite"):
            raise ValueError(absolute_links)
        self.root = root
        self._modes = (0o444, 0o555) if read_only else (0o644, 0o755)
        self._rewrite = absolute_links == "rewrite"
        self._nodes: dict[str, _Node] = {"": _Node(Kind.FOLDER)}
        self._new_links: list[str] = []
        self._twins: list[_Twin] = []
        self._steps = 0
        self._lock = threading.Lock()
        self._local = threading.local()
        self._open: list[_Folders] = []

    def __enter__(self) -> Tree:  # noqa: PYI034 (typing.Self is newer than 3.10)
        self.root.mkdir(parents=True, exist_ok=True)
        self._root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._scan()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._check_links()
                self._check_twins()
                self._make_links()
        finally:
            for folders in self._open:
                for fd in folders.fds.values():
                    os.close(fd)
            os.close(self._root_fd)

    def add(self, member: Member, name: str, payload: Iterable[memoryview | bytes], origin: str) -> str:
        """Put one member into the tree.

        Args:
            member: the member; its target may still be absolute or lead upwards.
            name: its cleaned name (`clean_name`).
            payload: its bytes, read only when it is a file.
            origin: label of the archive it comes from.

        Returns:
            The path at which it stands, below the root, after links on the way were resolved.
        """
        if not name:
            if member.kind is not Kind.FOLDER:
                raise ArchiveError(f"{origin}: the root itself is a {member.kind.value}")
            return ""
        with self._lock:
            path = self._place(name, origin)
            if member.kind is Kind.FOLDER:
                self._add_folder(path, origin)
                return path
            if member.kind is Kind.LINK:
                self._add_link(path, member, origin)
                return path
            if member.kind is Kind.HARD_LINK:
                self._add_hard_link(path, member, origin)
                return path
            there = self._nodes.get(path)
            if there is None:
                self._nodes[path] = _Node(Kind.FILE, origin=origin)
        if there is None:
            self._write(path, member, payload, origin)
        else:
            self._add_twin(path, there, member, payload, origin)
        return path

    def _place(self, name: str, origin: str) -> str:
        """Where a name lands: its parent with links resolved, made when missing, plus its last part."""
        parent, _, last = name.rpartition("/")
        if parent and self._is_folder(parent):
            return name
        if parent:
            parent = self._resolve(parent, f"{origin}: `{name}`")
            self._make_parents(parent, origin)
        return f"{parent}/{last}" if parent else last

    def _is_folder(self, path: str) -> bool:
        # Folders stand in the model under their real path only, so a hit has no link on its way.
        node = self._nodes.get(path)
        return node is not None and node.kind is Kind.FOLDER

    def _resolve(self, path: str, what: str) -> str:
        """The real path of a path, every link on its way followed, the last part's too.

        Parts that do not exist are taken as folders.
        """
        done: list[str] = []
        left = path.split("/")[::-1]
        hops = 0
        while left:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise ArchiveError(f"{what}: the links take too long to follow", code="too-large")
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    raise ArchiveError(f"{what} leads outside of the folder it is unpacked into")
                done.pop()
                continue
            done.append(part)
            if len(done) > _DEEPEST:
                raise ArchiveError(f"{what} lies more than {_DEEPEST} folders deep")
            node = self._nodes.get("/".join(done))
            if node is not None and node.kind is Kind.LINK:
                hops += 1
                if hops > _HOPS:
                    raise ArchiveError(f"{what} goes through more than {_HOPS} links")
                done.pop()
                left.extend(node.target.split("/")[::-1])
        return "/".join(done)

    def _make_parents(self, path: str, origin: str) -> None:
        """Make a folder and those above it; the path is real."""
        missing = []
        while path and path not in self._nodes:
            missing.append(path)
            path = path.rpartition("/")[0]
        if self._nodes[path].kind is not Kind.FOLDER:
            raise ArchiveError(f"{origin}: `{path}` is a file and a folder")
        if len(self._nodes) + len(missing) > _MOST_NODES:
            raise ArchiveError(f"{origin}: more than {_MOST_NODES} files and folders", code="too-large")
        for folder in reversed(missing):
            self._add_folder(folder, origin)

    def _add_folder(self, path: str, origin: str) -> None:
        node = self._nodes.get(path)
        if node is not None:
            if node.kind is not Kind.FOLDER:
                raise ArchiveError(f"{origin}: folder `{path}` is already there as a {node.kind.value}")
            return
        self._nodes[path] = _Node(Kind.FOLDER, origin=origin)
        parent, _, last = path.rpartition("/")
        fd = self._folder_fd(parent)
        try:
            os.mkdir(last, 0o755, dir_fd=fd)
        except FileExistsError:
            raise self._collision(path, origin) from None
        # The umask has had its say in mkdir; the mode must not depend on it.
        os.chmod(last, 0o755, dir_fd=fd)  # noqa: S103 (the mode of every folder in a package)

    def _add_link(self, path: str, member: Member, origin: str) -> None:
        target = member.target
        sizes = [_size(part, origin) for part in target.split("/")]
        # Folders that do not exist on its way may be made: each must be one that can be.
        if not target or min(target) < " " or sum(sizes) > _LONGEST or max(sizes) > _LONGEST_PART:
            raise ArchiveError(f"{origin}: link `{path}` has no proper target", facts=[repr(target[:100])])
        if target.startswith("/"):
            if not self._rewrite:
                raise ArchiveError(f"{origin}: link `{path}` points to the absolute path `{target}`")
            inside = posixpath.normpath(target).lstrip("/") or "."
            up = "../" * path.count("/")
            target = f"{up}{inside}"
        node = self._nodes.get(path)
        if node is not None:
            if node.kind is Kind.LINK and node.target == target and node.origin != origin:
                return
            raise ArchiveError(f"{origin}: link `{path}` is already there as another {node.kind.value}")
        self._nodes[path] = _Node(Kind.LINK, target, origin)
        self._new_links.append(path)

    def _add_hard_link(self, path: str, member: Member, origin: str) -> None:
        source = clean_name(member.target, origin)
        above, _, last = source.rpartition("/")
        if above and not self._is_folder(above):
            above = self._resolve(above, f"{origin}: hard link `{path}`")
            source = f"{above}/{last}" if above else last
        node = self._nodes.get(source)
        if node is None or node.kind is not Kind.FILE or node.origin != origin:
            raise ArchiveError(
                f"{origin}: hard link `{path}` does not point to an earlier file of the archive"
            )
        if path in self._nodes:
            raise ArchiveError(f"{origin}: hard link `{path}` is already there")
        self._nodes[path] = _Node(Kind.FILE, origin=origin)
        parent, _, last = path.rpartition("/")
        from_parent, _, from_last = source.rpartition("/")
        os.link(
            from_last,
            last,
            src_dir_fd=self._folder_fd(from_parent),
            dst_dir_fd=self._folder_fd(parent),
            follow_symlinks=False,
        )

    def _write(self, path: str, member: Member, payload: Iterable[memoryview | bytes], origin: str) -> None:
        parent, _, last = path.rpartition("/")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(last, flags, 0o600, dir_fd=self._folder_fd(parent))
        except FileExistsError:
            raise self._collision(path, origin) from None
        try:
            for piece in payload:
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
            os.fchmod(fd, self._modes[member.executable])
            os.utime(fd, (MTIME, MTIME))
        finally:
            os.close(fd)

    def _add_twin(
        self, path: str, there: _Node, member: Member, payload: Iterable[memoryview | bytes], origin: str
    ) -> None:
        if there.kind is not Kind.FILE:
            raise ArchiveError(f"{origin}: file `{path}` is already there as a {there.kind.value}")
        if there.origin == origin:
            raise ArchiveError(f"{origin}: file `{path}` is in the archive twice")
        digest = hashlib.sha256()
        for piece in payload:
            digest.update(piece)
        # The first one may still be on its way to the disk in another thread: compare at the end.
        with self._lock:
            self._twins.append(_Twin(path, member.size, digest.hexdigest(), origin))

    def _check_twins(self) -> None:
        for twin in self._twins:
            parent, _, last = twin.path.rpartition("/")
            fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder_fd(parent))
            with os.fdopen(fd, "rb") as file:
                digest = hashlib.sha256()
                while data := file.read(1 << 18):
                    digest.update(data)
            if digest.hexdigest() != twin.sha256:
                other = self._nodes[twin.path].origin or "what was there before"
                raise ArchiveError(f"{twin.origin}: `{twin.path}` differs from the one of {other}")

    def _check_links(self) -> None:
        # All of them, old ones too: a link can come to lead outside when a later one moves its middle.
        for path, node in self._nodes.items():
            if node.kind is Kind.LINK:
                origin = node.origin or "a link that was there before"
                self._resolve(path, f"{origin}: link `{path}` to `{node.target}`")

    def _make_links(self) -> None:
        for path in self._new_links:
            parent, _, last = path.rpartition("/")
            node = self._nodes[path]
            fd = self._folder_fd(parent)
            try:
                os.symlink(node.target, last, dir_fd=fd)
            except FileExistsError:
                raise self._collision(path, node.origin) from None
            os.utime(last, (MTIME, MTIME), dir_fd=fd, follow_symlinks=False)

    def _collision(self, path: str, origin: str) -> ArchiveError:
        """Something is there that the model does not know: another spelling of the same name."""
        return ArchiveError(
            f"{origin}: `{path}` cannot be told from another file in {self.root}",
            facts=[
                "two names that differ only in upper and lower case, on a filesystem that takes them as one"
            ],
            hint="point XTOOL_CACHE_DIR to a folder on a case-sensitive filesystem",
            code="case-collision",
        )

    def _folder_fd(self, path: str) -> int:
        """Descriptor of a real folder of the tree, opened part by part without following links."""
        if not path:
            return self._root_fd
        folders: _Folders | None = getattr(self._local, "folders", None)
        if folders is None:
            folders = self._local.folders = _Folders()
            self._open.append(folders)
        fds = folders.fds
        fd = fds.get(path)
        if fd is not None:
            return fd
        # From the nearest folder that is open: in deep trees each would cost the whole way else.
        above, missing = path, []
        while above and above not in fds:
            above, _, part = above.rpartition("/")
            missing.append(part)
        start = fd = fds[above] if above else self._root_fd
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        for part in reversed(missing):
            try:
                below = os.open(part, flags, dir_fd=fd)
            finally:
                if fd != start:
                    os.close(fd)
            fd = below
        if len(fds) >= _OPEN_FOLDERS:
            oldest = next(iter(fds))
            with suppress(OSError):
                os.close(fds.pop(oldest))
        fds[path] = fd
        return fd

    def _scan(self) -> None:
        """Take what is in the folder already into the model."""
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_symlink():
                        self._nodes[path] = _Node(Kind.LINK, str(Path(entry.path).readlink()))
                    elif entry.is_dir(follow_symlinks=False):
                        self._nodes[path] = _Node(Kind.FOLDER)
                        pending.append(path)
                    else:
                        self._nodes[path] = _Node(Kind.FILE)
