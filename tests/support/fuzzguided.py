"""The engine that is guided by coverage: atheris (libFuzzer), with the formats' own mutators beside its own.

libFuzzer ends its process as it likes, so it runs in one of its own and leaves its figures in a shared file,
with the input that it is at: if the process dies, that input is the finding.
"""

from __future__ import annotations

import importlib
import mmap
import os
import pkgutil
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SLOTS = struct.Struct("<QQQdQ")
"""Inputs, taken, findings, when the present input began, its size; its bytes follow."""

_SHARED = 1 << 21
_GIVE_UP = 30.0
_START = 300.0
"""Seconds that instrumenting may take on a busy machine."""

_PACKAGES = ("xtool.archive", "xtool.fetch", "xtool.wheel", "xtool.toolchain")
_MODULES = (
    "xtool.catalog",
    "xtool.cachefile",
    "xtool.manifest",
    "xtool.store",
    "xtool.records",
    "elftools.elf.elffile",
)


def run(name: str, seconds: float, seed: int, work: Path) -> int:
    """Fuzz one target for a time; 1 when something was found.

    Args:
        name: which target.
        seconds: for how long.
        seed: libFuzzer's; with coverage from several threads a run cannot be repeated exactly all the same.
        work: where figures, findings and the corpus are kept.
    """
    from support.fuzzing import Finding, Ledger, Tally, memory

    corpus = work.absolute() / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(work.absolute())
    deadline = time.monotonic() + seconds
    tally, found = Tally(), 0
    while (left := deadline - time.monotonic()) > 1:
        with tempfile.TemporaryDirectory(
            prefix="xtool-fuzz-", dir=memory(), ignore_cleanup_errors=True
        ) as scratch:
            shared = Path(scratch) / "shared"
            shared.write_bytes(bytes(_SHARED))
            code = _guard(name, left, seed + tally.inputs, corpus, ledger.folder, shared)
            inputs, taken, findings, _, size = _SLOTS.unpack_from(shared.read_bytes())
            data = shared.read_bytes()[_SLOTS.size : _SLOTS.size + size]
        if not inputs:
            raise RuntimeError(f"atheris did not start on {name}: see {ledger.folder / 'atheris.log'}")
        part = Tally(inputs=inputs, taken=taken)
        if code not in (0, _SWOLLEN):
            kind = "hang" if code == -signal.SIGKILL else "death"
            part.findings["death"] = (
                Finding(name, kind, "-", f"the process ended with {code}"),
                data,
                "atheris",
            )
        found += findings + len(part.findings)
        for path in ledger.add("atheris", name, part):
            print(f"FOUND {path}", flush=True)
        tally.add(part)
    print(
        f"{name:12} {tally.inputs:9} inputs  {tally.taken:8} taken  {found} findings  (atheris)", flush=True
    )
    return 1 if found else 0


_SWOLLEN = 77


def _guard(name: str, seconds: float, seed: int, corpus: Path, work: Path, shared: Path) -> int:
    """Run libFuzzer in a process of its own and see that it goes on."""
    words = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "fuzz.py"), "--engine", "atheris"]
    words += ["--target", name, "--work", str(work), "--guided", str(shared)]
    words += [f"-max_total_time={max(int(seconds), 1)}", f"-seed={seed % (1 << 31) + 1}", str(corpus)]
    env = {**os.environ, "TMPDIR": str(shared.parent)}
    with (work / "atheris.log").open("ab") as log:
        child = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        begun = time.monotonic()
        while child.poll() is None:
            time.sleep(0.5)
            last = _SLOTS.unpack_from(shared.read_bytes())[3] or begun
            if time.monotonic() - last > _GIVE_UP + (_START if last == begun else 0):
                child.kill()
        return child.wait()


def child(name: str, shared: Path, work: Path, words: list[str]) -> None:
    """What runs in the process of its own; it does not return."""
    import atheris

    with atheris.instrument_imports(include=["xtool", "elftools"]):
        for package in _PACKAGES:
            found = importlib.import_module(package)
            for module in pkgutil.iter_modules(found.__path__):
                importlib.import_module(f"{package}.{module.name}")
        for module_name in _MODULES:
            importlib.import_module(module_name)
    from support.fuzzing import Finding, Ledger, Sandbox, Tally
    from support.fuzztarget import digest
    from support.fuzztargets import targets

    target = targets()[name]
    seeds = target.seeds()
    corpus = Path(words[-1])
    for data in seeds:
        (corpus / digest(data)).write_bytes(data)
    ledger = Ledger(work)
    sandbox = Sandbox()
    figures = [0, 0, 0]
    with shared.open("r+b") as file:
        place = mmap.mmap(file.fileno(), _SHARED)

    def one(data: bytes) -> None:
        kept = data[: _SHARED - _SLOTS.size]
        _SLOTS.pack_into(place, 0, *figures, time.monotonic(), len(kept))
        place[_SLOTS.size : _SLOTS.size + len(kept)] = kept
        result = sandbox.attempt(target, data)
        figures[0] += 1
        figures[1] += result == ""
        if isinstance(result, Finding):
            figures[2] += 1
            tally = Tally()
            tally.note(result, data, "atheris")
            for path in ledger.keep(tally):
                print(f"FOUND {path}", flush=True)
        _SLOTS.pack_into(place, 0, *figures, time.monotonic(), len(kept))
        if sandbox.swollen:
            os._exit(_SWOLLEN)

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.randrange(2):
            return target.mutate(rng, data, seeds)[:most]
        return bytes(atheris.Mutate(data, most))

    longest = max(8192, *(4 * len(data) for data in seeds))
    # Our own alarm tells a hang; libFuzzer's would take it away.
    options = [
        f"-max_len={longest}",
        "-timeout=0",
        "-rss_limit_mb=0",
        "-len_control=0",
        "-print_final_stats=1",
    ]
    sandbox.attempt(target, seeds[0])
    sandbox.confine()
    atheris.Setup([sys.argv[0], *options, *words], one, custom_mutator=change)
    atheris.Fuzz()
