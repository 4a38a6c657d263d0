"""Wrappers round the cross compiler: small POSIX sh scripts that no project can talk out of the sysroot.

Environment variables reach only those who read them; a wrapper is in the way of everyone who starts the
compiler. Each one passes the sysroot and the target's flags, drops options that point at the host (as
Buildroot's toolchain wrapper does with its "unsafe header/library path"), and has the compiler and the linker
write down what they opened, which `xtool.crossenv.trace` judges after the build.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.kit import Toolchain

if TYPE_CHECKING:
    from xtool.crossenv.compilercache import CompilerCache
    from xtool.crossenv.profiling import Profiling

_DRIVER = re.compile(r"(?P<kind>gcc|g\+\+|cc|c\+\+|cpp|gfortran)(-[0-9.]+)?")
"""Tools that read sources; every other tool works on what it is given and needs no wrapper."""

HOST_PATHS = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sw", "/snap", "/nix", "/gnu")
"""Where hosts keep their own headers and libraries."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which absolute paths a compiler may be pointed at.

    Args:
        allowed: folders that may always be used.
        denied: folders that may not, unless they are in an allowed one; None denies all others.
    """

    allowed: tuple[Path, ...]
    denied: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WrapperSpec:
    """What the wrappers of one cross environment have in common.

    Args:
        toolchain: whose tools are wrapped.
        sysroot: the folder passed as `--sysroot`.
        cflags: the target's flags, passed to every compile and link.
        ldflags: the target's linker flags, passed to every link.
        prefix_maps: folders and the names that stand for them in what the compiler writes.
        policy: which paths are the host's.
        trace: folder for the notes of what was opened; None for no notes.
        cache: what compiles go through that leave notes, or None.
        timestamp: what `__TIMESTAMP__` stands for in C and C++; None for the time of each source file.
        plain_names: name the tools without the triplet too (`gcc`, `ld`): for a target that is the host's own
            machine, where nothing would tell what the host's compiler made from what this one makes.
        profiling: the stage of a profile-guided build, or None.
        temporary: the build's folder for temporary files, with `profiling`.
    """

    toolchain: Toolchain
    sysroot: Path
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    prefix_maps: tuple[tuple[Path, str], ...]
    policy: Policy
    trace: Path | None
    cache: CompilerCache | None = None
    timestamp: str | None = None
    plain_names: bool = False
    profiling: Profiling | None = None
    temporary: Path | None = None


def write_wrappers(spec: WrapperSpec, folder: Path) -> None:
    """Fill a folder with a command for each tool of the toolchain, under the tool's own name.

    There is no `gcc`, `cc` or `ld` among them: those names stay the host's, because a build may need to
    compile programs that it runs. What such a compiler makes by mistake does not pass for the target's: its
    ELF header gives it away (`xtool.wheel.judge`). Where it would not (`plain_names`), the host runs what
    the wrappers make.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{spec.toolchain.triplet}-"
    names = {path.name.removeprefix(prefix): path for path in spec.toolchain.bindir.glob(f"{prefix}*")}
    for alias, original in (("cc", "gcc"), ("c++", "g++")):
        if original in names:
            names.setdefault(alias, names[original])
    for name, tool in sorted(names.items()):
        driver = _DRIVER.fullmatch(name)
        if driver:
            write_script(folder / f"{prefix}{name}", _driver_script(spec, tool, driver["kind"]))
        elif name in ("ld", "ld.bfd", "ld.gold"):
            write_script(folder / f"{prefix}{name}", _linker_script(spec, tool))
        else:
            _link(folder / f"{prefix}{name}", tool)
        if spec.plain_names:
            _link(folder / name, Path(f"{prefix}{name}"))


def _link(path: Path, to: Path) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.symlink_to(to)
    new.replace(path)


def write_script(path: Path, text: str) -> None:
    """Write an executable script, whole or not at all."""
    # A lasting environment may be in use while it is written again.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o755)
    new.replace(path)


def _quote(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _patterns(folders: Sequence[str | Path]) -> str:
    """`case` patterns for everything in some folders, and the folders themselves."""
    return "|".join(f"{shlex.quote(str(folder))}|{shlex.quote(str(folder))}/*" for folder in folders)


def _is_host(policy: Policy) -> str:
    """Body of the `host_path` function: succeeds for a path of the host."""
    lines = []
    if policy.allowed:
        lines.append(f"    {_patterns(policy.allowed)}) return 1 ;;")
    if policy.denied is None:
        lines.append("    /*) return 0 ;;")
    else:
        lines.append(f"    {_patterns(policy.denied)}) return 0 ;;")
    return "\n".join(lines)


# Words are looked at one by one in a first pass without forks or copies; only a command that has something to
# drop pays for a second one. Descriptor 9 carries the note's file because the variable that names it to the
# preprocessor ends at the first space of its value.
_DRIVER_TEMPLATE = r"""#!/bin/sh
# Written by xtool: the cross compiler, tied to its sysroot.
# Without a locale it opens none of the host's locale and conversion files.
LC_ALL=C
export LC_ALL
real={real}
host_path() {{
  case $1 in
{is_host}
  esac
  return 1
}}
note() {{ {note}; }}
judge() {{
  case $1 in
    -I?*) ! host_path "${{1#-I}}" ;;
    -L?*) ! host_path "${{1#-L}}" ;;
    -B?*) ! host_path "${{1#-B}}" ;;
    -isystem?*) ! host_path "${{1#-isystem}}" ;;
    -idirafter?*) ! host_path "${{1#-idirafter}}" ;;
    -iquote?*) ! host_path "${{1#-iquote}}" ;;
    -Wl,-L*,*) ;;
    -Wl,-L?*) ! host_path "${{1#-Wl,-L}}" ;;
    -march=native|-mcpu=native|-mtune=native) return 1 ;;
    --sysroot=*|-isysroot?*) return 1 ;;
  esac
}}
link={link}; own=; ownfile=; output=; linkfile=; source=; sources=; drop=; before=; object=; bare=
for word do
  case $before in
    -I|-L|-B|-isystem|-idirafter|-iquote) if host_path "$word"; then drop=1; fi; before=; continue ;;
    --sysroot|-isysroot) drop=1; before=; continue ;;
    -o) output=$word; before=; continue ;;
    -MF) ownfile=$word; before=; continue ;;
    skip) before=; continue ;;
  esac
  case $word in
    -I|-L|-B|-isystem|-idirafter|-iquote|--sysroot|-isysroot|-o|-MF) before=$word ;;
    -include|-imacros|-MT|-MQ|-Xlinker|-Xassembler|-Xpreprocessor|-T|-u|-z|-x|-D|-U) before=skip ;;
    -c) link=; object=${{object:-1}} ;;
    -S|-E|-fsyntax-only) link=; object=no ;;
    -M|-MM) link=; own=print ;;
    -MD|-MMD) own=file ;;
    -MF?*) ownfile=${{word#-MF}} ;;
    -o?*) output=${{word#-o}} ;;
    -Wp,-M*) own=wp; ownfile=${{word##*,}} ;;
    -r|-static|-nostdlib|-nodefaultlibs) bare=1 ;;
    -Wl,*--dependency-file=*) linkfile=${{word##*--dependency-file=}}; linkfile=${{linkfile%%,*}} ;;
    -*) judge "$word" || drop=1 ;;
    /*.a|/*.so|/*.so.*|/*.o)
      if host_path "$word"; then
        note refused "$word"
        echo "xtool: error: $word belongs to the host and cannot be linked for {target}" >&2
        exit 1
      fi ;;
    *.[cCfFmi]|*.cc|*.cpp|*.cxx|*.c++|*.CPP|*.f90|*.F90) source=$word; sources=1$sources ;;
  esac
done
if [ -n "$drop" ]; then
  before=
  for word do
    shift
    case $before in
      -I|-L|-B|-isystem|-idirafter|-iquote)
        if host_path "$word"; then note skipped "$before $word"; else set -- "$@" "$before" "$word"; fi
        before=; continue ;;
      --sysroot|-isysroot) note skipped "$before $word"; before=; continue ;;
      skip) set -- "$@" "$word"; before=; continue ;;
    esac
    case $word in
      -I|-L|-B|-isystem|-idirafter|-iquote|--sysroot|-isysroot) before=$word ;;
      -include|-imacros|-MT|-MQ|-MF|-o|-Xlinker|-Xassembler|-Xpreprocessor|-T|-u|-z|-x|-D|-U)
        set -- "$@" "$word"; before=skip ;;
      *) if judge "$word"; then set -- "$@" "$word"; else note skipped "$word"; fi ;;
    esac
  done
fi
set -- {flags} "$@"
{tail}"""

_PLAIN_TAIL = r"""if [ -n "$link" ]; then exec "$real" {ldflags} "$@"; fi
exec "$real" "$@"
"""

# With -M options of its own the preprocessor ignores the variable: its own note is copied instead. -MMD would
# leave out headers that lie in system folders.
_TRACE_TAIL = r"""id=$$
while [ -e "$trace/$id.d" ]; do id=${{id}}x; done
exec 9>>"$trace/$id.d"
printf '# %s\n' "$PWD" >&9
if [ -n "$link" ]; then
  set -- {ldflags} -Xlinker "--dependency-file=$trace/$id.ld" "$@"
{profiled_link}fi
if [ "$own" = file ]; then
  count=$#
  while [ "$count" -gt 0 ]; do
    word=$1; shift; count=$((count - 1))
    if [ "$word" = -MMD ]; then word=-MD; fi
    set -- "$@" "$word"
  done
  if [ -z "$ownfile" ]; then
    ownfile=${{output:-${{source##*/}}}}
    case $ownfile in
      */*) base=${{ownfile##*/}}; ownfile=${{ownfile%/*}}/${{base%.*}}.d ;;
      *) ownfile=${{ownfile%.*}}.d ;;
    esac
  fi
fi
{profiled}{cached}SUNPRO_DEPENDENCIES=/proc/self/fd/9
export SUNPRO_DEPENDENCIES
{run}if [ -n "$ownfile" ] && [ -f "$ownfile" ]; then cat -- "$ownfile" >&9; fi
if [ -n "$linkfile" ] && [ -f "$linkfile" ]; then cat -- "$linkfile" >"$trace/$id.ld"; fi
exit 0
"""

_RUN = r"""if [ -z "$own" ] && [ -z "$linkfile" ]; then exec "$real" "$@"; fi
"$real" "$@" || exit $?
"""

# A cache keeps the compiler's note with the object, and knows nothing of the variable. It gives the object of
# an earlier compile only where every file of that note is what it was then. Without a note nothing is known
# of what was opened, so such a source is compiled once more.
_CACHED = r"""if [ "$object" = 1 ] && {{ [ -z "$own" ] || [ "$own" = file ]; }}; then
  if [ -z "$own" ]; then
    own=file
    ownfile=$trace/$id.dep
    set -- "$@" -MD -MF "$ownfile"
  fi
  rm -f -- "$ownfile"
{script}
  "$cache" "$real" "$@" || exit $?
  if [ -s "$ownfile" ]; then cat -- "$ownfile" >&9; exit 0; fi
fi
"""


def _driver_script(spec: WrapperSpec, tool: Path, kind: str) -> str:
    maps = [f"-ffile-prefix-map={folder}={name}" for folder, name in spec.prefix_maps]
    flags = [f"--sysroot={spec.sysroot}", *spec.cflags, *maps]
    if spec.timestamp is not None and kind != "gfortran":
        # GCC dates __DATE__ and __TIME__ by SOURCE_DATE_EPOCH, and this one by the file.
        flags += ["-Wno-builtin-macro-redefined", f'-D__TIMESTAMP__="{spec.timestamp}"']
    ldflags = _quote(spec.ldflags)
    if spec.trace is None:
        note, tail = ":", _PLAIN_TAIL.format(ldflags=ldflags)
    else:
        folder = shlex.quote(str(spec.trace))
        note = f'printf \'%s\\n\' "$2" >>{folder}/"$1"'
        # ccache takes no Fortran, and would ask the compiler for a note that it does not write.
        cached = "" if spec.cache is None or "fortran" in tool.name else _cached(spec, spec.cache)
        tail = f"trace={folder}\n" + _TRACE_TAIL.format(ldflags=ldflags, cached=cached, **_profiled(spec))
    return _DRIVER_TEMPLATE.format(
        real=shlex.quote(str(tool)),
        is_host=_is_host(spec.policy),
        note=note,
        link="" if kind == "cpp" else "1",
        target=spec.toolchain.triplet,
        flags=_quote(flags),
        tail=tail,
    )


def _profiled(spec: WrapperSpec) -> dict[str, str]:
    """The parts of the script that belong to a stage of a profile-guided build."""
    if spec.profiling is None or spec.temporary is None:
        return {"profiled": "", "profiled_link": "", "run": _RUN}
    from xtool.crossenv.profiling import RUN

    return {
        "profiled": spec.profiling.compile_script(spec.temporary),
        "profiled_link": spec.profiling.link_script(),
        "run": f'{RUN}run "$@" || exit $?\n' if spec.profiling.keeps_errors else _RUN,
    }


def prefix_maps(roots: Mapping[str, Iterable[Path]]) -> tuple[tuple[Path, str], ...]:
    """Folders, as they were named and with links resolved, and the names that stand for them.

    Args:
        roots: by what they are (`sysroot`, `source`), the folders that a compiler may open files in.
    """
    return tuple(
        (spelling, f"/xtool/{name}" + (f"-{index}" if index else ""))
        for name, group in roots.items()
        for index, item in enumerate(group)
        for spelling in dict.fromkeys((item, item.resolve()))
    )


def _cached(spec: WrapperSpec, cache: CompilerCache) -> str:
    # A build that puts a compiler cache in front of this script, too, must not be spared it and its notes.
    return f"# {secrets.token_hex(8)}\n" + _CACHED.format(script=cache.script(spec.toolchain))


def _linker_script(spec: WrapperSpec, tool: Path) -> str:
    """The linker started by hand; GCC starts its own and does not come by here."""
    lines = ["#!/bin/sh", "# Written by xtool: the cross linker, tied to its sysroot."]
    words = [f"--sysroot={spec.sysroot}"]
    note = ""
    if spec.trace is not None:
        lines += [f"trace={shlex.quote(str(spec.trace))}", 'printf \'# %s\\n\' "$PWD" >>"$trace/$$.ld.d"']
        note = ' "--dependency-file=$trace/$$.ld.ld"'
    lines.append(f'exec {shlex.quote(str(tool))} {_quote(words)}{note} "$@"')
    return "\n".join(lines) + "\n"
