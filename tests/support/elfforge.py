"""ELF files and wheels made byte by byte: of any machine, right or wrong, without a compiler."""

from __future__ import annotations

import base64
import hashlib
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EM_386, EM_PPC64, EM_S390, EM_ARM, EM_X86_64, EM_AARCH64, EM_RISCV = 3, 21, 22, 40, 62, 183, 243


@dataclass(frozen=True)
class Want:
    """An undefined symbol."""

    name: str
    version: str | None = None
    library: str | None = None
    weak: bool = False


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def __call__(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at


def elf(
    *,
    machine: int = EM_PPC64,
    bits: int = 64,
    little: bool = True,
    flags: int = 2,
    kind: int = 3,
    soname: str | None = None,
    needed: Sequence[str] = (),
    rpath: str | None = None,
    runpath: str | None = None,
    imports: Sequence[Want] = (),
    exports: Sequence[str] = (),
    interpreter: str | None = None,
    stack: bool | None = False,
    textrel: bool = False,
    payload: bytes = b"",
    note: bool = False,
    marks: Sequence[tuple[str, str]] = (),
    spare: int = 0,
) -> bytes:
    """A linked ELF file that loads at address 0, without section headers.

    `marks` are (SONAME, version) pairs that no symbol asks for; `spare` counts unused dynamic entries.
    """
    order = "<" if little else ">"
    wide = bits == 64
    word = "Q" if wide else "I"
    names = _Strings()
    tags: list[tuple[int, int]] = [(1, names(lib)) for lib in needed]
    for tag, text in ((14, soname), (15, rpath), (29, runpath)):
        if text is not None:
            tags.append((tag, names(text)))

    versions: dict[str, list[str]] = {}
    for want in imports:
        if want.version and want.library and want.version not in versions.setdefault(want.library, []):
            versions[want.library].append(want.version)
    for library, version in marks:
        versions.setdefault(library, []).append(version)
    numbers: dict[tuple[str, str], int] = {}
    verneed = b""
    for position, (library, wanted) in enumerate(versions.items()):
        last = position == len(versions) - 1
        verneed += struct.pack(
            order + "HHIII", 1, len(wanted), names(library), 16, 0 if last else 16 + 16 * len(wanted)
        )
        for place, version in enumerate(wanted):
            numbers[library, version] = len(numbers) + 2
            step = 0 if place == len(wanted) - 1 else 16
            verneed += struct.pack(order + "IHHII", 0, 0, numbers[library, version], names(version), step)

    def symbol(name: str, binding: int, section: int) -> bytes:
        info = binding << 4 | 2
        if wide:
            return struct.pack(order + "IBBHQQ", names(name), info, 0, section, 0, 0)
        return struct.pack(order + "IIIBBH", names(name), 0, 0, info, 0, section)

    symbols = bytes(24 if wide else 16)
    versym = [0]
    for want in imports:
        symbols += symbol(want.name, 2 if want.weak else 1, 0)
        versym.append(numbers[want.library, want.version] if want.version and want.library else 1)
    for name in exports:
        symbols += symbol(name, 1, 1)
        versym.append(1)
    count = len(versym)
    hash_word = "Q" if machine == EM_S390 and wide else "I"
    table = struct.pack(f"{order}{3 + count}{hash_word}", 1, count, 0, *([0] * count))

    headers = 2 + (stack is not None) + (interpreter is not None) + note
    ehdr, phdr = (64, 56) if wide else (52, 32)
    at = ehdr + phdr * headers
    parts: list[bytes] = []
    where: dict[str, int] = {}
    interp = (interpreter or "").encode() + b"\0"
    for key, data in (
        ("interp", interp),
        ("names", b""),
        ("symbols", symbols),
        ("versym", struct.pack(f"{order}{count}H", *versym)),
        ("verneed", verneed),
        ("hash", table),
    ):
        body = names.data if key == "names" else data
        body += bytes(-len(body) % 8)
        where[key] = at
        parts.append(body)
        at += len(body)
    tags += [
        (4, where["hash"]),
        (5, where["names"]),
        (10, len(names.data)),
        (6, where["symbols"]),
        (11, 24 if wide else 16),
        (0x6FFFFFF0, where["versym"]),
    ]
    if versions:
        tags += [(0x6FFFFFFE, where["verneed"]), (0x6FFFFFFF, len(versions))]
    if textrel:
        tags.append((22, 0))
    tags += [(0, 0)] * (1 + spare)
    dynamic = b"".join(struct.pack(f"{order}2{word}", *tag) for tag in tags)
    where["dynamic"] = at
    total = at + len(dynamic) + len(payload)

    def segment(kind: int, offset: int, size: int, access: int) -> bytes:
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, access, offset, offset, offset, size, size, 8)
        return struct.pack(order + "IIIIIIII", kind, offset, offset, offset, size, size, access, 8)

    segments = segment(1, 0, total, 5) + segment(2, where["dynamic"], len(dynamic), 6)
    if stack is not None:
        segments += segment(0x6474E551, 0, 0, 7 if stack else 6)
    if interpreter is not None:
        segments += segment(3, where["interp"], len(interp), 4)
    if note:
        segments += segment(4, 0, 0, 4)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if little else 2, 1]) + bytes(9)
    fields = (kind, machine, 1, 0, ehdr, 0, flags, ehdr, phdr, headers, 0, 0, 0)
    header = ident + struct.pack(f"{order}HHI{word}{word}{word}IHHHHHH", *fields)
    return header + segments + b"".join(parts) + dynamic + payload


GLIBC = Want("memcpy", "GLIBC_2.17", "libc.so.6")


def extension(module: str = "demo", **changes: object) -> bytes:
    """An extension module of ppc64le that is right; `changes` make it wrong."""
    settings: dict[str, object] = {
        "needed": ["libc.so.6"],
        "imports": [Want("PyModule_Create2"), GLIBC],
        "exports": [f"PyInit_{module}"],
        **changes,
    }
    return elf(**settings)  # type: ignore[arg-type]


SUFFIX = ".cpython-313-powerpc64le-linux-gnu.so"


def wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    tag: str = "cp313-cp313-linux_ppc64le",
    name: str = "demo",
    version: str = "1.0",
    purelib: bool = False,
    tag_line: str | None = None,
    metadata: str | None = None,
    record: bool = True,
    bad_record: str | None = None,
) -> Path:
    """A wheel with these members, and metadata that fits unless told otherwise."""
    info = f"{name}-{version}.dist-info"
    tags = tag_line or tag
    members = dict(files)
    members[f"{info}/METADATA"] = (
        metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    ).encode()
    members[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: forge\nRoot-Is-Purelib: {str(purelib).lower()}\n"
        + "".join(f"Tag: {'-'.join(tags.split('-')[:2])}-{p}\n" for p in tags.split("-")[2].split("."))
    ).encode()
    rows = []
    for path, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={'A' * 43 if path == bad_record else digest},{len(data)}")
    if record:
        members[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path
