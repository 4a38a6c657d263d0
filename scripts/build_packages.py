#!/usr/bin/env python3
"""Build real packages from the index, untouched, and say what came of each.

    scripts/build_packages.py                        every package of the list, ppc64le
    scripts/build_packages.py markupsafe ujson       some of them
    scripts/build_packages.py --suites               those that also run their own test suite

Every wheel must carry the tag of the floor, hold what `auditwheel show` says it holds, and pass its smoke
test. Exits 1 when one does not. The table goes to stdout, as Markdown.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = {
    "markupsafe": "3.0.3",
    "simplejson": "3.20.2",
    "msgpack": "1.1.2",
    "wrapt": "2.0.1",
    "multidict": "6.7.0",
    "frozenlist": "1.8.0",
    "regex": "2025.11.3",
    "psutil": "7.1.3",
    "greenlet": "3.2.4",
    "lz4": "4.4.5",
    "zstandard": "0.25.0",
    "ujson": "5.11.0",
    "kiwisolver": "1.4.9",
    "setproctitle": "1.3.7",
    "cffi": "2.1.1",
    "psycopg2": "2.9.13",
    "pynacl": "1.6.2",
    "lxml": "6.1.3",
    "pycryptodome": "4.4.0",
}
"""Package -> version."""

LIBRARIES = {
    "cffi": ["libffi-dev"],
    "psycopg2": ["libpq-dev"],
    "lxml": ["libxml2-dev", "libxslt1-dev", "zlib1g-dev"],
}
"""Package -> packages that its sysroot needs beside the C library. PyNaCl builds a libsodium of its own."""

USES = {
    "cffi": """
import cffi
ffi = cffi.FFI()
ffi.cdef("double cos(double); void qsort(void *, size_t, size_t, int (*)(const void *, const void *));")
assert abs(ffi.dlopen("libm.so.6").cos(0.5) - 0.8775825618903728) < 1e-12
numbers = ffi.new("int[]", [3, 1, 2])
@ffi.callback("int(const void *, const void *)")
def order(a, b):
    return ffi.cast("int *", a)[0] - ffi.cast("int *", b)[0]
ffi.dlopen(None).qsort(numbers, 3, 4, order)
assert list(numbers) == [1, 2, 3]
""",
    "psycopg2": """
import psycopg2
assert psycopg2.__libpq_version__ >= 170000
try:
    psycopg2.connect("host=127.0.0.1 port=9 sslmode=require connect_timeout=5")
except psycopg2.OperationalError as error:
    assert "refused" in str(error), error
else:
    raise SystemExit("somebody answers at port 9")
""",
    "pynacl": """
import nacl.pwhash, nacl.secret, nacl.signing, nacl.utils
box = nacl.secret.SecretBox(nacl.utils.random(32))
assert box.decrypt(box.encrypt(b"text")) == b"text"
key = nacl.signing.SigningKey.generate()
assert key.verify_key.verify(key.sign(b"text")) == b"text"
""",
    "lxml": """
from lxml import etree
sheet = etree.XSLT(etree.fromstring(
    '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/">'
    '<sum><x:value-of select="sum(//n)"/></sum></x:template></x:stylesheet>'))
assert sheet(etree.fromstring("<a><n>1</n><n>2</n></a>")).getroot().text == "3"
assert etree.LIBXML_VERSION >= (2, 9) and etree.tostring(etree.HTML("<p>a<p>b")).count(b"</p>") == 2
""",
    # Its setup.py asks the interpreter for word size and byte order: on s390x these digests were wrong.
    "pycryptodome": """
import hashlib
from Crypto.Cipher import AES, ChaCha20
from Crypto.Hash import BLAKE2b, MD5, SHA3_256, SHA512
text = bytes(range(256)) * 3
assert MD5.new(text).digest() == hashlib.md5(text).digest()
assert SHA512.new(text).digest() == hashlib.sha512(text).digest()
assert SHA3_256.new(text).digest() == hashlib.sha3_256(text).digest()
assert BLAKE2b.new(data=text, digest_bits=512).digest() == hashlib.blake2b(text).digest()
assert AES.new(bytes(16), AES.MODE_ECB).encrypt(bytes(16)).hex() == "66e94bd4ef8a2c3b884cfa59ca342b2e"
stream = ChaCha20.new(key=bytes(32), nonce=bytes(8)).encrypt(bytes(16))
assert stream.hex() == "76b8e0ada0f13d90405d6ae55386bd28"
""",
}
"""Package -> a program that uses it, where importing it would show little of the library behind it."""

SUITES = {
    "markupsafe": (["pytest"], "pytest -q -p no:cacheprovider {project}/tests"),
    "msgpack": (["pytest"], "pytest -q -p no:cacheprovider {project}/test"),
    "ujson": (["pytest"], "pytest -q -p no:cacheprovider {project}/tests"),
    "kiwisolver": (["pytest"], "pytest -q -p no:cacheprovider {project}/py/tests"),
}
"""Package -> requirements of its test suite, command."""


def main() -> int:
    parser = argparse.ArgumentParser(description="build real packages with xtool")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="default: all")
    parser.add_argument("--target", default="ppc64le")
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--suites", action="store_true", help="run the packages' own test suites")
    parser.add_argument("--outdir", type=Path, help="keep the wheels here")
    arguments = parser.parse_args()
    names = arguments.packages or list(SUITES if arguments.suites else PACKAGES)
    unknown = [name for name in names if name not in PACKAGES]
    if unknown:
        parser.error(f"not in the list: {', '.join(unknown)}")

    print("| package | version | tag | needs glibc | build s | smoke s | tests |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        outdir = arguments.outdir or Path(folder)
        for name in names:
            row = _build(name, arguments, outdir)
            print(row["line"], flush=True)
            if row["failed"]:
                failed.append(name)
                print(row["why"], file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _build(name: str, arguments: argparse.Namespace, outdir: Path) -> dict[str, object]:
    version = PACKAGES[name]
    command = [sys.executable, "-m", "xtool", "build", f"{name}=={version}", "--output", "json"]
    command += ["--target", arguments.target, "--python", arguments.python, "--outdir", str(outdir)]
    if arguments.suites:
        requires, test = SUITES[name]
        command += [word for item in requires for word in ("--test-requires", item)]
        command += ["--test-command", test]
    elif name in USES:
        command += ["--test-command", f"python -c {shlex.quote(USES[name])}"]
    command += [word for library in LIBRARIES.get(name, ()) for word in ("--sysroot-package", library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = {"exit_code": done.returncode, "errors": [{"message": done.stderr[-3000:], "hint": None}]}
    if document["exit_code"] != 0:
        why = json.dumps(document["errors"], indent=1)
        return {
            "line": f"| {name} | {version} | **failed** | | | | |",
            "failed": True,
            "why": f"{name}: {why}",
        }
    wheel = document["data"]["wheels"][0]
    problems = _problems(wheel, arguments)
    seconds = sum(wheel["timings"].values())
    line = (
        f"| {name} | {version} | {wheel['platform_tag']} | {wheel['glibc_required']} | {seconds:.1f} "
        f"| {wheel['smoke']['seconds']:.1f} | {wheel['smoke']['status']} |"
    )
    return {"line": line, "failed": bool(problems), "why": f"{name}: {'; '.join(problems)}"}


def _problems(wheel: dict[str, object], arguments: argparse.Namespace) -> list[str]:
    """What is wrong with a wheel, by somebody else's word than xtool's."""
    problems = []
    if f"manylinux2014_{arguments.target}" not in str(wheel["platform_tag"]):
        problems.append(f"tag is {wheel['platform_tag']}")
    smoke = wheel["smoke"]
    if not isinstance(smoke, dict) or smoke["status"] != "passed":
        problems.append(f"smoke test: {smoke}")
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", str(wheel["path"])],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode != 0 or "manylinux_2_17" not in " ".join(shown.stdout.split()):
        problems.append(f"auditwheel show: {shown.stdout}{shown.stderr}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
