#!/usr/bin/env python3
"""How readers of RPM packages fare: speed against rpm's own tools, and what they do with hostile packages.

    scripts/try_rpm_readers.py                both parts (a minute; needs rpmbuild, rpm2cpio and cpio)
    scripts/try_rpm_readers.py speed          unpacking a package of a few MB, side by side
    scripts/try_rpm_readers.py hostile        xtool and, where they are installed, rpmfile and rpm-rs

The figures of `docs/decisions/0009-own-rpm-reader.md` come from here.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import forge, rpmforge  # noqa: E402
from support.rpmforge import INT16, INT32, STRING_ARRAY  # noqa: E402

READERS = {
    "xtool": "from support import forge\nfrom xtool.archive import unpack\n"
    "unpack(forge.verified(a, a.read_bytes()), b, absolute_links='rewrite')",
    "rpmfile": "import rpmfile.cli\nb.mkdir()\nrpmfile.cli.main('-x', str(a), '-C', str(b))",
    "rpm_rs": "import rpm_rs\nrpm_rs.Package.open(str(a)).extract(str(b))",
}
PROLOGUE = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
sys.path[:0] = {paths!r}
a, b = Path(sys.argv[1]), Path(sys.argv[2])
"""
EPILOGUE = """
# Not ru_maxrss: that knows the parent's memory from before the exec.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) >> 10)
"""

SPEC = """
Name: big
Version: 1
Release: 1
Summary: Python's own library
License: PSF
AutoReqProv: no
%description
Files of many sizes, and a set of hard links.
%install
mkdir -p %{{buildroot}}/usr/lib
cp -r {source} %{{buildroot}}/usr/lib/python
find %{{buildroot}} -name '*.pyc' -delete
find %{{buildroot}} -depth '(' -name test -o -name tests -o -name 'site-packages' -o -name 'config-*' ')' \
  -exec rm -r {{}} +
ln %{{buildroot}}/usr/lib/python/this.py %{{buildroot}}/usr/lib/python/that.py
%files
/usr/lib/python
"""


def speed(folder: Path, rounds: int) -> None:
    """Time xtool against `rpm2cpio | cpio -id`, taking turns."""
    source = sysconfig.get_path("stdlib")
    for compression, payload in rpmforge.PAYLOADS.items():
        spec = SPEC.format(source=source)
        package = rpmforge.rpmbuild(folder / f"build{compression}", spec, payload=payload)[0]
        out = folder / "out"

        def theirs(package: Path = package, out: Path = out) -> None:
            out.mkdir()
            subprocess.run(f"rpm2cpio {package} | cpio -id --quiet", shell=True, cwd=out, check=True)

        file = forge.verified(folder / package.name, package.read_bytes(), unpacked_size=1 << 30)

        def ours(out: Path = out) -> None:
            from xtool.archive import unpack

            unpack(file, out, absolute_links="rewrite")  # noqa: B023 (called within the round)

        times: dict[Callable[[], None], list[float]] = {theirs: [], ours: []}
        for _ in range(rounds):
            for way, seconds in times.items():
                started = time.perf_counter()
                way()
                seconds.append(time.perf_counter() - started)
                files = sum(1 for path in out.rglob("*"))
                shutil.rmtree(out)
        ratio = statistics.median(times[ours]) / statistics.median(times[theirs])
        size = package.stat().st_size / 1e6
        print(f"{payload:12} {size:5.1f} MB, {files} files: {ratio:.2f} x rpm2cpio | cpio")


def packages() -> Iterator[tuple[str, bytes]]:
    """Packages whose headers list what their payloads hold, and what is wrong with them."""
    plain, link, folder = 0o100644, 0o120777, 0o040755
    yield "nothing wrong", package([("./u/a", b"x", plain, {}), ("./u/d", b"", folder, {})])
    two = {"links": 2, "inode": 5}
    yield "hard links", package([("./u/a", b"", plain, two), ("./u/b", b"data", plain, two)])
    yield "a name that climbs", package([("./u/../../climbed", b"x", plain, {})])
    outside = [("./u/d", b"/tmp", link, {}), ("./u/d/xtool-try", b"x", plain, {})]
    yield "a file through an absolute link", package(outside)
    yield "set-user-id", package([("./u/a", b"x", 0o104755, {})])
    yield "a named pipe", package([("./u/p", b"", 0o010644, {})])
    yield "one name twice", package([("./u/a", b"1", plain, {}), ("./u/a", b"2", plain, {})])
    yield "no trailer", package([("./u/a", b"x", plain, {})], end=b"")
    yield "something behind the end", package([("./u/a", b"x", plain, {})]) + b"garbage"
    yield "cut short", package([("./u/a", os.urandom(1 << 17), plain, {})])[:-1000]
    bomb = [("./u/bomb", bytes(1 << 29), plain, {})]
    yield "512 MiB of zeros, xz", package(bomb, ".xz")
    yield "512 MiB of zeros, zstd", package(bomb, ".zst")


def package(
    members: list[tuple[str, bytes, int, dict[str, int]]], compression: str = ".xz", end: bytes = rpmforge.END
) -> bytes:
    """A forged package whose header lists its members, which rpm-rs insists on."""
    stream = rpmforge.cpio(*(rpmforge.member(n, d, mode=m, **k) for n, d, m, k in members), end=end)  # type: ignore[arg-type]
    paths = [name[1:].rpartition("/") for name, *_ in members]
    folders = sorted({f"{folder}/" for folder, _, _ in paths})
    count = len(members)
    numbers = {
        1028: [len(data) for _, data, _, _ in members],
        1034: [0] * count,
        1037: [0] * count,
        1045: [0] * count,
        1095: [1] * count,
        1096: [more.get("inode", at + 10) for at, (*_, more) in enumerate(members)],
        1116: [folders.index(f"{folder}/") for folder, _, _ in paths],
    }
    texts = {
        1035: [""] * count,
        1036: [data.decode() if mode >> 12 == 0o12 else "" for _, data, mode, _ in members],
        1039: ["root"] * count,
        1040: ["root"] * count,
        1097: [""] * count,
        1117: [name for _, _, name in paths],
        1118: folders,
    }
    changes: dict[str, rpmforge.Entry | None] = {f"t{tag}": (tag, INT32, v) for tag, v in numbers.items()}
    changes |= {f"t{tag}": (tag, STRING_ARRAY, v) for tag, v in texts.items()}
    changes["t1030"] = (1030, INT16, [mode for _, _, mode, _ in members])
    changes["t1033"] = (1033, INT16, [0] * count)
    entries = rpmforge.header_entries(rpmforge.COMPRESSORS[compression], **changes)
    return rpmforge.rpm(stream, compression, main=rpmforge.header(entries, 63))


def hostile(folder: Path) -> None:
    """Hand each package to each reader; say how it ended and what it left."""
    for what, content in packages():
        print(f"{what}:")
        for reader, program in READERS.items():
            if reader != "xtool" and importlib.util.find_spec(reader) is None:
                continue
            base = folder / "try"
            base.mkdir()
            file = base / "a.rpm"
            file.write_bytes(content)
            paths = [str(ROOT), str(ROOT / "tests")]
            done = subprocess.run(
                [sys.executable, "-c", PROLOGUE.format(paths=paths) + program + EPILOGUE, file, base / "in"],
                capture_output=True,
                text=True,
                check=False,
            )
            words = done.stdout.split()
            ended = f"unpacked, {words[-1]} MB of memory" if done.returncode == 0 else "refused"
            print(f"  {reader:8} {ended}; {', '.join(_left(base)) or 'nothing there'}")
            if done.returncode != 0:
                print(f"           {done.stderr.strip().splitlines()[-1][:120]}")
            shutil.rmtree(base)


def _left(base: Path) -> Iterator[str]:
    for path in sorted(base.rglob("*")):
        if path.name in ("a.rpm", "in"):
            continue
        state = path.lstat()
        target = f" -> {path.readlink()}" if path.is_symlink() else ""
        yield f"{path.relative_to(base)} {state.st_mode & 0o7777:o} {state.st_size} bytes{target}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=["speed", "hostile"], help="speed, hostile")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in arguments.parts:
            speed(Path(folder), arguments.rounds)
        if "hostile" in arguments.parts:
            hostile(Path(folder))


if __name__ == "__main__":
    main()
