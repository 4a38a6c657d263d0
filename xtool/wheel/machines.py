"""What ELF files of each wheel machine look like, for wheels of machines that no target describes.

Sources: the processor supplements of the System V ABI for `e_machine` and `e_flags` (64-bit ELF V2 ABI 4.1;
ELF for the Arm Architecture 5.2; RISC-V ELF psABI 8.1; LoongArch ELF psABI), PEP 425 platform tags for the
names, and CPython's `configure` (PLATFORM_TRIPLET) for the triplets in extension suffixes.
"""

from __future__ import annotations

from dataclasses import dataclass

from xtool.elf import ElfHeader
from xtool.targets import ElfIdentity, Target


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as wheels and Python name it.

    Args:
        name: in wheel tags (`ppc64le`).
        triplet: in extension suffixes (`powerpc64le-linux-gnu`).
        elf: what every ELF header says.
        dynamic_linker: the program interpreter, or None where it was not looked up.
    """

    name: str
    triplet: str
    elf: ElfIdentity
    dynamic_linker: str | None = None


def _machine(
    name: str, triplet: str, bits: int, elf: str, *, little: bool = True, flags: int = 0, mask: int = 0
) -> Machine:
    return Machine(name, triplet, ElfIdentity(bits, little, elf, flags, mask))


MACHINES = {
    machine.name: machine
    for machine in (
        _machine("x86_64", "x86_64-linux-gnu", 64, "EM_X86_64"),
        _machine("i686", "i386-linux-gnu", 32, "EM_386"),
        _machine("aarch64", "aarch64-linux-gnu", 64, "EM_AARCH64"),
        _machine("armv7l", "arm-linux-gnueabihf", 32, "EM_ARM", flags=0x05000400, mask=0xFF000400),
        _machine("ppc64le", "powerpc64le-linux-gnu", 64, "EM_PPC64", flags=2, mask=3),
        _machine("ppc64", "powerpc64-linux-gnu", 64, "EM_PPC64", little=False),
        _machine("s390x", "s390x-linux-gnu", 64, "EM_S390", little=False),
        _machine("riscv64", "riscv64-linux-gnu", 64, "EM_RISCV", flags=4, mask=6),
        _machine("loongarch64", "loongarch64-linux-gnu", 64, "EM_LOONGARCH", flags=3, mask=7),
    )
}


def of_target(target: Target) -> Machine:
    """The machine of a target."""
    return Machine(target.name, target.multiarch, target.elf, target.dynamic_linker)


def of_tag(platform: str) -> Machine | None:
    """The machine of a platform tag (`manylinux2014_ppc64le`), or None for `any` and unknown ones."""
    # ppc64le ends with no other name, but x86_64 holds an underscore: compare whole endings, longest first.
    for name in sorted(MACHINES, key=len, reverse=True):
        if platform.endswith(f"_{name}"):
            return MACHINES[name]
    return None


def of_header(header: ElfHeader) -> Machine | None:
    """The machine of an ELF file, or None for one that wheels have no name for."""
    return next((machine for machine in MACHINES.values() if fits(header, machine.elf)), None)


def fits(header: ElfHeader, identity: ElfIdentity) -> bool:
    """Whether an ELF header is one of a machine's."""
    return mismatch(header, identity) is None


def mismatch(header: ElfHeader, identity: ElfIdentity) -> str | None:
    """How an ELF header differs from a machine's, in words, or None."""
    if header.machine != identity.machine:
        return f"its e_machine is {header.machine}, not {identity.machine}"
    if header.bits != identity.bits:
        return f"it is a {header.bits}-bit file, not a {identity.bits}-bit one"
    if header.little_endian != identity.little_endian:
        return f"it is {_order(header.little_endian)}-endian, not {_order(identity.little_endian)}-endian"
    if header.flags & identity.flags_mask != identity.flags:
        wanted = f"{identity.flags:#x} under the mask {identity.flags_mask:#x}"
        return f"its e_flags are {header.flags:#x}; the ABI wants {wanted}"
    return None


def _order(little: bool) -> str:
    return "little" if little else "big"
