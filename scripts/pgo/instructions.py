"""How many instructions a wheel takes for a workload, counted by qemu-user: the same number each time.

A count says less than a time, but it says it for machines that are not at hand. Starting the interpreter and
making the inputs is taken off: the difference between a run of N rounds and one of 2 N rounds is N rounds.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgo.timing import WorkloadFailedError, quiet_environment

_SOURCE = Path(__file__).parent / "count_instructions.c"


@dataclass(frozen=True)
class Counter:
    """Counts instructions.

    Args:
        qemu: a qemu-user of the target that takes `-plugin`.
        cpu: its processor model.
        root: the target's root folder.
        python: the target's interpreter.
        folder: a folder for the plugin and for what it writes.
    """

    qemu: Path
    cpu: str
    root: Path
    python: Path
    folder: Path

    def check(self) -> str:
        """Make the plugin, and see to it that the emulator loads it.

        Returns:
            The emulator's version.

        Raises:
            WorkloadFailedError: it cannot load plugins, or there is no compiler.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        said = _run([str(self.qemu), "-help"], {}) + _run([str(self.qemu), "-version"], {})
        if "QEMU_PLUGIN" not in said:
            raise WorkloadFailedError(
                f"{self.qemu} takes no plugins (a static one cannot); the one of Debian 12 does"
            )
        command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", str(_SOURCE)]
        _run([*command, "-o", str(self._plugin)], {"PATH": os.environ["PATH"]})
        return next(line for line in said.splitlines() if " version " in line)

    def rounds(self, script: Path, site: Path, count: int) -> dict[str, float]:
        """Instructions of one round of a workload, by the file that they are in.

        Args:
            script: an evaluation script.
            site: the wheel, unpacked.
            count: N.

        Raises:
            WorkloadFailedError: the workload failed.
        """
        once, twice = (self._run(script, site, times) for times in (count, 2 * count))
        return {
            name: (twice.get(name, 0) - once.get(name, 0)) / count
            for name in sorted(once.keys() | twice.keys())
        }

    @property
    def _plugin(self) -> Path:
        return self.folder / "count_instructions.so"

    def _run(self, script: Path, site: Path, rounds: int) -> dict[str, int]:
        out = self.folder / "counts.txt"
        out.unlink(missing_ok=True)
        # Addresses and random numbers always the same. The emulator loads its own libraries as the host does.
        command = ["setarch", "-R", str(self.qemu), "-seed", "1", "-cpu", self.cpu, "-L", str(self.root)]
        command += ["-plugin", f"{self._plugin},out={out}", str(self.python), str(script), str(rounds)]
        _run(command, quiet_environment(site))
        lines = out.read_text(encoding="utf-8").splitlines()
        return {path: int(number) for number, path in (line.split(" ", 1) for line in lines)}


def own_and_all(counts: Mapping[str, float], site: Path) -> tuple[float, float]:
    """Instructions in a wheel's own files, and in all files."""
    own = sum(number for path, number in counts.items() if Path(path).is_relative_to(site))
    return own, sum(counts.values())


def _run(command: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WorkloadFailedError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
