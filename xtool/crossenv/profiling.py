"""What the compilers' wrappers do in the two stages of a profile-guided build.

Every compile keeps its counters in a folder of its own project's place: where the compiler was started, below
the project, below the folder for temporary files (whose first part has a random name), or elsewhere. So the
file of an object is found again by a compile of the same object elsewhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from xtool.crossenv.environment import CrossEnv

SOURCE, TEMPORARY, ELSEWHERE = "@source", "@tmp", "@other"
"""Names of the places that compilers are started in."""

COUNTING = ("-fprofile-update=atomic", "-fprofile-reproducible=parallel-runs")
"""Counters of several threads are added up; what depends on the order in which processes end is not used."""

_USING = (
    "-fprofile-reproducible=parallel-runs",
    # What was not trained is compiled as without a profile, not for size.
    "-fprofile-partial-training",
    "-Wmissing-profile",
    "-Wcoverage-mismatch",
    "-Wno-error=missing-profile",
    "-Wno-error=coverage-mismatch",
)


@dataclass(frozen=True, slots=True)
class Profiling:
    """One stage of a profile-guided build.

    Args:
        stage: `generate` counts, `use` optimises by what was counted.
        folder: where counters are written, or read from.
        project: the project's folder.
        training: object files and libraries that everything is linked with in stage 1.
        before: called with the cross environment before anything is compiled.
    """

    stage: Literal["generate", "use"]
    folder: Path
    project: Path
    training: tuple[Path, ...] = ()
    before: Callable[[CrossEnv], None] | None = None

    def compile_script(self, temporary: Path) -> str:
        """Shell commands of the wrapper: note the compile, and add the options of the stage.

        They may use `trace`, `id`, `object`, `own` and `sources` of the wrapper.

        Args:
            temporary: the folder for temporary files.
        """
        folder, project, tmp = (shlex.quote(str(path)) for path in (self.folder, self.project, temporary))
        options = COUNTING if self.stage == "generate" else _USING
        script = _PLACE.format(project=project, tmp=tmp, names=(SOURCE, TEMPORARY, ELSEWHERE))
        if self.stage == "generate":
            script += _NOTES
        else:
            script += _LOUD
        return _COMPILE.format(
            script=_indented(script),
            stage=self.stage,
            folder=folder,
            options=shlex.join(options),
        )

    def link_script(self) -> str:
        """Shell commands of the wrapper for a link: add what counted code needs."""
        if self.stage == "use":
            return ""
        parts = shlex.join(map(str, self.training))
        bare = f'  if [ -z "$bare" ]; then set -- "$@" {parts}; fi\n' if parts else ""
        return f'{bare}  set -- "$@" -fprofile-generate\n'

    @property
    def keeps_errors(self) -> bool:
        """Whether what compilers say is kept with their notes."""
        return self.stage == "use"


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


_COMPILE = r"""if [ -n "$source" ] && [ "$object" != no ] && [ "$own" != print ]; then
{script}  set -- "$@" -fprofile-{stage}={folder}/"$place" -fprofile-prefix-path="$PWD" {options}
fi
"""

_PLACE = r"""case $PWD in
  {project}|{project}/*) place={names[0]}${{PWD#{project}}} ;;
  {tmp}/*/*) place=${{PWD#{tmp}/*/}}; place={names[1]}/$place ;;
  {tmp}/*) place={names[1]} ;;
  *) place={names[2]}$PWD ;;
esac
printf '%s\0' "$place" "$@" >"$trace/$id.cmd"
"""

# One file of notes beside the trace's where there is one object; GCC's own place otherwise.
_NOTES = r"""set -- "$@" -ftest-coverage
if [ "$sources" = 1 ]; then set -- "$@" "-fprofile-note=$trace/$id.gcno"; fi
"""

# -w would keep back what is said of profiles.
_LOUD = r"""count=$#
while [ "$count" -gt 0 ]; do
  word=$1; shift; count=$((count - 1))
  if [ "$word" != -w ]; then set -- "$@" "$word"; fi
done
"""

RUN = r"""run() {
  "$real" "$@" 2>"$trace/$id.err"
  set -- $?
  if [ -s "$trace/$id.err" ]; then cat -- "$trace/$id.err" >&2; fi
  return "$1"
}
"""
"""A shell function that runs the compiler and keeps what it says."""
