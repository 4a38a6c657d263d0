"""Uses its extension module in child processes of every kind."""

import multiprocessing
import platform
import subprocess
import sys

from _xt_spawns import twice

__all__ = ["by_pool", "by_subprocess", "twice"]


def by_subprocess(number: int) -> tuple[int, str]:
    program = f"import platform, xt_spawns; print(xt_spawns.twice({number}), platform.machine())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    result, machine = done.stdout.split()
    return int(result), machine


def by_pool(method: str, numbers: list[int]) -> list[int]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(twice, numbers)


if __name__ == "__main__":
    assert by_subprocess(21) == (42, platform.machine())
    for method in ("fork", "spawn"):
        assert by_pool(method, [1, 2, 3]) == [2, 4, 6]
    print("children answered")
