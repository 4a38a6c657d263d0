#!/usr/bin/env python3
"""Say which sdists ask the interpreter for word size or byte order while they are built, and where.

    scripts/survey_questions.py                  the packages of the list, at fixed versions
    scripts/survey_questions.py pillow==13.0.0   others

Looks at the Python files that lie at the top of each sdist, and in its `backend-path`: `setup.py` and what it
imports. Prints a Markdown table; the sdists come from the package index, and nothing of them is executed.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xtool.build.frontend import read_build_system
from xtool.build.source import obtain
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.log import SilentLog
from xtool.paths import default_cache_dir

PACKAGES = """
aiohttp==3.14.5 bitarray==3.12.3 blosc==1.11.4 bottleneck==1.6.0 brotli==1.2.1 cffi==2.1.1
cymem==2.0.16 cython==3.3.1 gevent==26.9.0 gmpy2==2.3.2 greenlet==3.5.6 grpcio==1.85.3 h5py==3.16.0
kiwisolver==1.5.1 llvmlite==0.50.0 lxml==6.1.3 lz4==4.4.5 mmh3==5.3.1 msgpack==1.2.4 mypy==2.4.1
mysqlclient==2.3.2 netifaces==0.11.0 numba==0.68.1 numexpr==2.14.2 pillow==13.0.0 psutil==7.2.2
psycopg2==2.9.13 pycares==5.2.1 pycryptodome==4.4.0 pycurl==7.49.0 pymongo==4.20.1 pynacl==1.6.2
pyodbc==5.5.0 pyyaml==6.0.4 pyzmq==27.3.0 regex==2026.11.19 simplejson==4.3.0 tables==3.11.1
ujson==6.1.0 uvloop==0.23.0 uwsgi==2.0.31 xxhash==4.1.0 yarl==1.25.1 zstandard==0.25.0
"""

_QUESTIONS = {
    ("sys", "maxsize"),
    ("sys", "byteorder"),
    ("platform", "architecture"),
    ("ctypes", "sizeof"),
    *(("struct", name) for name in ("calcsize", "pack", "unpack", "pack_into", "unpack_from")),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="say which sdists ask for word size or byte order")
    parser.add_argument("packages", nargs="*", metavar="NAME==VERSION", help="default: those of the list")
    packages = parser.parse_args().packages or PACKAGES.split()
    environ = dict(os.environ)
    cache = Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir())
    ctx = Context(Settings(cache_dir=cache), SilentLog(), environ)
    asking = 0
    print("| sdist | place | asks |\n| --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            place = Path(folder) / package.replace("==", "-")
            rows = list(_questions(obtain(ctx, package, place, python="3.13").path))
            asking += bool(rows)
            for file, line, what in rows:
                print(f"| {package.replace('==', ' ')} | `{file}:{line}` | `{what}` |", flush=True)
    print(f"\n{asking} of {len(packages)} sdists ask")
    return 0


def _questions(project: Path) -> Iterator[tuple[Path, int, str]]:
    """File, line and question, for every one in the files that a build reads."""
    folders = [project, *(project / path for path in read_build_system(project).backend_path)]
    for path in sorted({file for folder in folders for file in folder.glob("*.py")}):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in _QUESTIONS:
                    yield path.relative_to(project), node.lineno, f"{node.value.id}.{node.attr}"
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (node.module, alias.name) in _QUESTIONS:
                        yield path.relative_to(project), node.lineno, f"{node.module}.{alias.name}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        sys.exit(f"error: {error.message}")
