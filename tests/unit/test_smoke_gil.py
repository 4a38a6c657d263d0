"""What a smoke test tells of extensions that switch the GIL on, with a stand-in for the emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.artifacts import Recorder
from support.elfforge import extension, wheel

from xtool.build.smoke import SmokeResult, smoke_test
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.kit import Emulator, Kit, TargetPython
from xtool.targets import current_host

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x15\x00" + bytes(44)

# As CPython 3.13 to 3.15 say it (Python/import.c, _PyImport_EnableGILAndWarn).
SAID = (
    "<frozen importlib._bootstrap>:488: RuntimeWarning: The global interpreter lock (GIL) has been enabled "
    "to load module 'demo._speedups', which has not declared that it can run safely without the GIL. To "
    "override this behavior and keep the GIL disabled (at your own risk), run with PYTHON_GIL=0 or -Xgil=0."
)


@pytest.fixture
def log() -> Recorder:
    return Recorder()


@pytest.fixture
def smoke(make_context: Callable[..., Context], log: Recorder, tmp_path: Path) -> Callable[..., SmokeResult]:
    """`smoke("what Python says")` tests a wheel for Python 3.13t whose commands print that, and succeed."""
    executable = tmp_path / "root" / "usr" / "bin" / "python3.13t"
    executable.parent.mkdir(parents=True)
    executable.write_bytes(ELF)
    said = tmp_path / "said"
    qemu = tmp_path / "qemu"
    qemu.write_text(f"#!/bin/sh\ncat '{said}' >&2\n")
    qemu.chmod(0o755)
    nothing: Any = None
    sysconfig = {"Py_GIL_DISABLED": 1}
    root = executable.parent.parent.parent
    python = TargetPython(root, executable, "3.13t", "3.13.5", "portable", (), sysconfig, (2, 41), ".so")
    kit = Kit(
        host=current_host(),
        target=Catalog().target("ppc64le"),
        toolchain=nothing,
        sysroot=nothing,
        emulator=Emulator(qemu, "power8"),
        pythons={"3.13t": python},
        build_pythons={},
        lock_digest="",
    )
    made = wheel(tmp_path, {"demo.so": extension()}, tag="cp313-cp313t-linux_ppc64le")

    def run(text: str) -> SmokeResult:
        said.write_text(text)
        commands = ["python -c 'import demo'", "python -c 'import demo'"]
        return smoke_test(make_context(log=log), kit, "3.13t", made, test_command=commands)

    return run


def test_a_module_that_switches_the_gil_on_is_named_once(
    smoke: Callable[..., SmokeResult], log: Recorder
) -> None:
    result = smoke(f"{SAID}\n")
    assert (result.status, result.gil) == ("passed", ("demo._speedups",))
    assert result.warnings == ("`demo._speedups` switches the GIL on for the whole process",)
    assert log.text.count("switches the GIL on") == 1


def test_silence_is_no_warning(smoke: Callable[..., SmokeResult], log: Recorder) -> None:
    result = smoke("another RuntimeWarning: about the GIL\n")
    assert (result.status, result.warnings) == ("passed", ())
    assert "GIL" not in log.text
