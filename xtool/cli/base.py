"""What verbs are made with: the options that every verb takes, the result it returns, how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.config import KEYS, Config

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.errors import XtoolError
    from xtool.output import Console
    from xtool.setup import Request

ALL_TARGETS = "all"
"""What stands for every target that this host can build for."""

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb comes to.

    Args:
        data: the JSON document's `data`.
        text: what a person reads on stdout; only results, never messages.
        errors: what failed, where other parts did not.
        exit_code: where the outcome asks for another code than the first error's, or 0 without errors.
        partial: something was made, something failed.
        summary: what a person reads on stderr in the end, below the errors.
    """

    data: Mapping[str, Any]
    text: str = ""
    errors: tuple[XtoolError, ...] = ()
    exit_code: int | None = None
    partial: bool = False
    summary: str = ""

    @property
    def code(self) -> int:
        """The exit code."""
        if self.exit_code is not None:
            return self.exit_code
        return self.errors[0].exit_code if self.errors else 0

    @property
    def status(self) -> str:
        """`success`, `partial` (something was made, something failed) or `error`."""
        if self.partial:
            return "partial"
        return "error" if self.code else "success"


@dataclass
class Invocation:
    """One run of the command line, from the first word parsed to the exit code.

    Args:
        environ: the environment xtool was started in.
        given: common options of the command line, by key name.
        command: the verb as typed (`cache export`), as far as known.
        console: where messages go; replaced once the options are known.
        json: whether the result is a JSON document.
    """

    environ: Mapping[str, str]
    console: Console
    json: bool = False
    command: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with.

    Args:
        ctx: settings, log, environment.
        config: every layer of configuration, for options that are not settings.
        console: the log, with what only the command line may say.
        json: whether the result is a JSON document.
        color: whether results for people may be coloured.
    """

    ctx: Context
    config: Config
    console: Console
    json: bool
    color: bool = False

    def value(self, name: str, default: Any = None) -> Any:
        """What was set for an option, wherever it was set."""
        return self.config.value(name, default)

    def requests(self, names: Sequence[str] = ()) -> list[Request]:
        """One set-up request for each target that was asked for; `all` stands for every one there is.

        Args:
            names: the targets, where they were not asked for by `--target`.

        Raises:
            UsageError: no target, or an unknown one.
        """
        from xtool.setup import available_targets

        asked = unique(names) or unique(self.required("target"))
        found: dict[str, Request] = {}
        for name in asked:
            for target in available_targets(self.ctx) if name == ALL_TARGETS else (name,):
                request = self.request(target)
                found.setdefault(request.target.name, request)
        return list(found.values())

    def request(self, target: str) -> Request:
        """The set-up request for a target, with `--python`, `--glibc` and the like."""
        from xtool.catalog import Catalog
        from xtool.python.versions import parse_python
        from xtool.setup import Request

        return Request(
            target=Catalog(self.ctx.settings.toolchains_dir).target(target),
            pythons=unique([str(parse_python(text)) for text in self.value("python", ())]),
            glibc=self.glibc(),
            sysroot=self.value("sysroot", "auto"),
            python_source=self.value("python-source", "auto"),
            fortran=self.value("fortran", False),
            sysroot_packages=unique(self.value("sysroot-package", ())),
            sysroot_lock=self.value("sysroot-lock"),
            locked=self.value("locked", False),
            frozen=self.value("frozen", False),
        )

    def one_request(self) -> Request:
        """The set-up request of a verb that works for one target and one Python.

        Raises:
            UsageError: no target, several, or an unknown one.
        """
        from dataclasses import replace

        from xtool.errors import UsageError

        names = unique(self.required("target"))
        if len(names) > 1:
            raise UsageError(f"one target at a time, not {', '.join(names)}", hint="pass one `--target`")
        request = self.request(names[0])
        return replace(request, pythons=request.versions[:1])

    def glibc(self) -> tuple[int, int] | None:
        """The floor that was asked for, if any."""
        from xtool.errors import UsageError
        from xtool.targets import parse_glibc

        text = self.value("glibc")
        try:
            return parse_glibc(text) if text else None
        except ValueError as error:
            raise UsageError(
                str(error), hint="write it as `--glibc 2.17`, the oldest glibc that wheels must run on"
            ) from error

    def required(self, name: str) -> Any:
        """What was set for an option that cannot be done without.

        Raises:
            UsageError: it was set nowhere.
        """
        from xtool.errors import UsageError

        value = self.value(name)
        if not value:
            raise UsageError(
                f"no `--{name}` given",
                hint=f"pass `--{name}`, or set {KEYS[name].variable} or `{name}` in `[tool.xtool]`",
                code="missing-option",
            )
        return value


def unique(items: Sequence[str]) -> tuple[str, ...]:
    """The items in their order, each once."""
    return tuple(dict.fromkeys(items))


Body = Callable[..., Result]


class Group(click.Group):
    """A group of commands that says which one a mistyped name may have meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            UsageError: there is none of that name.
        """
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            from difflib import get_close_matches

            from xtool.errors import UsageError

            path = ctx.command_path
            close = get_close_matches(args[0], known, n=1, cutoff=0.5)
            raise UsageError(
                f"there is no command `{path} {args[0]}`",
                hint=f"did you mean `{path} {close[0]}`?" if close else f"`{path} --help` lists the commands",
                code="unknown-command",
            )
        return super().resolve_command(ctx, args)


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep an option's value for the merge with variables and files."""
    if value is None or value == () or value is False:
        return value
    given = ctx.ensure_object(Invocation).given
    name = (param.name or "").replace("_", "-")
    if name in ("verbose", "quiet"):
        if value:
            given[name] = given.get(name, 0) + value
    else:
        given[name] = value
    return value


def setting(*declarations: str, help: str, **attributes: Any) -> click.Option:  # noqa: A002
    """An option that is also a variable and a configuration key (see `xtool.config.KEYS`)."""
    long = next(word for word in declarations if word.startswith("--")).removeprefix("--")
    key = KEYS[long]
    if key.kind == "choice":
        attributes.setdefault("type", click.Choice(key.choices))
    if key.kind == "flag":
        attributes.setdefault("is_flag", True)
        attributes.setdefault("default", None)
    return click.Option(
        [*declarations, long.replace("-", "_")],
        help=f"{help}  [{key.variable}]",
        callback=remember,
        expose_value=False,
        **attributes,
    )


def common_options() -> list[click.Parameter]:
    """The options that every verb takes, before or after its name."""
    return [
        setting("-q", "--quiet", help="Say less: warnings and errors; -qq errors only.", count=True),
        setting("-v", "--verbose", help="Show commands and their output; -vv tracebacks too.", count=True),
        setting("--offline", help="Use the network for nothing."),
        setting("--cache-dir", help="Folder of the cache.", metavar="DIR"),
        setting("--no-progress", help="Draw no progress bars."),
        setting("--color", help="Use colours or not (default: on a terminal)."),
        setting("--output", help="Print the result for people or as one JSON document."),
    ]


def kit_options(*, several_pythons: bool = True, pythons: str = "3.13") -> list[click.Parameter]:
    """The options that say what a target is set up with.

    Args:
        several_pythons: whether `--python` can be repeated.
        pythons: what it is where nothing says so.
    """
    more = " Can be repeated." if several_pythons else ""
    return [
        setting(
            "--python",
            help=f"Python version; 3.13t: without the GIL (default: {pythons}).{more}",
            metavar="X.Y",
            multiple=True,
        ),
        setting("--glibc", help="Oldest glibc to run on (default: the target's lowest).", metavar="X.Y"),
        setting(
            "--sysroot",
            help="Sysroot: auto, derived, debian, centos7, ...; several, with commas, are tried in order.",
            metavar="KIND",
        ),
        setting("--python-source", help="Where Pythons come from (default: portable builds if in reach)."),
        setting("--fortran", help="Set up gfortran too."),
        setting(
            "--sysroot-package",
            help="Add a package of the sysroot's distribution, and what it needs, to the sysroot. "
            "Can be repeated.",
            metavar="NAME",
            multiple=True,
        ),
        setting("--sysroot-lock", help="File that records which exact packages these are.", metavar="FILE"),
        setting("--locked", help="Fail if the lock is older than what is declared."),
        setting("--frozen", help="Use the lock exactly as it is."),
    ]


def target_option(*, multiple: bool) -> click.Parameter:
    """`--target`, from the command line or the configuration."""
    more = " `all`: every one there is. Can be repeated." if multiple else ""
    return setting("--target", help=f"The machine wheels are for.{more}", metavar="TARGET", multiple=multiple)


def verb(
    body: Body,
    *,
    name: str,
    help: str,  # noqa: A002
    example: str,
    params: Sequence[click.Parameter] = (),
    **attributes: Any,
) -> click.Command:
    """Make a command.

    Args:
        body: gets a `Session` and the parameters that are no settings; returns a `Result`.
        name: the verb.
        help: what it does: one line, then more.
        example: lines shown below the help.
        params: its own parameters; the common options are added.
        attributes: anything else that `click.Command` takes.
    """
    context_settings = {**CONTEXT_SETTINGS, **attributes.pop("context_settings", {})}
    return click.Command(
        name,
        callback=partial(_call, body),
        help=f"{help}\n\n\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines()),
        params=[*params, *common_options()],
        context_settings=context_settings,
        **attributes,
    )


def _call(body: Body, **params: Any) -> None:
    from xtool.cli.app import execute

    invocation = click.get_current_context().ensure_object(Invocation)
    invocation.command = _command_name(click.get_current_context())
    source = params.get("source")
    folder = Path(source) if isinstance(source, str) else Path()
    project = folder if folder.is_dir() else Path()
    execute(invocation, project.absolute(), lambda session: body(session, **params))


def _command_name(context: click.Context) -> str:
    names: list[str] = []
    current: click.Context | None = context
    while current is not None and current.parent is not None:
        names.insert(0, current.info_name or "")
        current = current.parent
    return " ".join(names)
