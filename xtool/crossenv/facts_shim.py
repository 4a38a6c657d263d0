"""Makes the build interpreter answer for the target where a project asks it for word size and byte order.

`sys.maxsize`, `sys.byteorder`, native formats of `struct`, `ctypes.sizeof`: the standard library and the back
end compute with these on this machine, so they keep their answers. A project's own `setup.py`, and what lies
beside it, asks because it wants to know what it compiles for. So who asks decides, by the file that the code
comes from. `docs/decisions/0018-facts-of-the-target.md` says what was weighed.

`_xtool_machine_shim` loads it in the processes of a build whose target differs from this machine, on every
version of Python that builds run on. What was asked is written down, for the build's log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_SAME_EVERYWHERE = frozenset("?cbBhHiIqQfdu")
"""Types (`_type_` of `ctypes`) whose size is the same on all targets; `u` is wchar_t."""

_POINTERS = frozenset("PzZOX")


class Abi:
    """What of a target's ABI can differ from this machine's, and what of it Python programs ask for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.bits = int(environ["XTOOL_CROSS_BITS"])
        self.byteorder = environ["XTOOL_CROSS_BYTEORDER"]
        self.double_alignment = int(environ["XTOOL_CROSS_DOUBLE_ALIGNMENT"])
        self.long_double = int(environ["XTOOL_CROSS_LONG_DOUBLE"])

    @property
    def word(self) -> int:
        """Bytes of a `long`, a `size_t` and a pointer: Linux is ILP32 or LP64 on every target."""
        return self.bits // 8

    @property
    def maxsize(self) -> int:
        """`sys.maxsize`, the largest Py_ssize_t."""
        return (1 << self.bits - 1) - 1

    def explicit(self, text: str) -> str:
        """A format of `struct` in native mode, written so that every machine takes it as the target would.

        The order of bytes is named, sizes are those of standard mode, padding is spelt out. What cannot be
        read is given back as it is, for `struct` to complain about.
        """
        import re

        mark = "<" if self.byteorder == "little" else ">"
        if text.startswith("="):
            return mark + text[1:]
        known = self._codes()
        written, offset = [mark], 0
        for count, code in re.findall(r"\s*(\d*)(\S)", text.removeprefix("@")):
            repeat = int(count) if count else 1
            if code in "spx":
                written.append(count + code)
                offset += repeat
            elif code in known:
                size, alignment, standard = known[code]
                padding = -offset % alignment
                written.append((f"{padding}x" if padding else "") + count + standard)
                offset += padding + size * repeat
            else:
                return text
        return "".join(written)

    def _codes(self) -> dict[str, tuple[int, int, str]]:
        """By code of `struct`: size and alignment in bytes on the target, and its code in standard mode."""
        found = {}
        for size, codes in ((1, "cbB?"), (2, "hHe"), (4, "iIf"), (8, "qQd")):
            alignment = self.double_alignment if size == 8 else size
            found.update({code: (size, alignment, code) for code in codes})
        signed, unsigned = ("q", "Q") if self.word == 8 else ("i", "I")
        found.update(dict.fromkeys("ln", (self.word, self.word, signed)))
        found.update(dict.fromkeys("LNP", (self.word, self.word, unsigned)))
        found.update({"F": (8, 4, "F"), "D": (16, self.double_alignment, "D")})
        return found

    def size_of(self, kind: Any, simple: type, pointers: tuple[type, ...]) -> int | None:
        """The size of a `ctypes` type on the target; None for one that cannot be told.

        Where `long` is as long as `long long`, `ctypes` has but one type for both.
        """
        cls = kind if isinstance(kind, type) else type(kind)
        code = getattr(cls, "_type_", None)
        if issubclass(cls, pointers) or (issubclass(cls, simple) and code in _POINTERS):
            return self.word
        return self.long_double if issubclass(cls, simple) and code == "g" else None


class Asker:
    """Tells whether the project asks, and writes down what it asked.

    Args:
        folders: where the project's own files lie.
        notes: the file to write to; nothing is written down without one.
    """

    def __init__(self, folders: tuple[str, ...], notes: str) -> None:
        self._folders = tuple(f"{folder}/" for folder in folders)
        self._notes = notes
        self._said: set[str] = set()

    def project_asks(self, what: str, *, answered: bool = True) -> bool:
        """Whether the code that called the caller is the project's.

        Text that was given to `exec` counts as who gave it; `python -c`, which has no file at all, as the
        project's. Other names that are no files (`<frozen importlib._bootstrap>`) are not the project's.
        """
        frame = sys._getframe(2)
        while frame is not None:
            name = frame.f_globals.get("__file__") or frame.f_code.co_filename
            if not isinstance(name, str):
                return False
            if name not in ("<string>", "<stdin>"):
                if name.startswith("<"):
                    return False
                break
            if frame.f_back is None:
                return self._note("python -c", what, answered=answered)
            frame = frame.f_back
        path = os.path.abspath(name)  # noqa: PTH100 - links stay, and pathlib need not be loaded
        if not path.startswith(self._folders) or "/site-packages/" in path or "/.eggs/" in path:
            return False
        return self._note(f"{path}:{frame.f_lineno}", what, answered=answered)

    def _note(self, place: str, what: str, *, answered: bool) -> bool:
        line = f"{'answered' if answered else 'unanswered'}\t{place}\t{what}\n"
        if self._notes and line not in self._said:
            self._said.add(line)
            with suppress(OSError), open(self._notes, "a", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                file.write(line)
        return True


def install(environ: Mapping[str, str]) -> None:
    """Patch this interpreter, whose word size or byte order is not the target's."""
    import struct

    abi = Abi(environ)
    host_bits = sys.maxsize.bit_length() + 1
    if abi.bits != host_bits:
        _patch_architecture(abi)
    folders = tuple(filter(None, environ.get("XTOOL_CROSS_SOURCE", "").split(os.pathsep)))
    if not folders:
        return
    asker = Asker(folders, environ.get("XTOOL_CROSS_ASKED", ""))
    _patch_struct(struct, abi, asker)
    if abi.bits != host_bits:
        _patch_ctypes(abi, asker)
    _patch_sys({"maxsize": abi.maxsize, "byteorder": abi.byteorder}, asker)


def _patch_architecture(abi: Abi) -> None:
    """Nothing of the standard library or of setuptools computes with `platform.architecture()`."""
    import platform

    original = platform.architecture

    def architecture(executable: str = sys.executable, bits: str = "", linkage: str = "") -> tuple[str, str]:
        if executable == sys.executable and not bits:
            return f"{abi.bits}bit", linkage or "ELF"
        return original(executable, bits, linkage)

    platform.architecture = architecture


def _patch_struct(struct: Any, abi: Abi, asker: Asker) -> None:
    def patched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def function(format: str | bytes, /, *args: Any, **named: Any) -> Any:  # noqa: A002 - struct's own name
            text = format.decode("latin-1") if isinstance(format, bytes) else format
            native = isinstance(text, str) and text[:1] not in ("<", ">", "!")
            if native and asker.project_asks(f"struct.{name}({text!r})"):
                return original(abi.explicit(text), *args, **named)
            return original(format, *args, **named)

        return function

    for name in ("calcsize", "pack", "pack_into", "unpack", "unpack_from", "iter_unpack"):
        setattr(struct, name, patched(name, getattr(struct, name)))


def _patch_ctypes(abi: Abi, asker: Asker) -> None:
    try:
        import ctypes
    except ImportError:
        return
    original, simple = ctypes.sizeof, ctypes._SimpleCData
    pointers: tuple[type, ...] = (ctypes._Pointer, ctypes._CFuncPtr)  # type: ignore[attr-defined]

    def sizeof(kind: Any, /) -> int:
        code = getattr(kind, "_type_", None)
        if isinstance(code, str) and code in _SAME_EVERYWHERE:
            return original(kind)
        size = abi.size_of(kind, simple, pointers)
        name = getattr(kind, "__name__", type(kind).__name__)
        asked = asker.project_asks(f"ctypes.sizeof({name})", answered=size is not None)
        return size if asked and size is not None else original(kind)

    ctypes.sizeof = sizeof


def _patch_sys(values: Mapping[str, Any], asker: Asker) -> None:
    """Give `sys` a class whose properties look at who asks; C code reads its dictionary."""

    def answering(name: str, value: Any) -> property:
        def get(module: Any) -> Any:
            asked = asker.project_asks(f"sys.{name}")
            return value if asked else module.__dict__[name]

        def replace(module: Any, new: Any) -> None:
            module.__dict__[name] = new

        return property(get, replace)

    differing = {
        name: answering(name, value) for name, value in values.items() if getattr(sys, name) != value
    }
    sys.__class__ = type("module", (type(sys),), differing)
