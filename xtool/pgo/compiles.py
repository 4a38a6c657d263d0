"""What the compilers of a build left behind for profiles: the wrappers' notes, read."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from xtool.crossenv.trace import dependencies

_SOURCE = re.compile(r"\.([cCfFmi]|cc|cpp|cxx|c\+\+|CPP|f90|F90)$")
_TAKES_VALUE = frozenset(
    (
        *("-o", "-MF", "-MT", "-MQ", "-include", "-imacros", "-I", "-L", "-B", "-isystem", "-idirafter"),
        *("-iquote", "-Xlinker", "-Xassembler", "-Xpreprocessor", "-T", "-u", "-z", "-x", "-D", "-U"),
        "--param",
    )
)
_OF_CODE = re.compile(r"-(O|f(?!profile-|file-prefix-map|debug-|macro-prefix-map|diagnostics)|m|D|U|std=)")

_DATED = "-D__TIMESTAMP__="


@dataclass(frozen=True, slots=True)
class Compile:
    """One source that a compiler was given.

    Args:
        place: the place that the compiler was started in (`@source/sub`).
        cwd: the folder that it was started in.
        aux: GCC's name for files beside the object: its path, as told, without its suffix.
        source: the source, as told.
        flags: the options that decide what code comes out.
        notes: its `.gcno` file, or where it would be.
        headers: what it read, the source included; absolute, links not resolved.
        said: what the compiler said, where that was kept.
        order: when it was started, in nanoseconds since the epoch.
    """

    place: str
    cwd: Path
    aux: str
    source: str
    flags: tuple[str, ...]
    notes: Path
    headers: tuple[str, ...]
    said: str
    order: int

    @property
    def key(self) -> str:
        """What tells its object from others, in this build: `@source/build/temp/foo`."""
        return self.aux if self.aux.startswith("/") else f"{self.place}/{self.aux}"

    def data_file(self, folder: Path) -> Path:
        """Where the compiler has its counters written to, or reads them from.

        Args:
            folder: that of all counters.
        """
        return data_file(folder, self.place, self.aux)


def data_file(folder: Path, place: str, aux: str) -> Path:
    """The `.gcda` file of an object (`coverage_init` in `gcc/coverage.cc`).

    Args:
        folder: that of all counters.
        place: the place that the compiler was started in.
        aux: GCC's name for files beside the object.
    """
    if aux.startswith("/"):
        return folder / place / f"{aux[1:]}.gcda"
    return folder / place / f"{_mangled(aux)}.gcda"


def _mangled(path: str) -> str:
    return "#".join("^" if part == ".." else part for part in path.split("/"))


def read_compiles(trace: Path, own: Collection[str] = ()) -> tuple[Compile, ...]:
    """Read what the wrappers noted of each compile.

    Args:
        trace: their folder.
        own: options that wrappers add for the target, which are no choice of the project's.
    """
    return tuple(each for note in sorted(trace.glob("*.cmd")) for each in _read(note, own))


def _read(note: Path, own: Collection[str]) -> Iterator[Compile]:
    place, *words = note.read_bytes().decode("utf-8", "surrogateescape").rstrip("\0").split("\0")
    first, _, rest = note.with_suffix(".d").read_text("utf-8", "surrogateescape").partition("\n")
    cwd = Path(first.removeprefix("# "))
    headers = [os.path.normpath(cwd / name) for name in dependencies(rest)]
    errors = note.with_suffix(".err")
    said = errors.read_text("utf-8", "replace") if errors.is_file() else ""
    sources, output, flags = _parse(words)
    for source in sources:
        aux = _aux(source, output, linked="-c" not in words, several=len(sources) > 1)
        beside = note.with_suffix(".gcno")
        yield Compile(
            place=place,
            cwd=cwd,
            aux=aux,
            source=source,
            flags=tuple(flag for flag in flags if flag not in own and not flag.startswith(_DATED)),
            notes=beside if len(sources) == 1 else cwd / f"{aux}.gcno",
            # Of what the preprocessor notes there, the source itself is no part.
            headers=tuple(dict.fromkeys([os.path.normpath(cwd / source), *headers])),
            said=said,
            order=note.stat().st_mtime_ns,
        )


def _parse(words: Sequence[str]) -> tuple[list[str], str, tuple[str, ...]]:
    """Sources, output and the options of code of a command line."""
    sources, output = [], ""
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _TAKES_VALUE:
            value = next(rest, "")
            if word == "-o":
                output = value
            elif word in ("-D", "-U", "--param"):
                flags += [word, value]
        elif word.startswith("-o") and len(word) > 2 and word != "-openmp":
            output = word[2:]
        elif word.startswith("-"):
            flags += [word] if _OF_CODE.match(word) else []
        elif _SOURCE.search(word):
            sources.append(word)
    return sources, output, tuple(flags)


def _aux(source: str, output: str, *, linked: bool, several: bool) -> str:
    """GCC's name for files beside an object ("Overall Options", `-dumpbase`, in GCC's manual)."""
    stem = PurePosixPath(source).stem
    if linked:
        return f"{output}-{stem}" if output else f"a-{stem}" if several else stem
    if not output:
        return stem
    head, slash, name = output.rpartition("/")
    base, dot, _ = name.rpartition(".")
    return f"{head}{slash}{base if dot else name}"
