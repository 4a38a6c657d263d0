"""Real projects through the real cross compiler: what comes out, and that nothing of the host goes in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from xtool.build import kept
from xtool.build.frontend import RawWheel, build_wheel
from xtool.build.source import obtain
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.crossenv import env_for_user
from xtool.elf import read_elf
from xtool.errors import CommandFailed, UsageError, WheelRejected, XtoolError
from xtool.kit import Kit
from xtool.log import SilentLog
from xtool.setup import Request, ensure_kit
from xtool.store import Store

PROJECTS = Path(__file__).parent.parent / "projects"
TRIPLET = "powerpc64le-linux-gnu"

PLAIN_C = """
#include <Python.h>
{include}
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "demo", NULL, -1, NULL, NULL, NULL, NULL, NULL}};
PyMODINIT_FUNC PyInit_demo(void) {{ {body} return PyModule_Create(&module); }}
"""
PLAIN_SETUP = """
from setuptools import Extension, setup
setup(name="demo", version="1", ext_modules=[Extension("demo", ["demo.c"], {options})])
"""

Build = Callable[..., RawWheel]


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("XTOOL_")}


@pytest.fixture(scope="module")
def ctx(shared_cache: Path) -> Context:
    return Context(Settings(cache_dir=shared_cache, jobs=2, compiler_cache="none"), SilentLog(), _environ())


@pytest.fixture(scope="module")
def kit(ctx: Context) -> Kit:
    return ensure_kit(ctx, Request(Catalog().target("ppc64le"), pythons=("3.13", "3.11")))


@pytest.fixture
def build(ctx: Context, kit: Kit, tmp_path: Path) -> Build:
    """`build(project)` builds a folder for Python 3.13 and hands out the raw wheel."""

    def run(
        project: Path | str,
        *,
        version: str = "3.13",
        environ: Mapping[str, str] | None = None,
        name: str = "work",
        used: Context = ctx,
    ) -> RawWheel:
        used = Context(used.settings, used.log, {**used.environ, **(environ or {})})
        work = tmp_path / name
        (work / "build").mkdir(parents=True)
        source = obtain(used, str(project), work / "source", python=version)
        return build_wheel(used, kit, version, source, workdir=work / "build", jobs=2)

    return run


def _project(folder: Path, *, include: str = "", body: str = "", options: str = "") -> Path:
    folder.mkdir()
    (folder / "demo.c").write_text(PLAIN_C.format(include=include, body=body))
    (folder / "setup.py").write_text(PLAIN_SETUP.format(options=options))
    return folder


def _extensions(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".so")}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("version", ["3.13", "3.11"])
def test_a_c_project_becomes_a_wheel_of_the_target(build: Build, kit: Kit, version: str) -> None:
    raw = build(PROJECTS / "c-setuptools", version=version)
    tag = "cp" + version.replace(".", "")
    assert raw.path.name == f"xt_c-1.0-{tag}-{tag}-linux_ppc64le.whl"
    extensions = _extensions(raw.path)
    suffix = f".cpython-{tag[2:]}-{TRIPLET}.so"
    assert set(extensions) == {f"xt_c/_sum{suffix}", f"xt_c/_where{suffix}"}
    for name, data in extensions.items():
        assert read_elf(data, name=name).header.machine == "EM_PPC64"
    assert raw.trace.compiles == 2
    assert raw.trace.links == 2
    assert [Path(path).parent for path in raw.trace.python_headers] == [kit.pythons[version].includes[0]] * 2


def test_every_file_that_was_opened_comes_from_the_kit_or_the_project(build: Build, kit: Kit) -> None:
    trace = build(PROJECTS / "cpp-setuptools").trace
    origins = {trace.origin(path) for path in trace.headers | trace.libraries}
    assert origins <= {"toolchain", "sysroot", "python", "source", "temporary"}
    assert any(path.endswith("/stdlib.h") and trace.origin(path) == "sysroot" for path in trace.headers)
    assert any(path.endswith("/c++/14/thread") for path in trace.headers)
    assert any(path.endswith("/libstdc++.a") for path in trace.libraries)
    assert not [path for path in trace.headers if path.startswith(("/usr/include", "/usr/local"))]


def test_the_users_folder_is_left_as_it_was_and_old_products_do_not_come_along(
    build: Build, tmp_path: Path
) -> None:
    project = tmp_path / "mine"
    shutil.copytree(PROJECTS / "c-setuptools", project)
    (project / "build" / "lib.linux-x86_64-cpython-313" / "xt_c").mkdir(parents=True)
    (project / "build" / "lib.linux-x86_64-cpython-313" / "xt_c" / "stale.py").write_text("")
    (project / "xt_c" / "_sum.cpython-313-x86_64-linux-gnu.so").write_bytes(b"\x7fELF host")
    before = _digests(project)
    raw = build(project)
    assert _digests(project) == before
    with zipfile.ZipFile(raw.path) as archive:
        assert not [name for name in archive.namelist() if "x86_64" in name or "stale" in name]


def test_a_project_that_branches_on_the_machine_sees_the_target(build: Build, kit: Kit) -> None:
    raw = build(PROJECTS / "machine-branch")
    with zipfile.ZipFile(raw.path) as archive:
        answers = json.loads(archive.read("xt_machine/answers.json"))
    suffix = f".cpython-313-{TRIPLET}.so"
    assert answers == {
        "platform.machine": "ppc64le",
        "platform.uname": "ppc64le",
        "platform.processor": "ppc64le",
        "platform.platform": True,
        "os.uname": "ppc64le",
        "os.uname()[4]": "ppc64le",
        "sysconfig.get_platform": "linux-ppc64le",
        "EXT_SUFFIX": suffix,
        "EXTENSION_SUFFIXES": suffix,
        "MULTIARCH": TRIPLET,
        "include": str(kit.pythons["3.13"].includes[0]),
        "isolated": f"ppc64le {suffix}",
    }
    assert "-I/usr/include" in raw.trace.skipped
    assert "-L/usr/lib/x86_64-linux-gnu" in raw.trace.skipped


def test_the_same_source_gives_the_same_bytes_in_any_folder_and_environment(
    build: Build, tmp_path: Path
) -> None:
    absolute = "undef_macros=[]"
    body = "if (__FILE__[0] == 0) return NULL; puts(__FILE__);"
    first_project = _project(tmp_path / "one", body=body, options=absolute)
    second_project = _project(tmp_path / "the other one", body=body, options=absolute)
    # An absolute name is what the compiler would write into the file.
    for project in (first_project, second_project):
        setup = (project / "setup.py").read_text()
        (project / "setup.py").write_text(
            setup.replace('"demo.c"', '__import__("os").path.abspath("demo.c")')
        )
    host = tmp_path / "host"
    host.mkdir()
    (host / "Python.h").write_text("#error a header of the host\n")
    hostile = {
        "CC": "gcc -m64",
        "CXX": "clang++",
        "LDSHARED": "gcc -shared",
        "CFLAGS": f"-march=native -O0 -I{host}",
        "CPPFLAGS": f"-I{host}",
        "LDFLAGS": f"-L{host}",
        "CPATH": str(host),
        "C_INCLUDE_PATH": str(host),
        "LIBRARY_PATH": str(host),
        "PYTHONPATH": str(host),
        "_PYTHON_HOST_PLATFORM": "linux-x86_64",
        "PKG_CONFIG_PATH": str(host),
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
    }
    first = build(first_project, name="first")
    second = build(second_project, name="a second", environ=hostile)
    assert _extensions(first.path) == _extensions(second.path)
    (data,) = _extensions(first.path).values()
    assert b"/xtool/source/demo.c" in data
    assert str(tmp_path).encode() not in data
    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.fixture(params=["kept", "thrown away"])
def other_cache(request: pytest.FixtureRequest, ctx: Context, tmp_path: Path) -> Context:
    """A cache with a space in its name; one that keeps build environments, and one that cannot."""
    cache = tmp_path / "an other cache"
    other = Context(replace(ctx.settings, cache_dir=cache), ctx.log, ctx.environ)
    Store(other).prepare()
    if request.param == "thrown away":
        (cache / "v1" / "state").write_text("no folder")
    return other


def test_the_same_bytes_whichever_environment_the_back_end_runs_in(
    build: Build, kit: Kit, ctx: Context, other_cache: Context, tmp_path: Path
) -> None:
    # The header of a build requirement, as NumPy's are used: its path stands in the extension.
    requirement = tmp_path / "headers"
    (requirement / "withheader").mkdir(parents=True)
    (requirement / "withheader" / "__init__.py").write_text(
        "from pathlib import Path\nwhere = str(Path(__file__).parent)\n"
    )
    (requirement / "withheader" / "here.h").write_text("static const char *here(void) { return __FILE__; }\n")
    (requirement / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'withheader'\nversion = '1'\n"
        "[tool.setuptools.package-data]\nwithheader = ['*.h']\n"
    )
    wheels = tmp_path / "wheels"
    uv = [find_uv_bin(), "build", "--quiet", "--wheel", str(requirement), "--out-dir", str(wheels)]
    subprocess.run(uv, check=True)
    project = _project(
        tmp_path / "uses",
        include='#include "here.h"',
        body="puts(here());",
        options="include_dirs=[__import__('withheader').where]",
    )
    (project / "pyproject.toml").write_text("[build-system]\nrequires = ['setuptools', 'withheader']\n")
    links = {"UV_FIND_LINKS": str(wheels)}
    first = build(project, name="first", environ=links)
    again = build(project, name="second", environ=links)
    other = build(project, name="third", environ=links, used=other_cache)
    assert first.path.read_bytes() == again.path.read_bytes() == other.path.read_bytes()
    (data,) = _extensions(first.path).values()
    assert b"/xtool/environment/lib/python3.13/site-packages/withheader/here.h" in data
    assert first.trace.roots["environment"] == again.trace.roots["environment"]
    assert first.trace.roots["environment"] != other.trace.roots["environment"]
    for raw in (first, other):
        assert raw.trace.leaks == ()
    assert len(kept.names(other_cache)) == (1 if (Store(other_cache).root / "state").is_dir() else 0)


@pytest.mark.parametrize(
    ("include", "options"),
    [
        ('#include "{host}/evil.h"', ""),
        ('#include "evil.h"', 'extra_compile_args=["-I../../../../{relative}"]'),
    ],
)
def test_a_header_of_the_host_is_refused_by_name(
    build: Build, tmp_path: Path, include: str, options: str
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "evil.h").write_text("#define EVIL 1\n")
    work = tmp_path / "work" / "build" / "source"
    relative = os.path.relpath(host, work)
    options = options.replace("../../../../{relative}", relative)
    project = _project(tmp_path / "leaky", include=include.format(host=host), options=options)
    with pytest.raises(WheelRejected) as caught:
        build(project)
    assert caught.value.code == "host-leak"
    assert caught.value.facts == (f"header {host}/evil.h",)


def test_a_library_of_the_host_is_refused_by_name(build: Build, tmp_path: Path) -> None:
    library = tmp_path / "libz.so"
    library.write_bytes(b"")
    project = _project(tmp_path / "leaky", options=f"extra_link_args=[{str(library)!r}]")
    with pytest.raises(CommandFailed) as caught:
        build(project)
    assert any(f"{library} belongs to the host" in fact for fact in caught.value.facts)
    assert caught.value.hint is not None
    assert "XTOOL_LDFLAGS" in caught.value.hint


def test_the_users_own_files_for_the_target_may_be_used(build: Build, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "own.h").write_text("#define OWN 1\n")
    project = _project(tmp_path / "uses", include="#include <own.h>\n#if !OWN || !FLAG\n#error\n#endif")
    raw = build(project, environ={"XTOOL_CFLAGS": f"-I{mine}", "XTOOL_CFLAGS_PPC64LE": "-DFLAG=1"})
    assert raw.trace.origin(f"{mine}/own.h") == "user"


FAILURES = {
    "missing header": (
        {"include": "#include <libpq-fe.h>"},
        "libpq-fe.h: No such file",
        "`libpq-fe.h` is not in the ppc64le sysroot: `--sysroot-package libpq-dev` brings it",
    ),
    "missing library": (
        {"options": 'libraries=["pq"]'},
        "cannot find -lpq",
        "`-lpq` is not in the ppc64le sysroot: `--sysroot-package libpq-dev` brings it",
    ),
    "library that nobody knows": (
        {"options": 'libraries=["strange"]'},
        "cannot find -lstrange",
        "there is no library `strange` in the ppc64le sysroot, which has the C library only",
    ),
    "option of another processor": (
        {"options": 'extra_compile_args=["-mavx2"]'},
        "-mavx2",
        "`-mavx2` is not an option of the compiler for ppc64le",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_build_that_fails_says_where_and_what_to_do(build: Build, tmp_path: Path, case: str) -> None:
    parts, shown, hint = FAILURES[case]
    with pytest.raises(CommandFailed) as caught:
        build(_project(tmp_path / "fails", **parts))
    assert "fails" in caught.value.message
    assert any(shown in fact for fact in caught.value.facts)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("pyproject", "error", "said"),
    [
        ("[build-system\n", UsageError, "not valid TOML"),
        ("[build-system]\nbuild-backend = 'x'\n", UsageError, "requires"),
        ("[build-system]\nrequires = []\nbuild-backend = 'nowhere'\n", CommandFailed, "`nowhere`"),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'x'\nbackend-path = ['../..']\n",
            UsageError,
            "backend-path",
        ),
        (
            "[build-system]\nrequires = ['meson-python']\nbuild-backend = 'mesonpy'\n",
            UsageError,
            "meson-python, which xtool cannot cross-compile yet",
        ),
    ],
)
def test_a_wrong_pyproject_is_the_users_mistake(
    build: Build, tmp_path: Path, pyproject: str, error: type[XtoolError], said: str
) -> None:
    project = _project(tmp_path / "wrong")
    (project / "pyproject.toml").write_text(pyproject)
    with pytest.raises(error) as caught:
        build(project)
    assert said in caught.value.message


def test_an_sdist_file_is_built(build: Build, tmp_path: Path) -> None:
    sdist = tmp_path / "xt_c-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(PROJECTS / "c-setuptools", "xt_c-1.0")
    assert build(sdist).path.name == "xt_c-1.0-cp313-cp313-linux_ppc64le.whl"


@pytest.mark.parametrize(
    ("project", "command"),
    [
        (
            "cpp-setuptools",
            "python -c 'import xt_cpp; assert xt_cpp.work(4) == (6, 4, \"thrown in a thread\", True)'",
        ),
        ("c-setuptools", "python -c 'import xt_c; assert xt_c.total(2, 40) == 42; print(xt_c.where(27.0))'"),
        ("spawns", "python -m xt_spawns"),
    ],
)
def test_a_built_wheel_does_its_work_under_the_emulator(
    shared_cache: Path, kit: Kit, tmp_path: Path, project: str, command: str
) -> None:
    words = ["build", str(PROJECTS / project), "--target", kit.target.name, "--python", "3.13"]
    words += ["--outdir", str(tmp_path), "--test-command", command, "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "xtool", *words],
        env={**_environ(), "XTOOL_CACHE_DIR": str(shared_cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = json.loads(done.stdout)["data"]["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    assert wheel["platform_tag"] == "manylinux2014_ppc64le.manylinux_2_17_ppc64le"


def test_the_environment_for_users_compiles_for_the_target(ctx: Context, kit: Kit, tmp_path: Path) -> None:
    script = env_for_user(ctx, kit, "3.13", "shell")
    assert isinstance(script, str)
    (tmp_path / "a.c").write_text("#include <Python.h>\nint main(void) { return 0; }\n")
    command = f"{script}\n$CC $CFLAGS -I$XTOOL_CROSS_INCLUDE a.c -o a.out && $READELF -h a.out"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "PowerPC64" in done.stdout


def test_the_environment_for_users_lasts_and_names_files_that_exist(ctx: Context, kit: Kit) -> None:
    data = env_for_user(ctx, kit, "3.13", "json")
    assert isinstance(data, dict)
    assert data == env_for_user(ctx, kit, "3.13", "json")
    for name in ("XTOOL_CMAKE_TOOLCHAIN", "XTOOL_MESON_CROSS_FILE", "XTOOL_BUILD_DETAILS"):
        assert Path(data[name]).is_relative_to(ctx.settings.cache_dir)
        assert Path(data[name]).is_file()
    github = env_for_user(ctx, kit, "3.13", "github")
    assert isinstance(github, str)
    assert "_PYTHON_HOST_PLATFORM=linux-ppc64le\n" in github
    with pytest.raises(UsageError, match="no format"):
        env_for_user(ctx, kit, "3.13", "yaml")
