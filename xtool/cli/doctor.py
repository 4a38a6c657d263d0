"""`xtool doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

from dataclasses import asdict

import click

from xtool.cli.base import Result, Session, verb


def _doctor(session: Session, fix: bool) -> Result:
    from xtool import doctor
    from xtool.errors import ProblemsFound

    checks = doctor.examine(session.ctx, fix=fix)
    lines = []
    for check in checks:
        lines.append(f"{check.status:<4}  {check.name}: {check.message}")
        if check.hint:
            lines.append(f"      hint: {check.hint}")
    failed = [check for check in checks if check.status == "fail"]
    errors = (
        (
            ProblemsFound(
                f"{len(failed)} of {len(checks)} checks failed",
                facts=[f"{check.name}: {check.message}" for check in failed],
                hint=failed[0].hint or "`xtool doctor --fix` mends what it can",
            ),
        )
        if failed
        else ()
    )
    return Result({"checks": [asdict(check) for check in checks]}, text="\n".join(lines), errors=errors)


command = verb(
    _doctor,
    name="doctor",
    help=(
        "Check this machine, the cache, the network and what is installed.\n\n"
        "Exits with 6 when something is wrong; every finding says what to do."
    ),
    example="xtool doctor\nxtool doctor --fix",
    params=[
        click.Option(["--fix"], is_flag=True, help="Mend what can be mended: reinstall what was modified.")
    ],
)
