"""Smoke tests of forged wheels, under the real emulator: what passes, what fails, what the user is told."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.targetkit import make_target_kit

from xtool.build.smoke import SmokeResult, smoke_test
from xtool.context import Context
from xtool.errors import CommandFailed, OfflineError, UsageError
from xtool.kit import Kit
from xtool.targetenv import TargetEnv

NATIVE = "cp313-cp313-manylinux_2_17_ppc64le"

ILLEGAL = """
import ctypes, mmap
page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
"""Calls zeros, which no processor of the target takes for an instruction."""


@pytest.fixture(scope="session")
def target_kit(shared_cache: Path) -> tuple[Context, Kit]:
    return make_target_kit(shared_cache, ("3.13",))


@pytest.fixture
def smoke(target_kit: tuple[Context, Kit]) -> Callable[..., SmokeResult]:
    """`smoke(wheel, ...)` runs the smoke test; nothing may be fetched unless a test asks for it."""

    def run(wheel: Path, *, offline: bool = True, **given: Any) -> SmokeResult:
        ctx, kit = target_kit
        ctx = replace(ctx, settings=replace(ctx.settings, offline=offline))
        return smoke_test(ctx, kit, "3.13", wheel, **given)

    return run


@pytest.fixture
def extension(target_kit: tuple[Context, Kit]) -> bytes:
    """An extension module of the target, named `_bz2`."""
    _, kit = target_kit
    python = kit.pythons["3.13"]
    return (python.root / "usr/lib/python3.13/lib-dynload" / f"_bz2{python.ext_suffix}").read_bytes()


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, bytes | str],
    *,
    tag: str = "py3-none-any",
    requires: tuple[str, ...] = (),
    extras: tuple[str, ...] = (),
    scripts: str = "",
) -> Path:
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    every: dict[str, bytes | str] = {
        **files,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    if scripts:
        every[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    every[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in [*every, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in every.items():
            archive.writestr(member, data)
    return path


def test_every_extension_and_top_level_package_is_imported(
    smoke: Callable[..., SmokeResult], extension: bytes, tmp_path: Path
) -> None:
    suffix = ".cpython-313-powerpc64le-linux-gnu.so"
    wheel = make_wheel(
        tmp_path,
        "demo",
        {
            "demo/__init__.py": "from demo._bz2 import BZ2Compressor",
            f"demo/_bz2{suffix}": extension,
            "demo/sub/_bz2.so": extension,
            "demo/libvendored.so": b"\x7fELF but no module",
            "demo_extra.py": "import demo",
            "_demo_private.py": "raise RuntimeError('not to be imported')",
            "tests/__init__.py": "raise RuntimeError('not to be imported')",
            "demo.libs/libz-1234.so.1": b"",
        },
        tag=NATIVE,
    )
    result = smoke(wheel)
    assert result.problem == ""
    assert result.status == "passed"
    assert result.imported == ("demo", "demo_extra", "demo._bz2", "demo.sub._bz2")
    assert result.command == "import demo, demo_extra, demo._bz2, demo.sub._bz2"


def test_extension_that_cannot_be_loaded_fails(
    smoke: Callable[..., SmokeResult], extension: bytes, tmp_path: Path
) -> None:
    broken = extension.replace(b"PyInit__bz2", b"PyInit__bzX")
    wheel = make_wheel(
        tmp_path,
        "demo",
        {"demo/__init__.py": "", "demo/_bz2.cpython-313-powerpc64le-linux-gnu.so": broken},
        tag=NATIVE,
    )
    result = smoke(wheel)
    assert result.status == "failed"
    assert "importing `demo._bz2` raised ImportError" in result.problem
    assert "PyInit__bz2" in result.problem
    with pytest.raises(CommandFailed) as caught:
        result.raise_for_failure(wheel)
    assert wheel.name in caught.value.message


def test_missing_requirement_is_named(smoke: Callable[..., SmokeResult], tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", {"demo/__init__.py": "import surely_absent"})
    result = smoke(wheel)
    assert result.status == "failed"
    assert "importing `demo` raised ModuleNotFoundError" in result.problem
    assert result.hint is not None
    assert "`surely_absent` is not among the wheel's requirements" in result.hint


def test_what_only_an_extra_brings_is_installed_and_then_imported(
    smoke: Callable[..., SmokeResult], tmp_path: Path
) -> None:
    make_wheel(tmp_path, "helper", {"helper/__init__.py": ""})
    requires = ('helper>=1; extra == "fast"',)
    wheel = make_wheel(
        tmp_path, "demo", {"demo/__init__.py": "import helper"}, requires=requires, extras=("fast",)
    )
    result = smoke(wheel)
    assert (result.status, result.imported) == ("passed", ("demo",)), result.problem


def test_an_extra_the_target_lacks_does_not_fail_the_wheel(
    smoke: Callable[..., SmokeResult], tmp_path: Path
) -> None:
    requires = ('surely-absent-from-any-index-xt; extra == "fast"',)
    files = {"demo/__init__.py": "", "demo_fast.py": "import surely_absent_from_any_index_xt"}
    result = smoke(make_wheel(tmp_path, "demo", files, requires=requires, extras=("fast",)))
    assert (result.status, result.imported) == ("passed", ("demo",)), result.problem


def test_extension_of_a_test_package_may_need_what_is_not_required(
    smoke: Callable[..., SmokeResult], extension: bytes, tmp_path: Path
) -> None:
    files = {
        "demo/__init__.py": "",
        "demo/tests/__init__.py": "import surely_absent",
        "demo/tests/_bz2.abi3.so": extension,
    }
    result = smoke(make_wheel(tmp_path, "demo", files, tag=NATIVE))
    assert (result.status, result.imported) == ("passed", ("demo",))


@pytest.mark.parametrize(
    ("code", "signal"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV (signal 11)"),
        ("import os; os.abort()", "SIGABRT (signal 6)"),
        (ILLEGAL, "SIGILL (signal 4)"),
    ],
)
def test_crash_names_signal_and_module(
    smoke: Callable[..., SmokeResult], tmp_path: Path, code: str, signal: str
) -> None:
    wheel = make_wheel(tmp_path, "demo", {"aaa.py": "", "crashing.py": code})
    result = smoke(wheel)
    assert result.status == "failed"
    assert result.problem == f"the target's Python was ended by {signal} while importing `crashing`"
    assert result.imported == ("aaa",)
    assert ("power8" in (result.hint or "")) == signal.startswith("SIGILL")


def test_import_that_leaves_python_fails(smoke: Callable[..., SmokeResult], tmp_path: Path) -> None:
    result = smoke(make_wheel(tmp_path, "demo", {"leaving.py": "import os; os._exit(0)"}))
    assert result.status == "failed"
    assert "while importing `leaving`" in result.problem


def test_commands_run_in_the_environment_with_placeholders_filled(
    smoke: Callable[..., SmokeResult], tmp_path: Path
) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "check.py").write_text("import demo, platform; print(platform.machine(), demo.__name__)")
    wheel = make_wheel(
        tmp_path,
        "demo",
        {"demo/__init__.py": "def main(): print('from the script'); return 0"},
        scripts="demo-script = demo:main",
    )
    result = smoke(
        wheel, test_command=["python {project}/check.py && demo-script", "ls {wheel}"], project=project
    )
    assert result.status == "passed"
    assert result.output.splitlines() == ["ppc64le demo", "from the script", str(wheel)]


def test_failing_command_is_named_and_ends_the_test(
    smoke: Callable[..., SmokeResult], tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", {"demo.py": ""})
    result = smoke(wheel, test_command=["python -c 'raise SystemExit(7)'", "echo never"])
    assert result.status == "failed"
    assert result.problem == "`python -c 'raise SystemExit(7)'` exited with code 7"
    assert "never" not in result.output


def test_crash_below_a_shell_is_still_a_crash(smoke: Callable[..., SmokeResult], tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", {"demo.py": ""})
    result = smoke(wheel, test_command=["python -c 'import ctypes; ctypes.string_at(0)'"])
    assert "was ended by SIGSEGV (signal 11)" in result.problem


def test_command_that_takes_too_long_is_ended(smoke: Callable[..., SmokeResult], tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", {"demo.py": ""})
    with pytest.raises(CommandFailed) as caught:
        smoke(wheel, test_command=["python -c 'import time; time.sleep(60)'"], timeout=2)
    assert caught.value.code == "timeout"
    assert caught.value.hint is not None
    assert "--test-command" in caught.value.hint


def test_placeholder_without_project_is_a_usage_error(
    smoke: Callable[..., SmokeResult], tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", {"demo.py": ""})
    with pytest.raises(UsageError, match="no project folder"):
        smoke(wheel, test_command=["pytest {project}/tests"])


def test_requirements_come_from_wheels_made_before(
    smoke: Callable[..., SmokeResult], extension: bytes, tmp_path: Path
) -> None:
    """The needed wheel lies in another folder; uv installs it for the target without any network."""
    outdir = tmp_path / "wheelhouse"
    outdir.mkdir()
    native = {"needed/__init__.py": "", "needed/_bz2.cpython-313-powerpc64le-linux-gnu.so": extension}
    make_wheel(outdir, "needed", native, tag=NATIVE)
    wheel = make_wheel(
        tmp_path,
        "demo",
        {"demo.py": "import needed._bz2"},
        requires=("needed>=1", 'absent-one; sys_platform == "win32"', 'absent-two; extra == "all"'),
    )
    result = smoke(wheel, wheel_dirs=[outdir])
    assert (result.status, result.imported) == ("passed", ("demo",))


def test_requirement_without_wheel_for_the_target_is_named(
    smoke: Callable[..., SmokeResult], extension: bytes, tmp_path: Path
) -> None:
    make_wheel(tmp_path, "needed_by_demo", {"n.py": ""}, tag="cp313-cp313-manylinux_2_17_x86_64")
    wheel = make_wheel(tmp_path, "demo", {"demo.py": ""}, requires=("needed-by-demo",))
    with pytest.raises(OfflineError, match="needed-by-demo"):
        smoke(wheel)
    with pytest.raises(CommandFailed) as caught:
        smoke(wheel, offline=False)
    assert "needed-by-demo" in caught.value.message
    assert caught.value.hint is not None


def test_foreign_wheel_is_refused(target_kit: tuple[Context, Kit], tmp_path: Path) -> None:
    ctx, kit = target_kit
    env = TargetEnv.create(ctx, kit, "3.13", tmp_path / "env")
    for tag in ("cp313-cp313-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_ppc64le"):
        with pytest.raises(UsageError, match=r"is not for Python 3\.13 on ppc64le"):
            env.install([make_wheel(tmp_path, "demo", {"demo.py": ""}, tag=tag)])


def test_program_of_the_target_in_a_wheel_can_be_started(
    smoke: Callable[..., SmokeResult], target_kit: tuple[Context, Kit], tmp_path: Path
) -> None:
    _, kit = target_kit
    program = kit.pythons["3.13"].executable.read_bytes()
    wheel = make_wheel(tmp_path, "demo", {"demo.py": "", "demo-1.0.data/scripts/prog": program}, tag=NATIVE)
    result = smoke(wheel, test_command=["prog -c 'import platform; print(platform.machine())'"])
    assert (result.status, result.output) == ("passed", "ppc64le\n")
