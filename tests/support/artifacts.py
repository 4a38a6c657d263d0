"""Artifacts made from bytes, and the settings that fetch them from a fake server."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

from support.fakeserver import FakeServer, Reply

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, SuiteEvidence
from xtool.context import Context
from xtool.fetch import fetch

EVIDENCE = {
    "trixie": SuiteEvidence("trixie", "2026-09-12T07:55:41Z", "0" * 40, "20260912T195541Z"),
}
SNAPSHOT = "/snapshot/20260912T195541Z/"


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that compress badly, the same ones every time."""
    return random.Random(seed).randbytes(size)


def artifact(name: str, data: bytes) -> Artifact:
    """The artifact that stands for these bytes, at `/pool/<name>.deb`."""
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(
        name, "1.0", "amd64", "debian", "trixie", f"pool/{name}.deb", len(data), digest, len(data) + 1
    )


def offer(server: FakeServer, name: str, data: bytes, *replies: Reply) -> Artifact:
    """Put a file on a server, with the replies given or plainly, and return its artifact."""
    item = artifact(name, data)
    server.add(f"/{item.path}", *(replies or (Reply(data),)))
    return item


def downloads(ctx: Context) -> Path:
    """The context's folder of verified downloads."""
    return ctx.settings.cache_dir / "v1" / "downloads"


def get(ctx: Context, *items: Artifact, **options: object) -> dict[str, VerifiedFile]:
    """Fetch artifacts as the installer does."""
    return fetch(ctx, Catalog(), items, evidence=EVIDENCE, downloads=downloads(ctx), **options)  # type: ignore[arg-type]


def leftovers(ctx: Context) -> list[str]:
    """Names of the files in the folder of partial downloads."""
    folder = ctx.settings.cache_dir / "v1" / "partial"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


class Meter:
    """A progress that adds up."""

    def __init__(self) -> None:
        self.total = 0

    def advance(self, amount: int) -> None:
        """Add an amount."""
        self.total += amount


class Recorder:
    """A log that keeps warnings and details."""

    def __init__(self) -> None:
        from xtool.log import SilentLog

        self._silent = SilentLog()
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._silent, name)

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Keep a warning."""
        del hint
        self.lines.append(message)

    def detail(self, message: str) -> None:
        """Keep a detail."""
        self.lines.append(message)

    def info(self, message: str) -> None:
        """Keep an info."""
        self.lines.append(message)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)


def said(error: object, extra: Iterable[str] = ()) -> str:
    """Everything that a user sees of an error."""
    parts = [
        getattr(error, "message", str(error)),
        *getattr(error, "facts", ()),
        getattr(error, "hint", None) or "",
    ]
    return "\n".join([*parts, *extra])
