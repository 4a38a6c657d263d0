"""`xtool env`: the cross environment for builds that the user runs."""

from __future__ import annotations

import json

from xtool.cli.base import Result, Session, kit_options, setting, target_option, verb


def _env(session: Session) -> Result:
    from xtool.crossenv import env_for_user
    from xtool.setup import ensure_kit

    request = session.one_request()
    form = session.value("format", "shell")
    kit = ensure_kit(session.ctx, request)
    made = env_for_user(session.ctx, kit, request.versions[0], form)
    data = {
        "target": request.target.name,
        "python": request.versions[0],
        "format": form,
        "content": made,
    }
    return Result(data, text=made if isinstance(made, str) else json.dumps(made, indent=2))


command = verb(
    _env,
    name="env",
    help=(
        "Print the cross-compilation environment, for builds that you run yourself.\n\n"
        "What the target lacks is set up first. The files that it names stay in the cache."
    ),
    example=(
        'eval "$(xtool env --target ppc64le)"\n'
        "xtool env --target ppc64le --format cmake > ppc64le.cmake\n"
        'xtool env --target ppc64le --format github >> "$GITHUB_ENV"'
    ),
    params=[
        target_option(multiple=False),
        setting("--format", help="Shell lines, JSON, a CMake or meson file, or GITHUB_ENV lines."),
        *kit_options(several_pythons=False),
    ],
)
