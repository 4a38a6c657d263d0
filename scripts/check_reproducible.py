#!/usr/bin/env python3
"""Build projects under many circumstances, each differing in one thing, and compare the wheels byte by byte.

    scripts/check_reproducible.py                                  every project under every circumstance
    scripts/check_reproducible.py --project traces --project ujson --circumstance user
    scripts/check_reproducible.py --circumstance everything        all at once: two builds of each project

The first build of a project is what the others are held against. `user` takes root, or a kernel that lets
everybody be root of a namespace. Beside wheels, the components of all caches that were used are compared.

Prints tables, Markdown, and for each difference the members and what is not the same in them; exits 1 when
there is one. The first cache is XTOOL_CACHE_DIR's, where that is set; all else is in a temporary folder.
Needs util-linux and git, and uses faketime and ccache where they are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import standalone  # noqa: E402
from support.commandline import xtool  # noqa: E402
from support.wheeldiff import differences  # noqa: E402

from xtool.build.source import obtain  # noqa: E402
from xtool.config import Settings  # noqa: E402
from xtool.context import Context  # noqa: E402
from xtool.log import SilentLog  # noqa: E402

PROJECTS = ROOT / "tests" / "projects"
PYTHON = standalone.VERSION
MOST_SECONDS = 1800
NOBODY = 65534


@dataclass(frozen=True)
class Project:
    """What is built.

    Args:
        source: a folder below `tests/projects/`, or a requirement of the index.
        environ: variables that it is built with under all circumstances.
        fortran: whether it needs the Fortran compiler.
        training: the command that a profile is trained with once, before all builds, which then load it.
    """

    source: str
    environ: Mapping[str, str] = field(default_factory=dict)
    fortran: bool = False
    training: str = ""


DEBUG = {"XTOOL_CFLAGS": "-g", "XTOOL_CXXFLAGS": "-g", "XTOOL_FFLAGS": "-g"}
LTO = {"XTOOL_CFLAGS": "-flto -g", "XTOOL_CXXFLAGS": "-flto -g", "XTOOL_LDFLAGS": "-flto"}
BUILDS = {
    "c-setuptools": Project("c-setuptools"),
    "cpp-setuptools": Project("cpp-setuptools"),
    "traces": Project("traces"),
    "traces -g": Project("traces", DEBUG),
    "traces -flto -g": Project("traces", LTO),
    "cython": Project("cython"),
    "fortran": Project("floors", {"XT_FLOORS": "fortran"}, fortran=True),
    "fortran -g": Project("floors", {"XT_FLOORS": "fortran", **DEBUG}, fortran=True),
    "openmp": Project("floors", {"XT_FLOORS": "openmp"}),
    "runtimes": Project("runtimes", fortran=True),
    "pgo": Project("pgo", training="python -m xt_pgo.train"),
    "pgo -flto": Project("pgo", LTO, training="python -m xt_pgo.train"),
    "markupsafe": Project("markupsafe==3.0.3"),
    "ujson": Project("ujson==5.11.0"),
    "zstandard": Project("zstandard==0.25.0"),
    "psutil": Project("psutil==7.1.3"),
    "greenlet": Project("greenlet==3.2.4"),
}


@dataclass(frozen=True)
class Side:
    """The circumstances of a build.

    Args:
        xtool: the command that starts xtool.
        cache: the cache.
        source: gives what xtool is to build, for a project.
        environ: the environment.
        jobs: `-j`.
        umask: what new files are not to be.
        user: who builds; None for whoever runs this.
    """

    xtool: tuple[str, ...]
    cache: Path
    source: Callable[[Project], str]
    environ: Mapping[str, str]
    jobs: int = 1
    umask: int = 0o022
    user: int | None = None

    def with_environ(self, **environ: str) -> Side:
        """The same with further variables."""
        return replace(self, environ={**self.environ, **environ})


class Shop:
    """Folders, and what is put into them when it is first asked for.

    Args:
        folder: where most of them are.
        cache: the first cache.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.outside: list[Path] = []
        self._alone: standalone.Standalone | None = None

    def first(self) -> Side:
        """Where the first build of each project happens."""
        kept = ("XTOOL_", "PIP_", "UV_", "REQUESTS_CA", "SSL_CERT", "HTTP_", "HTTPS_", "NO_PROXY")
        names = [name for name in os.environ if name.upper().startswith(kept)]
        environ = {name: os.environ[name] for name in ("PATH", *names)}
        environ |= {"HOME": str(self.made("home")), "TMPDIR": str(self.made("tmp")), "TZ": "UTC"}
        # What one side has compiled must not come out of a cache for the others.
        environ["XTOOL_COMPILER_CACHE"] = "none"
        source = partial(self.source, "source", _plain)
        return Side((sys.executable, "-m", "xtool"), self.cache, source, environ)

    def made(self, name: str, user: int | None = None) -> Path:
        """A folder of that name, a user's own."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        if user is not None and os.geteuid() == 0:
            os.chown(path, user, user)
        return path

    def alone(self) -> tuple[str, ...]:
        """xtool on a Python of its own, which any user may run."""
        if self._alone is None:
            self._alone = standalone.make(self.cache, self.folder / "alone")
        return tuple(self._alone.command())

    def source(self, name: str, copy: Callable[[Path, Path], None], project: Project) -> str:
        """A project copied into a folder of that name; one of the index is left to xtool the first time."""
        if "==" in project.source and copy is _plain:
            return project.source
        place = self.folder / name / project.source.partition("==")[0]
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            copy(
                self.unpacked(project.source) if "==" in project.source else PROJECTS / project.source, place
            )
        return str(place)

    def unpacked(self, requirement: str) -> Path:
        """The sdist of a requirement as a folder."""
        ctx = Context(Settings(cache_dir=self.cache), SilentLog(), dict(os.environ))
        return obtain(ctx, requirement, self.folder / f"{requirement}.sdist", python=PYTHON).path


def _plain(source: Path, copy: Path) -> None:
    shutil.copytree(source, copy)


def _shuffled(source: Path, copy: Path) -> None:
    """Copy files in another order, with other times and with other modes."""
    order = random.Random(7)
    copy.mkdir(mode=0o705)
    paths = sorted(source.rglob("*"))
    for path in [path for path in paths if path.is_dir()]:
        (copy / path.relative_to(source)).mkdir(mode=0o705)
    files = [path for path in paths if not path.is_dir()]
    order.shuffle(files)
    for path in files:
        new = copy / path.relative_to(source)
        shutil.copyfile(path, new)
        new.chmod(0o705 if os.access(path, os.X_OK) else 0o604)
        moment = order.randrange(10**9, 2 * 10**9)
        os.utime(new, (moment, moment))


def _checked_out(source: Path, copy: Path) -> None:
    """Copy by way of git, which gives all files the time of the checkout."""
    origin = copy.with_name(f"{copy.name}.origin")
    shutil.copytree(source, origin)
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for words in (["init", "-q"], ["add", "-A", "-f"], [*who, "commit", "-q", "-m", "all of it"]):
        subprocess.run(["git", "-C", str(origin), *words], check=True)
    subprocess.run(["git", "clone", "-q", str(origin), str(copy)], check=True)
    if (copy / "PKG-INFO").is_file():
        # An sdist, whose version setuptools-scm would ask git for.
        shutil.rmtree(copy / ".git")


def _cache(shop: Shop, side: Side) -> Side:
    return replace(side, cache=shop.folder / "caches" / "an other, with a longer path" / "cache")


def _link(shop: Shop, side: Side) -> Side:
    link = shop.folder / f"link for {side.user}"
    if not link.is_symlink():
        link.symlink_to(shop.made(str(side.cache), side.user), target_is_directory=True)
    return replace(side, cache=link)


def _source(shop: Shop, side: Side) -> Side:
    return replace(side, source=partial(shop.source, "sources elsewhere/deeper", _shuffled))


def _checkout(shop: Shop, side: Side) -> Side:
    return replace(side, source=partial(shop.source, "checkouts", _checked_out))


def _jobs(_: Shop, side: Side) -> Side:
    return replace(side, jobs=4)


def _umask(_: Shop, side: Side) -> Side:
    return replace(side, umask=0o077)


def _tmpdir(shop: Shop, side: Side) -> Side:
    """On a filesystem that lists folders in another order, where there is one."""
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else shop.folder
    folder = base / f"temporary files of {shop.folder.name}"
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o1777)
        shop.outside.append(folder)
    return side.with_environ(TMPDIR=str(folder))


def _locale(_: Shop, side: Side) -> Side:
    return side.with_environ(
        LANG="de_DE.UTF-8", LC_ALL="tr_TR.ISO-8859-9", LANGUAGE="de", TZ="Pacific/Kiritimati", COLUMNS="40",
        PYTHONHASHSEED="4711", PYTHONUTF8="0", PYTHONOPTIMIZE="2",
    )  # fmt: skip


def _environ(_: Shop, side: Side) -> Side:
    """What a user who compiles for this machine has set."""
    return side.with_environ(
        CC="clang", CXX="clang++", LD="lld", AR="false", CFLAGS="-O0 -DNOT_THIS", CXXFLAGS="-O0",
        LDFLAGS="-L/usr/local/lib", CPATH="/usr/include", LIBRARY_PATH="/usr/lib", MAKEFLAGS="-j9",
        PKG_CONFIG_PATH="/usr/lib/pkgconfig", PYTHONPATH="/nowhere", VIRTUAL_ENV="/nowhere", GNUTARGET="srec",
        USER="somebody", LOGNAME="somebody", HOSTNAME="elsewhere", GCC_COLORS="error=01;31", TERM="dumb",
    )  # fmt: skip


def _home(shop: Shop, side: Side) -> Side:
    """A home folder with settings that speak of this machine."""
    home = shop.made("home of somebody else", side.user)
    (home / ".pydistutils.cfg").write_text(
        "[build]\nbuild_base = of-the-user\n[build_ext]\ndefine = XT_OF_THE_USER\nlibraries = m\n"
        "[bdist_wheel]\nbuild_number = 7\n"
    )
    (home / ".gitconfig").write_text("[core]\nautocrlf = true\n")
    return side.with_environ(HOME=str(home))


def _machine(_: Shop, side: Side) -> Side:
    """Another kernel version, one CPU, memory always at the same addresses."""
    return replace(side, xtool=("setarch", "--uname-2.6", "-R", "taskset", "--cpu-list", "0", *side.xtool))


def _ccache(shop: Shop, side: Side) -> Side:
    """The first time nothing is in it yet; the second time everything comes out of it."""
    return side.with_environ(XTOOL_COMPILER_CACHE="ccache", CCACHE_DIR=str(shop.made("ccache")))


def _clock(_: Shop, side: Side) -> Side:
    return replace(side, xtool=("faketime", "-f", "+400d", *side.xtool))


def _python(shop: Shop, side: Side) -> Side:
    """xtool, and the back end, on the Python of xtool's own store."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return replace(side, xtool=shop.alone()).with_environ(PATH=path, UV_PYTHON_INSTALL_DIR="/nowhere")


def _user(shop: Shop, side: Side) -> Side:
    """Another user with a home and a cache of his own."""
    user = NOBODY if os.geteuid() == 0 else 0
    home, temporary = shop.made("home of another", user), shop.made("temporary of another", user)
    become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
    start = become if user else ("unshare", "--user", "--map-root-user")
    other = replace(
        side, xtool=(*start, *shop.alone()), cache=home / "cache", user=user,
        source=partial(shop.source, "sources of another", _plain),
    )  # fmt: skip
    return other.with_environ(HOME=str(home), TMPDIR=str(temporary))


CIRCUMSTANCES: dict[str, Callable[[Shop, Side], Side]] = {
    "again": lambda _, side: side,
    "cache": _cache,
    "link": _link,
    "source": _source,
    "checkout": _checkout,
    "jobs": _jobs,
    "umask": _umask,
    "tmpdir": _tmpdir,
    "locale": _locale,
    "environ": _environ,
    "home": _home,
    "machine": _machine,
    "ccache": _ccache,
    "ccache hits": _ccache,
    "clock": _clock,
    "python": _python,
    "user": _user,
}
"""What differs from the first build."""

TOGETHER = ("user", "link", "source", "jobs", "umask", "tmpdir", "locale", "environ", "home", "machine")
"""What `everything` is made of, in this order: the user brings another cache and another interpreter."""


def _everything(shop: Shop, side: Side) -> Side:
    for name in TOGETHER:
        side = CIRCUMSTANCES[name](shop, side)
    return side


def main() -> int:
    arguments = _arguments()
    names = arguments.circumstance or list(CIRCUMSTANCES)
    for program, needed in (("faketime", "clock"), ("ccache", "ccache"), ("ccache", "ccache hits")):
        if needed in names and not shutil.which(program):
            print(f"`{program}` is missing, so `{needed}` is left out", file=sys.stderr)
            names.remove(needed)
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="xt-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        shop = Shop(folder, Path(os.environ.get("XTOOL_CACHE_DIR") or folder / "cache"))
        made = {"first": shop.first()}
        print(f"| project | size | {' | '.join(names)} |")
        print(f"| --- | --- | {' | '.join('---' for _ in names)} |", flush=True)
        for label in arguments.project or list(BUILDS):
            problems += _compare(label, names, shop, made, arguments)
        problems += _compare_caches({side.cache.resolve() for side in made.values()}, folder)
        for path in shop.outside:
            shutil.rmtree(path, ignore_errors=True)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="build the same things in different ways, and compare")
    parser.add_argument("--target", default="ppc64le")
    parser.add_argument("--project", action="append", choices=list(BUILDS), help="default: all")
    parser.add_argument(
        "--circumstance",
        action="append",
        choices=[*CIRCUMSTANCES, "everything"],
        help="default: all, one by one",
    )
    return parser.parse_args()


def _compare(
    label: str, names: list[str], shop: Shop, made: dict[str, Side], arguments: argparse.Namespace
) -> list[str]:
    """Build a project under all circumstances and print its row; what is not the same."""
    problems: list[str] = []
    profile = _trained(shop, made["first"], label, arguments.target) if BUILDS[label].training else None
    if isinstance(profile, str):
        return [f"{label}: {profile}"]
    first = _build(made["first"], label, shop.made(f"out/{label}/first"), arguments.target, profile)
    size = f"{first.stat().st_size / 1000:.0f} kB" if isinstance(first, Path) else "**failed**"
    print(f"| {label} | {size} |", end="", flush=True)
    for name in names:
        if name not in made:
            change = _everything if name == "everything" else CIRCUMSTANCES[name]
            made[name] = change(shop, made["first"])
        outdir = shop.made(f"out/{label}/{name}", made[name].user)
        wheel = _build(made[name], label, outdir, arguments.target, profile)
        if isinstance(first, Path) and isinstance(wheel, Path):
            found = differences(first, wheel)
        else:
            found = [text for text in (first, wheel) if isinstance(text, str)]
        print(" **differs** |" if found else " same |", end="", flush=True)
        problems += [f"{label}, {name}: {text}" for text in found]
    print(flush=True)
    print(*problems, sep="\n", file=sys.stderr, flush=True)
    return problems


def _trained(shop: Shop, side: Side, label: str, target: str) -> Path | str:
    """The profile of a project, which every user may read, or what went wrong."""
    path = shop.made(f"profiles/{label}") / "profile.zip"
    words = ["--pgo", BUILDS[label].training, "--pgo-save", str(path)]
    wheel = _build(side, label, shop.made(f"out/{label}/trained"), target, words=words)
    if isinstance(wheel, str):
        return wheel
    path.chmod(0o644)
    return path


def _build(
    side: Side, label: str, outdir: Path, target: str, profile: Path | None = None, words: Sequence[str] = ()
) -> Path | str:
    """One build: the wheel, or what went wrong."""
    project = BUILDS[label]
    command = [
        *side.xtool,
        "build",
        side.source(project),
        "--target",
        target,
        "--python",
        PYTHON,
        "--no-test",
    ]
    command += ["--python-source", "debian", "--outdir", str(outdir), f"-j{side.jobs}", "--output", "json"]
    command += ["--fortran"] if project.fortran else []
    command += ["--pgo-load", str(profile)] if profile else words
    environ = {**side.environ, **project.environ, "XTOOL_CACHE_DIR": str(side.cache)}
    environ.pop("SOURCE_DATE_EPOCH", None)
    started = time.monotonic()
    done = subprocess.run(
        command, env=environ, umask=side.umask, cwd=outdir, capture_output=True, text=True, check=False,
        timeout=MOST_SECONDS,
    )  # fmt: skip
    print(f"{label}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    if done.returncode != 0:
        return f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-2000:]}"
    return Path(json.loads(done.stdout)["data"]["wheels"][0]["path"])


def _compare_caches(caches: set[Path], folder: Path) -> list[str]:
    """Print a row for each component that several caches have, and for an export; those that differ."""
    trees: dict[str, dict[Path, str]] = {}
    for cache in caches:
        for manifest in sorted(cache.glob("v1/store/*/share/xtool/manifest.json")):
            record = json.loads(manifest.read_bytes())
            trees.setdefault(manifest.parents[2].name, {})[cache] = record["tree"]
    common = {name: found for name, found in trees.items() if len(found) > 1}
    if not common:
        return []
    rows = {name.rpartition("-")[0]: set(found.values()) for name, found in sorted(common.items())}
    everywhere = [name for name, found in common.items() if len(found) == len(caches)]
    rows["`xtool cache export` of those that all have"] = {
        _export(cache, everywhere, folder / f"exported-{number}")
        for number, cache in enumerate(sorted(caches))
    }
    print("\n| in several caches | bytes |\n| --- | --- |")
    for name, found in rows.items():
        print(f"| {name} | {'same' if len(found) == 1 else '**differ**'} |", flush=True)
    return [f"{name} differs: {sorted(found)}" for name, found in rows.items() if len(found) > 1]


def _export(cache: Path, names: list[str], folder: Path) -> str:
    """Sha256 of what `xtool cache export` makes of some components of a cache."""
    for name in names:
        shutil.copytree(cache / "v1" / "store" / name, folder / "v1" / "store" / name, symlinks=True)
    shutil.copyfile(cache / "CACHEDIR.TAG", folder / "CACHEDIR.TAG")
    done = xtool(folder, "cache", "export", str(folder / "cache.tar.zst"))
    if done.returncode != 0:
        sys.exit(done.stderr)
    return hashlib.sha256((folder / "cache.tar.zst").read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
