"""Makes builds in the build interpreter come out the same, whoever runs them and however many run at once.

This file is copied into build environments and loaded there by a `.pth` file, as the machine shim is, and
like it needs nothing else of xtool. Three things are taken out of a build's way:

- the order in which a folder lists its files, which the filesystem chooses, is that of their names;
- `~/.pydistutils.cfg`, which says what its owner's own machine needs, is not read, as `CFLAGS` is not;
- `build_ext --parallel` starts all extensions at once, though the objects of those that share a source file
  have one name: one is linked with what was compiled for another. They are built one after the other instead.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Listing:
    """What `os.scandir` returns, sorted."""

    def __init__(self, entries: Iterable[Any]) -> None:
        self._entries = iter(sorted(entries, key=lambda entry: entry.name))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give nothing more."""
        self._entries = iter(())


def _sort_listings() -> None:
    listdir, scandir = os.listdir, os.scandir

    def sorted_listdir(path: Any = ".") -> list[Any]:
        return sorted(listdir(path))

    def sorted_scandir(path: Any = ".") -> _Listing:
        with scandir(path) as entries:
            return _Listing(entries)

    for original, replacement in ((listdir, sorted_listdir), (scandir, sorted_scandir)):
        if original in os.supports_fd:
            os.supports_fd.add(replacement)
    os.listdir = sorted_listdir
    os.scandir = sorted_scandir  # type: ignore[assignment]


def _ignore_user_config(dist: ModuleType) -> None:
    original = dist.Distribution.find_config_files

    def find_config_files(self: Any) -> Any:
        # What the option `--no-user-cfg` does; not every `setup.py` lets options through.
        self.want_user_cfg = False
        return original(self)

    dist.Distribution.find_config_files = find_config_files


def groups(extensions: Sequence[Any]) -> list[list[Any]]:
    """Extensions in groups that have no source file in common, in the order of their first ones."""
    found: list[tuple[set[str], list[Any]]] = []
    for extension in extensions:
        sources = {os.path.normpath(os.fspath(source)) for source in extension.sources}
        members = [extension]
        apart = []
        for known, others in found:
            if known & sources:
                sources |= known
                members = [*others, *members]
            else:
                apart.append((known, others))
        found = [*apart, (sources, members)]
    place = {id(extension): index for index, extension in enumerate(extensions)}
    ordered = [sorted(members, key=lambda extension: place[id(extension)]) for _, members in found]
    return sorted(ordered, key=lambda members: place[id(members[0])])


def _build_apart(build_ext: ModuleType) -> None:
    if not hasattr(build_ext.build_ext, "_build_extensions_parallel"):
        return

    def build_extensions_parallel(self: Any) -> None:
        from concurrent.futures import ThreadPoolExecutor

        def build(members: Sequence[Any]) -> None:
            for extension in members:
                with self._filter_build_errors(extension):
                    self.build_extension(extension)

        with ThreadPoolExecutor(None if self.parallel is True else self.parallel) as executor:
            for future in [executor.submit(build, members) for members in groups(self.extensions)]:
                future.result()

    build_ext.build_ext._build_extensions_parallel = build_extensions_parallel


_CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "distutils.dist": _ignore_user_config,
    "distutils.command.build_ext": _build_apart,
}


class _Finder:
    """Changes modules of distutils when they are imported, setuptools' copy or the standard library's."""

    def __init__(self) -> None:
        self._looking: set[str] = set()

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """The spec that the other finders give, with a loader that makes the change as well."""
        change = _CHANGES.get(name.removeprefix("setuptools._"))
        if change is None or name in self._looking:
            return None
        self._looking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking.discard(name)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Patch this interpreter, in a build."""
    if "XTOOL_CROSS_MACHINE" in os.environ:
        _sort_listings()
        sys.meta_path.insert(0, _Finder())


install()
