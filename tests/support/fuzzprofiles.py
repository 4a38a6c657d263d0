"""Fuzzing what reads profiles: GCC's notes and counters, and the file that profiles are saved in."""

from __future__ import annotations

import random
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

from support import fuzzformats, gcovforge
from support.fuzzmutate import Pool, document, either, extreme, noise
from support.fuzztarget import Target, check
from support.profiles import compiled, function, profile

from xtool.errors import ArchiveError, StoreError, UsageError


def _notes() -> list[bytes]:
    """Graphs of two functions, in both byte orders."""
    found = []
    for order in ("<", ">"):
        forge = gcovforge.notes(order)  # type: ignore[arg-type]
        forge.record(gcovforge.FUNCTION, 11, 12, 13, "first", 0, "./src/a.c", 7, 3, 9, 1)
        forge.record(gcovforge.BLOCKS, 4)
        forge.record(gcovforge.ARCS, 0, 2, 1).record(gcovforge.ARCS, 2, 3, 0, 1, 3)
        forge.record(gcovforge.ARCS, 3, 3, 0, 1, 0)
        forge.record(gcovforge.FUNCTION, 21, 22, 23, "_ZN1aC1Ev", 1, "b.cc", 9, 1, 9, 1)
        forge.record(gcovforge.BLOCKS, 3).record(gcovforge.ARCS, 0, 2, 1).record(gcovforge.ARCS, 2, 1, 0)
        found.append(forge.bytes)
    return found


def _data() -> list[bytes]:
    """Counters of two functions, in both byte orders."""
    found = []
    for order in ("<", ">"):
        forge = gcovforge.counted(order)  # type: ignore[arg-type]
        forge.record(gcovforge.FUNCTION, 11, 12, 13).counters(0, [9, 1, 1 << 40]).zeros(1, 3)
        forge.counters(3, [7, 1, 5, 7, 0, 0]).counters(4, [2, 1, 11, 2])
        forge.record(gcovforge.FUNCTION, 21, 22, 23).zeros(0, 4).counters(7, [1])
        found.append(forge.words(0).bytes)
    return found


def words(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """Words of a file set to extremes, lengths among them; or anything changed."""
    if rng.randrange(4) == 0 or len(data) < 8:
        return noise(rng, data, pool)
    out = bytearray(data)
    order = "<" if out[:1] in (b"o", b"a") else ">"
    for _ in range(rng.randint(1, 4)):
        at = 4 * rng.randrange(len(out) // 4)
        old = struct.unpack_from(f"{order}I", out, at)[0]
        near = rng.choice((old, 0, -old, -8 * rng.randrange(1 << 12)))
        value = near if rng.randrange(2) else extreme(rng, near=old, size=len(out))
        struct.pack_into(f"{order}I", out, at, value % (1 << 32))
    return bytes(out)


def run_notes(data: bytes, folder: Path) -> None:
    """What is known of a graph holds: every block has as much flow in as out."""
    from xtool.pgo.flow import solve
    from xtool.pgo.notes import ON_TREE, read_notes

    path = folder / "x.gcno"
    path.write_bytes(data)
    for graph in read_notes(path).functions:
        counted = sum(not arc.flags & ON_TREE for arc in graph.arcs)
        for counters in ((), tuple(range(counted))):
            flow = solve(graph, counters)
            if flow is None:
                continue
            check(len(flow.arcs) == len(graph.arcs), "arcs were lost")
            check(flow.arcs_covered <= flow.arcs_total, "more arcs were taken than there are")
            off = [count for arc, count in zip(graph.arcs, flow.arcs, strict=True) if not arc.flags & ON_TREE]
            check(off == [*counters] or not counters, "what was counted was changed")


def run_data(data: bytes, folder: Path) -> None:
    """What is written anew is read as the same."""
    from xtool.pgo.notes import INDIRECT, TOPN, lists, read_data, write_data

    path = folder / "x.gcda"
    path.write_bytes(data)
    found = read_data(path)
    for each in found.functions:
        for kind in (TOPN, INDIRECT):
            values = each.counters.get(kind, ())
            check(len(list(lists(values))) <= len(values), "more lists than counters")
    write_data(path, found)
    again = read_data(path)
    check(again.functions == found.functions, "counters were changed by writing them")
    check((again.runs, again.highest) == (found.runs, found.highest), "the summary was changed")


def _saved() -> list[bytes]:
    """Files with one profile and with two."""
    from xtool.pgo import archive

    one = profile(
        compiled(
            "build/a",
            function("f", 3, 0),
            function("g", counters={0: (1,), 3: (5, 1, 7, 5), 4: (2, 1, 99, 2)}, scope="local", ident=99),
            function("h", coverage=None, artificial=True, lent=True),
        ),
        compiled("/xtool/source/b", place="@tmp/x", counted=False),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.zip"
        every = ([one], [one, profile(target="s390x")])
        return [archive.write(path, profiles).read_bytes() for profiles in every]


def run_saved(data: bytes, folder: Path) -> None:
    """What is taken can be told, compared, saved again, and written for a compiler, below its folder."""
    from xtool.pgo import archive, compare, inspection, usage, words
    from xtool.pgo.names import Names

    path = folder / "p.zip"
    path.write_bytes(data)
    found = archive.read(path)
    for each in inspection.inspect(path):
        text = "\n".join(words.profile_lines(each, 100, color=False, details=True))
        check("\x1b" not in text, "a profile drives the terminal")
    counters = folder / "counters"
    names = Names(((Path("/p/source"), "/xtool/source"),), platform="linux-x", python="cpython-313")
    for each in found:
        check(compare.compare(each, each).counters_differing == 0, "a profile differs from itself")
        with suppress(StoreError):
            usage.prepare(each, counters, names)
    there = {entry.name for entry in folder.iterdir()}
    check(there <= {"p.zip", "counters"}, f"something was written outside: {there}")
    labels = {(each.target, each.python) for each in found}
    if len(labels) == len(found):
        again = archive.read(archive.write(folder / "again.zip", found))
        check(sorted(again, key=repr) == sorted(found, key=repr), "a profile was changed by saving it")


def targets() -> list[Target]:
    """What reads profiles."""
    refused = (ArchiveError, UsageError)
    changed = fuzzformats.wheel(either(document, document, noise))
    return [
        Target("gcno", "graphs of functions", (ArchiveError,), _notes, words, run_notes),
        Target("gcda", "counters of functions", (ArchiveError,), _data, words, run_data),
        Target("profile", "saved profiles", refused, _saved, changed, run_saved),
    ]
