"""Targets: the machines that wheels are built for, each with every name it goes by."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from xtool.errors import UsageError

Glibc = tuple[int, int]
"""A glibc version as (major, minor), for example (2, 17)."""


def parse_glibc(text: str) -> Glibc:
    """Read `2.17` as (2, 17).

    Raises:
        ValueError: the text is not two numbers joined by a dot.
    """
    major, dot, minor = text.partition(".")
    if not (dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise ValueError(f"not a glibc version: {text!r}")
    return int(major), int(minor)


def format_glibc(version: Glibc) -> str:
    """Write (2, 17) as `2.17`."""
    return f"{version[0]}.{version[1]}"


@dataclass(frozen=True, slots=True)
class ElfIdentity:
    """What the ELF header of every file of a target says (System V ABI, and each processor's supplement).

    Args:
        bits: 32 or 64, from EI_CLASS.
        little_endian: from EI_DATA.
        machine: `e_machine` in pyelftools' spelling, for example `EM_PPC64`.
        flags: value that `e_flags` must have under `flags_mask`.
        flags_mask: the bits of `e_flags` that tell the ABI (ppc64: 3, where 2 is ELFv2).
    """

    bits: int
    little_endian: bool
    machine: str
    flags: int
    flags_mask: int


@dataclass(frozen=True, slots=True)
class Target:
    """One record of `toolchains/targets/`.

    Args:
        name: xtool's name, which is also the wheel tag's machine (`ppc64le`).
        triplet: GNU triplet without vendor, what the tools' names begin with (`powerpc64le-linux-gnu`).
        multiarch: Debian's multiarch name, which Python's file names hold too; the triplet everywhere but on
            i686, where it is `i386-linux-gnu`.
        debian: Debian's architecture name (`ppc64el`).
        rpm: RPM's architecture name (`ppc64le`).
        rust: the Rust target triple.
        uv: the machine's name in uv's Python keys (`powerpc64le`).
        qemu: name of the qemu-user binary (`qemu-ppc64le`).
        qemu_cpu: CPU model of the baseline, for `-cpu`.
        qemu_best_cpu: CPU model with all that the emulator has; processors of users have more than the baseline.
        baseline: the oldest processor that wheels run on, as its makers call it; `cflags` say it to GCC.
        lowest_glibc: the lowest glibc that has a manylinux policy for this machine.
        float_abi: how floating-point arguments are passed, with the document that says so.
        long_double: the long double format in meson's spelling (`longdouble_format`).
        char_signed: whether plain `char` has a sign (each processor's ABI says).
        double_alignment: alignment in bytes of `double` and `long long` as members of a struct: 8, but 4 by
            the i386 supplement of the System V ABI.
        dynamic_linker: absolute path of the program interpreter (`/lib64/ld64.so.2`).
        cflags: compiler flags of the baseline, always passed.
        ldflags: linker flags of the target, always passed.
        cpu_family: meson's `cpu_family` (`ppc64`).
        elf: what every ELF header of the target says.
        limits: what does not work for the target, or works otherwise than elsewhere; sentences for users.
    """

    name: str
    triplet: str
    multiarch: str
    debian: str
    rpm: str
    rust: str
    uv: str
    qemu: str
    qemu_cpu: str
    qemu_best_cpu: str
    baseline: str
    lowest_glibc: Glibc
    float_abi: str
    long_double: str
    char_signed: bool
    double_alignment: int
    dynamic_linker: str
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    cpu_family: str
    elf: ElfIdentity
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that xtool runs on, as archives name it.

    Args:
        name: `uname -m` (`x86_64`).
        triplet: GNU triplet, Debian's multiarch name (`x86_64-linux-gnu`).
        debian: Debian's architecture name (`amd64`).
        dynamic_linker: file name of the glibc loader (`ld-linux-x86-64.so.2`).
    """

    name: str
    triplet: str
    debian: str
    dynamic_linker: str


def same_machine(host: Host, target: Target) -> bool:
    """Whether the host could run the target's code itself.

    Debian then packages the compiler as the native one, and nothing in an ELF header tells the host's files
    from the target's.
    """
    return host.debian == target.debian


HOSTS = {
    "x86_64": Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2"),
    "aarch64": Host("aarch64", "aarch64-linux-gnu", "arm64", "ld-linux-aarch64.so.1"),
}
"""The machines that xtool runs on, by `uname -m`."""


def current_host() -> Host:
    """The host that this process runs on.

    Raises:
        UsageError: the machine is not one that toolchains run on.
    """
    machine, system = platform.machine(), platform.system()
    if system != "Linux" or machine not in HOSTS:
        raise UsageError(
            f"xtool runs on Linux on {' and '.join(sorted(HOSTS))}, not on {system} {machine}",
            hint="use a Linux machine, virtual machine or container of one of these",
        )
    return HOSTS[machine]
