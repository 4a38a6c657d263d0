"""`xtool setup`: install what builds for a target need."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, kit_options, unique, verb

if TYPE_CHECKING:
    from xtool.errors import XtoolError
    from xtool.kit import Kit


def _setup(session: Session, targets: tuple[str, ...]) -> Result:
    from xtool.errors import UsageError, XtoolError
    from xtool.setup import ensure_kits

    names = unique(targets) or unique(session.value("target", ()))
    if not names:
        raise UsageError(
            "no target given",
            hint="name one, as in `xtool setup ppc64le`, or `all`; `xtool list --available` shows them",
            code="missing-option",
        )
    # Every name is checked before anything is downloaded for the first.
    requests = session.requests(names)
    started = time.monotonic()
    kits: list[dict[str, Any]] = []
    errors: list[XtoolError] = []
    for request, kit in zip(requests, ensure_kits(session.ctx, requests), strict=True):
        if isinstance(kit, XtoolError):
            if len(requests) > 1:
                kit.facts = (f"target: {request.target.name}", *kit.facts)
            errors.append(kit)
            continue
        kits.append(kit_data(kit))
        session.console.info(f"the {kit.sysroot.kind} sysroot is taken: {kit.sysroot.why}")
        after = f" ({time.monotonic() - started:.1f} s)" if len(requests) == 1 else ""
        session.console.info(f"{describe(kit)}{after}")
    if len(kits) > 1:
        session.console.info(f"{len(kits)} targets are ready ({time.monotonic() - started:.1f} s)")
    if len(requests) == 1 and errors:
        raise errors[0]
    return Result({"kits": kits}, errors=tuple(errors), partial=bool(kits and errors))


def describe(kit: Kit) -> str:
    """One line about a kit."""
    from xtool.targets import format_glibc
    from xtool.toolchain.packages import listed

    pythons = ", ".join(f"Python {python.full_version}" for python in kit.pythons.values())
    floor = format_glibc(kit.sysroot.glibc)
    asked = [package["name"] for package in listed(kit.sysroot.path) if not package["needed_by"]]
    more = f" with {', '.join(asked)}" if asked else ""
    return f"{kit.target.name} is ready: GCC {kit.toolchain.version}, glibc {floor}{more}, {pythons}"


def kit_data(kit: Kit) -> dict[str, Any]:
    """A kit as plain data for JSON output."""
    from xtool.targets import format_glibc
    from xtool.toolchain.packages import listed

    return {
        "target": kit.target.name,
        "host": kit.host.name,
        "toolchain": {
            "path": kit.toolchain.path,
            "version": kit.toolchain.version,
            "languages": list(kit.toolchain.languages),
        },
        "sysroot": {
            "path": kit.sysroot.path,
            "kind": kit.sysroot.kind,
            "glibc": format_glibc(kit.sysroot.glibc),
            "why": kit.sysroot.why,
            "packages": listed(kit.sysroot.path),
        },
        "emulator": {"path": kit.emulator.executable, "cpu": kit.emulator.cpu},
        "pythons": [
            {
                "version": python.version,
                "full_version": python.full_version,
                "source": python.source,
                "glibc": format_glibc(python.glibc),
                "path": python.executable,
            }
            for python in kit.pythons.values()
        ],
        "build_pythons": [
            {"version": python.version, "source": python.source, "path": python.executable}
            for python in kit.build_pythons.values()
        ],
        "lock": kit.lock_digest,
    }


command = verb(
    _setup,
    name="setup",
    help=(
        "Download and install what builds for TARGETs need: cross GCC, sysroot, Python, emulator.\n\n"
        "`all` stands for every target that there is. Several are set up side by side; what they share is "
        "downloaded once. What is there already is left alone. Downloads resume; every file is verified "
        "before it is opened."
    ),
    example=(
        "xtool setup ppc64le\nxtool setup ppc64le --python 3.13 --python 3.11 --glibc 2.28\n"
        "xtool setup aarch64 --sysroot centos7,derived\nxtool setup all"
    ),
    params=[click.Argument(["targets"], nargs=-1, metavar="TARGET..."), *kit_options()],
)
