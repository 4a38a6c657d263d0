"""What every test may use: a context, the command line in a process of its own; no network for unit tests."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xtool.config import Settings
from xtool.context import Context
from xtool.log import Log, SilentLog

NONET = Path(__file__).parent / "support" / "nonet"
UNIT = Path(__file__).parent / "unit"


@dataclass(frozen=True)
class Outcome:
    """How a run of xtool ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The JSON document; fails where stdout is not exactly one that tells this exit code."""
        found = json.loads(self.stdout)
        assert found["schema"] == 1
        assert found["exit_code"] == self.code
        return found


class Cli:
    """Runs xtool in a process of its own, with a home and a cache below the test's folder."""

    def __init__(self, folder: Path, *, network: bool) -> None:
        self.home = folder / "home"
        self.cache = folder / "cache"
        self.cwd = folder / "cwd"
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XTOOL_CACHE_DIR": str(self.cache),
            "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "error",
        }
        if not network:
            self.env["PYTHONPATH"] = str(NONET)
        self.home.mkdir()
        self.cwd.mkdir()

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "xtool", *map(str, words)]

    def environ(self, env: Mapping[str, str | None]) -> dict[str, str]:
        """The environment of a run; None takes a variable away."""
        merged: dict[str, str | None] = {**self.env, **env}
        return {name: value for name, value in merged.items() if value is not None}

    def __call__(
        self, *words: str | Path, env: Mapping[str, str | None] | None = None, cwd: Path | None = None
    ) -> Outcome:
        done = subprocess.run(
            self.command(*words),
            env=self.environ(env or {}),
            cwd=cwd or self.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cli(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Cli:
    """`cli("setup", "ppc64le")` runs xtool and returns code, stdout and stderr."""
    unit = request.path.is_relative_to(UNIT)
    return Cli(tmp_path_factory.mktemp("cli"), network=not unit)


@pytest.fixture
def inside(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """`inside("list")` runs xtool in this process, where parts of it can be replaced."""
    from xtool.cli import app

    monkeypatch.chdir(cli.cwd)
    monkeypatch.setattr(app, "_handle_signals", lambda: None)
    for name in [name for name in os.environ if name.startswith("XTOOL_")]:
        monkeypatch.delenv(name)
    for name, value in cli.env.items():
        monkeypatch.setenv(name, value)

    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        code = app.run([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def make_context(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Context]:
    """`make_context(offline=True)` makes a context with an empty cache folder and a silent log."""
    folder = tmp_path_factory.mktemp("context")

    def make(*, log: Log | None = None, environ: Mapping[str, str] | None = None, **settings: Any) -> Context:
        settings.setdefault("cache_dir", folder / "cache")
        settings.setdefault("use_apt_sources", False)
        kept = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
        return Context(Settings(**settings), log or SilentLog(), kept if environ is None else environ)

    return make


@pytest.fixture
def ctx(make_context: Callable[..., Context]) -> Context:
    """A context with an empty cache folder and a silent log."""
    return make_context()


def _load_nonet() -> ModuleType:
    spec = importlib.util.spec_from_file_location("xtool_tests_nonet", NONET / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.enabled = False
    return module


_nonet = _load_nonet()


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Unit tests may talk to loopback only."""
    _nonet.enabled = request.path.is_relative_to(UNIT)
    yield
    _nonet.enabled = False
