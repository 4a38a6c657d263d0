"""A vault of RPM repositories made with the real tools: rpmbuild, rpmsign, GnuPG, createrepo_c.

    key = GpgKey(home)
    vault = Vault(tmp_path / "vault", key)
    repository = vault.repository("altarch/7.9.2009/os/ppc64le/")
    repository.build([Package("glibc", "2.17", "317.el7", {"lib64/libc.so.6": elf, "lib64": "usr/lib64"})])
    repository.publish()
    with FakeServer() as server:
        server.add_tree(vault.root)         # XTOOL_CENTOS_MIRROR=server.base, xtool lock --key key.file

It needs Debian's packages rpm, createrepo-c and gpg, which `scripts/test` installs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import zstandard
from support import pgpforge
from support.rpmforge import PAYLOADS, rpmbuild

REVISION = 1_604_000_000
"""The time that repositories say they are of, when nothing else is said: 29 October 2020."""

Content = Mapping[str, "bytes | str | Path"]
"""Files by path below the root: bytes, the target of a symbolic link, or a file to copy; `x/` is a folder."""


class Signer(Protocol):
    """Somebody who can sign packages and repositories."""

    @property
    def file(self) -> Path:
        """Its certificate, armored."""

    @property
    def fingerprint(self) -> str:
        """Its primary fingerprint, upper-case."""

    @property
    def macros(self) -> Mapping[str, str]:
        """What rpmsign has to be told."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Variables that rpmsign has to be given."""

    def detached(self, data: bytes) -> bytes:
        """An armored detached signature."""


class GpgKey:
    """A key in a GnuPG home of its own, made when first asked for; ends its agent with `close`.

    Args:
        home: short, for the agent's socket lies in it.
        algorithm: as `gpg --quick-generate-key` knows it.
    """

    def __init__(self, home: Path, algorithm: str = "rsa2048") -> None:
        self.home = home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        who = "xtool vault <vault@example.org>"
        self._gpg("--passphrase", "", "--quick-generate-key", who, algorithm, "sign", "never")
        listing = self._gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
        self.file = home / "key.asc"
        self.file.write_bytes(self._gpg("--armor", "--export", self.fingerprint))
        self.environ: Mapping[str, str] = {"GNUPGHOME": str(home)}
        self.macros: Mapping[str, str] = {
            "_gpg_name": self.fingerprint,
            "__gpg": shutil.which("gpg") or "gpg",
        }

    def detached(self, data: bytes) -> bytes:
        """An armored detached signature."""
        return self._gpg("--armor", "--detach-sign", data=data)

    def close(self) -> None:
        """End the agent."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True)

    def _gpg(self, *words: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", *words]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


class ForgedKey:
    """A key of `pgpforge` that rpmsign signs with.

    Args:
        folder: where its certificate is written.
        key: the key.
        version: of its signatures: 3, as on CentOS 7, or 4.
        hash_name: what it hashes with.
    """

    def __init__(
        self, folder: Path, key: pgpforge.Key, *, version: int = 4, hash_name: str = "sha256"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self.fingerprint = key.fingerprint
        self.file = folder / "key.asc"
        self.file.write_text(key.armored)
        self._options = {"version": version, "hash_name": hash_name}
        script = folder / "sign.py"
        script.write_text(
            "import sys\n"
            "from support import pgpforge\n"
            f"key = pgpforge.Key(created={key.created}, numbers={key.numbers})\n"
            "source = sys.stdin.buffer if sys.argv[1] == '-' else open(sys.argv[1], 'rb')\n"
            f"open(sys.argv[2], 'wb').write(key.sign(source.read(), **{self._options!r}))\n"
        )
        self.environ: Mapping[str, str] = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        words = f"{sys.executable} python {script} %{{__plaintext_filename}} %{{__signature_filename}}"
        self.macros: Mapping[str, str] = {"_gpg_name": "forged", "__gpg_sign_cmd": words}

    def detached(self, data: bytes) -> bytes:
        """An armored detached signature."""
        return pgpforge.armor("SIGNATURE", self.key.sign(data, **self._options)).encode()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Package:
    """One package: its identity, what is in it, what it wants and offers (as a spec writes it)."""

    name: str
    version: str
    release: str
    files: Content = field(default_factory=dict)
    requires: Sequence[str] = ()
    provides: Sequence[str] = ()
    epoch: int | None = None


class Repository:
    """One repository of a vault.

    Args:
        folder: where it lies.
        arch: the architecture of its packages.
        packages: the folder of packages below it.
        signer: signs packages and metadata; None for neither.
    """

    def __init__(self, folder: Path, arch: str, packages: str, signer: Signer | None) -> None:
        self.folder = folder
        self.arch = arch
        self.signer = signer
        self._packages = folder / packages
        self._packages.mkdir(parents=True, exist_ok=True)

    @property
    def files(self) -> dict[str, Path]:
        """The packages by name."""
        found = sorted(self._packages.rglob("*.rpm"))
        return {path.name.rsplit("-", 2)[0]: path for path in found}

    def build(
        self, packages: Sequence[Package], *, payload: str = ".xz", whole: bool = True, signed: bool = True
    ) -> None:
        """Build packages, sign them, and put them into the repository.

        Args:
            packages: what to build.
            payload: compression: empty, `.gz`, `.xz` or `.zst`.
            whole: also sign header and payload together, as on EL7.
            signed: whether they are signed at all.
        """
        work = self.folder / ".build"
        root = work / "root"
        for package in packages:
            _write(root / package.name, package.files)
        built = rpmbuild(work, _spec(packages, root), arch=self.arch, payload=PAYLOADS[payload])
        if signed and self.signer is not None:
            self.sign(built, self.signer, whole=whole)
        for path in built:
            path.replace(self._packages / path.name)
        shutil.rmtree(work)

    def sign(self, files: Sequence[Path], signer: Signer, *, whole: bool = True) -> None:
        """Sign packages with rpmsign, in place of any signature that they have."""
        macros = [word for name, value in signer.macros.items() for word in ("--define", f"{name} {value}")]
        third = ["--rpmv3"] if whole else []
        _run(["rpmsign", *macros, *third, "--resign", *map(str, files)], signer.environ)

    def publish(
        self,
        *,
        revision: int = REVISION,
        compression: str = "gz",
        signed: bool = True,
    ) -> None:
        """Write `repodata/` over all that is there, and sign it.

        Args:
            revision: seconds since 1970, what `repomd.xml` says.
            compression: of `primary.xml`: gz, xz or zst.
            signed: whether `repomd.xml.asc` is made.
        """
        shutil.rmtree(self.folder / "repodata", ignore_errors=True)
        words = ["--quiet", "--no-database", "--revision", str(revision), "--set-timestamp-to-revision"]
        made = "gz" if compression == "zst" else compression
        words += ["--compress-type", made, "--general-compress-type", made]
        _run(["createrepo_c", *words, str(self.folder)])
        if compression == "zst":
            self._to_zstd()
        if signed and self.signer is not None:
            self.sign_metadata(self.signer)

    def _to_zstd(self) -> None:
        """Pack `primary` as the createrepo_c of EL10 does; Debian 12's cannot."""
        repomd = self.folder / "repodata" / "repomd.xml"
        (old,) = repomd.parent.glob("*-primary.xml.gz")
        data = zstandard.compress(gzip.decompress(old.read_bytes()))
        digest = hashlib.sha256(data).hexdigest()
        text = repomd.read_text()
        start = text.index('<data type="primary">')
        end = text.index("</data>", start)
        block = text[start:end].replace(old.name.partition("-")[0], digest).replace(".xml.gz", ".xml.zst")
        block = re.sub(r"<size>\d+</size>", f"<size>{len(data)}</size>", block)
        repomd.write_text(text[:start] + block + text[end:])
        (repomd.parent / f"{digest}-primary.xml.zst").write_bytes(data)
        old.unlink()

    def sign_metadata(self, signer: Signer) -> None:
        """Sign `repomd.xml` as it is."""
        repomd = self.folder / "repodata" / "repomd.xml"
        repomd.with_name("repomd.xml.asc").write_bytes(signer.detached(repomd.read_bytes()))


class Vault:
    """A folder of repositories, as a vault serves it.

    Args:
        root: where it is made.
        signer: signs packages and metadata; None for neither.
    """

    def __init__(self, root: Path, signer: Signer | None = None) -> None:
        self.root = root
        self.signer = signer
        root.mkdir(parents=True, exist_ok=True)

    def repository(self, path: str, *, arch: str = "ppc64le", packages: str = "Packages") -> Repository:
        """The repository at a path below the root; `packages` is the folder of its packages."""
        return Repository(self.root / path, arch, packages, self.signer)


def _spec(packages: Sequence[Package], root: Path) -> str:
    """One spec that makes all packages; its own main package is not built."""
    head = ["Name: vault", "Version: 1", "Release: 1", "Summary: packages of the tests", "License: MIT"]
    parts = ["\n".join([*head, "AutoReqProv: no", "%global debug_package %{nil}", "%description", "", ""])]
    for one in packages:
        lines = [f"%package -n {one.name}", f"Version: {one.version}", f"Release: {one.release}"]
        lines += [f"Epoch: {one.epoch}"] if one.epoch is not None else []
        lines += ["Summary: a package of the tests", "AutoReqProv: no"]
        lines += [f"Requires: {text}" for text in one.requires]
        lines += [f"Provides: {text}" for text in one.provides]
        parts.append("\n".join([*lines, f"%description -n {one.name}", "%{summary}", ""]))
    # Copied with hard links and links kept; one package may not have another one's files.
    copies = "\n".join(f"cp -a {root / one.name}/. %{{buildroot}}/" for one in packages)
    parts.append(f"%install\nmkdir -p %{{buildroot}}\n{copies}\n")
    for one in packages:
        names = [f"%dir /{name.rstrip('/')}" if name.endswith("/") else f"/{name}" for name in one.files]
        parts.append("\n".join([f"%files -n {one.name}", "%defattr(-,root,root,-)", *names, ""]))
    return "\n".join(parts)


def _write(folder: Path, content: Content) -> None:
    folder.mkdir(parents=True)
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif isinstance(data, Path):
            shutil.copy(data, path)
        elif isinstance(data, str):
            path.symlink_to(data)
        else:
            path.write_bytes(data)
            path.chmod(0o755 if data.startswith((b"\x7fELF", b"#!")) else 0o644)


def _run(words: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        list(words), env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
