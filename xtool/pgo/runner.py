"""A stand-in for the emulator where the target is the host's own machine: the same programs, run as they are.

It takes qemu-user's options, so that all that starts programs of the target can use it.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from xtool.crossenv.wrappers import write_script
from xtool.errors import UsageError
from xtool.kit import Emulator, Kit
from xtool.targets import same_machine

_SCRIPT = r"""#!/bin/sh
# Written by xtool: runs a program of the target with the target's own C library, without an emulator.
name=; root=; libraries=
while [ $# -gt 0 ]; do
  case $1 in
    -cpu) shift 2 ;;
    -L) root=$2; shift 2 ;;
    -E) case $2 in LD_LIBRARY_PATH=*) libraries=${{2#LD_LIBRARY_PATH=}} ;; esac; shift 2 ;;
    -0) name=$2; shift 2 ;;
    *) break ;;
  esac
done
program=$1; shift
for folder in "/lib/{multiarch}" "/usr/lib/{multiarch}" /lib64 /lib /usr/lib; do
  if [ -d "$root$folder" ]; then libraries=${{libraries:+$libraries:}}$root$folder; fi
done
exec "$root"{loader} --library-path "$libraries" --argv0 "${{name:-$program}}" "$program" "$@"
"""


def native(kit: Kit, folder: Path) -> Kit:
    """The kit with a runner in the emulator's place.

    Args:
        kit: the kit.
        folder: where the runner is written.

    Raises:
        UsageError: the target is another machine than this one.
    """
    if not same_machine(kit.host, kit.target):
        raise UsageError(
            f"`--pgo-native` runs the training on this machine, which cannot run code for {kit.target.name}",
            hint="leave it out: the training then runs under the emulator",
            code="not-native",
        )
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"run-{kit.target.name}"
    loader = shlex.quote(kit.target.dynamic_linker)
    write_script(script, _SCRIPT.format(multiarch=kit.target.multiarch, loader=loader))
    return replace(kit, emulator=Emulator(script, kit.emulator.cpu))
