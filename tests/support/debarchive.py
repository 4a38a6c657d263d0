"""A small Debian archive made with the real tools: dpkg-deb, apt-ftparchive, and signatures by Sequoia.

It needs Debian's packages dpkg-dev and apt-utils, which `scripts/test` installs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import pysequoia

from xtool.catalog import default_root

RELEASED = datetime(2026, 9, 12, 7, 55, 41, tzinfo=timezone.utc)
_DATE = "%a, %d %b %Y %H:%M:%S UTC"


def new_key(name: str = "xtool tests", **options: object) -> pysequoia.Tsk:
    """A key that can sign."""
    return pysequoia.Tsk.generate(name, **options)


def fingerprint(key: pysequoia.Tsk) -> str:
    """The upper-case primary fingerprint."""
    return key.extract_certificate().fingerprint.upper()


def clearsign(key: pysequoia.Tsk, text: bytes) -> bytes:
    """Text with a cleartext signature."""
    return pysequoia.sign(key.signer(), text, mode=pysequoia.SignatureMode.CLEAR)


class DebArchive:
    """An archive in a folder, as a mirror serves it.

    Args:
        folder: where it is made.
        key: signs its releases.
    """

    def __init__(self, folder: Path, key: pysequoia.Tsk) -> None:
        self.root = folder
        self.key = key
        folder.mkdir(parents=True, exist_ok=True)

    def package(
        self,
        name: str,
        version: str,
        arch: str = "amd64",
        *,
        files: Mapping[str, bytes] | None = None,
        fields: Mapping[str, str] | None = None,
        compression: str = "xz",
    ) -> Path:
        """Add a package to the pool and return its path; `fields` are further ones of its control file."""
        tree = self.root / "build"
        for path, data in (files or {f"usr/share/{name}": f"{name} {version}".encode()}).items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        control = tree / "DEBIAN" / "control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nInstalled-Size: 100\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: a package of the tests\n"
            + "".join(f"{key}: {value}\n" for key, value in (fields or {}).items())
        )
        pool = self.root / "pool" / "main" / name[0] / name
        pool.mkdir(parents=True, exist_ok=True)
        # Debian's archive leaves epochs out of file names.
        deb = pool / f"{name}_{version.rpartition(':')[2]}_{arch}.deb"
        _run("dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", tree, deb)
        shutil.rmtree(tree)
        return deb

    def publish(
        self,
        suite: str = "trixie",
        *,
        date: datetime = RELEASED,
        valid_until: datetime | None = None,
        by_hash: bool = True,
        key: pysequoia.Tsk | None = None,
    ) -> None:
        """Write the suite's indexes over all that is in the pool, and sign them."""
        dist = self.root / "dists" / suite
        shutil.rmtree(dist, ignore_errors=True)
        for arch in ("amd64", "arm64", "ppc64el"):
            folder = dist / "main" / f"binary-{arch}"
            folder.mkdir(parents=True)
            packages = folder / "Packages"
            packages.write_text(_run("apt-ftparchive", "--arch", arch, "packages", "pool", cwd=self.root))
            _run("xz", "--keep", packages)
        options = {"Suite": "stable", "Codename": suite}
        if by_hash:
            options["Acquire-By-Hash"] = "yes"
        words = [word for k, v in options.items() for word in ("-o", f"APT::FTPArchive::Release::{k}={v}")]
        release = _run("apt-ftparchive", *words, "release", ".", cwd=dist)
        # apt-ftparchive always writes the present time, and knows only a relative Valid-Until.
        dates = f"Date: {date.strftime(_DATE)}"
        if valid_until is not None:
            dates += f"\nValid-Until: {valid_until.strftime(_DATE)}"
        release = re.sub(r"^Date: .*$", dates, release, flags=re.MULTILINE)
        self.sign(release, suite, key)
        if by_hash:
            self._by_hash(dist, release)

    def sign(self, release: str, suite: str = "trixie", key: pysequoia.Tsk | None = None) -> None:
        """Write a suite's InRelease."""
        (self.root / "dists" / suite / "InRelease").write_bytes(clearsign(key or self.key, release.encode()))

    def _by_hash(self, dist: Path, release: str) -> None:
        sha256 = release.partition("SHA256:\n")[2]
        for digest, name in re.findall(r"^ ([0-9a-f]{64}) +\d+ (main/\S+)$", sha256, flags=re.MULTILINE):
            folder = (dist / name).parent / "by-hash" / "SHA256"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(dist / name, folder / digest)


def toolchains(folder: Path, key: pysequoia.Tsk, components: str) -> Path:
    """A `toolchains/` folder whose suites trixie and bookworm are signed by `key`; returns it."""
    for name in ("keys", "locks"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(default_root() / "targets", folder / "targets")
    (folder / "keys" / "test.asc").write_text(str(key.extract_certificate()))
    text = (default_root() / "sources.toml").read_text()
    for pattern, line in (
        (r"keyring = .*?\n", 'keyring = "keys/test.asc"\n'),
        (r"fingerprints = \[.*?\]", f'fingerprints = ["{fingerprint(key)}"]'),
        (r"snapshot = .*?\n", 'snapshot = "http://127.0.0.1:9/{timestamp}/"\n'),
    ):
        text, count = re.subn(pattern, line, text, flags=re.DOTALL)
        assert count
    (folder / "sources.toml").write_text(text)
    (folder / "components.toml").write_text("schema = 1\n" + components)
    return folder


def component(name: str, packages: Mapping[tuple[str, str], list[str]]) -> str:
    """A component of `components.toml`: package names by (suite, architecture)."""
    blocks = "".join(
        f'[[component.packages]]\nsuite = "{suite}"\narch = "{arch}"\nnames = {names!r}\n'.replace("'", '"')
        for (suite, arch), names in packages.items()
    )
    return f'[[component]]\nname = "{name}"\ntitle = "{name}"\nversion = "1"\n{blocks}'


def _run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout
