"""Made-up recipes for tests of the store: files from strings, no network, a program with a slot if wanted."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from xtool.artifacts import Artifact, VerifiedFile
from xtool.recipes import Assembly, Recipe
from xtool.toolchain.relocate import Slot, Slots, write_slots

FILES = {"bin/tool": b"\x7fELF a program", "share/data/a.txt": b"data", "share/data/b.txt": b"more"}


def write_files(tree: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.startswith("bin/") else 0o644)


def recipe(
    name: str = "part",
    *,
    files: Mapping[str, bytes] | None = None,
    revision: int = 1,
    slot: bool = False,
    needs: tuple[Recipe, ...] = (),
    artifacts: tuple[Artifact, ...] = (),
    assemble: Callable[[Assembly], None] | None = None,
    members: frozenset[str] = frozenset(),
) -> Recipe:
    """A recipe whose component holds some files, a link, and with `slot` a program that names its place."""

    def default(work: Assembly) -> None:
        fill(work.staging, work.scratch)

    def fill(staging: Path, scratch: Path) -> None:
        write_files(staging, files if files is not None else FILES)
        (staging / "share").mkdir(exist_ok=True)
        (staging / "share/link").symlink_to("data/a.txt")
        if slot:
            write_files(
                staging, {"bin/slotted": b"head" + bytes(1024) + b"tail", "lib/host/ld.so": b"loader"}
            )
            write_slots(staging, Slots("lib/host/ld.so", (Slot("bin/slotted", 4, 1024),)))

    made = Recipe(name, f"{name.title()} 1.0", revision, artifacts, assemble or default, {}, needs, members)
    made.__dict__["fill"] = fill
    return made


def fill_of(made: Recipe) -> Callable[[Path, Path], None]:
    """The function that `Store.install` takes, for a recipe made here."""
    found: Callable[[Path, Path], None] = made.__dict__["fill"]
    return found


def artifact(name: str, *, size: int = 10) -> Artifact:
    return Artifact(
        name, "1", "all", "debian", "trixie", f"{name}_1_all.deb", size, name.ljust(64, "0"), 1 << 20
    )


class FakeFetch:
    """Stands for `xtool.fetch`: hands out files of a folder, in an order and with failures a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.asked: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.order: list[str] | None = None
        self.gates: dict[str, threading.Event] = {}
        self.folder = folder
        module = types.ModuleType("xtool.fetch")
        module.fetch = self.fetch  # type: ignore[attr-defined]
        module.cached = lambda _downloads, artifact: folder / artifact.filename  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "xtool.fetch", module)

    def fetch(
        self,
        ctx: object,
        catalog: object,
        artifacts: Iterable[Artifact],
        *,
        evidence: object,
        downloads: Path,
        on_ready: Callable[[VerifiedFile], None],
        progress: Any,
    ) -> dict[str, VerifiedFile]:
        wanted = list(artifacts)
        if self.order is not None:
            wanted.sort(key=lambda one: self.order.index(one.name) if self.order else 0)
        for one in wanted:
            self.asked.append(one.name)
            if one.name in self.gates:
                assert self.gates[one.name].wait(20)
            if one.name in self.fails:
                raise self.fails[one.name]
            progress.advance(one.size)
            on_ready(VerifiedFile(one, self.folder / one.filename))
        return {}
