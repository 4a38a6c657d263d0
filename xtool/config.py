"""Settings: what options, `XTOOL_*` variables and configuration files say, merged once at the start.

Precedence: option, variable, `[tool.xtool]` of the project's `pyproject.toml`, the user's `config.toml`,
default. `KEYS` is the one list of what can be set; each key is an option's long name, the variable
`XTOOL_` + the same name in capitals, and a key of the configuration files.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xtool.errors import UsageError

Kind = Literal[
    "text", "flag", "count", "seconds", "path", "choice", "names", "order", "words", "texts", "table"
]


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged settings of one run.

    Args:
        cache_dir: folder of the store and of downloads (`--cache-dir`, `XTOOL_CACHE_DIR`).
        offline: refuse every network access (`--offline`, `XTOOL_OFFLINE`).
        toolchains_dir: folder of declarations and locks (`XTOOL_TOOLCHAINS_DIR`), the shipped one by default.
        debian_mirror: base URL of a Debian mirror, tried first (`XTOOL_DEBIAN_MIRROR`), or None.
        rpm_mirrors: by archive (`centos`), base URLs separated by blanks that replace the catalog's
            (`XTOOL_CENTOS_MIRROR`, `XTOOL_ALMALINUX_MIRROR`, `XTOOL_ROCKY_MIRROR`, `XTOOL_CLEFOS_MIRROR`).
        snapshot_mirror: base URL of a Debian snapshot archive instead of the catalog's, or None.
        python_mirror: base URL for portable CPython builds, passed to uv (`XTOOL_PYTHON_MIRROR`), or None.
        index_url: base URL of the Python package index (`XTOOL_INDEX_URL`), or None for uv's and pip's own.
        use_apt_sources: whether mirrors named by the host's apt configuration may be used.
        frozen: use the lock as it is and take no replacement for a file that has left the mirror.
        jobs: how many things may run at once; the number of usable CPUs by default.
        compiler_cache: `ccache` or `sccache` to compile through it, `auto` for the one that is installed, or
            `none`.
        connect_timeout: seconds to wait for a connection.
        stall_timeout: seconds without a byte before a download counts as stalled.
        retries: how often a failed transfer is tried again.
        lock_timeout: seconds to wait for another xtool process that holds a lock of the store.
    """

    cache_dir: Path
    offline: bool = False
    toolchains_dir: Path | None = None
    debian_mirror: str | None = None
    snapshot_mirror: str | None = None
    python_mirror: str | None = None
    index_url: str | None = None
    use_apt_sources: bool = True
    frozen: bool = False
    jobs: int = 1
    compiler_cache: str = "auto"
    connect_timeout: float = 15.0
    stall_timeout: float = 30.0
    retries: int = 4
    lock_timeout: float = 1800.0
    rpm_mirrors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that can be set.

    Args:
        name: the option's long name without dashes (`cache-dir`).
        kind: what its value is. `names` is a list separated by blanks or commas, `order` such a list in one
            text with commas, `words` one separated by blanks (quotes keep blanks), `texts` a list of any text
            (a variable holds one), `table` a list of `KEY=VALUE` (in a file: a table).
        choices: for `choice`, the values there are.
        also: other names of it in configuration files.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """`XTOOL_CACHE_DIR` for `cache-dir`."""
        return "XTOOL_" + self.name.upper().replace("-", "_")


RPM_ARCHIVES = ("centos", "almalinux", "rocky", "clefos")
"""Archives of `sources.toml` that have a key of their own for mirrors."""

KEYS = {
    key.name: key
    for key in (
        Key("cache-dir", "path"),
        Key("offline", "flag"),
        Key("quiet", "count"),
        Key("verbose", "count"),
        Key("no-progress", "flag"),
        Key("color", "choice", ("auto", "always", "never")),
        Key("output", "choice", ("human", "json")),
        Key("toolchains-dir", "path"),
        Key("debian-mirror", "text"),
        *(Key(f"{archive}-mirror", "text") for archive in RPM_ARCHIVES),
        Key("snapshot-mirror", "text"),
        Key("python-mirror", "text"),
        Key("index-url", "text"),
        Key("apt-sources", "flag"),
        Key("connect-timeout", "seconds"),
        Key("stall-timeout", "seconds"),
        Key("retries", "count"),
        Key("lock-timeout", "seconds"),
        Key("jobs", "count"),
        Key("compiler-cache", "choice", ("auto", "ccache", "sccache", "none")),
        Key("target", "names"),
        Key("python", "names"),
        Key("glibc", "text"),
        Key("sysroot", "order"),
        Key("python-source", "choice", ("auto", "portable", "debian")),
        Key("fortran", "flag"),
        Key("sysroot-package", "words"),
        Key("sysroot-lock", "path"),
        Key("locked", "flag"),
        Key("frozen", "flag"),
        Key("outdir", "path"),
        Key("log-dir", "path"),
        Key("fail-fast", "flag"),
        Key("test-command", "texts"),
        Key("test-requires", "words"),
        Key("no-test", "flag"),
        Key("pgo", "texts", also=("pgo-command",)),
        Key("no-pgo", "flag"),
        Key("pgo-requires", "words"),
        Key("pgo-native", "flag"),
        Key("pgo-timeout", "seconds"),
        Key("pgo-save", "path"),
        Key("pgo-load", "path"),
        Key("pgo-stale", "flag"),
        Key("config-setting", "table"),
        Key("with", "words"),
        Key("format", "choice", ("shell", "json", "cmake", "meson", "github")),
    )
}

_ALSO = {name: key.name for key in KEYS.values() for name in key.also}

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place.

    Args:
        values: by key name, already of the key's kind.
    """

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that was set anywhere, the strongest place first."""

    layers: tuple[Layer, ...]

    def value(self, name: str, default: Any = None) -> Any:
        """What the strongest place says about a key, else `default`."""
        for layer in self.layers:
            if name in layer.values:
                return layer.values[name]
        return default

    def settings(self) -> Settings:
        """The settings that library code is given.

        Raises:
            StoreError: no cache folder is set and the user has no home folder.
        """
        from xtool.paths import default_cache_dir

        cache_dir = self.value("cache-dir")
        jobs = self.value("jobs") or len(os.sched_getaffinity(0))
        chosen = {
            name.replace("-", "_"): value
            for name in (
                *(
                    "offline",
                    "toolchains-dir",
                    "debian-mirror",
                    "snapshot-mirror",
                    "python-mirror",
                    "index-url",
                    "compiler-cache",
                ),
                *("frozen", "connect-timeout", "stall-timeout", "retries", "lock-timeout"),
            )
            if (value := self.value(name)) is not None
        }
        return Settings(
            cache_dir=cache_dir if cache_dir is not None else default_cache_dir(),
            use_apt_sources=self.value("apt-sources", True),
            rpm_mirrors={name: url for name in RPM_ARCHIVES if (url := self.value(f"{name}-mirror"))},
            jobs=jobs,
            **chosen,
        )


def load(given: Mapping[str, Any], environ: Mapping[str, str], *, project: Path) -> Config:
    """Merge options, variables and files.

    Args:
        given: what the command line says, by key name, as text or already of the key's kind.
        environ: the environment.
        project: the folder whose `pyproject.toml` may have `[tool.xtool]`.

    Raises:
        UsageError: a value is not of its key's kind, a file is not TOML or has a key that nobody reads.
    """
    from xtool.paths import user_config_file

    cwd = Path.cwd()
    options = {name: convert(KEYS[name], value, f"--{name}", cwd) for name, value in given.items()}
    variables = {
        key.name: convert(key, environ[key.variable], key.variable, cwd)
        for key in KEYS.values()
        if environ.get(key.variable)
    }
    layers = [Layer(options), Layer(variables)]
    pyproject = project / "pyproject.toml"
    tables = _load_toml(pyproject).get("tool", {})
    if isinstance(tables, dict) and "xtool" in tables:
        layers.append(_file_layer(tables["xtool"], pyproject, "[tool.xtool]"))
    user = user_config_file()
    if user is not None and (document := _load_toml(user)):
        layers.append(_file_layer(document, user, "the file"))
    return Config(tuple(layers))


def misspelt_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like xtool's but are none: (name, the nearest one that exists)."""
    known = {key.variable for key in KEYS.values()}
    strangers = [
        name for name in environ if name.startswith("XTOOL_") and name not in known and "_TEST_" not in name
    ]
    near = ((name, _nearest(name, known, 0.9)) for name in sorted(strangers))
    return [(name, match) for name, match in near if match]


def convert(key: Key, value: Any, where: str, base: Path) -> Any:
    """Bring a value to its key's kind.

    Args:
        key: what it is for.
        value: text (of a variable or an option), or what TOML or the command line's parser made of it.
        where: what the user wrote it as: an option, a variable, or a key of a file.
        base: the folder that relative paths start from.

    Raises:
        UsageError: the value is not of that kind.
    """
    found = _CONVERTERS[key.kind](value, base)
    if found is None or (key.kind == "choice" and found not in key.choices):
        shown = value[0] if isinstance(value, tuple) and len(value) == 1 else value
        wanted = f"one of {', '.join(key.choices)}" if key.kind == "choice" else _WANTED[key.kind]
        raise UsageError(
            f"{where} is {shown!r}; it must be {wanted}", hint=f"mend or remove {where}", code="bad-value"
        )
    return found


_WANTED = {
    "text": "text",
    "flag": "true or false",
    "count": "a whole number, 0 or more",
    "seconds": "a number of seconds above 0",
    "path": "a path",
    "names": "a name or a list of names",
    "order": "a name or a list of names",
    "words": "a list of words",
    "texts": "text or a list of texts",
    "table": "KEY=VALUE",
}


def _text(value: Any, base: Path) -> str | None:
    del base
    return value if isinstance(value, str) and value else None


def _flag(value: Any, base: Path) -> bool | None:
    del base
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else None
    return True if word in _TRUE else False if word in _FALSE else None


def _count(value: Any, base: Path) -> int | None:
    del base
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any, base: Path) -> float | None:
    del base
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _path(value: Any, base: Path) -> Path | None:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        return None
    try:
        return base / Path(value).expanduser()
    except RuntimeError:
        return None


def _names(value: Any, base: Path) -> tuple[str, ...] | None:
    items = _texts(value, base)
    return None if items is None else tuple(name for item in items for name in item.replace(",", " ").split())


def _order(value: Any, base: Path) -> str | None:
    return ",".join(_names(value, base) or ()) or None


def _words(value: Any, base: Path) -> tuple[str, ...] | None:
    del base
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError:
            return None
    return _texts(value, Path())


def _texts(value: Any, base: Path) -> tuple[str, ...] | None:
    del base
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    return None


def _table(value: Any, base: Path) -> tuple[str, ...] | None:
    if isinstance(value, Mapping):
        pairs = ((key, item if isinstance(item, list) else [item]) for key, item in value.items())
        return tuple(f"{key}={_toml_text(entry)}" for key, items in pairs for entry in items)
    found = _words(value, base)
    return found if found is not None and all("=" in item for item in found) else None


def _toml_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_CONVERTERS: dict[str, Any] = {
    "text": _text,
    "choice": _text,
    "flag": _flag,
    "count": _count,
    "seconds": _seconds,
    "path": _path,
    "names": _names,
    "order": _order,
    "words": _words,
    "texts": _texts,
    "table": _table,
}


def _load_toml(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="config") from error
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    # Beside errors of TOML and of UTF-8, a ValueError is a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not valid TOML", facts=[str(error)], hint="mend the file", code="config"
        ) from error
    return document


def _file_layer(table: Any, path: Path, where: str) -> Layer:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {where} must be a table", code="config")
    values = {}
    for written, value in table.items():
        name = str(_ALSO.get(written, written))
        if name not in KEYS:
            near = _nearest(name, [*KEYS, *_ALSO])
            raise UsageError(
                f"{path}: {where} has an unknown key `{name}`",
                hint=f"did you mean `{near}`?" if near else f"the keys are {', '.join(sorted(KEYS))}",
                code="unknown-key",
            )
        values[name] = convert(KEYS[name], value, f"`{written}` in {path}", path.parent)
    return Layer(values)


def _nearest(name: str, known: Any, cutoff: float = 0.7) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)
