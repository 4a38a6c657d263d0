#!/usr/bin/env python3
"""Fuzz the parsers of everything that comes from outside: archives, indexes, ELF files, wheels, records.

    scripts/fuzz.py                                  every parser for a while, by mutation
    scripts/fuzz.py --target deb --seconds 600       one of them, ten minutes
    scripts/fuzz.py --inputs 200 --seed 1            a fixed number of inputs each: the same ones every time
    scripts/fuzz.py --engine atheris --target deb    guided by coverage (`pip install atheris`)
    scripts/fuzz.py --replay .fuzz/findings/deb-...  what a saved input does now
    scripts/fuzz.py --report                         a table of all that was tried so far

Figures and findings are kept in a folder (`--work`, `.fuzz` by default). Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SLICE = 20.0
"""Seconds that a parser has before it is the next one's turn."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    parser.add_argument("--target", action="append", help="which parser; may be repeated; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each parser (60)")
    parser.add_argument("--inputs", type=int, help="inputs for each parser, instead of a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="parsers at once (1)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".fuzz", help="folder of figures and findings (.fuzz)"
    )
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--list", action="store_true", help="names of the parsers")
    parser.add_argument("--guided", type=Path, help=argparse.SUPPRESS)
    args, words = parser.parse_known_args()
    if args.guided:
        from support import fuzzguided

        fuzzguided.child(args.target[0], args.guided, args.work, words)
    elif words:
        parser.error(f"unknown: {' '.join(words)}")

    from support import fuzzguided, fuzztargets

    known = fuzztargets.targets()
    names = args.target or list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no target {name}; there are {', '.join(known)}")
    if args.list:
        print("\n".join(f"{target.name:12} {target.about}" for target in known.values()))
        return 0
    if args.replay:
        return replay(args.replay, args.target)
    if args.report:
        return report(args.work)
    if args.engine == "atheris":
        return max(fuzzguided.run(name, args.seconds, args.seed, args.work) for name in names)
    return mutate(names, args)


def mutate(names: list[str], args: argparse.Namespace) -> int:
    """Run the mutation engine; print a line for each parser."""
    from support.fuzzing import Ledger, Tally, try_range

    ledger = Ledger(args.work)
    found: list[Path] = []
    totals = {name: Tally() for name in names}
    following = dict.fromkeys(names, 0)
    if args.inputs is None:
        # A longer run goes on where the last one stopped.
        following = {name: ledger.figures.get(f"mutation {name}", {}).get("next", 0) for name in names}

    def turn(name: str, seconds: float | None) -> None:
        tally, after = try_range(name, args.seed, following[name], stop=args.inputs, seconds=seconds)
        following[name] = after
        totals[name].add(tally)
        fresh = ledger.add("mutation", name, tally, after if args.inputs is None else None)
        for path in fresh:
            print(f"FOUND {path}", flush=True)
        found.extend(fresh)

    left = args.seconds
    with ThreadPoolExecutor(args.jobs) as pool:
        while args.inputs is None and left > 0:
            list(pool.map(turn, names, [min(SLICE, left)] * len(names)))
            left -= SLICE
        if args.inputs is not None:
            list(pool.map(turn, names, [None] * len(names)))
    for name, tally in totals.items():
        refused = ", ".join(f"{error} {count}" for error, count in sorted(tally.refused.items()))
        found_here = f"{len(tally.findings)} findings"
        print(f"{name:12} {tally.inputs:9} inputs  {tally.taken:8} taken  {found_here}  {refused}")
    print(f"all          {sum(t.inputs for t in totals.values()):9} inputs  seed {args.seed}")
    return 1 if any(tally.findings for tally in totals.values()) else 0


def replay(files: list[Path], names: list[str] | None) -> int:
    """Try saved inputs again; their names begin with their target."""
    from support.fuzzing import Finding, Sandbox
    from support.fuzztargets import targets

    sandbox = Sandbox()
    bad = 0
    try:
        for file in files:
            if file.suffix == ".json":
                continue
            name = names[0] if names else file.name.rpartition("-")[0]
            data = file.read_bytes()
            begun = time.monotonic()
            result = sandbox.attempt(targets()[name], data)
            if isinstance(result, Finding):
                bad += 1
                print(f"{file}: {result.kind} at {result.place}: {result.message}\n{result.trace}")
            else:
                print(f"{file}: {result or 'taken'}, {time.monotonic() - begun:.2f} s")
    finally:
        sandbox.close()
    return 1 if bad else 0


def report(work: Path) -> int:
    """A table of parsers, inputs and findings, each finding tried again."""
    from support.fuzzing import Finding, Ledger, Sandbox
    from support.fuzztargets import targets

    ledger = Ledger(work)
    known = targets()
    found: dict[str, list[str]] = {}
    open_ones: dict[str, int] = {}
    sandbox = Sandbox()
    for path, note in ledger.findings():
        if note["target"] in known:
            found.setdefault(note["target"], []).append(note["kind"])
            again = sandbox.attempt(known[note["target"]], path.read_bytes())
            open_ones[note["target"]] = open_ones.get(note["target"], 0) + isinstance(again, Finding)
    sandbox.close()
    print("| parser | what | mutated inputs | guided inputs | taken | findings | left |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    sums = [0] * 5
    for name, target in known.items():
        entries = [ledger.figures.get(f"{engine} {name}", {}) for engine in ("mutation", "atheris")]
        inputs = [entry.get("inputs", 0) for entry in entries]
        taken = sum(entry.get("taken", 0) for entry in entries)
        row = [*inputs, taken, len(found.get(name, [])), open_ones.get(name, 0)]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        print(f"| {name} | {target.about} | {' | '.join(f'{n:,}' for n in row)} |")
    print(f"| all | | {' | '.join(f'{n:,}' for n in sums)} |")
    return 1 if any(open_ones.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
