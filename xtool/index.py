"""Which package index uv is to use: the user's settings for xtool, uv or pip, in this order.

uv does not read pip's configuration; a user who has one means it for every tool that installs packages. No
index is named here: without any setting uv's own default holds.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from xtool.context import Context
from xtool.errors import UsageError

_UV_INDEX_VARIABLES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
)
_UV_INDEX_KEYS = re.compile(
    r"^\s*(\[\[(pip\.)?index\]\]|(pip\.)?(index|index-url|extra-index-url|find-links|no-index)\s*=)",
    re.MULTILINE,
)
_UV_MEANT_FOR_OTHERS = (
    "UV_PYTHON",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_REQUIRE_HASHES",
    "UV_COMPILE_BYTECODE",
)

_NO_INDEX = Path(__file__).with_name("uv_no_index.toml")

SYSTEM_FILES = {"uv": Path("/etc/uv/uv.toml"), "pip": Path("/etc/pip.conf")}
"""Configuration files that no variable moves."""


def uv_command(ctx: Context) -> list[str]:
    """The words that every uv call starts with.

    Raises:
        UsageError: uv is not installed beside xtool.
    """
    try:
        import uv

        binary = uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise UsageError(
            "uv is missing, which xtool needs to install packages",
            hint="reinstall xtool, or install uv into the same environment",
            code="no-uv",
        ) from error
    offline = ["--offline"] if ctx.settings.offline else []
    return [binary, "--no-progress", "--color", "never", "--no-python-downloads", *offline]


def uv_environment(ctx: Context) -> dict[str, str]:
    """The whole environment for uv: the user's, without a cross build's or an activated environment's.

    Raises:
        UsageError: pip's configuration cannot be read.
    """
    from xtool.crossenv.variables import base_environment

    environ = base_environment(ctx.environ)
    for name in _UV_MEANT_FOR_OTHERS:
        environ.pop(name, None)
    if ctx.settings.index_url:
        environ.pop("UV_INDEX_URL", None)
        environ["UV_DEFAULT_INDEX"] = ctx.settings.index_url
    elif not _uv_is_configured(environ):
        environ |= _from_pip(ctx)
    if "SSL_CERT_FILE" not in environ:
        for name in ("REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"):
            if Path(environ.get(name, "/nonexistent")).is_file():
                environ["SSL_CERT_FILE"] = environ[name]
                break
    return environ


def configuration(environ: Mapping[str, str]) -> str:
    """The text of uv's own configuration files, as far as an environment leaves them in force."""
    named = environ.get("UV_CONFIG_FILE")
    return "\0".join(_text(path) for path in ([Path(named)] if named else _uv_files(environ)))


def _uv_is_configured(environ: Mapping[str, str]) -> bool:
    """Whether uv itself has been told of an index."""
    if any(environ.get(name) for name in _UV_INDEX_VARIABLES):
        return True
    return any(_UV_INDEX_KEYS.search(_text(path)) for path in _uv_files(environ))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _uv_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """User and system configuration files of uv (its documentation, "Configuration files")."""
    if environ.get("UV_NO_CONFIG"):
        return
    if environ.get("XDG_CONFIG_HOME"):
        yield Path(environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"
    elif environ.get("HOME"):
        yield Path(environ["HOME"]) / ".config" / "uv" / "uv.toml"
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield Path(folder) / "uv" / "uv.toml"
    yield SYSTEM_FILES["uv"]


def _from_pip(ctx: Context) -> dict[str, str]:
    """pip's index settings in uv's variables: its own variables over its configuration files."""
    settings = _pip_settings(ctx.environ)
    found = {}
    index = settings.get("index-url", [])
    if index and _exists(index[-1]):
        found["UV_DEFAULT_INDEX"] = index[-1]
    extra = [url for url in settings.get("extra-index-url", []) if _exists(url)]
    if extra:
        found["UV_INDEX"] = " ".join(extra)
        # pip takes the best version of all its indexes; uv would stop at the first index that has the name.
        if "UV_INDEX_STRATEGY" not in ctx.environ:
            found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    links = [place for place in settings.get("find-links", []) if _exists(place)]
    if links:
        found["UV_FIND_LINKS"] = ",".join(links)
    if settings.get("no-index", ["0"])[-1].lower() in ("1", "true", "yes", "on"):
        found["UV_CONFIG_FILE"] = str(_NO_INDEX)
    hosts = settings.get("trusted-host", [])
    if hosts and "UV_INSECURE_HOST" not in ctx.environ:
        found["UV_INSECURE_HOST"] = " ".join(hosts)
    certificate = settings.get("cert", [""])[-1]
    if certificate and "SSL_CERT_FILE" not in ctx.environ and Path(certificate).is_file():
        found["SSL_CERT_FILE"] = certificate
    return found


def _pip_settings(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """pip's index settings by option name; a later source replaces an earlier one, as in pip.

    Raises:
        UsageError: a configuration file is malformed.
    """
    names = ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert")
    found: dict[str, list[str]] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            continue
        except (configparser.Error, UnicodeDecodeError) as error:
            raise UsageError(
                f"cannot read pip's configuration {path}",
                facts=str(error).splitlines(),
                hint="mend it, or set PIP_CONFIG_FILE to /dev/null",
            ) from error
        for section in ("global", "install", "download", "wheel"):
            for name in names:
                for spelling in (name, name.replace("-", "_")):
                    if parser.has_option(section, spelling):
                        found[name] = parser.get(section, spelling).split()
    for name in names:
        value = environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = shlex.split(value) if name == "find-links" else value.split()
    return found


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files, weakest first (pip's documentation, "Configuration").

    The file of an environment (`site`) is left out: xtool is not run by that environment's pip.
    """
    named = environ.get("PIP_CONFIG_FILE")
    if named == "/dev/null":
        return
    for folder in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield Path(folder) / "pip" / "pip.conf"
    yield SYSTEM_FILES["pip"]
    if named and Path(named).exists():
        # A file that is named replaces the user's own.
        yield Path(named)
        return
    home = environ.get("HOME")
    if home:
        yield Path(home) / ".pip" / "pip.conf"
    if environ.get("XDG_CONFIG_HOME"):
        yield Path(environ["XDG_CONFIG_HOME"]) / "pip" / "pip.conf"
    elif home:
        yield Path(home) / ".config" / "pip" / "pip.conf"


def _exists(place: str) -> bool:
    """Whether a local place exists; remote ones are taken at their word.

    pip passes over a local index or folder that is not there, uv ends with an error.
    """
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).is_dir()
    if parts.scheme:
        return True
    return Path(place).expanduser().is_dir()
