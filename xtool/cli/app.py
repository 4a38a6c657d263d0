"""The top of the command line: the group of verbs, loaded when used; signals; errors and exit codes."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from xtool import __version__, config
from xtool.cli.base import CONTEXT_SETTINGS, Group, Invocation, Result, Session, common_options
from xtool.errors import Interrupted, StoreError, UsageError, XtoolError
from xtool.output import discard, document, make_console, wants_color, write_result

VERBS = {
    "setup": "Download and install what builds for a target need.",
    "build": "Build, check and smoke-test wheels for a target.",
    "run": "Run a command with the target's Python under the emulator.",
    "inspect": "Show what a wheel or ELF file needs and which tag it earns.",
    "env": "Print the cross-compilation environment for other build tools.",
    "list": "List what is installed, or with --available what can be.",
    "show": "Show everything known about a target.",
    "doctor": "Check this machine, the cache and the network.",
    "verify": "Compare every installed file with its recorded hash.",
    "lock": "Show the lock of a target, or make it anew.",
    "prune": "Remove installed components that nothing asks for any more.",
    "cache": "Show, move or clean the cache.",
}
"""The verbs and the line that the top help has for each; each lies in the module of its name."""

_HELP = """Build Linux wheels for other machines, at native speed, without Docker or root.

\b
Quick start:
  xtool setup ppc64le                           download and cache the tools
  xtool build markupsafe --target ppc64le       build, check and smoke-test a wheel
"""

_DISK_ERRORS = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOLCK, errno.ENAMETOOLONG, errno.ELOOP),
        *(errno.ENOTDIR, errno.EISDIR, errno.ETXTBSY),
    }
)
"""What a disk, and not a bug of xtool, says."""


class LazyGroup(Group):
    """A group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order a user meets them."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, its module loaded."""
        del ctx
        if cmd_name not in VERBS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"xtool.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if not value or ctx.resilient_parsing:
        return
    if ctx.ensure_object(Invocation).json:
        write_result(document("version", "success", 0, {"version": __version__}))
    else:
        write_result(f"xtool {__version__}")
    ctx.exit()


def make_group() -> click.Group:
    """The top command."""
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version.",
    )
    return LazyGroup(
        "xtool",
        help=_HELP,
        params=[*common_options(), version],
        context_settings=CONTEXT_SETTINGS,
        epilog="`xtool COMMAND --help` explains a command. Every option is also a variable: XTOOL_OFFLINE=1.",
    )


def run(argv: Sequence[str]) -> int:
    """Parse, do, print; return the exit code."""
    environ = dict(os.environ)
    invocation = Invocation(environ, make_console(environ), json=_wants_json(argv, environ))
    _handle_signals()
    try:
        return _dispatch(invocation, argv)
    except OSError as error:
        # Only help and version are written without `write_result`.
        discard(sys.stdout)
        reason = StoreError(f"cannot write to stdout: {error.strerror}", code="stdout")
        return report(invocation, reason)
    except KeyboardInterrupt:
        return Interrupted.exit_code


def _dispatch(invocation: Invocation, argv: Sequence[str]) -> int:
    try:
        outcome = make_group().main(list(argv), prog_name="xtool", obj=invocation, standalone_mode=False)
        # Help and version end with a code of click's; verbs leave theirs in the invocation.
        return outcome if isinstance(outcome, int) else invocation.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        if invocation.json:
            return report(invocation, UsageError("no command given", hint="`xtool --help` lists them"))
        invocation.console.raw(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        return report(invocation, _usage_error(error))
    except click.Abort:
        return report(invocation, _interrupted())
    except XtoolError as error:
        return report(invocation, error)


def execute(invocation: Invocation, project: Path, body: Callable[[Session], Result]) -> None:
    """Merge the configuration, call a verb, print what it comes to; the code goes into the invocation."""
    from xtool.context import Context

    try:
        merged = config.load(invocation.given, invocation.environ, project=project)
        invocation.json = merged.value("output", "human") == "json"
        invocation.console = console = make_console(
            invocation.environ,
            verbosity=merged.value("verbose", 0) - merged.value("quiet", 0),
            color=merged.value("color", "auto"),
            no_progress=merged.value("no-progress", False),
        )
        for name, near in config.misspelt_variables(invocation.environ):
            console.warning(f"{name} is not a variable of xtool", hint=f"did you mean {near}?")
        ctx = Context(merged.settings(), console, invocation.environ)
        color = wants_color(sys.stdout, invocation.environ, merged.value("color", "auto"))
        result = body(Session(ctx, merged, console, invocation.json, color=color))
        _render(invocation, result)
    except XtoolError as error:
        report(invocation, error)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a user must not see a traceback
        told = _explain(error, invocation)
        told.__cause__ = error
        report(invocation, told)


def _explain(error: BaseException, invocation: Invocation) -> XtoolError:
    """Say what was not raised on purpose."""
    if isinstance(error, KeyboardInterrupt):
        return _interrupted()
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return _disk_error(error, invocation)
    return XtoolError(
        f"unexpected {type(error).__name__}: {error}",
        facts=["this is a bug in xtool"],
        hint="run it again with `-vv` and report it with the traceback",
        code="internal",
    )


def _render(invocation: Invocation, result: Result) -> None:
    invocation.exit_code = result.code
    for error in result.errors:
        invocation.console.error(error)
    if result.summary:
        invocation.console.info(result.summary)
    if invocation.json:
        data = {**result.data, "warnings": invocation.console.warnings}
        write_result(document(invocation.command, result.status, result.code, data, result.errors))
    else:
        write_result(result.text)


def report(invocation: Invocation, error: XtoolError) -> int:
    """Show an error on stderr, and as the document where JSON was asked for; return its exit code."""
    invocation.exit_code = error.exit_code
    console = invocation.console
    if console.verbosity >= 2:
        import traceback

        console.raw("".join(traceback.format_exception(error)))
    console.error(error)
    if invocation.json:
        data = {"warnings": console.warnings}
        write_result(document(invocation.command, "error", error.exit_code, data, [error]))
    return error.exit_code


def _interrupted() -> Interrupted:
    return Interrupted("interrupted", hint="run the same command again; what was finished is kept")


def _disk_error(error: OSError, invocation: Invocation) -> StoreError:
    """Say an error of the disk that nobody closer to it has explained."""
    from xtool.diskerrors import as_store_error

    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else None
    with suppress(XtoolError, OSError):
        cache = config.load(invocation.given, invocation.environ, project=Path.cwd()).settings().cache_dir
        if place is None or place.is_relative_to(cache):
            return as_store_error(error, cache, "the cache cannot be used")
    facts = [] if place is None else [str(place)]
    return StoreError(
        (error.strerror or str(error)).lower(),
        facts=facts,
        hint="make room for it there, or give yourself the permission",
        code="disk",
    )


def _usage_error(error: click.ClickException) -> UsageError:
    """Say click's error in the house's words."""
    message = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    message = re.sub(r"'([^']+)'", r"`\1`", message).rstrip(".")
    message = message[:1].lower() + message[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "xtool"
    hint = f"`{path} --help` explains it"
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        hint = f"did you mean `{min(error.possibilities)}`? {hint}"
    return UsageError(message, hint=hint)


def _wants_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether JSON was asked for, as far as can be told before the command line is parsed."""
    wanted = environ.get("XTOOL_OUTPUT", "")
    words = list(argv)
    if "--" in words:
        words = words[: words.index("--")]
    for index, word in enumerate(words):
        if word == "--output" and index + 1 < len(words):
            wanted = words[index + 1]
        elif word.startswith("--output="):
            wanted = word.partition("=")[2]
    return wanted == "json"


def _handle_signals() -> None:
    """First Ctrl-C, SIGTERM or SIGHUP: end what runs and unwind; the second: leave at once."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        del number, frame
        # Not imported here: a module that was never loaded has started no process.
        proc = sys.modules.get("xtool.proc")
        if proc is not None:
            proc.end_all(signal.SIGKILL if stopping else signal.SIGTERM)
        if stopping:
            os._exit(Interrupted.exit_code)
        stopping = True
        raise KeyboardInterrupt

    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What the parent has us ignore (nohup, a background job of a shell) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
