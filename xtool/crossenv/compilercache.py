"""ccache and sccache: compilers that the user has put in front of compilers, for those of the toolchain too.

The cache is the user's own, with the user's own limits. What would make a build differ from one without it,
or keep what was opened from being known, is set here: see `docs/decisions/0015-compiler-caches.md`.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xtool import proc
from xtool.context import Context
from xtool.errors import UsageError
from xtool.kit import Toolchain

KINDS = ("ccache", "sccache")
"""What `auto` looks for, in this order."""

_CCACHE = {
    # Paths as they are: rewritten ones would show in what `__FILE__` stands for.
    "CCACHE_BASEDIR": "",
    "CCACHE_SLOPPINESS": "",
    # The compiler is the one that is named, and runs on this machine.
    "CCACHE_COMPILER": "",
    "CCACHE_PREFIX": "",
    "CCACHE_PREFIX_CPP": "",
    # The source is compiled, not what the preprocessor made of it.
    "CCACHE_CPP2": "true",
}


@dataclass(frozen=True, slots=True)
class CompilerCache:
    """A compiler cache of this machine.

    Args:
        kind: `ccache` or `sccache`.
        program: its path.
        temporary: the user's own folder for temporary files.
    """

    kind: str
    program: Path
    temporary: str = ""

    def script(self, toolchain: Toolchain) -> str:
        """Shell commands that set what the cache is to know, and the variable `cache` to its program."""
        lines = [f"cache={shlex.quote(str(self.program))}"]
        if self.kind == "ccache":
            # Files of the store have no times of their own; their folder is named by what they are made of.
            values = {**_CCACHE, "CCACHE_COMPILERCHECK": f"string:{toolchain.path.name}"}
            lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
        elif self.temporary:
            # A server that this compile starts lives on when the folder of the build is gone.
            lines.append(f"export TMPDIR={shlex.quote(self.temporary)}")
        else:
            lines.append("unset TMPDIR")
        return "\n".join(f"  {line}" for line in lines)


def find(ctx: Context) -> CompilerCache | None:
    """The compiler cache to use: the one that is asked for, or the first that is installed; None for none.

    Raises:
        UsageError: one is asked for that is not there.
    """
    wanted = ctx.settings.compiler_cache
    if wanted == "none":
        return None
    for kind in KINDS if wanted == "auto" else (wanted,):
        found = shutil.which(kind, path=ctx.environ.get("PATH", os.defpath))
        if wanted == "auto" and _is_disabled(kind, ctx.environ):
            continue
        if found is not None:
            return CompilerCache(kind, Path(found).resolve(), ctx.environ.get("TMPDIR", ""))
    if wanted != "auto":
        raise UsageError(
            f"there is no `{wanted}` on PATH",
            hint="install it, or leave `--compiler-cache` to `auto`, which takes what is there",
            code="no-compiler-cache",
        )
    return None


def _is_disabled(kind: str, environ: Mapping[str, str]) -> bool:
    return kind == "ccache" and bool(environ.get("CCACHE_DISABLE"))


def start(ctx: Context, cache: CompilerCache) -> None:
    """Start sccache's server from here: one that a compile starts would have that build's environment."""
    if cache.kind == "sccache":
        proc.run([cache.program, "--start-server"], log=ctx.log, env=dict(ctx.environ), check=False)
