"""The wheels and profiles that the evidence is taken from: each built once by `xtool build`, and kept."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xtool.catalog import default_root
from xtool.pgo import archive
from xtool.pgo.profile import Profile

PYTHON = "3.13"
NATIVE = "x86_64"
WORKLOADS = Path(__file__).parent / "workloads"

PACKAGES = {
    "ujson": "5.11.0",
    "regex": "2025.11.3",
    "msgpack": "1.1.2",
    "httptools": "0.9.0",
    "zstandard": "0.25.0",
}
"""Package -> version. Each has a training and an evaluation script in `workloads/`."""

KINDS = {
    "plain": "no profile",
    "native": "trained on this machine",
    "native-again": "the same once more, as a control",
    "still": "trained on this machine, with memory always at the same addresses",
    "still-again": "the same once more",
    "qemu": "trained under qemu-user",
    "qemu-baseline": "trained under qemu-user with the processor of the wheels' baseline",
    "from-s390x": "with the profile that s390x was trained for: 64 bits, big-endian",
}
"""Kinds of builds."""


class BuildFailedError(Exception):
    """A build that the evidence needs did not go well."""


@dataclass(frozen=True)
class Built:
    """One build.

    Args:
        folder: where everything of it lies.
        package: what was built.
        target: what for.
        kind: how; see `KINDS`.
        data: what `xtool build --output json` said of the wheel.
    """

    folder: Path
    package: str
    target: str
    kind: str
    data: dict[str, Any] = field(repr=False)

    @property
    def wheel(self) -> Path:
        """The wheel."""
        return self.folder / Path(self.data["path"]).name

    @property
    def site(self) -> Path:
        """The wheel, unpacked."""
        place = self.folder / "site"
        if not place.is_dir():
            with zipfile.ZipFile(self.wheel) as wheel:
                wheel.extractall(place)
        return place

    @property
    def profile(self) -> Profile:
        """What was counted."""
        (profile,) = archive.read(self.folder / "profile.zip")
        return profile

    @property
    def modules(self) -> dict[str, bytes]:
        """The extension modules, by name."""
        with zipfile.ZipFile(self.wheel) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if re.search(r"\.so(\.|$)", name)}

    @property
    def training_seconds(self) -> float:
        """How long the training command took."""
        return float(self.data["pgo"]["training"]["seconds"])

    @property
    def seconds(self) -> float:
        """Processor time of the whole build; on a busy machine the clock says little."""
        return float(self.data["processor"])


@dataclass(frozen=True)
class Shop:
    """Where builds are kept.

    Args:
        folder: everything lies below it.
        jobs: how much one build may run at once.
    """

    folder: Path
    jobs: int = 1

    def build(self, package: str, target: str, kind: str) -> Built:
        """Build a package, or take what an earlier run has left.

        Raises:
            BuildFailedError: it failed.
        """
        folder = self.folder / "builds" / package / f"{target}-{kind}"
        record = folder / "build.json"
        if not record.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            words, environ = self._asked(package, kind, folder)
            print(f"building {package} for {target}: {KINDS[kind]}", file=sys.stderr, flush=True)
            data = self._run(package, target, folder, words, environ)
            # The last thing written: a folder with it is complete.
            record.write_text(json.dumps(data, indent=1), encoding="utf-8")
        return Built(folder, package, target, kind, json.loads(record.read_bytes()))

    def _asked(self, package: str, kind: str, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Options and variables of a kind of build."""
        if kind == "plain":
            return ["--no-pgo"], {}
        if kind.startswith("from-"):
            other = self.build(package, kind.removeprefix("from-"), "qemu")
            return ["--pgo-load", str(other.folder / "profile.zip"), "--pgo-stale"], {}
        script = WORKLOADS / f"{package}_train.py"
        fixed = "setarch -R " if kind.startswith("still") else ""
        words = ["--pgo", f"{fixed}python {script}", "--pgo-save", str(folder / "profile.zip")]
        if kind.startswith(("native", "still")):
            return [*words, "--pgo-native"], {}
        environ = {}
        if kind == "qemu-baseline":
            environ["XTOOL_TOOLCHAINS_DIR"] = str(_with_baseline(folder / "toolchains"))
        return words, environ

    def _run(
        self, package: str, target: str, folder: Path, words: list[str], environ: dict[str, str]
    ) -> dict[str, Any]:
        command = [sys.executable, "-m", "xtool", "build", f"{package}=={PACKAGES[package]}"]
        command += ["--target", target, "--python", PYTHON, "--outdir", str(folder), f"-j{self.jobs}"]
        command += ["--compiler-cache", "none", "--output", "json", *words]
        before = _processor_seconds()
        done = subprocess.run(
            command, env={**os.environ, **environ}, capture_output=True, text=True, check=False
        )
        (folder / "log").write_text(done.stderr, encoding="utf-8")
        if done.returncode != 0:
            raise BuildFailedError(f"{' '.join(command)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        (wheel,) = json.loads(done.stdout)["data"]["wheels"]
        return {**wheel, "processor": _processor_seconds() - before}


def _processor_seconds() -> float:
    """Of all processes that this one has waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _with_baseline(folder: Path) -> Path:
    """A copy of `toolchains/` that trains on the processor that smoke tests are run on."""
    shutil.copytree(default_root(), folder)
    for path in folder.glob("targets/*.toml"):
        text = path.read_text(encoding="utf-8")
        found = re.search(r'^qemu_cpu = "(.*)"$', text, re.MULTILINE)
        if found is None:
            raise BuildFailedError(f"{path.name} names no processor")
        path.write_text(
            re.sub(r'^(qemu_best_cpu = ").*"$', rf'\g<1>{found[1]}"', text, flags=re.MULTILINE),
            encoding="utf-8",
        )
    return folder
