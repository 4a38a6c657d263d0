"""OpenPGP keys and signatures written field by field: what GnuPG and Sequoia make no more, or never made.

A version 3 signature, a certificate that holds itself together with SHA-1 only, a time in the past: CentOS 7
is made of these. RFC 4880 describes them all (5.2.2, 5.2.3, 5.5.2); RSA is RFC 8017's RSASSA-PKCS1-v1_5.
"""

from __future__ import annotations

import base64
import hashlib
import random
import struct
from collections.abc import Iterable
from functools import cache

HASHES = {"md5": 1, "sha1": 2, "sha256": 8, "sha384": 9, "sha512": 10}
_PREFIXES = {
    "md5": "3020300c06082a864886f70d020505000410",
    "sha1": "3021300906052b0e03021a05000414",
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}
BINARY, CERTIFICATION, BINDING, REVOCATION = 0x00, 0x13, 0x18, 0x20
EXPONENT = 65537


class Key:
    """An RSA key that certifies itself.

    Args:
        seed: another one gives another key; the same one always the same.
        bits: length of the modulus.
        created: seconds since 1970.
        expires: seconds that it is valid for; 0 for ever.
        self_hash: hash of its own certification.
        revoked: whether it says that it was compromised.
        numbers: modulus and secret exponent, instead of those that come from the seed.
        subkey: a key that signs for this one.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        bits: int = 2048,
        created: int = 1_400_000_000,
        expires: int = 0,
        self_hash: str = "sha256",
        revoked: bool = False,
        numbers: tuple[int, int] | None = None,
        subkey: Key | None = None,
    ) -> None:
        self.numbers = numbers or _rsa(seed, bits)
        self.modulus, self._secret = self.numbers
        self.created = created
        body = struct.pack(">BIB", 4, created, 1) + _mpi(self.modulus) + _mpi(EXPONENT)
        self.public = body
        framed = b"\x99" + struct.pack(">H", len(body)) + body
        self.fingerprint = hashlib.sha1(framed).hexdigest().upper()
        user = b"forged <forged@example.org>"
        flags = _subpacket(27, b"\x03") + (_subpacket(9, struct.pack(">I", expires)) if expires else b"")
        certified = framed + b"\xb4" + struct.pack(">I", len(user)) + user
        bound = self.sign(certified, kind=CERTIFICATION, hash_name=self_hash, created=created, hashed=flags)
        packets = _packet(6, body)
        if revoked:
            why = _subpacket(29, b"\x02no more of it")
            packets += self.sign(framed, kind=REVOCATION, created=created + 1, hashed=why)
        self.certificate = packets + _packet(13, user) + bound
        if subkey is not None:
            other = b"\x99" + struct.pack(">H", len(subkey.public)) + subkey.public
            own = _subpacket(27, b"\x02")
            binding = self.sign(
                framed + other, kind=BINDING, hash_name=self_hash, created=created, hashed=own
            )
            self.certificate += _packet(14, subkey.public) + binding

    @property
    def armored(self) -> str:
        """The certificate as text."""
        return armor("PUBLIC KEY BLOCK", self.certificate)

    def sign(
        self,
        data: bytes,
        *,
        version: int = 4,
        kind: int = BINARY,
        hash_name: str = "sha256",
        created: int = 1_450_000_000,
        hashed: bytes = b"",
    ) -> bytes:
        """A signature packet over bytes.

        Args:
            data: what is signed.
            version: 3 or 4.
            kind: the signature's type.
            hash_name: as hashlib names it.
            created: seconds since 1970.
            hashed: further subpackets that are signed as well.
        """
        issuer = bytes.fromhex(self.fingerprint[-16:])
        if version == 3:
            tail = struct.pack(">BI", kind, created)
            digest = hashlib.new(hash_name, data + tail)
            head = bytes([3, 5]) + tail + issuer + bytes([1, HASHES[hash_name]])
        else:
            area = _subpacket(2, struct.pack(">I", created)) + hashed
            start = bytes([4, kind, 1, HASHES[hash_name]]) + struct.pack(">H", len(area)) + area
            digest = hashlib.new(hash_name, data + start + b"\x04\xff" + struct.pack(">I", len(start)))
            unhashed = _subpacket(16, issuer)
            head = start + struct.pack(">H", len(unhashed)) + unhashed
        return _packet(2, head + digest.digest()[:2] + _mpi(self._raw(hash_name, digest.digest())))

    def _raw(self, hash_name: str, digest: bytes) -> int:
        info = bytes.fromhex(_PREFIXES[hash_name]) + digest
        length = (self.modulus.bit_length() + 7) // 8
        block = b"\0\1" + b"\xff" * (length - 3 - len(info)) + b"\0" + info
        return pow(int.from_bytes(block, "big"), self._secret, self.modulus)


def armor(what: str, data: bytes) -> str:
    """ASCII armor (RFC 4880, section 6)."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    lines = base64.encodebytes(data).decode().replace("\n", "")
    body = "\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
    check = base64.b64encode((crc & 0xFFFFFF).to_bytes(3, "big")).decode()
    return f"-----BEGIN PGP {what}-----\n\n{body}\n={check}\n-----END PGP {what}-----\n"


def keyring(keys: Iterable[Key]) -> str:
    """A file of certificates."""
    return "".join(key.armored for key in keys)


def _packet(tag: int, body: bytes) -> bytes:
    """A packet with an old-format header of two length bytes, as GnuPG writes them."""
    return bytes([0x80 | tag << 2 | 1]) + struct.pack(">H", len(body)) + body


def _subpacket(kind: int, data: bytes) -> bytes:
    return bytes([len(data) + 1, kind]) + data


def _mpi(number: int) -> bytes:
    return struct.pack(">H", number.bit_length()) + number.to_bytes((number.bit_length() + 7) // 8, "big")


@cache
def _rsa(seed: int, bits: int) -> tuple[int, int]:
    """Modulus and secret exponent."""
    source = random.Random(seed)
    while True:
        p, q = _prime(source, bits // 2), _prime(source, bits // 2)
        phi = (p - 1) * (q - 1)
        if (p * q).bit_length() == bits and phi % EXPONENT:
            return p * q, pow(EXPONENT, -1, phi)


def _prime(source: random.Random, bits: int) -> int:
    small = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97]
    while True:
        number = source.getrandbits(bits) | 1 | 3 << (bits - 2)
        if all(number % one for one in small) and all(_passes(number, 2 + turn) for turn in range(8)):
            return number


def _passes(number: int, base: int) -> bool:
    """One round of Miller and Rabin's test."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    value = pow(base, odd, number)
    if value in (1, number - 1):
        return True
    return any((value := value * value % number) == number - 1 for _ in range(twos - 1))
