"""A clean environment of the target: a virtual environment whose interpreter runs under the emulator.

`bin/python` is a shell script that starts qemu-user. qemu's `-0` makes `sys.executable` that script, and the
kernel can execute a script, so child processes of the target's Python (`subprocess`, `multiprocessing`,
console scripts, `-m venv`) go through the emulator as well, without binfmt_misc. The base interpreter that
`pyvenv.cfg` names is a second such script: what `-m venv` makes in here links to it and works too.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xtool.context import Context
from xtool.errors import UsageError
from xtool.kit import Emulator, Kit, TargetPython
from xtool.python.versions import parse_python
from xtool.targets import Target

_HOST_ONLY = ("PYTHON", "_PYTHON", "LD_", "CONDA", "VIRTUAL_ENV", "QEMU_", "PYENV_", "__PYVENV", "COV_CORE_")
"""Variables that speak of the host's Python, loader or environments, by how they begin."""


@dataclass(frozen=True)
class TargetEnv:
    """An environment of a target.

    Args:
        ctx: settings, log, environment.
        path: its folder; `sys.prefix` of the target's Python.
        target: the target.
        python: the target's Python.
        emulator: what runs it.
        library_dirs: further folders of target libraries (a desktop component's).
        wheel_dirs: folders of wheels that may satisfy requirements, beside the package index.
        desktop: makes sure that glib, X11 and OpenGL are there and gives the folder of their libraries; asked
            when something installed needs them.
    """

    ctx: Context
    path: Path
    target: Target
    python: TargetPython
    emulator: Emulator
    library_dirs: tuple[Path, ...] = ()
    wheel_dirs: tuple[Path, ...] = field(default=())
    desktop: Callable[[], Path] | None = None

    @classmethod
    def create(
        cls,
        ctx: Context,
        kit: Kit,
        version: str,
        folder: Path,
        *,
        library_dirs: Sequence[Path] = (),
        wheel_dirs: Sequence[Path] = (),
        desktop: Callable[[], Path] | None = None,
    ) -> TargetEnv:
        """Make an environment.

        Args:
            ctx: settings, log, environment.
            kit: what is installed for the target.
            version: which of its Pythons, `3.13`.
            folder: where; must not exist or be empty.
            library_dirs: further folders of target libraries.
            wheel_dirs: folders of wheels that may satisfy requirements.
            desktop: makes sure that the desktop libraries are there and gives their folder.
        """
        env = cls(
            ctx=ctx,
            path=folder.absolute(),
            target=kit.target,
            python=kit.pythons[version],
            emulator=kit.emulator,
            library_dirs=tuple(library_dirs),
            wheel_dirs=tuple(wheel_dirs),
            desktop=desktop,
        )
        env._populate()
        return env

    @property
    def bindir(self) -> Path:
        """Folder of the interpreter and of console scripts."""
        return self.path / "bin"

    @property
    def interpreter(self) -> Path:
        """The script that runs the target's Python in this environment."""
        return self.bindir / "python"

    @property
    def site_packages(self) -> Path:
        """Where packages are installed."""
        return self.path / "lib" / f"python{self.python.version}" / "site-packages"

    def environment(self) -> dict[str, str]:
        """The environment for processes of this environment: xtool's own, without what speaks of the host.

        No `.pyc` files are written: whoever runs as root would write them into the store.
        """
        kept = clean_environment(self.ctx.environ)
        search = [str(self.bindir), kept.get("PATH") or os.defpath]
        return {
            **kept,
            "PATH": os.pathsep.join(search),
            "VIRTUAL_ENV": str(self.path),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def command(self, argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """What to start, and with which environment, to run a command in here.

        Args:
            argv: `python`, `pytest`, a console script of an installed wheel, a program of the target or of
                the host, and its arguments.

        Returns:
            The command with its program as an absolute path, behind the emulator where it is an ELF file of
            the target; and the whole environment for it.

        Raises:
            UsageError: there is no such program.
        """
        env = self.environment()
        program = shutil.which(argv[0], path=env["PATH"]) if argv else None
        if program is None:
            raise UsageError(
                f"there is no program `{argv[0] if argv else ''}`",
                facts=[f"looked for in {env['PATH']}"],
                hint="`python` is the target's; `--with` installs a package that has the program",
                code="no-such-program",
            )
        path = Path(program).absolute()
        words = [str(path), *argv[1:]]
        if self.is_target_elf(path):
            words = [*self._emulated(), "-0", str(path), *words]
        return words, env

    def install(self, wheels: Sequence[Path], requirements: Sequence[str] = ()) -> None:
        """Install wheels and requirements.

        A wheel that needs nothing is unpacked by `installer`; everything else goes through uv, which runs
        natively and asks this environment's interpreter once.

        Args:
            wheels: wheel files for this target, or for any.
            requirements: requirements (PEP 508) to take from the wheel folders and the package index.

        Raises:
            UsageError: a wheel is not for this Python on this target, or is no wheel.
            CommandFailed: a requirement has no wheel for the target, or cannot be fetched.
        """
        from xtool import targetinstall

        targetinstall.install(self, wheels, requirements)
        if self.desktop is not None and not self._desktop_link.is_symlink() and self._needs_desktop():
            self._desktop_link.symlink_to(self.desktop())

    def _needs_desktop(self) -> bool:
        from xtool.python.target import mentions_desktop

        return any(mentions_desktop(path) for path in self.site_packages.rglob("*.so*") if path.is_file())

    @property
    def _desktop_link(self) -> Path:
        """Where the loader looks for desktop libraries; what it links to is decided after installing."""
        return self.path / ".desktop"

    def is_target_elf(self, program: Path) -> bool:
        """Whether a file is an ELF file of the target (class, data and machine of its header)."""
        with program.open("rb") as file:
            found = _identity(file.read(20))
        return found is not None and found == self._target_identity()

    def launcher(self, program: Path) -> str:
        """Text of a shell script that runs a program of the target under its own name."""
        words = shlex.join([*self._emulated(), "-0"])
        return f'#!/bin/sh\nexec {words} "$0" {shlex.quote(str(program))} "$@"\n'

    def _emulated(self) -> list[str]:
        words = [str(self.emulator.executable), "-cpu", self.emulator.cpu, "-L", str(self.python.root)]
        folders = [*self.library_dirs, *([self._desktop_link] if self.desktop else [])]
        if folders:
            words += ["-E", "LD_LIBRARY_PATH=" + ":".join(map(str, folders))]
        return words

    def _target_identity(self) -> tuple[int, int, bytes] | None:
        with self.python.executable.open("rb") as file:
            return _identity(file.read(20))

    def _populate(self) -> None:
        version = self.python.version
        base = self.path / ".base"
        for folder in (self.bindir, base / "bin", base / "lib", self.site_packages):
            folder.mkdir(parents=True, exist_ok=True)
        launcher = self.launcher(self.python.executable)
        for bindir in (self.bindir, base / "bin"):
            script = bindir / "python"
            script.write_text(launcher, encoding="utf-8")
            script.chmod(0o755)
            for name in {"python3", f"python{version}", f"python{parse_python(version).release}"}:
                (bindir / name).symlink_to("python")
        # The base's prefix is found from the standard library above its `bin` (Modules/getpath.py).
        (base / "lib" / f"python{version}").symlink_to(self.python.root / "usr" / "lib" / f"python{version}")
        (base / "include").symlink_to(self.python.root / "usr" / "include")
        (self.path / "pyvenv.cfg").write_text(
            f"home = {base / 'bin'}\n"
            "include-system-site-packages = false\n"
            f"version = {self.python.full_version}\n",
            encoding="utf-8",
        )


def _identity(header: bytes) -> tuple[int, int, bytes] | None:
    """EI_CLASS, EI_DATA and e_machine of an ELF header (System V ABI, chapter 4)."""
    return (header[4], header[5], header[18:20]) if header[:4] == b"\x7fELF" else None


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what speaks of the host's Python, loader or environments."""
    return {k: v for k, v in environ.items() if not k.startswith(_HOST_ONLY)}
