"""Target environments and target roots, with a stand-in for the emulator that says how it was called."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xtool import targetinstall
from xtool.build.smoke import contents
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import StoreError, UsageError
from xtool.kit import Emulator, Kit, TargetPython
from xtool.python.target import FACTS, mentions_desktop, merge_usr, target_python
from xtool.targetenv import TargetEnv
from xtool.targets import current_host

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x15\x00" + bytes(44)
"""The header of a 64-bit little-endian file for machine 21, which is EM_PPC64."""

HOST_ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + bytes(44)


@pytest.fixture
def env(ctx: Context, tmp_path: Path) -> TargetEnv:
    root = tmp_path / "the root"
    (root / "usr" / "bin").mkdir(parents=True)
    python = root / "usr" / "bin" / "python3.13"
    python.write_bytes(ELF)
    qemu = tmp_path / "qemu's"
    qemu.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    qemu.chmod(0o755)
    nothing: Any = None
    kit = Kit(
        host=current_host(),
        target=Catalog().target("ppc64le"),
        toolchain=nothing,
        sysroot=nothing,
        emulator=Emulator(qemu, "power8"),
        pythons={
            "3.13": TargetPython(
                root, python, "3.13", "3.13.5", "debian", (), {"Py_GIL_DISABLED": 0}, (2, 41), ".x.so"
            )
        },
        build_pythons={},
        lock_digest="",
    )
    return TargetEnv.create(ctx, kit, "3.13", tmp_path / "an env")


def called(env: TargetEnv, *words: str) -> list[str]:
    argv, variables = env.command(words)
    return subprocess.run(argv, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("name", ["python", "python3", "python3.13"])
def test_launcher_calls_the_emulator_under_its_own_name(env: TargetEnv, name: str) -> None:
    root, python = env.python.root, env.python.executable
    own = env.bindir / name
    assert called(env, name, "-c", "a b") == [
        *("[-cpu]", "[power8]", "[-L]", f"[{root}]", "[-0]", f"[{own}]", f"[{python}]", "[-c]", "[a b]")
    ]


@pytest.fixture
def threaded(env: TargetEnv, ctx: Context, tmp_path: Path) -> TargetEnv:
    """An environment of Python 3.13 without the GIL."""
    kit: Any = type("KitLike", (), {})()
    executable = env.python.executable.with_name("python3.13t")
    executable.write_bytes(ELF)
    python = replace(env.python, version="3.13t", executable=executable, sysconfig={"Py_GIL_DISABLED": 1})
    kit.target, kit.pythons, kit.emulator = env.target, {"3.13t": python}, env.emulator
    return TargetEnv.create(ctx, kit, "3.13t", tmp_path / "threaded")


def test_without_the_gil_folders_bear_a_letter(threaded: TargetEnv) -> None:
    """As CPython's own layout has it since 3.13 (Makefile.pre.in: ABI_THREAD)."""
    assert threaded.site_packages == threaded.path / "lib" / "python3.13t" / "site-packages"
    stdlib = threaded.python.root / "usr" / "lib" / "python3.13t"
    assert (threaded.path / ".base" / "lib" / "python3.13t").readlink() == stdlib
    for name in ("python", "python3", "python3.13", "python3.13t"):
        assert called(threaded, name)[-1] == f"[{threaded.python.executable}]"


def test_without_the_gil_other_wheels_are_taken(env: TargetEnv, threaded: TargetEnv) -> None:
    with_gil = {str(tag) for tag in targetinstall.supported_tags(env)}
    without = {str(tag) for tag in targetinstall.supported_tags(threaded)}
    own = "manylinux_2_17_ppc64le"
    assert f"cp313-cp313t-{own}" in without - with_gil
    assert {f"cp313-cp313-{own}", f"cp313-abi3-{own}", f"cp39-abi3-{own}"} <= with_gil - without
    assert {"py3-none-any", "cp313-none-any"} <= with_gil & without


def test_without_the_gil_markers_know_no_letter(threaded: TargetEnv) -> None:
    """PEP 508: `python_version` is the first two numbers."""
    values = targetinstall.marker_values(threaded)
    assert (values["python_version"], values["python_full_version"]) == ("3.13", "3.13.5")


def test_library_folders_reach_the_target_only(env: TargetEnv, ctx: Context, tmp_path: Path) -> None:
    more = replace(env, path=tmp_path / "more", library_dirs=(Path("/a"), Path("/b")))
    assert "[LD_LIBRARY_PATH=/a:/b]" not in called(env, "python")
    kit: Any = type("KitLike", (), {})()
    kit.target, kit.pythons, kit.emulator = env.target, {"3.13": env.python}, env.emulator
    made = TargetEnv.create(ctx, kit, "3.13", more.path, library_dirs=more.library_dirs)
    words = called(made, "python")
    assert words[words.index("[-E]") + 1] == "[LD_LIBRARY_PATH=/a:/b]"
    assert "LD_LIBRARY_PATH" not in made.environment()


def test_program_of_the_target_goes_behind_the_emulator_and_the_hosts_does_not(env: TargetEnv) -> None:
    for name, data in (("theirs", ELF), ("ours", HOST_ELF)):
        (env.bindir / name).write_bytes(data)
        (env.bindir / name).chmod(0o755)
    theirs, _ = env.command(["theirs", "-x"])
    ours, _ = env.command(["ours", "-x"])
    assert theirs[0] == str(env.emulator.executable)
    assert theirs[-3:] == [str(env.bindir / "theirs"), str(env.bindir / "theirs"), "-x"]
    assert ours == [str(env.bindir / "ours"), "-x"]


def test_what_speaks_of_the_host_is_left_out(env: TargetEnv) -> None:
    hostile = {
        **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "_PYTHON_HOST_PLATFORM", "LD_PRELOAD"), "x"),
        **dict.fromkeys(("CONDA_PREFIX", "VIRTUAL_ENV", "QEMU_LD_PREFIX", "LD_LIBRARY_PATH"), "x"),
        "PATH": "/usr/bin",
        "HOME": "/home/me",
    }
    found = replace(env, ctx=replace(env.ctx, environ=hostile)).environment()
    assert found == {
        "PATH": f"{env.bindir}:/usr/bin",
        "HOME": "/home/me",
        "VIRTUAL_ENV": str(env.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_unknown_program_is_a_usage_error_that_names_it(env: TargetEnv) -> None:
    with pytest.raises(UsageError, match="there is no program `no-such-thing`"):
        env.command(["no-such-thing"])


def wheel(folder: Path, tag: str = "py3-none-any", requires: str = "", **files: bytes) -> Path:
    path = folder / f"demo-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo-1.0.dist-info/METADATA", f"Name: demo\nVersion: 1.0\n{requires}")
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_only_requirements_that_apply_to_the_target_count(env: TargetEnv, tmp_path: Path) -> None:
    lines = (
        "Requires-Dist: always>=2\n"
        'Requires-Dist: here; platform_machine == "ppc64le" and python_version == "3.13"\n'
        'Requires-Dist: elsewhere; platform_machine == "x86_64"\n'
        'Requires-Dist: windows; sys_platform == "win32"\n'
        'Requires-Dist: option; extra == "all"\n'
    )
    names = [
        text.split(";")[0].split(">")[0]
        for text in targetinstall.required(env, wheel(tmp_path, requires=lines))
    ]
    assert names == ["always", "here"]


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("cp313-cp313-manylinux_2_17_ppc64le.manylinux2014_ppc64le", True),
        ("cp313-cp313-manylinux_2_41_ppc64le", True),
        ("cp39-abi3-manylinux_2_28_ppc64le", True),
        ("cp313-cp313-linux_ppc64le", True),
        ("cp313-cp313-manylinux_2_42_ppc64le", False),
        ("cp313-cp313t-manylinux_2_17_ppc64le", False),
        ("cp312-cp312-manylinux_2_17_ppc64le", False),
        ("cp313-cp313-manylinux_2_17_x86_64", False),
        ("cp313-cp313-musllinux_1_2_ppc64le", False),
    ],
)
def test_wheel_fits_or_is_refused_by_its_tags(
    env: TargetEnv, tmp_path: Path, tag: str, *, fits: bool
) -> None:
    from packaging.utils import parse_wheel_filename

    _, _, _, tags = parse_wheel_filename(wheel(tmp_path, tag).name)
    assert (not tags.isdisjoint(targetinstall.supported_tags(env))) is fits


def test_what_is_no_wheel_is_a_usage_error(env: TargetEnv, tmp_path: Path) -> None:
    junk = tmp_path / "demo-1.0-py3-none-any.whl"
    junk.write_text("<html>")
    with pytest.raises(UsageError, match="is not a wheel"):
        env.install([junk])
    with pytest.raises(UsageError, match="is not named like a wheel"):
        env.install([tmp_path / "demo.whl"])


def test_modules_of_a_wheel(tmp_path: Path) -> None:
    names = {
        "demo/__init__.py": b"",
        "demo/_fast.cpython-313-powerpc64le-linux-gnu.so": b"..PyInit__fast..",
        "demo/deep/_abi.abi3.so": b"..PyInit_of_another..",
        "demo/deep/_for_ctypes.abi3.so": b"no module, though named like one",
        "demo/_plain.so": b"..PyInit__plain..",
        "demo/libplain.so": b"no module",
        "single.py": b"",
        "_private.py": b"",
        "namespace/part/mod.cpython-313-powerpc64le-linux-gnu.so": b"..PyModExport_mod..",
        "tests/__init__.py": b"",
        "demo-1.0.data/platlib/other/__init__.py": b"",
        "demo-1.0.data/scripts/script.py": b"",
        "demo.libs/libx.so": b"..PyInit_libx..",
        "not-a-name/__init__.py": b"",
    }
    found = contents(wheel(tmp_path, **names), ".cpython-313-powerpc64le-linux-gnu.so")
    assert found.packages == ("demo", "other", "single")
    assert found.extensions == ("demo._fast", "demo._plain", "demo.deep._abi", "namespace.part.mod")


def test_private_modules_count_where_there_are_no_others(tmp_path: Path) -> None:
    found = contents(wheel(tmp_path, **{"_backend/__init__.py": b""}), ".x.so")
    assert found.names == ("_backend",)


def test_lib_and_usr_lib_become_one(tmp_path: Path) -> None:
    """bookworm's packages hold files in both; each must be found under both names."""
    for name in ("lib/multi/liba.so", "usr/lib/multi/libb.so", "lib64/ld.so"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "lib/multi/link.so").symlink_to("liba.so")
    merge_usr(tmp_path)
    for prefix in ("lib", "usr/lib"):
        assert (tmp_path / prefix / "multi" / "liba.so").read_text() == "lib/multi/liba.so"
        assert (tmp_path / prefix / "multi" / "link.so").read_text() == "lib/multi/liba.so"
        assert (tmp_path / prefix / "multi" / "libb.so").read_text() == "usr/lib/multi/libb.so"
    assert (tmp_path / "usr/lib64/ld.so").is_file()
    assert not (tmp_path / "lib").readlink().is_absolute()
    merge_usr(tmp_path)
    assert (tmp_path / "lib/multi/liba.so").is_file()


def test_damaged_component_names_the_file_and_the_cure(tmp_path: Path) -> None:
    target = Catalog().target("ppc64le")
    (tmp_path / FACTS).parent.mkdir(parents=True)
    for text in ("{", "{}", '{"full_version": 1}'):
        (tmp_path / FACTS).write_text(text)
        with pytest.raises(StoreError) as caught:
            target_python(tmp_path, target, "3.13")
        assert str(FACTS) in caught.value.facts[0]
        assert "xtool verify" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("strings", "wanted"),
    [
        (b"\0libc.so.6\0libz.so.1\0", False),
        (b"\0libc.so.6\0libX11.so.6\0", True),
        (b"\0libX11.so.60\0", False),
    ],
)
def test_desktop_libraries_are_wanted_when_named(tmp_path: Path, strings: bytes, *, wanted: bool) -> None:
    library = tmp_path / "a.so"
    library.write_bytes(b"\x7fELF" + strings)
    assert mentions_desktop(library) is wanted


def test_desktop_libraries_are_brought_when_something_installed_needs_them(
    env: TargetEnv, tmp_path: Path
) -> None:
    asked = []

    def bring() -> Path:
        asked.append(1)
        return tmp_path

    needy = replace(env, desktop=bring)
    needy.install([])
    assert not asked
    (needy.site_packages / "gui.so").write_bytes(b"\x7fELF\0libGL.so.1\0")
    needy.install([])
    assert asked == [1]
    assert (needy.path / ".desktop").resolve() == tmp_path.resolve()
    assert f"LD_LIBRARY_PATH={needy.path / '.desktop'}" in " ".join(needy.launcher(tmp_path / "x").split())


def test_installed_script_starts_the_launcher(env: TargetEnv, tmp_path: Path) -> None:
    path = wheel(
        tmp_path,
        **{
            "demo.py": b"def main(): pass\n",
            "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n",
            "demo-1.0.dist-info/RECORD": b"demo.py,,\ndemo-1.0.dist-info/METADATA,,\n"
            b"demo-1.0.dist-info/WHEEL,,\ndemo-1.0.dist-info/entry_points.txt,,\ndemo-1.0.dist-info/RECORD,,\n",
        },
    )
    env.install([path])
    assert (env.site_packages / "demo.py").is_file()
    words = called(env, "demo", "an argument")
    assert words[4:] == [
        *("[-0]", f"[{env.interpreter}]", f"[{env.python.executable}]"),
        *(f"[{env.bindir / 'demo'}]", "[an argument]"),
    ]
