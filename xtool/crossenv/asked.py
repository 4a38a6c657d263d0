"""What builds ask about libraries, answered from the sysroot: pkg-config, `*-config`, configure's site file.

The programs lie in the folder of the compiler wrappers, first on PATH, so that a build gets the sysroot's
answers and never the host's. pkg-config comes with the toolchain; hosts need none.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.crossenv.wrappers import write_script

if TYPE_CHECKING:
    from xtool.kit import Kit, TargetPython
    from xtool.sysrootrules import ConfigTool, Rules

PKG_CONFIG = "pkg-config"


def pkgconfig_folders(kit: Kit) -> tuple[Path, ...]:
    """Where pkg-config may look for packages of the target."""
    usr = kit.sysroot.path / "usr"
    return (
        usr / "lib" / "pkgconfig",
        usr / "lib" / kit.target.multiarch / "pkgconfig",
        usr / "lib64" / "pkgconfig",
        usr / "share" / "pkgconfig",
    )


def write_programs(kit: Kit, rules: Rules, bindir: Path) -> None:
    """Write `pkg-config` under its names, and every `*-config` program that is known.

    A program whose library the sysroot lacks is written as well: it says so and fails, where the host's would
    answer for another machine.

    Args:
        kit: the kit.
        rules: the `*-config` programs.
        bindir: folder of the compiler wrappers.
    """
    bindir.mkdir(parents=True, exist_ok=True)
    script = _pkgconfig_script(kit.toolchain.bindir / "pkgconf", pkgconfig_folders(kit), kit.sysroot.path)
    for name in (PKG_CONFIG, "pkgconf"):
        for prefix in ("", f"{kit.target.triplet}-"):
            write_script(bindir / f"{prefix}{name}", script)
    for tool in rules.tools:
        library = rules.library_of_module(tool.module) or rules.library_of_tool(tool.name)
        package = library.package(kit.sysroot.kind) if library else ""
        write_script(bindir / tool.name, _config_script(tool, bindir / PKG_CONFIG, kit, package))


def write_runner(kit: Kit, python: TargetPython, bindir: Path) -> str:
    """Write a program that runs its arguments: the target's programs under the emulator, others as they are.

    Some projects test the C library that they bundle while they build it (`make check`); automake's test
    driver starts each test through LOG_COMPILER.

    Returns:
        Its name.
    """
    name = f"{kit.target.triplet}-run"
    libraries = kit.sysroot.path / "usr" / "lib" / kit.target.multiarch
    command = emulator_command(kit, python)
    command += ["-E", f"LD_LIBRARY_PATH={libraries}"] if libraries.is_dir() else []
    write_script(
        bindir / name,
        f"""\
#!/bin/sh
# Written by xtool: runs a program of the target under the emulator, and any other as it is.
# Bytes 0 to 3 of an ELF file are its magic, 18 and 19 its machine; /proc/self/exe is od, one of the host's.
if [ -f "$1" ] && [ "$(od -An -tx1 -N4 -- "$1")" = " 7f 45 4c 46" ] &&
   [ "$(od -An -tx1 -j18 -N2 -- "$1")" != "$(od -An -tx1 -j18 -N2 /proc/self/exe)" ]; then
  exec {shlex.join(command)} "$@"
fi
exec "$@"
""",
    )
    return name


def emulator_command(kit: Kit, python: TargetPython) -> list[str]:
    """The command that runs a program of the target."""
    return [str(kit.emulator.executable), "-cpu", kit.emulator.cpu, "-L", str(python.root)]


def config_site(kit: Kit, rules: Rules) -> str:
    """The file that CONFIG_SITE names (Autoconf's manual, "Setting Site Defaults").

    A configure script that a build starts without `--host` would believe that it compiles for this machine,
    and run what it compiled. It reads this file after it has looked at its options and before it asks
    anything, so what `--build` and `--host` would have set is set here. One that was started with another
    compiler, for a program that the build runs, is left alone.
    """
    triplet = kit.target.triplet
    answers = "\n".join(f"    : ${{{name}={value}}}" for name, value in sorted(rules.answers.items()))
    return f"""\
# Written by xtool: what configure scripts are told of a cross build for {kit.target.name}.
case ${{CC-}} in
  {triplet}-* | */{triplet}-*)
    if test "x${{host_alias-}}" = x; then
      build_alias={kit.host.triplet}
      host_alias={triplet}
      ac_tool_prefix={triplet}-
      cross_compiling=yes
    fi
{answers}
    ;;
esac
"""


def _pkgconfig_script(pkgconf: Path, folders: Sequence[Path], sysroot: Path) -> str:
    return f"""\
#!/bin/sh
# Written by xtool: pkg-config that sees the sysroot, and nothing else.
unset PKG_CONFIG_PATH PKG_CONFIG_ALLOW_SYSTEM_CFLAGS PKG_CONFIG_ALLOW_SYSTEM_LIBS PKG_CONFIG_TOP_BUILD_DIR
PKG_CONFIG_LIBDIR={shlex.quote(os.pathsep.join(map(str, folders)))}
PKG_CONFIG_SYSROOT_DIR={shlex.quote(str(sysroot))}
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
exec {shlex.quote(str(pkgconf))} "$@"
"""


_CONFIG_TEMPLATE = r"""#!/bin/sh
# Written by xtool: {name}, answered from the sysroot's {module}.pc.
ask() {{ {pkgconfig} "$@" {module}; }}
if ! ask --exists; then
  echo "xtool: error: {name} was asked, but {module} is not in the sysroot{cure}" >&2
  exit 1
fi
version=$(ask --modversion)
prefix={sysroot}/usr
# Variables stand for places on the target; some files name them with the sysroot already.
place() {{
  found=$(ask --variable="$1")
  case $found in
    {sysroot}/*|'') printf '%s\n' "$found" ;;
    *) printf '%s%s\n' {sysroot} "$found" ;;
  esac
}}
includedir=$(place includedir)
libdir=$(place libdir)
static=
for word do
  if [ "$word" = --static ]; then static=--static; fi
done
for word do
  case $word in
{answers}    --version) printf '%s\n' {version} ;;
    --modversion) printf '%s\n' "$version" ;;
    --cflags*|--include-dirs) ask --cflags ;;
    --static-libs) ask --libs --static ;;
    --libs|--libs-only*|--libs_r|--ldflags) ask --libs $static ;;
    --prefix|--exec-prefix) printf '%s\n' "$prefix" ;;
    --includedir) printf '%s\n' "$includedir" ;;
    --libdir) printf '%s\n' "$libdir" ;;
    --static|--dynamic|--shared|--prefix=*|--exec-prefix=*) ;;
    --*) echo "xtool: error: {name} $word is not known" >&2; exit 1 ;;
  esac
done
"""


def _config_script(tool: ConfigTool, pkgconfig: Path, kit: Kit, package: str) -> str:
    answers = [f"    {word}) printf '%s\\n' {_filled(text)} ;;\n" for word, text in tool.answers.items()]
    return _CONFIG_TEMPLATE.format(
        name=tool.name,
        module=tool.module,
        pkgconfig=shlex.quote(str(pkgconfig)),
        sysroot=shlex.quote(str(kit.sysroot.path)),
        cure=f"; --sysroot-package {package} brings it" if package else "",
        version=_filled(tool.version),
        answers="".join(answers),
    )


_KNOWN = ("version", "prefix", "includedir", "libdir")


def _filled(text: str) -> str:
    """A shell word where `{version}`, `{libdir}`, ... are the script's variables, others the module's own."""
    parts = []
    for piece in re.split(r"(\{\w+\})", text):
        name = piece[1:-1]
        if not re.fullmatch(r"\{\w+\}", piece):
            parts.append(shlex.quote(piece) if piece else "")
        elif name in _KNOWN:
            parts.append(f'"${name}"')
        else:
            # Some files put a list in quotes.
            parts.append(f'"$(ask --variable={name} | tr -d \'"\')"')
    return "".join(parts) or "''"
