"""Why functions have another control-flow graph on another target: one file that has no `#ifdef`, compiled.

`http_parser.c` of httptools knows nothing of machines. Where it has another graph all the same, the compiler
made it: whether the two halves of `a && b` are worth a branch (`logical-op-non-short-circuit`, which each
target sets for itself and an option overrides).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from xtool.kit import Kit
from xtool.pgo.notes import read_notes

SOURCE = "vendor/http-parser/http_parser.c"
BRANCHING = ("--param", "logical-op-non-short-circuit=0")


def graphs(kit: Kit, source: Path, folder: Path, *options: str) -> dict[str, int]:
    """Compile a file with counters.

    Args:
        kit: the kit of the target.
        source: the file.
        folder: where object and notes are written.
        options: further options.

    Returns:
        For each function, the checksum of its graph.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{kit.target.name}.o"
    command = [str(kit.toolchain.tool("gcc")), f"--sysroot={kit.sysroot.path}", *kit.target.cflags, *options]
    command += ["-O3", "-DNDEBUG", "-fwrapv", "-fPIC", f"-I{source.parent}"]
    command += ["-fprofile-generate", "-ftest-coverage", "-c", str(source), "-o", str(made)]
    subprocess.run(command, check=True)
    notes = read_notes(made.with_suffix(".gcno"))
    return {function.name: function.cfg_checksum for function in notes.functions}


def alike(one: dict[str, int], two: dict[str, int]) -> int:
    """How many functions have the same graph in both."""
    return sum(two.get(name) == graph for name, graph in one.items())
