"""A real glibc 2.17 for aarch64, and packages of it laid out as CentOS 7's.

The libraries were built from glibc's own source by crosstool-NG and are published inside a cross toolchain on
the npm registry; `npm` fetches it from wherever it is configured to. What is checked is the archive's
integrity as the registry publishes it. The packages hold them in CentOS 7's layout, under its names.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from support.rpmforge import rpmbuild

PACKAGE = "@napi-rs/cross-toolchain-x64-target-aarch64@1.0.3"
INTEGRITY = "sha512-EMFcy/ahFsmCY3BI1tMC3wRUYZ+cDuILg7nP1micaKXW1tO1+RvUB1CC6QYe+cv2W4Tuz9wr3qcFExWyjgWf2w=="
_INNER = "package/aarch64-unknown-linux-gnu.tar.xz"
_SYSROOT = "./aarch64-unknown-linux-gnu/sysroot"
_KERNEL = ("asm", "asm-generic", "drm", "linux", "misc", "mtd", "rdma", "scsi", "sound", "video", "xen")


def fetch(folder: Path) -> Path:
    """The toolchain's sysroot below a folder that may keep it: fetched, checked and unpacked once.

    Args:
        folder: where it lies, or will.

    Returns:
        A folder with `lib` and `usr`.
    """
    sysroot = folder / "sysroot"
    if sysroot.is_dir():
        return sysroot
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (archive,) = folder.glob("*.tgz")
    got = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{got}" == INTEGRITY, "the registry's package is not the one that was pinned"
    with tarfile.open(archive) as outer:
        inner = outer.extractfile(_INNER)
        assert inner is not None
        with inner, (folder / "inner.tar.xz").open("wb") as copy:
            shutil.copyfileobj(inner, copy)
    parts = [f"{_SYSROOT}/lib", f"{_SYSROOT}/usr"]
    subprocess.run(["tar", "-C", folder, "-xf", folder / "inner.tar.xz", *parts], check=True)
    for path in (archive, folder / "inner.tar.xz"):
        path.unlink()
    (folder / _SYSROOT).rename(sysroot)
    return sysroot


def centos7(sysroot: Path, folder: Path, *, payload: str = "w1.gzdio") -> list[Path]:
    """Packages of it in the layout of CentOS 7: `/lib64` beside `/usr/lib64`, absolute linker scripts.

    Args:
        sysroot: what `fetch` gave.
        folder: where to build.
        payload: how rpmbuild compresses.
    """
    root = folder / "tree"
    lib64, usr = root / "lib64", root / "usr"
    for place in (
        lib64,
        root / "lib",
        root / "etc",
        usr / "lib64",
        usr / "include",
        usr / "share/doc/freebl",
    ):
        place.mkdir(parents=True)
    skipped = ("libgcc_s", "libstdc++", "libsupc++")
    for path in sorted((sysroot / "lib").iterdir()):
        if not path.name.startswith(skipped):
            shutil.copy2(path, lib64 / path.name, follow_symlinks=False)
    (root / "lib" / "ld-linux-aarch64.so.1").symlink_to("../lib64/ld-2.17.so")
    for path in sorted((sysroot / "usr" / "lib").iterdir()):
        if path.is_symlink():
            (usr / "lib64" / path.name).symlink_to(f"../../lib64/{path.readlink().name}")
        elif path.is_file():
            shutil.copy2(path, usr / "lib64" / path.name)
    shutil.copytree(sysroot / "usr" / "lib" / "gconv", usr / "lib64" / "gconv")
    (usr / "lib64" / "libdl.so").unlink()
    (usr / "lib64" / "libdl.so").symlink_to("/lib64/libdl.so.2")
    shutil.copytree(sysroot / "usr" / "include", usr / "include", dirs_exist_ok=True)
    head = "/* GNU ld script\n   Use the shared library, but some functions are only in\n"
    head += "   the static library, so try that secondarily.  */\nOUTPUT_FORMAT(elf64-littleaarch64)\n"
    (usr / "lib64" / "libc.so").write_text(
        f"{head}GROUP ( /lib64/libc.so.6 /usr/lib64/libc_nonshared.a "
        " AS_NEEDED ( /lib/ld-linux-aarch64.so.1 ) )\n"
    )
    (usr / "lib64" / "libpthread.so").write_text(
        f"{head}GROUP ( /lib64/libpthread.so.0 /usr/lib64/libpthread_nonshared.a )\n"
    )
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    (usr / "share/doc/freebl/README").write_text("the library itself is left out\n")
    _locales(root)
    shared = ["libbsd-compat.a", "libg.a", "libieee.a", "libmcheck.a", "librpcsvc.a"]
    shared += ["libc_nonshared.a", "libpthread_nonshared.a"]
    static = sorted(path.name for path in (usr / "lib64").glob("*.a") if path.name not in shared)
    devel = [*shared, "*.o", *sorted(path.name for path in (usr / "lib64").glob("*.so"))]
    kernel = [f"/usr/include/{name}" for name in _KERNEL if (usr / "include" / name).exists()]
    parts = {
        "glibc": ["/lib64/*", "/lib/*", "/usr/lib64/gconv", "%config /etc/nsswitch.conf"],
        "glibc-common": ["/usr/share/locale", "/usr/lib/locale", "/usr/bin/locale"],
        "glibc-devel": [f"/usr/lib64/{name}" for name in devel],
        "glibc-static": [f"/usr/lib64/{name}" for name in static],
        "glibc-headers": ["/usr/include", *(f"%exclude {name}" for name in kernel)],
        "kernel-headers": kernel,
        "nss-softokn-freebl": ["/usr/share/doc/freebl"],
    }
    return _build(folder, root, parts, "2.17-317.el7", arch="aarch64", payload=payload)


def usr_merged(packages: list[Path], triplet: str, folder: Path, *, payload: str = "w3.zstdio") -> list[Path]:
    """Packages of Debian's glibc as newer releases lay theirs out: everything below `/usr/lib64`.

    Args:
        packages: Debian's libc6, libc6-dev and linux-libc-dev.
        triplet: Debian's multiarch name.
        folder: where to build.
        payload: how rpmbuild compresses.
    """
    raw, root = folder / "raw", folder / "tree"
    raw.mkdir(parents=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, raw], check=True)
    usr = root / "usr"
    usr.mkdir(parents=True)
    (raw / "usr" / "lib" / triplet).rename(usr / "lib64")
    shutil.copytree(raw / "usr" / "include", usr / "include", ignore=shutil.ignore_patterns("*-linux-gnu*"))
    own = raw / "usr" / "include" / triplet
    for path in sorted(own.rglob("*")):
        if path.is_symlink():
            # asm/x.h -> ../../../lib/linux/uapi/ARCH/asm/x.h, as seen from the folder that it was made for.
            path_of = (path.parent / path.readlink()).resolve()
            path.unlink()
            shutil.copyfile(path_of, path)
    shutil.copytree(own, usr / "include", dirs_exist_ok=True)
    for script in (usr / "lib64").glob("lib*.so"):
        if not script.is_symlink() and script.stat().st_size < 4096:
            text = script.read_text()
            script.write_text(
                text.replace(f"/usr/lib/{triplet}/", "/usr/lib64/").replace(f"/lib/{triplet}/", "/lib64/")
            )
    _locales(root)
    libraries = sorted(path.name for path in (usr / "lib64").iterdir())
    run_time = [name for name in libraries if ".so." in name and "crypt" not in name]
    run_time += ["audit", "gconv"]
    static = [name for name in libraries if name.endswith(".a") and name != "libc_nonshared.a"]
    devel = [
        name for name in libraries if name not in (*run_time, *static) and name.endswith((".o", ".so", ".a"))
    ]
    parts = {
        "glibc": [f"/usr/lib64/{name}" for name in run_time],
        "glibc-common": ["/usr/share/locale", "/usr/bin/locale"],
        "glibc-gconv-extra": ["/usr/lib/locale"],
        "glibc-devel": [
            "/usr/include",
            "%exclude /usr/include/linux",
            *(f"/usr/lib64/{name}" for name in devel),
        ],
        "glibc-static": [f"/usr/lib64/{name}" for name in static],
        "kernel-headers": ["/usr/include/linux"],
    }
    return _build(folder, root, parts, "2.41-1.el10", arch="ppc64le", payload=payload)


def _locales(root: Path) -> None:
    """What a sysroot is to leave out."""
    for name in (
        "usr/share/locale/de/LC_MESSAGES/libc.mo",
        "usr/lib/locale/locale-archive",
        "usr/bin/locale",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("not for a sysroot\n")


def _build(
    folder: Path, root: Path, parts: dict[str, list[str]], version: str, *, arch: str, payload: str
) -> list[Path]:
    number, _, release = version.partition("-")
    main, *others = parts
    common = f"Version: {number}\nRelease: {release}\nSummary: C library\nLicense: LGPL\nAutoReqProv: no\n"
    spec = f"%global debug_package %{{nil}}\n%global _build_id_links none\nName: {main}\n{common}"
    spec += f"%description\n.\n%install\ncp -a {root}/. %{{buildroot}}/\n"
    for name in others:
        spec += f"%package -n {name}\n{common}%description -n {name}\n.\n"
    for name, files in parts.items():
        spec += f"%files{'' if name == main else f' -n {name}'}\n" + "".join(f"{line}\n" for line in files)
    return rpmbuild(folder / "build", spec, arch=arch, payload=payload)
