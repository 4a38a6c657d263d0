"""From counters and notes to a profile: parts merged by `gcov-tool`, objects matched, functions named."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xtool import proc
from xtool.context import Context
from xtool.errors import CommandFailed
from xtool.kit import Toolchain
from xtool.pgo import identity
from xtool.pgo.compiles import Compile
from xtool.pgo.flow import solve
from xtool.pgo.names import Names
from xtool.pgo.notes import ARCS, INDIRECT, TOPN, Counts, Data, Graph, lists, read_data, read_notes
from xtool.pgo.profile import Coverage, Function, ObjectProfile


def merge(ctx: Context, toolchain: Toolchain, parts: Sequence[Path], folder: Path) -> Path:
    """Merge what several training commands counted, with the toolchain's own `gcov-tool`.

    Args:
        ctx: settings, log, environment.
        toolchain: that of the target.
        parts: folders of counters.
        folder: a new folder for what comes of it.

    Returns:
        The folder of the sums, one of the parts where the others have nothing.

    Raises:
        CommandFailed: they cannot be merged.
    """
    full = [part for part in parts if part.is_dir() and any(part.rglob("*.gcda"))]
    folder.mkdir(parents=True)
    if not full:
        return folder
    merged = full[0]
    for number, part in enumerate(full[1:]):
        out = folder / str(number)
        proc.run(
            [toolchain.tool("gcov-tool"), "merge", "-o", out, merged, part],
            log=ctx.log,
            cwd=folder,
            what="merging the profiles",
            hint="was a training command still writing when another had ended?",
        )
        merged = out
    return merged


def embedded(wheel: Path, folder: Path) -> Mapping[str, tuple[str, ...]]:
    """The counter files that the instrumented code of a wheel writes to, below their folder.

    Args:
        wheel: the wheel of stage 1.
        folder: the folder that its compilers were told.

    Returns:
        By path below the folder, the files of the wheel that write it.
    """
    pattern = re.compile(re.escape(os.fsencode(folder)) + rb"/([^\0]+\.gcda)\0")
    found: dict[str, list[str]] = defaultdict(list)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if data[:4] != b"\x7fELF":
                continue
            for match in dict.fromkeys(pattern.findall(data)):
                found[os.path.normpath(os.fsdecode(match))].append(name)
    return {path: tuple(names) for path, names in sorted(found.items())}


def objects(
    merged: Path,
    modules: Mapping[str, tuple[str, ...]],
    compiles: Iterable[Compile],
    names: Names,
    *,
    counters: Path,
    project: Path,
) -> tuple[ObjectProfile, ...]:
    """The profiles of the objects that a wheel is made of.

    Args:
        merged: the folder of counters.
        modules: by counter file, the files of the wheel that write it (`embedded`).
        compiles: the compiles of stage 1.
        names: what is called otherwise in another build.
        counters: the folder that compilers were told.
        project: the project's folder.

    Raises:
        CommandFailed: it is not known which compile made a file of the wheel.
        ArchiveError: a file of GCC's is malformed.
    """
    made: dict[str, list[Compile]] = defaultdict(list)
    for each in compiles:
        made[os.path.relpath(each.data_file(counters), counters)].append(each)
    unknown = [path for path in modules if path not in made]
    if unknown:
        raise CommandFailed(
            "the wheel has counting code of which no compile is known",
            facts=[f"{module}: {path}" for path in unknown[:8] for module in modules[path]],
            hint="does the project pack files that were compiled before, or through a compiler of its own?",
            code="unknown-object",
        )
    found = []
    actual: dict[int, int] = {}
    for path, members in modules.items():
        file = merged / path
        data = read_data(file) if file.is_file() else None
        one = _the_compile(made[path], data)
        found.append(_object(one, data, members, names, project, actual))
    return tuple(_lend([replace(each, functions=_renumbered(each.functions, actual)) for each in found]))


def _the_compile(candidates: Sequence[Compile], data: Data | None) -> Compile:
    """Of several compiles of one object the one whose code ran: its notes have the stamp of the counters."""
    if data is not None and len(candidates) > 1:
        for one in candidates:
            if one.notes.is_file() and read_notes(one.notes).stamp == data.stamp:
                return one
    return max(candidates, key=lambda one: one.order)


def _object(
    one: Compile,
    data: Data | None,
    members: tuple[str, ...],
    names: Names,
    project: Path,
    actual: dict[int, int],
) -> ObjectProfile:
    graphs = read_notes(one.notes).functions if one.notes.is_file() else ()
    counted = {function.ident: function for function in data.functions} if data else {}
    functions = [_function(graph, counted.pop(graph.ident, None), one, names, actual) for graph in graphs]
    functions += [_nameless(each) for each in counted.values()]
    return ObjectProfile(
        place=names.abstract(one.place),
        aux=names.abstract(one.aux),
        source=names.abstract(one.source),
        modules=members,
        flags=tuple(names.abstract(flag) for flag in one.flags),
        sources=digests(one.headers, project, names),
        runs=data.runs if data else 0,
        highest=data.highest if data else 0,
        functions=tuple(functions),
        counted=data is not None,
    )


def digests(headers: Iterable[str], project: Path, names: Names) -> dict[str, str]:
    """The sha256 of the project's own files among those that a compiler read, by their names."""
    found = {}
    for header in headers:
        path = Path(header)
        if path.is_relative_to(project) and path.is_file():
            name = names.abstract(str(path.relative_to(project)))
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return dict(sorted(found.items()))


def _function(
    graph: Graph, counts: Counts | None, one: Compile, names: Names, actual: dict[int, int]
) -> Function:
    """A function with names for what differs between builds; `actual` gets the number that it has in this."""
    spellings = names.candidates(graph.file)
    scope: identity.Scope = "fixed"
    if any(identity.lineno_checksum(f, graph.line, graph.name) == graph.lineno_checksum for f in spellings):
        if graph.ident == identity.public_ident(graph.name):
            scope = "public"
        elif any(graph.ident == identity.local_ident(f, graph.name, one.aux) for f in spellings):
            scope = "local"
    file = names.abstract(graph.file)
    ident, lineno = numbers(scope, file, graph.line, graph.name, names.abstract(one.aux)) or (
        graph.ident,
        graph.lineno_checksum,
    )
    actual[graph.ident] = ident
    counters = {kind: _steady(kind, values) for kind, values in (counts.counters if counts else {}).items()}
    flow = solve(graph, counters.get(ARCS, ()) if counts else ())
    return Function(
        name=graph.name,
        file=file,
        line=graph.line,
        scope=scope,
        ident=ident,
        lineno_checksum=lineno,
        cfg_checksum=graph.cfg_checksum,
        counters=counters,
        coverage=Coverage(flow.entered, flow.arcs_total, flow.arcs_covered, flow.weight) if flow else None,
        artificial=graph.artificial,
        consistent=flow is None or flow.consistent,
        blocks=graph.blocks,
        graph=graph.arcs,
    )


def numbers(scope: identity.Scope, file: str, line: int, name: str, aux: str) -> tuple[int, int] | None:
    """The two numbers of a function for some paths; None where it is not known how they are made."""
    if scope == "fixed":
        return None
    public = scope == "public"
    ident = identity.public_ident(name) if public else identity.local_ident(file, name, aux)
    return ident, identity.lineno_checksum(file, line, name)


def _nameless(counts: Counts) -> Function:
    """A function of which no notes are known."""
    return Function(
        name=f"function {counts.ident:#x}",
        file="",
        line=0,
        scope="fixed",
        ident=counts.ident,
        lineno_checksum=counts.lineno_checksum,
        cfg_checksum=counts.cfg_checksum,
        counters=dict(counts.counters),
    )


def _steady(kind: int, values: tuple[int, ...]) -> tuple[int, ...]:
    """Lists of values with their counts in one order, whichever process was the first to see them."""
    if kind not in (TOPN, INDIRECT):
        return values
    out: list[int] = []
    for total, pairs in lists(values):
        ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        out += [total, len(pairs), *(number for pair in ordered for number in pair)]
    return tuple(out)


def _renumbered(functions: Iterable[Function], by: Mapping[int, int]) -> tuple[Function, ...]:
    return tuple(renumbered(function, by) for function in functions)


def renumbered(function: Function, by: Mapping[int, int]) -> Function:
    """A function whose callees go by other numbers.

    Args:
        function: the function.
        by: the new number for each old one; others stay.
    """
    if INDIRECT not in function.counters:
        return function
    out: list[int] = []
    for total, pairs in lists(function.counters[INDIRECT]):
        out += [total, len(pairs)]
        for value, count in pairs:
            out += [by.get(value, value), count]
    return replace(function, counters={**function.counters, INDIRECT: tuple(out)})


def _lend(found: Sequence[ObjectProfile]) -> Iterable[ObjectProfile]:
    """Give objects the counters of functions that the linker kept in another object only.

    Of an inline function or template of C++ every object has a copy, and one of them is in the module.
    Whoever inlines it in stage 2 needs what was counted there.
    """
    known: dict[tuple[int, int, int], Function] = {}
    for each in found:
        for function in each.functions:
            if function.scope == "public" and function.counters:
                place = (function.ident, function.lineno_checksum, function.cfg_checksum)
                if place not in known or _weight(known[place]) < _weight(function):
                    known[place] = function
    for each in found:
        yield replace(each, functions=tuple(_lent(function, known) for function in each.functions))


def _weight(function: Function) -> int:
    return function.coverage.weight if function.coverage else 0


def _lent(function: Function, known: Mapping[tuple[int, int, int], Function]) -> Function:
    if function.counters or function.scope != "public":
        return function
    other = known.get((function.ident, function.lineno_checksum, function.cfg_checksum))
    return replace(function, counters=other.counters, lent=True) if other else function


def take_away(*folders: Path) -> None:
    """Remove what a stage has left behind."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
