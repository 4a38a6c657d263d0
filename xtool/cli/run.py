"""`xtool run`: a command with the target's Python, under the emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from xtool.cli.base import Result, Session, kit_options, setting, target_option, verb


def _run(session: Session, words: tuple[str, ...]) -> Result:
    from xtool import proc
    from xtool.setup import ensure_desktop, ensure_kit
    from xtool.store import Store
    from xtool.targetenv import TargetEnv

    request = session.one_request()
    (version,) = request.versions
    wheels, requirements = _split(session.value("with", ()))
    kit = ensure_kit(session.ctx, request)
    used = [kit.emulator.executable, kit.pythons[version].root]
    with (
        Store(session.ctx).using(used),
        tempfile.TemporaryDirectory(prefix="xtool-run-", ignore_cleanup_errors=True) as folder,
    ):
        target_env = TargetEnv.create(
            session.ctx,
            kit,
            version,
            Path(folder) / "env",
            desktop=partial(ensure_desktop, session.ctx, kit, version),
        )
        if wheels or requirements:
            target_env.install(wheels, requirements)
        argv, env = target_env.command(list(words))
        if not session.json:
            return Result({}, exit_code=proc.exec_foreground(argv, env=env, log=session.ctx.log))
        done = proc.run(argv, log=session.ctx.log, env=env, check=False, merge=False)
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    data = {
        "target": request.target.name,
        "python": version,
        "command": list(words),
        "stdout": done.stdout,
        "stderr": done.stderr,
        "seconds": round(done.seconds, 3),
    }
    return Result(data, exit_code=code)


def _split(items: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Tell wheels from requirements.

    Raises:
        UsageError: a wheel that does not exist.
    """
    from xtool.errors import UsageError

    wheels, requirements = [], []
    for item in items:
        if not item.endswith(".whl") or "://" in item:
            requirements.append(item)
        elif not Path(item).is_file():
            raise UsageError(f"there is no wheel {item}", hint="mend the path after `--with`")
        else:
            wheels.append(Path(item).absolute())
    return wheels, requirements


command = verb(
    _run,
    name="run",
    help=(
        "Run CMD with the target's Python under the emulator; its exit code becomes xtool's.\n\n"
        "`python` is the target's. What the target lacks is set up first."
    ),
    example=(
        "xtool run --target ppc64le -- python -c 'import platform; print(platform.machine())'\n"
        "xtool run --target ppc64le --with dist/ujson-5.11.0-*.whl -- python -c 'import ujson'"
    ),
    params=[
        click.Argument(["words"], nargs=-1, required=True, metavar="-- CMD ARGS...", type=click.UNPROCESSED),
        target_option(multiple=False),
        setting(
            "--with",
            help="Wheel file or requirement to install first. Can be repeated.",
            metavar="REQ-OR-WHEEL",
            multiple=True,
        ),
        *kit_options(several_pythons=False),
    ],
    context_settings={"allow_interspersed_args": False},
)
