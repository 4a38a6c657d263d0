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
        *("--param", "-l", "-e", "-isysroot", "--sysroot", "-aux-info"),
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
    given = _parse(words)
    linked = not {"-c", "-S"} & set(words)
    for source in given.sources:
        aux = _linked_aux(source, given) if linked else _aux(source, given.output)
        beside = note.with_suffix(".gcno")
        yield Compile(
            place=place,
            cwd=cwd,
            aux=aux,
            source=source,
            flags=tuple(flag for flag in given.flags if flag not in own and not flag.startswith(_DATED)),
            notes=beside if len(given.sources) == 1 else cwd / f"{aux}.gcno",
            # Of what the preprocessor notes there, the source itself is no part.
            headers=tuple(dict.fromkeys([os.path.normpath(cwd / source), *headers])),
            said=said,
            order=note.stat().st_mtime_ns,
        )


@dataclass(frozen=True, slots=True)
class _Command:
    """What a compiler was told: sources, how many inputs in all, the output, the options of code."""

    sources: tuple[str, ...]
    inputs: int
    output: str
    flags: tuple[str, ...]


def _parse(words: Sequence[str]) -> _Command:
    inputs: list[str] = []
    output = ""
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
        else:
            inputs.append(word)
    sources = tuple(word for word in inputs if _SOURCE.search(word))
    return _Command(sources, len(inputs), output, tuple(flags))


def _aux(source: str, output: str) -> str:
    """GCC's name for files beside the object ("Overall Options", `-dumpbase`, in GCC's manual)."""
    if not output:
        return PurePosixPath(source).stem
    head, slash, name = output.rpartition("/")
    base, dot, _ = name.rpartition(".")
    return f"{head}{slash}{base if dot else name}"


def _linked_aux(source: str, given: _Command) -> str:
    """The same where the compiler links too: the program's name and the source's, once if they are one."""
    stem = PurePosixPath(source).stem
    head, slash, name = given.output.rpartition("/")
    base = "a" if name in ("", "a.out") else name.removesuffix(".exe") or name
    if given.inputs == 1 and base == stem:
        return f"{head}{slash}{base}"
    return f"{head}{slash}{base}-{stem}"
