"""Installing wheels into a target environment, natively.

A wheel is data: unpacking it needs neither the target's Python nor the emulator. Only requirements need a
resolver; uv is that, pointed at the environment's interpreter, which it asks once what it is.
"""

from __future__ import annotations

import email.parser
import re
import shlex
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xtool import proc
from xtool.errors import CommandFailed, NetworkError, OfflineError, UsageError
from xtool.python.versions import parse_python

if TYPE_CHECKING:
    from email.message import Message

    from packaging.tags import Tag

    from xtool.targetenv import TargetEnv

_NO_WHEEL = re.compile(r"(?:Wheels are (?:required|available)|only found wheels) for `([^`]+)`")
_UNKNOWN = re.compile(
    r"([A-Za-z0-9][\w.-]*) was not found in the (?:package registry|provided package locations|cache)"
)
_SHOWN_LINES = 16
_NETWORK_SIGNS = ("error sending request", "Failed to fetch", "Could not connect", "dns error")


def install(env: TargetEnv, wheels: Sequence[Path], requirements: Sequence[str]) -> None:
    """Install wheels and requirements into an environment; `TargetEnv.install` says more."""
    supported = frozenset(supported_tags(env))
    for wheel in wheels:
        _check_wheel(env, wheel, supported)
    needy = requirements or any(required(env, wheel) for wheel in wheels)
    if needy:
        _install_with_uv(env, wheels, requirements)
    else:
        for wheel in wheels:
            _unpack(env, wheel)
    _wrap_programs(env)


def required(env: TargetEnv, wheel: Path) -> list[str]:
    """The run-time requirements of a wheel that apply to an environment, without extras (PEP 508)."""
    from packaging.requirements import Requirement

    values = marker_values(env)
    found = []
    for text in _metadata(wheel).get_all("Requires-Dist", []):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({**values, "extra": ""}):
            found.append(str(requirement))
    return found


def optional(env: TargetEnv, wheel: Path) -> list[str]:
    """The requirements of a wheel's extras that apply to an environment, without their markers (PEP 508)."""
    from packaging.requirements import Requirement

    values = marker_values(env)
    metadata = _metadata(wheel)
    extras = metadata.get_all("Provides-Extra", [])
    always = set(required(env, wheel))
    found = []
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        marker = requirement.marker
        if str(requirement) in always or marker is None:
            continue
        if any(marker.evaluate({**values, "extra": extra}) for extra in extras):
            requirement.marker = None
            found.append(str(requirement))
    return found


def marker_values(env: TargetEnv) -> dict[str, str]:
    """What environment markers (PEP 508) evaluate to in an environment."""
    full = env.python.full_version
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": env.target.name,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": parse_python(env.python.version).release,
        "sys_platform": "linux",
    }


def supported_tags(env: TargetEnv) -> Iterable[Tag]:
    """The wheel tags that an environment takes (PEP 425, PEP 600), best first."""
    from packaging import tags

    python = parse_python(env.python.version)
    version = (python.major, python.minor)
    machine = env.target.name
    major, newest = env.python.glibc
    platforms = [f"manylinux_{major}_{minor}_{machine}" for minor in range(newest, 16, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    yield from tags.cpython_tags(version, [python.abi_tag], platforms)
    yield from tags.compatible_tags(version, python.interpreter_tag, platforms)


def _check_wheel(env: TargetEnv, wheel: Path, supported: frozenset[Tag]) -> None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, _, _, tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise UsageError(f"{wheel.name} is not named like a wheel", facts=[str(error)]) from error
    if supported.isdisjoint(tags):
        raise UsageError(
            f"{wheel.name} is not for Python {env.python.version} on {env.target.name}",
            facts=[f"its tags: {', '.join(sorted(map(str, tags)))}"],
            hint=f"`xtool build --target {env.target.name} --python {env.python.version}` makes one that is",
            code="wrong-wheel",
        )


def _metadata(wheel: Path) -> Message:
    """The METADATA of a wheel (PEP 427).

    Raises:
        UsageError: the file is no wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(
                name
                for name in archive.namelist()
                if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
            )
            text = archive.read(name).decode("utf-8", "replace")
    except (OSError, StopIteration, zipfile.BadZipFile) as error:
        raise UsageError(f"{wheel} is not a wheel", facts=[str(error) or "it has no METADATA"]) from error
    return email.parser.HeaderParser().parsestr(text)


def _unpack(env: TargetEnv, wheel: Path) -> None:
    from installer import install as write
    from installer.destinations import SchemeDictionaryDestination
    from installer.exceptions import InstallerError
    from installer.sources import WheelFile

    name = wheel.name.partition("-")[0]
    site = str(env.site_packages)
    schemes = {
        "purelib": site,
        "platlib": site,
        "scripts": str(env.bindir),
        "data": str(env.path),
        "headers": str(env.path / "include" / "site" / f"python{env.python.version}" / name),
    }
    destination = SchemeDictionaryDestination(
        schemes, interpreter=str(env.interpreter), script_kind="posix", overwrite_existing=True
    )
    try:
        with WheelFile.open(wheel) as source:
            write(source, destination, additional_metadata={"INSTALLER": b"xtool\n"})
    except (InstallerError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CommandFailed(f"cannot install {wheel.name}", facts=[str(error)]) from error


def _install_with_uv(env: TargetEnv, wheels: Sequence[Path], requirements: Sequence[str]) -> None:
    from xtool import index

    argv: list[str | Path] = [*index.uv_command(env.ctx), "pip", "install", "--python", env.interpreter]
    argv += ["--only-binary", ":all:", "--link-mode", "copy"]
    for folder in env.wheel_dirs:
        argv += ["--find-links", folder.absolute()]
    argv += [*(wheel.absolute() for wheel in wheels), *requirements]
    variables = index.uv_environment(env.ctx)
    done = proc.run(argv, log=env.ctx.log, env=variables, cwd=env.path, check=False)
    if done.returncode != 0:
        raise _explain(env, wheels, requirements, done)


def _explain(
    env: TargetEnv, wheels: Sequence[Path], requirements: Sequence[str], done: proc.Completed
) -> Exception:
    """Say in the user's words why uv could not install something."""
    wanted = ", ".join([wheel.name for wheel in wheels] + [shlex.quote(text) for text in requirements])
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if len(lines) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        lines = [*lines[:half], f"... {len(lines) - _SHOWN_LINES} more lines", *lines[-half:]]
    facts = [f"to install: {wanted}", *lines]
    unknown, missing = _UNKNOWN.search(done.stdout), _NO_WHEEL.search(done.stdout)
    name = missing[1] if missing else unknown[1] if unknown else None
    build = f"xtool build {name} --target {env.target.name} --python {env.python.version}"
    if env.ctx.settings.offline:
        return OfflineError(
            f"{name or 'a requirement'} has no wheel in uv's cache, and `--offline` forbids fetching one",
            facts=facts,
            hint="run once without `--offline`, or with `--no-test`",
        )
    if unknown:
        return CommandFailed(
            f"the package index has no {unknown[1]}",
            facts=facts,
            hint="check the name, and XTOOL_INDEX_URL; `--with` and `--outdir` take wheels made before",
            code="no-such-package",
        )
    if name:
        return CommandFailed(
            f"{name} has no wheel for Python {env.python.version} on {env.target.name}",
            facts=facts,
            hint=f"build it first with `{build}` into the same `--outdir`, give its wheel with `--with`, "
            "or leave the test out with `--no-test`",
            code="requirement-without-wheel",
        )
    if any(sign in done.stdout for sign in _NETWORK_SIGNS):
        return NetworkError(
            "requirements cannot be fetched from the package index",
            facts=facts,
            hint="check the network and XTOOL_INDEX_URL",
        )
    return CommandFailed(
        f"requirements cannot be installed for Python {env.python.version} on {env.target.name}",
        facts=facts,
        hint="`--no-test` leaves the test out; `--test-requires` says what a test needs",
    )


def _wrap_programs(env: TargetEnv) -> None:
    """Put a script in front of each program of the target that a wheel brought.

    The program stays beside it, as `NAME.target`, so that what it looks for relative to itself is there.
    """
    for program in sorted(env.bindir.iterdir()):
        if program.is_symlink() or program.suffix == ".target" or not env.is_target_elf(program):
            continue
        real = program.with_name(program.name + ".target")
        program.replace(real)
        program.write_text(env.launcher(real), encoding="utf-8")
        for path in (real, program):
            path.chmod(0o755)
