"""The isolated environment that a build back end runs in: native, on the build Python, filled by uv.

Nothing of the cross environment is set while it is filled. What is installed here runs in the build; what the
target needs comes from the cross environment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xtool import index, proc
from xtool.context import Context
from xtool.errors import CommandFailed, NetworkError
from xtool.kit import BuildPython

_SHIMS = {
    "_xtool_machine_shim": "machine_shim.py",
    "_xtool_facts_shim": "facts_shim.py",
    "_xtool_steady_shim": "steady_shim.py",
}
"""Files of `xtool.crossenv` that are copied into every environment, by their names as modules."""

_STARTED = ("_xtool_machine_shim", "_xtool_steady_shim")
"""Those that every interpreter of a build loads; the others are loaded by them."""


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """A virtual environment for a back end.

    Args:
        path: its folder.
        python: its interpreter.
        bytecode: folder for bytecode that outlives the build, where the environment does.
    """

    path: Path
    python: Path
    bytecode: Path | None = None

    @property
    def bindir(self) -> Path:
        """Folder of its commands."""
        return self.path / "bin"

    @property
    def site_packages(self) -> Path:
        """Folder of its packages."""
        return next((self.path / "lib").glob("python3*")) / "site-packages"

    def install(self, ctx: Context, requirements: Sequence[str], *, project: Path | None = None) -> None:
        """Install build requirements for the build Python.

        Args:
            ctx: settings, log, environment.
            requirements: PEP 508 requirements; nothing happens when there are none.
            project: folder whose uv settings hold, where the user's own project is built.

        Raises:
            NetworkError: they cannot be fetched.
            CommandFailed: they cannot be installed.
        """
        if not requirements:
            return
        argv = [
            *index.uv_command(ctx),
            *("pip", "install", "--quiet", "--python", str(self.python)),
            *constraint_words(ctx),
            # `--` keeps a requirement that begins with a dash from being taken for an option.
            "--",
            *requirements,
        ]
        done = proc.run(
            argv, log=ctx.log, env=index.uv_environment(ctx), cwd=project or self.path, check=False
        )
        if done.returncode == 0:
            return
        facts = [f"requirements: {', '.join(requirements)}", *done.stdout.splitlines()[-40:]]
        if _NETWORK.search(done.stdout):
            raise NetworkError(
                "cannot fetch the build requirements",
                facts=facts,
                hint="the build requirements are fetched from the package index; look at the network and at "
                "XTOOL_INDEX_URL, or run once without `--offline`",
            )
        raise CommandFailed(
            "cannot install the build requirements",
            facts=facts,
            hint="XTOOL_BUILD_CONSTRAINT may name a file of constraints for them",
            code="build-requirements",
        )


def constraint_words(ctx: Context) -> list[str]:
    """uv's words for the user's constraints on build requirements."""
    constraint = ctx.environ.get("XTOOL_BUILD_CONSTRAINT") or ctx.environ.get("PIP_BUILD_CONSTRAINT")
    return ["--constraint", constraint] if constraint else []


_NETWORK = re.compile(
    r"network was disabled|Failed to fetch|error sending request|dns error|Could not connect|timed out",
    re.IGNORECASE,
)


def create(ctx: Context, python: BuildPython, folder: Path) -> BuildEnvironment:
    """Make an empty environment with the shims in it.

    Args:
        ctx: settings, log, environment.
        python: the interpreter that runs the back end.
        folder: where it goes; must not exist.

    Raises:
        CommandFailed: uv cannot make it.
    """
    argv = [
        *index.uv_command(ctx),
        "venv",
        "--quiet",
        "--no-project",
        "--python",
        str(python.executable),
        str(folder),
    ]
    proc.run(
        argv,
        log=ctx.log,
        env=index.uv_environment(ctx),
        cwd=folder.parent,
        what=f"making an environment of Python {python.version}",
        hint=f"`{python.executable} -c 'import venv, ssl'` must work",
    )
    environment = BuildEnvironment(folder, folder / "bin" / "python")
    install_shim(environment.site_packages)
    return environment


# The test is in the .pth so that processes outside a build do not even import the modules.
_PTH = "import os; 'XTOOL_CROSS_MACHINE' in os.environ and __import__('{module}')\n"


def install_shim(site_packages: Path) -> None:
    """Put the shims where every start of the interpreter finds them."""
    for name, text in _shims().items():
        (site_packages / name).write_text(text, encoding="utf-8")


def shim_text() -> str:
    """All that `install_shim` writes."""
    return "".join(_shims().values())


def _shims() -> dict[str, str]:
    from xtool import crossenv

    folder = Path(crossenv.__file__).parent
    found = {f"{module}.py": (folder / file).read_text(encoding="utf-8") for module, file in _SHIMS.items()}
    return found | {f"{module}.pth": _PTH.format(module=module) for module in _STARTED}
