"""The floor: which symbols a glibc of some version has, and in which library, worked out from a later one.

Every symbol of glibc carries the version it appeared in, and hardly any is ever taken away, so the symbols of
an older glibc are those of a newer one with `version <= floor`. What a newer library cannot tell is where a
symbol used to live: glibc 2.34 folded libpthread, libdl, librt, libutil and parts of others into libc. That
is data: `toolchains/glibc/moves.toml`, made by `scripts/update_glibc_moves.py`, and `corrections.toml`, made
by hand.
`scripts/check_floor.py` holds the outcome against two independent witnesses.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xtool.errors import CatalogError
from xtool.log import Log
from xtool.proc import run
from xtool.targets import Glibc, parse_glibc

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIBC = "libc.so.6"
_VERSION = re.compile(r"[A-Z]+_(\d+(?:\.\d+)*)")
_PLACEHOLDER = re.compile(r"__\w+_version_placeholder")
_KINDS = {"FUNC": "FUNC", "IFUNC": "FUNC", "NOTYPE": "FUNC", "OBJECT": "OBJECT", "TLS": "TLS"}


@dataclass(frozen=True, slots=True)
class Symbol:
    """One versioned symbol that a shared library exports.

    Args:
        name: `pthread_create`.
        version: `GLIBC_2.17`.
        kind: `FUNC`, `OBJECT` or `TLS`; an IFUNC is a FUNC to those who link.
        size: bytes, which copy relocations need.
        address: where it lies in its library; two names of one object share it.
        weak: its binding.
        default: whether a link without a version gets this one (`@@`).
    """

    name: str
    version: str
    kind: str
    size: int
    address: int
    weak: bool
    default: bool

    @property
    def number(self) -> tuple[int, ...]:
        """The version as numbers: (2, 17), (2, 3, 4)."""
        return version_number(self.version)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


Libraries = Mapping[str, tuple[Symbol, ...]]
"""By soname, the symbols it exports."""


def version_number(version: str) -> tuple[int, ...]:
    """The numbers in a version's name: (2, 3, 4) of `GLIBC_2.3.4`; none of `GLIBC_PRIVATE`."""
    match = _VERSION.fullmatch(version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def read_symbols(readelf: Path, library: Path, log: Log) -> tuple[Symbol, ...]:
    """The public symbols that a shared library exports, read by binutils' readelf.

    Left out: private versions, the version names themselves, and the placeholders that keep the version
    definitions of emptied libraries alive.

    Raises:
        CommandFailed: it is not a shared library.
    """
    text = run([readelf, "--wide", "--dyn-syms", library], log=log, what=f"reading {library.name}").stdout
    symbols = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 8 or words[3] not in _KINDS or "UND" in words or words[-2] == "ABS":
            continue
        name, at, version = words[-1].partition("@")
        default, version = version.startswith("@"), version.removeprefix("@")
        if not at or not version_number(version) or _PLACEHOLDER.fullmatch(name):
            continue
        symbols.append(
            Symbol(
                name=name,
                version=version,
                kind=_KINDS[words[3]],
                size=int(words[2], 0),
                address=int(words[1], 16),
                weak=words[4] == "WEAK",
                default=default,
            )
        )
    return tuple(sorted(symbols, key=lambda s: (s.name, s.number)))


@dataclass(frozen=True, slots=True)
class Move:
    """Where a symbol was below some glibc.

    Args:
        below: the first glibc that has it where it is today.
        libraries: sonames of the libraries that had it until then.
    """

    below: Glibc
    libraries: frozenset[str]


@dataclass(frozen=True)
class History:
    """What has moved between glibc's libraries.

    Args:
        moves: by symbol, its moves from the oldest to the newest. A key is a name, or `name@version` where
            the versions of a name went ways of their own.
    """

    moves: Mapping[str, tuple[Move, ...]] = field(default_factory=dict)

    def homes(self, symbol: Symbol, today: str, floor: Glibc) -> frozenset[str]:
        """The libraries that had a symbol at a floor, given the one that has it today; none if none had."""
        for move in self.moves.get(str(symbol)) or self.moves.get(symbol.name, ()):
            if floor < move.below:
                return move.libraries
        return frozenset({today})


def load_history(folder: Path, machine: str) -> History:
    """Read `moves.toml` and `corrections.toml`; a corrected name's generated moves are dropped.

    What is said of one machine stays, and counts from the glibc on that corrections do not speak of.

    Args:
        folder: where the tables are.
        machine: the target's name.

    Raises:
        CatalogError: a file is missing or malformed.
    """
    generated = _read_moves(folder / "moves.toml", machine)
    corrected = _read_moves(folder / "corrections.toml", machine)
    moves = {**generated, **corrected}
    for key in generated:
        name, at, _ = key.partition("@")
        if at and key not in corrected:
            moves[key] = _in_order([*generated[key], *corrected.get(name, ())])
    return History(moves)


def floor_libraries(today: Libraries, floor: Glibc, history: History) -> dict[str, tuple[Symbol, ...]]:
    """The libraries of a glibc at a floor.

    Args:
        today: symbols by soname of a glibc at or above the floor.
        floor: the glibc wanted.
        history: what has moved since.

    Returns:
        By soname, symbols with `version <= floor`, the highest version of each name as the default one. A
        library that exports nothing at the floor is left in, empty.
    """
    found: dict[str, dict[tuple[str, str], Symbol]] = {soname: {} for soname in today}
    for soname, symbols in today.items():
        for symbol in symbols:
            if symbol.number[:2] > floor or not symbol.version.startswith("GLIBC_"):
                continue
            for home in sorted(history.homes(symbol, soname, floor)):
                known = found.setdefault(home, {})
                if home == soname:
                    known[symbol.name, symbol.version] = symbol
                else:
                    known.setdefault((symbol.name, symbol.version), symbol)
    return {soname: _with_defaults(symbols.values()) for soname, symbols in found.items()}


def libgcc_version(folder: Path, floor: Glibc) -> tuple[int, ...]:
    """The newest `GCC_` version of libgcc_s that may link at a floor, from `libgcc.toml`."""
    entries = _load(folder / "libgcc.toml", "newest")
    allowed = [entry for entry in entries if parse_glibc(entry["from"]) <= floor]
    return version_number("GCC_" + max(allowed, key=lambda entry: parse_glibc(entry["from"]))["version"])


def _with_defaults(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    ordered = sorted(symbols, key=lambda s: (s.name, s.number))
    highest = {symbol.name: symbol.version for symbol in ordered}
    return tuple(replace(symbol, default=symbol.version == highest[symbol.name]) for symbol in ordered)


def _read_moves(path: Path, machine: str) -> dict[str, tuple[Move, ...]]:
    found: dict[str, list[Move]] = {}
    for entry in _load(path, "moved"):
        if machine not in entry.get("machines", (machine,)):
            continue
        move = Move(parse_glibc(entry["below"]), frozenset(entry["libraries"]))
        for symbol in entry["symbols"]:
            found.setdefault(symbol, []).append(move)
    return {symbol: _in_order(moves) for symbol, moves in found.items()}


def _in_order(moves: Iterable[Move]) -> tuple[Move, ...]:
    return tuple(sorted(moves, key=lambda move: move.below))


def _load(path: Path, table: str) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))[table]
    except (OSError, ValueError, KeyError) as error:
        raise CatalogError(f"cannot use {path}: {error}", hint="reinstall xtool") from error
    return entries
