"""The target's Python from real packages, run under the real emulator."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.targetkit import VERSIONS, make_target_kit

from xtool import proc
from xtool.context import Context
from xtool.kit import Kit
from xtool.python import target as target_room
from xtool.python.sysconfigdata import write_build_details, write_cross_sysconfig
from xtool.python.target import SELDOM
from xtool.targetenv import TargetEnv


@pytest.fixture(scope="session")
def target_kit(shared_cache: Path) -> tuple[Context, Kit]:
    return make_target_kit(shared_cache)


@pytest.fixture(params=VERSIONS)
def env(request: pytest.FixtureRequest, target_kit: tuple[Context, Kit], tmp_path: Path) -> TargetEnv:
    """A fresh environment, in a folder whose name needs quoting."""
    ctx, kit = target_kit
    return TargetEnv.create(ctx, kit, request.param, tmp_path / "an env's place")


def run(env: TargetEnv, *words: str, check: bool = True, cwd: Path | None = None) -> proc.Completed:
    argv, variables = env.command(words)
    return proc.run(argv, log=env.ctx.log, env=variables, check=check, cwd=cwd)


def test_interpreter_is_the_targets_and_the_environments(env: TargetEnv) -> None:
    code = (
        "import sys, platform, sysconfig, json\n"
        "print(json.dumps([platform.machine(), sys.prefix, sys.executable,"
        " sysconfig.get_platform(), sysconfig.get_config_var('EXT_SUFFIX'), sysconfig.get_path('purelib'),"
        " '.'.join(map(str, sys.version_info[:3]))]))"
    )
    said = json.loads(run(env, "python", "-c", code).stdout)
    assert said == [
        "ppc64le",
        str(env.path),
        str(env.bindir / "python"),
        "linux-ppc64le",
        env.python.ext_suffix,
        str(env.site_packages),
        env.python.full_version,
    ]


def test_standard_library_is_complete(env: TargetEnv) -> None:
    code = (
        "import ssl, sqlite3, ctypes, lzma, bz2, zlib, readline, curses, uuid, dbm, hashlib\n"
        "import decimal, asyncio, pdb, multiprocessing, unittest, venv, zoneinfo, socket\n"
        "import mimetypes, test.support\n"
        "print(zoneinfo.ZoneInfo('Europe/Berlin'), socket.getservbyname('https'))\n"
        "print(mimetypes.guess_type('a.svg')[0])\n"
        "sqlite3.connect(':memory:').execute('select 1')\n"
    )
    assert run(env, "python", "-c", code).stdout == "Europe/Berlin 443\nimage/svg+xml\n"


def test_the_c_library_converts_characters(env: TargetEnv) -> None:
    letter = "\u3042"
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.iconv_open.restype = libc.iconv.restype = ctypes.c_size_t\n"
        "handle = ctypes.c_void_p(libc.iconv_open(b'UTF-8', b'SHIFT_JIS'))\n"
        "source, result = ctypes.c_char_p('\\u3042'.encode('shift_jis')), ctypes.create_string_buffer(8)\n"
        "left, target, room = ctypes.c_size_t(2), ctypes.cast(result, ctypes.c_char_p), ctypes.c_size_t(8)\n"
        "print(libc.iconv(handle, *map(ctypes.byref, (source, left, target, room))), ascii(result.value))\n"
    )
    assert run(env, "python", "-c", code).stdout == f"0 {letter.encode()!r}\n"


def test_children_go_through_the_emulator(env: TargetEnv, tmp_path: Path) -> None:
    script = tmp_path / "children.py"
    script.write_text(
        "import multiprocessing, os, platform, subprocess, sys\n"
        "def machine(_): return platform.machine()\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        with multiprocessing.get_context(method).Pool(1) as pool:\n"
        "            print(method, pool.map(machine, [0]), flush=True)\n"
        "    code = 'import platform; print(platform.machine())'\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n"
        "    made = sys.argv[1]\n"
        "    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', made], check=True)\n"
        "    subprocess.run([made + '/bin/python', '-c', 'import sys; print(sys.prefix)'], check=True)\n"
    )
    made = tmp_path / "made"
    assert run(env, "python", str(script), str(made)).stdout.splitlines() == [
        "fork ['ppc64le']",
        "spawn ['ppc64le']",
        "forkserver ['ppc64le']",
        "ppc64le",
        str(made),
    ]


def test_host_environment_does_not_reach_the_target(env: TargetEnv, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('the host came through')")
    hostile = {
        **env.ctx.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "LD_PRELOAD": "/nonexistent.so",
        "LD_LIBRARY_PATH": "/nonexistent",
        "CONDA_PREFIX": "/nonexistent",
        "VIRTUAL_ENV": "/nonexistent",
        "QEMU_CPU": "power7",
        "KEPT": "yes",
    }
    soiled = replace(env, ctx=replace(env.ctx, environ=hostile))
    asked = ("PYTHONPATH", "CONDA_PREFIX", "QEMU_CPU", "KEPT")
    code = f"import os; print(sorted(k for k in os.environ if k in {asked}))"
    assert run(soiled, "python", "-c", code).stdout == "['KEPT']\n"


def test_running_leaves_the_store_as_it_was(env: TargetEnv) -> None:
    def listing() -> set[Path]:
        return set(env.python.root.rglob("*"))

    before = listing()
    run(env, "python", "-O", "-c", "import json, email.message, asyncio, xml.dom.minidom")
    assert listing() == before


def test_the_standard_library_is_compiled_but_for_what_is_seldom_imported(env: TargetEnv) -> None:
    stdlib = env.python.root / "usr" / "lib" / f"python{env.python.version}"
    tag = "cpython-" + env.python.version.replace(".", "")
    missing = [
        str(source.relative_to(stdlib))
        for source in stdlib.rglob("*.py")
        if not (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").is_file()
    ]
    assert "turtle.py" in missing
    assert "encodings/utf_8.py" not in missing
    assert [name for name in missing if not re.match(SELDOM, name)] == []


def test_component_does_not_know_where_it_was_made(env: TargetEnv) -> None:
    cache = os.fsencode(env.ctx.settings.cache_dir)
    holding = [
        path
        for path in env.python.root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "manifest.json"
        if cache in path.read_bytes()
    ]
    assert holding == []
    leading_out = [
        path
        for path in env.python.root.rglob("*")
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(env.python.root.resolve())
    ]
    assert leading_out == []


def test_bytecode_depends_on_nothing_but_the_sources(target_kit: tuple[Context, Kit], tmp_path: Path) -> None:
    """Compiled once more, elsewhere and with another number of workers, it is the same to the byte."""
    ctx, kit = target_kit
    python = kit.pythons["3.13"]
    again = tmp_path / "somewhere" / "else"
    shutil.copytree(python.root, again, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "u+w", again], check=True)
    one = replace(ctx, settings=replace(ctx.settings, jobs=1))
    target_room.compile_stdlib(one, kit.emulator, again, "3.13")
    made = {path.relative_to(again) for path in again.rglob("*.pyc")}
    assert made == {path.relative_to(python.root) for path in python.root.rglob("*.pyc")}
    _, different, errors = filecmp.cmpfiles(again, python.root, sorted(map(str, made)), shallow=False)
    assert (different, errors) == ([], [])


def test_headers_are_one_folder(env: TargetEnv) -> None:
    (include,) = env.python.includes
    text = (include / "pyconfig.h").read_text()
    assert (include / "Python.h").is_file()
    assert "#define SIZEOF_VOID_P 8" in text
    assert "multiarch" not in text
    assert "x86_64-linux-gnu" not in text


def test_build_python_answers_for_the_target(target_kit: tuple[Context, Kit], tmp_path: Path) -> None:
    """A host interpreter, given our sysconfig, tells the target's platform, suffix, headers and tools."""
    _, kit = target_kit
    python = kit.pythons["3.13"]
    written = write_cross_sysconfig(
        tmp_path / "sysconfig",
        kit.target,
        python,
        {"CC": "a-gcc", "CXX": "a-g++", "LDSHARED": "a-gcc -shared"},
    )
    code = (
        "import json, sysconfig; from setuptools._distutils import sysconfig as d\n"
        "names = ['EXT_SUFFIX', 'CC', 'CFLAGS', 'LDSHARED', 'Py_ENABLE_SHARED', 'SIZEOF_LONG', 'prefix']\n"
        "print(json.dumps([sysconfig.get_platform(), *map(sysconfig.get_config_var, names),"
        " d.get_python_inc(), d.get_python_inc(plat_specific=True)]))"
    )
    setuptools = tmp_path / "setuptools"
    uv = shutil.which("uv") or Path(sys.executable).parent / "uv"
    words = [uv, "pip", "install", "-q", "--python", sys.executable, "--target", setuptools, "setuptools"]
    subprocess.run(words, check=True)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PYTHONPATH": f"{written.folder}:{setuptools}",
            "_PYTHON_SYSCONFIGDATA_NAME": written.name,
            "_PYTHON_HOST_PLATFORM": written.platform,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    include = str(python.includes[0])
    assert json.loads(done.stdout) == [
        *("linux-ppc64le", ".cpython-313-powerpc64le-linux-gnu.so", "a-gcc", "", "a-gcc -shared", 0, 8),
        *(sys.prefix, include, include),
    ]


def test_build_details_agree_with_the_interpreter(env: TargetEnv, tmp_path: Path) -> None:
    path = write_build_details(tmp_path / "build-details.json", env.target, env.python)
    details = json.loads(path.read_text())
    code = (
        "import json, sys, sysconfig, importlib.machinery as m; v = sys.version_info\n"
        "print(json.dumps([sysconfig.get_platform(), sys.hexversion, sys.implementation.cache_tag,"
        " sys.implementation._multiarch, m.EXTENSION_SUFFIXES, list(v)]))"
    )
    platform, hexversion, tag, multiarch, suffixes, info = json.loads(run(env, "python", "-c", code).stdout)
    assert details["platform"] == platform
    assert details["implementation"]["hexversion"] == hexversion
    assert details["implementation"]["cache_tag"] == tag
    assert details["implementation"]["_multiarch"] == multiarch
    assert set(details["suffixes"]["extensions"]) <= set(suffixes)
    parts = ("major", "minor", "micro", "releaselevel", "serial")
    assert [details["language"]["version_info"][part] for part in parts] == info
    assert (Path(details["c_api"]["headers"]) / "Python.h").is_file()
