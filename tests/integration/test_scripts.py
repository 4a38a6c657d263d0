"""Samples of the slow matrices in `scripts/`, so that neither the scripts nor what they claim can rot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


def _script(cache: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *words], env=env, capture_output=True, text=True, check=False
    )


def test_floors_agree_with_published_wheels_and_with_zigs_table(shared_cache: Path) -> None:
    packages = [word for name in ("cffi", "greenlet", "psutil") for word in ("--package", name)]
    done = _script(shared_cache, "check_floor.py", "--target", "ppc64le", *packages)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not in the stub: 0" in done.stdout
    assert "0 unexplained differences" in done.stdout


def test_packages_from_the_index_are_built_untouched(shared_cache: Path, tmp_path: Path) -> None:
    for target, names in (
        ("ppc64le", ("simplejson", "greenlet", "kiwisolver", "setproctitle")),
        ("aarch64", ("psycopg2",)),
    ):
        words = (*names, "--target", target, "--outdir", str(tmp_path))
        done = _script(shared_cache, "build_packages.py", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        for name in names:
            (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {name} ")]
            assert f"manylinux2014_{target}" in row
            assert row.endswith("| passed |")


def test_the_target_that_nothing_else_builds_for(shared_cache: Path) -> None:
    words = ("--target", "loongarch64", "--python", "3.13", "--package", "spawns")
    done = _script(shared_cache, "target_table.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "| target | Python | spawns |",
        "| --- | --- | --- |",
        "| loongarch64 | 3.13 | 2_36, passed |",
    ]


def test_wheels_are_the_same_bytes_under_other_circumstances(shared_cache: Path) -> None:
    """All circumstances at once: another user with a home, a cache and a Python of his own among them."""
    words = ["--project", "traces", "--project", "pgo", "--circumstance", "everything"]
    done = _script(shared_cache, "check_reproducible.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[2:] for row in rows if row[0] in ("| traces", "| pgo")] == [["same |"], ["same |"]]
    exported = "| `xtool cache export` of those that all have"
    assert [row[1:] for row in rows if row[0] in ("| gcc-ppc64le", exported)] == [["same |"], ["same |"]]


def test_a_package_passes_its_own_test_suite(shared_cache: Path, tmp_path: Path) -> None:
    done = _script(shared_cache, "build_packages.py", "--suites", "markupsafe", "--outdir", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("| passed |")


def test_runtimes_ask_for_nothing_above_their_floor(shared_cache: Path) -> None:
    done = _script(shared_cache, "check_lowering.py", "--glibc", "2.17")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()]
    # Library; symbols above the floor; moved or older; older name; in the compat library; missing.
    counted = {cells[1]: [int(cell) for cell in cells[2:7]] for cells in rows if ".so." in cells[1]}
    assert counted["libgfortran.so.5"][0] > 40
    assert counted["libgomp.so.1"][3:] == [0, 0]
