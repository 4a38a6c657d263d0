"""Stub shared libraries: nothing but the symbols, with versions, types and sizes, for linking against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xtool.log import Log
from xtool.proc import run
from xtool.toolchain.floor import Symbol, version_number

_TYPES = {"FUNC": "function", "OBJECT": "object", "TLS": "tls_object"}


@dataclass(frozen=True, slots=True)
class Bench:
    """What stubs are made with.

    Args:
        assembler: the target's `as`.
        linker: the target's `ld`.
        scratch: folder for what lies between.
        log: told the commands.
    """

    assembler: Path
    linker: Path
    scratch: Path
    log: Log


def write_stub(soname: str, symbols: Sequence[Symbol], output: Path, bench: Bench) -> None:
    """Write a shared library that exports exactly these symbols.

    Args:
        soname: its DT_SONAME.
        symbols: what it exports; at most one default version a name.
        output: the file.
        bench: tools and folder.

    Raises:
        CommandFailed: as or ld refused.
    """
    source, object_file, script = (bench.scratch / f"{soname}.{end}" for end in ("s", "o", "map"))
    source.write_text(assembly(symbols), encoding="ascii")
    script.write_text(version_script(symbols), encoding="ascii")
    assemble: list[str | Path] = [bench.assembler, "-o", object_file, source]
    run(assemble, log=bench.log, what=f"assembling the stub of {soname}")
    link: list[str | Path] = [bench.linker, "-shared", "--soname", soname, "--hash-style=both"]
    if symbols:
        link += ["--version-script", script]
    # Only linkers ever read it: no build id, no padding to pages.
    link += ["--build-id=none", "-z", "noseparate-code", "-z", "max-page-size=4096"]
    run([*link, "-o", output, object_file], log=bench.log, what=f"linking the stub of {soname}")


def assembly(symbols: Sequence[Symbol]) -> str:
    """Assembly that defines each symbol, any target's `as` reads it.

    Names of one object share an address, as they do in the real library: a program that copies `environ` must
    have `__environ` moved along.
    """
    lines = ["\t.text"]
    functions = [s for s in symbols if s.kind == "FUNC"]
    for number, symbol in enumerate(functions):
        lines += _define(symbol, f"f{number}", _TYPES["FUNC"])
        # Not empty, so that no two functions share an address.
        lines.append("\t.long 0")
    for kind, section in (("OBJECT", '.bss,"aw",%nobits'), ("TLS", '.tbss,"awT",%nobits')):
        groups: dict[int, list[Symbol]] = {}
        for symbol in symbols:
            if symbol.kind == kind:
                groups.setdefault(symbol.address, []).append(symbol)
        if groups:
            lines.append(f"\t.section {section}")
        for address, group in sorted(groups.items()):
            # The alignment a copy relocation gives is the one the address shows.
            lines.append(f"\t.balign {min(address & -address, 32) or 1}")
            for alias, symbol in enumerate(group):
                lines += _define(symbol, f"{kind.lower()}{address:x}_{alias}", _TYPES[kind])
            lines.append(f"\t.zero {max(1, *(symbol.size for symbol in group))}")
    lines.append('\t.section .note.GNU-stack,"",%progbits')
    return "\n".join(lines) + "\n"


def _define(symbol: Symbol, label: str, kind: str) -> list[str]:
    # An own label each: one name can carry several versions, and `.symver` renames a label.
    at = "@@" if symbol.default else "@"
    return [
        f"\t.{'weak' if symbol.weak else 'globl'} {label}",
        f"\t.type {label}, %{kind}",
        f"\t.size {label}, {symbol.size or 4}",
        f"\t.symver {label}, {symbol.name}{at}{symbol.version}, remove",
        f"{label}:",
    ]


def version_script(symbols: Sequence[Symbol]) -> str:
    """A version script with one node a version, each the parent of the next, as glibc's are."""
    versions = {symbol.version for symbol in symbols}
    ordered = sorted(versions, key=lambda version: (version.partition("_")[0], version_number(version)))
    # No `local: *`: ld would hide symbols that only `.symver` assigns to a version.
    parents = ["", *(f" {version}" for version in ordered)]
    return "".join(f"{version} {{ }}{parent};\n" for version, parent in zip(ordered, parents, strict=False))
