"""Targets other than ppc64le: samples of `scripts/check_targets.py` and of the tables that make floors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


def _script(cache: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *words], env=env, capture_output=True, text=True, check=False
    )


# Big-endian; 32 bits with 32-bit times; signed return addresses in the packaged runtimes.
@pytest.mark.parametrize(("target", "on_old_glibc"), [("s390x", "-"), ("armv7l", "ran"), ("aarch64", "ran")])
def test_a_target_from_its_packages_to_a_tested_wheel_at_2_17(
    shared_cache: Path, target: str, on_old_glibc: str
) -> None:
    done = _script(shared_cache, "check_targets.py", "--target", target, "--floor", "2.17")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {target} ")]
    tag = f"manylinux2014_{target}.manylinux_2_17_{target}"
    assert row == f"| {target} | 2.17 | ran | ran | {on_old_glibc} | {on_old_glibc} | {tag} |"


@pytest.mark.usefixtures("cache")
def test_the_table_of_moves_is_what_debians_packages_say(shared_cache: Path) -> None:
    done = _script(shared_cache, "update_glibc_moves.py", "--check", "--machine", "i686")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "moves.toml: unchanged\n"


def test_no_runtime_of_aarch64_signs_return_addresses(shared_cache: Path) -> None:
    """libgcc_s of GCC 4.8 crashes on an unwind table that says so; binutils' readers are the witnesses."""
    (gcc,) = (shared_cache / "v1" / "store").glob("gcc-aarch64-*/bin/aarch64-linux-gnu-gcc")
    tool = str(gcc).removesuffix("gcc")
    archives = sorted((gcc.parent.parent / "lib/gcc-cross/aarch64-linux-gnu/14").glob("*.a"))
    assert {"libstdc++.a", "libgcc.a", "libgcc_eh.a", "libatomic.a"} <= {path.name for path in archives}
    for command in (["objdump", "--disassemble"], ["readelf", "--debug-dump=frames"]):
        done = subprocess.run(
            [tool + command[0], *command[1:], *archives], capture_output=True, text=True, check=True
        )
        assert len(done.stdout) > 1_000_000
        assert not {"paciasp", "autiasp", "DW_CFA_AARCH64_negate_ra_state", "DW_CFA_GNU_window_save"} & set(
            done.stdout.split()
        )
