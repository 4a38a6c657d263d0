"""Roots of other hosts: Debian 11 with its glibc 2.31, a system whose C library is musl, an aarch64 machine.

Each is a folder with what such a system has and a build has a use for, and nothing of xtool's. `run` makes it
the root of a process that has a /proc of its own, the machine's devices, and no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, SuiteEvidence
from xtool.context import Context
from xtool.fetch import fetch
from xtool.store import Store

_EVIDENCE = {
    "bullseye": SuiteEvidence("bullseye", date="2024-08-31", fingerprint="", snapshot="20240901T000000Z"),
    "trixie": SuiteEvidence("trixie", date="2025-08-09", fingerprint="", snapshot="20250810T000000Z"),
}


def _old(path: str, version: str, size: int, sha256: str, *, arch: str = "amd64") -> Artifact:
    name = path.rpartition("/")[2]
    file = f"pool/main/{path}_{version.partition(':')[2] or version}_{arch}.deb"
    return Artifact(name, version, arch, "debian", "bullseye", file, size, sha256, 20_000_000)


OLD = (
    _old("g/glibc/libc6", "2.31-13+deb11u11", 2_822_708,
         "05f7264da867b37f4c5ce49266b558ea1e81e05a9464f623152fca70f3550282"),
    _old("g/gcc-10/libgcc-s1", "10.2.1-6", 41_400,
         "e478f2709d8474165bb664de42e16950c391f30eaa55bc9b3573281d83a29daf"),
    _old("d/dash/dash", "0.5.11+git20200708+dd9ef66-5", 115_376,
         "0a4cc532fbf2c78cb4090a659fb73560981e626849532e6186f3a3ac6a45b3bc"),
    _old("c/coreutils/coreutils", "8.32-4+b1", 2_866_720,
         "3558a412ab51eee4b60641327cb145bb91415f127769823b68f9335585b308d4"),
    _old("libs/libselinux/libselinux1", "3.1-3", 88_124,
         "339f5ede10500c16dd7192d73169c31c4b27ab12130347275f23044ec8c7d897"),
    _old("a/acl/libacl1", "2.2.53-10", 31_140,
         "aa18d721be8aea50fbdb32cd9a319cb18a3f111ea6ad17399aa4ba9324c8e26a"),
    _old("a/attr/libattr1", "1:2.4.48-6", 21_632,
         "af3c3562eb2802481a2b9558df1b389f3c6d9b1bf3b4219e000e05131372ebaf"),
    _old("g/gmp/libgmp10", "2:6.2.1+dfsg-1+deb11u1", 563_308,
         "fc117ccb084a98d25021f7e01e4dfedd414fa2118fdd1e27d2d801d7248aebbc"),
    _old("p/pcre2/libpcre2-8-0", "10.36-2+deb11u1", 247_784,
         "ee192c8d22624eb9d0a2ae95056bad7fb371e5abc17e23e16b1de3ddb17a1064"),
)  # fmt: skip
"""Debian 11: glibc 2.31, and a shell and commands that run on it."""

OLD_AARCH64 = (
    _old("g/glibc/libc6", "2.31-13+deb11u11", 2_455_356,
         "baaa9aa184e2f21738c5819055e6740cc5b22f198e3f416e33f82b40ff6933d8", arch="arm64"),
    _old("d/dash/dash", "0.5.11+git20200708+dd9ef66-5", 112_904,
         "542980a48d96c1124a9664cae06dbb8b813417daa1de1b6ed4cb49e0766da932", arch="arm64"),
)  # fmt: skip

SHELL = Artifact(
    "dash", "0.5.12", "source", "debian", "trixie", "pool/main/d/dash/dash_0.5.12.orig.tar.gz", 246_054,
    "6a474ac46e8b0b32916c4c60df694c82058d3297d8b385b74508030ca4a8f28a", 2_000_000,
)  # fmt: skip


def glibc_231(ctx: Context, root: Path) -> None:
    """Fill a root with Debian 11's C library, shell and basic commands."""
    _debian(ctx, root, OLD)


def aarch64(ctx: Context, root: Path) -> None:
    """Fill a root with an aarch64 machine's C library, glibc 2.31, and its shell."""
    _debian(ctx, root, OLD_AARCH64)


def musl(ctx: Context, root: Path) -> None:
    """Fill a root with musl and a shell that was compiled for it; there is no other program."""
    (source,) = _fetch(ctx, (SHELL,))
    work = root / "work"
    with tarfile.open(source) as archive:
        archive.extractall(work, filter="data")
    (folder,) = work.iterdir()
    env = {**os.environ, "CC": "musl-gcc"}
    for command in (["./configure", "--quiet"], ["make", "--silent"]):
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (root / "bin").mkdir()
    shutil.move(folder / "src" / "dash", root / "bin" / "sh")
    shutil.rmtree(work)
    (root / "lib").mkdir()
    loader = Path(f"/lib/ld-musl-{os.uname().machine}.so.1")
    shutil.copyfile(loader, root / "lib" / loader.name)
    (root / "lib" / loader.name).chmod(0o755)
    _complete(root)


def _debian(ctx: Context, root: Path, packages: tuple[Artifact, ...]) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        # Merged, as the distribution's own installer makes it.
        (root / name).symlink_to(f"usr/{name}")
    for path in _fetch(ctx, packages):
        apart = root / "apart"
        # Links in such packages are absolute, as they may be in a root of their own.
        subprocess.run(["dpkg-deb", "-x", path, apart], check=True)
        for folder in (apart, apart / "usr"):
            for part in ("bin", "sbin", "lib", "lib64"):
                if (folder / part).is_dir():
                    shutil.copytree(folder / part, root / "usr" / part, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(apart)
    _complete(root)


def _fetch(ctx: Context, artifacts: tuple[Artifact, ...]) -> list[Path]:
    found = fetch(ctx, Catalog(), artifacts, evidence=_EVIDENCE, downloads=Store(ctx).downloads)
    return [found[artifact.sha256].path for artifact in artifacts]


def _complete(root: Path) -> None:
    """The folders and the user that any system has."""
    for name in ("proc", "dev", "etc", "home"):
        (root / name).mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/home:/bin/sh\n")


# The kernel hands programs of the other machine to the emulator, since 6.7 in this user namespace alone.
# 0xb7 is EM_AARCH64; `F` opens the emulator now, so that it need not be in the root.
_ENTER = r"""
emulator=$1; shift
if [ -n "$emulator" ]; then
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 125
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":xtool:M::$magic:$mask:$emulator:F" >/proc/sys/fs/binfmt_misc/register || exit 125
fi
mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" || exit 125
exec chroot "$@"
"""


def run(
    root: Path, *words: str, environ: Mapping[str, str] | None = None, emulator: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a root, as its root user; what it says and its exit code.

    Nothing of the environment comes along but what is given here.

    Args:
        root: the root.
        words: the command.
        environ: variables, beside the usual PATH and HOME.
        emulator: runs the programs of a root of aarch64.
    """
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/home", "LC_ALL": "C.UTF-8", **(environ or {})}
    spaces = ["--mount", "--pid", "--net", "--fork", "--kill-child"]
    # Without root a user namespace gives the right to change the root folder and to mount.
    spaces += ["--map-root-user"] if emulator or os.geteuid() != 0 else []
    enter = ["unshare", *spaces, "/bin/sh", "-c", _ENTER, "sh", str(emulator or ""), str(root)]
    return subprocess.run([*enter, *words], env=env, capture_output=True, text=True, check=False)
