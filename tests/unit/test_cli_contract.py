"""The JSON documents that scripts rely on: their shape, for every verb, is pinned here."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.elfforge import elf

from xtool import setup
from xtool.build import matrix
from xtool.build.pipeline import BuildRequest, BuiltWheel
from xtool.build.report import BuildReport, Outcome, Watcher
from xtool.build.schedule import State
from xtool.catalog import Catalog
from xtool.cli.app import VERBS
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, StoreError, XtoolError
from xtool.kit import BuildPython, Emulator, Kit, Sysroot, TargetPython, Toolchain
from xtool.setup import Request
from xtool.targets import current_host

TOP = {"schema", "command", "status", "exit_code", "data", "errors"}


def make_kit(request: Request) -> Kit:
    """A kit whose files do not exist."""
    target, root = request.target, Path("/store")
    toolchain = Toolchain(root / "gcc", root / "gcc" / "bin", target.triplet, "14.2.0", ("c", "c++"))
    return Kit(
        host=current_host(),
        target=target,
        toolchain=toolchain,
        sysroot=Sysroot(root / "sysroot", request.floor, "derived", "it is there"),
        emulator=Emulator(root / "qemu", target.qemu_cpu),
        pythons={
            version: TargetPython(
                root / "python",
                root / "python" / "usr/bin/python",
                version,
                f"{version}.5",
                "debian",
                (root / "include",),
                {},
                (2, 41),
                ".so",
            )
            for version in request.versions
        },
        build_pythons={v: BuildPython(Path("/usr/bin/python"), v, "host") for v in request.versions},
        lock_digest="0" * 64,
    )


@pytest.fixture
def kits(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Set-ups succeed at once; the requests they were given."""
    asked: list[Request] = []

    def ensure_kit(ctx: Context, request: Request) -> Kit:
        asked.append(request)
        return make_kit(request)

    monkeypatch.setattr(setup, "ensure_kit", ensure_kit)
    return asked


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[BuildRequest]:
    """Builds succeed at once, except of a source called `bad`; the requests they were given."""
    asked: list[BuildRequest] = []

    def built(target: str, version: str) -> Outcome:
        path = tmp_path / f"x-1-cp{version.replace('.', '')}-cp313-manylinux2014_{target}.whl"
        path.write_bytes(bytes(2000))
        wheel = BuiltWheel(
            path=path,
            target=target,
            python=version,
            platform_tag=f"manylinux2014_{target}.manylinux_2_17_{target}",
            glibc_required="2.17",
            smoke={"status": "passed", "command": "import x", "seconds": 0.5, "glibc": "2.41"},
            timings={"setup": 0.1, "build": 2.0},
            tested=({"python": version, "status": "passed", "command": "import x", "seconds": 0.5},),
            log=tmp_path / "x.log",
        )
        return Outcome(target, version, State.BUILT, wheel, log=wheel.log, seconds=2.0)

    def build(ctx: Context, request: BuildRequest, watcher: Watcher) -> BuildReport:
        asked.append(request)
        cells = []
        for one in request.setups:
            for version in one.versions:
                if "bad" in request.source and version != "3.11":
                    error = CommandFailed("the build of bad failed", facts=["line"], hint="look")
                    log = tmp_path / f"bad-{one.target.name}-{version}.log"
                    cells.append(
                        Outcome(one.target.name, version, State.FAILED, None, error, "compile", log, 1.0)
                    )
                elif request.fail_fast and any(cell.error for cell in cells):
                    cells.append(Outcome(one.target.name, version, State.NOT_RUN))
                else:
                    cells.append(built(one.target.name, version))
        return BuildReport(tuple(cells), 3.0)

    monkeypatch.setattr(matrix, "build", build)
    return asked


def success(document: Any, command: str) -> Any:
    """The data of a document that tells a success; warnings are always there."""
    assert set(document) == TOP
    assert (document["command"], document["status"]) == (command, "success")
    assert (document["exit_code"], document["errors"]) == (0, [])
    data = document["data"]
    assert isinstance(data.pop("warnings"), list)
    return data


def test_setup(inside, kits: list[Request]) -> None:
    done = inside("setup", "powerpc64le-linux-gnu", "--python", "3.11", "--glibc", "2.28", "--output", "json")
    (kit,) = success(done.document, "setup")["kits"]
    assert kit == {
        "target": "ppc64le",
        "host": current_host().name,
        "toolchain": {"path": "/store/gcc", "version": "14.2.0", "languages": ["c", "c++"]},
        "sysroot": {
            "path": "/store/sysroot",
            "kind": "derived",
            "glibc": "2.28",
            "why": "it is there",
            "packages": [],
        },
        "emulator": {"path": "/store/qemu", "cpu": "power8"},
        "pythons": [
            {
                "version": "3.11",
                "full_version": "3.11.5",
                "source": "debian",
                "glibc": "2.41",
                "path": "/store/python/usr/bin/python",
            }
        ],
        "build_pythons": [{"version": "3.11", "source": "host", "path": "/usr/bin/python"}],
        "lock": "0" * 64,
    }
    assert "the derived sysroot is taken: it is there" in done.stderr
    assert "ppc64le is ready: GCC 14.2.0, glibc 2.28, Python 3.11.5" in done.stderr


def test_setup_hands_on_every_option(inside, kits: list[Request]) -> None:
    words = (
        "--python 3.11 --python 3.13 --python 3.11 --glibc 2.28 --sysroot derived --fortran --locked --frozen"
    )
    assert inside("setup", "ppc64le", *words.split()).code == 0
    (request,) = kits
    assert request.target.name == "ppc64le"
    assert (request.pythons, request.glibc, request.sysroot) == (("3.11", "3.13"), (2, 28), "derived")
    assert (request.fortran, request.locked, request.frozen) == (True, True, True)


def test_build(inside, kits: list[Request], builds: list[BuildRequest], tmp_path: Path) -> None:
    done = inside("build", "x==1", "--target", "ppc64le", "--output", "json")
    (wheel,) = success(done.document, "build")["wheels"]
    assert wheel == {
        "path": str(tmp_path / "x-1-cp313-cp313-manylinux2014_ppc64le.whl"),
        "target": "ppc64le",
        "python": "3.13",
        "platform_tag": "manylinux2014_ppc64le.manylinux_2_17_ppc64le",
        "glibc_required": "2.17",
        "smoke": {"status": "passed", "command": "import x", "seconds": 0.5, "glibc": "2.41"},
        "timings": {"setup": 0.1, "build": 2.0},
        "warnings": [],
        "tested": [{"python": "3.13", "status": "passed", "command": "import x", "seconds": 0.5}],
        "serves": [],
        "log": str(tmp_path / "x.log"),
        "pgo": None,
    }


def test_a_matrix_in_which_something_fails(inside, builds: list[BuildRequest], tmp_path: Path) -> None:
    words = ["--target", "ppc64le", "--target", "s390x", "--python", "3.13", "--python", "3.11"]
    done = inside("build", "bad", *words, "--output", "json")
    document = done.document
    assert set(document) == TOP
    assert (document["status"], done.code) == ("partial", 1)
    data = document["data"]
    assert set(data) == {"wheels", "failed", "not_run", "warnings"}
    assert [(w["target"], w["python"]) for w in data["wheels"]] == [("ppc64le", "3.11"), ("s390x", "3.11")]
    assert data["failed"][1] == {
        "target": "s390x",
        "python": "3.13",
        "step": "compile",
        "code": "failed",
        "message": "the build of bad failed",
        "log": str(tmp_path / "bad-s390x-3.13.log"),
    }
    assert data["not_run"] == []
    messages = [error["message"] for error in document["errors"]]
    assert messages == [f"{t}, Python 3.13: the build of bad failed" for t in ("ppc64le", "s390x")]
    assert document["errors"][0]["facts"] == ["line", f"log: {tmp_path}/bad-ppc64le-3.13.log"]
    # The table comes last, below the errors.
    table = done.stderr[done.stderr.rindex("TARGET") :].splitlines()
    assert table[1].split()[:3] == ["ppc64le", "3.13", "failed"]
    assert table[1].endswith("building: the build of bad failed")
    assert table[2].split()[:2] == ["ppc64le", "3.11"]
    assert table[5] == "2 built, 2 failed of 4, 3.0 s"


def test_a_matrix_prints_the_paths_of_its_wheels_alone(inside, builds: list[BuildRequest]) -> None:
    words = ["--target", "ppc64le", "--target", "s390x", "--python", "3.13", "--python", "3.11"]
    done = inside("build", "bad", *words)
    assert [line.rpartition("/")[2] for line in done.stdout.splitlines()] == [
        "x-1-cp311-cp313-manylinux2014_ppc64le.whl",
        "x-1-cp311-cp313-manylinux2014_s390x.whl",
    ]


def test_what_was_not_run(inside, builds: list[BuildRequest]) -> None:
    words = ["--target", "ppc64le", "--python", "3.13", "--python", "3.11", "--fail-fast"]
    done = inside("build", "bad", *words, "--output", "json")
    assert builds[0].fail_fast
    assert (done.code, done.document["status"]) == (1, "error")
    data = done.document["data"]
    assert data["not_run"] == [{"target": "ppc64le", "python": "3.11", "state": "not run"}]
    assert [cell["python"] for cell in data["failed"]] == ["3.13"]
    assert "0 built, 1 failed, 1 not run of 2" in done.stderr


def test_every_target(inside, builds: list[BuildRequest]) -> None:
    assert inside("build", "x", "--target", "all", "--target", "ppc64el").code == 0
    (request,) = builds
    names = [setup.target.name for setup in request.setups]
    assert names == sorted(names)
    assert {"ppc64le", "s390x", "aarch64"} <= set(names)


def test_build_prints_paths_and_one_line_a_wheel(inside, builds: list[BuildRequest], tmp_path: Path) -> None:
    done = inside("build", "--target", "ppc64le")
    assert done.stdout == f"{tmp_path}/x-1-cp313-cp313-manylinux2014_ppc64le.whl\n"
    assert "built x-1-cp313-cp313-manylinux2014_ppc64le.whl (2.0 kB, smoke test passed, 2.1 s)" in done.stderr


def test_build_hands_on_every_option(inside, cli, builds: list[BuildRequest], tmp_path: Path) -> None:
    inside(
        *("build", "x", "--target", "ppc64le", "--outdir", tmp_path / "out", "-j", "3"),
        *("--log-dir", "logs", "--fail-fast", "--compiler-cache", "none"),
        *("--test-command", "pytest {project}", "--test-command", "true", "--test-requires", "pytest>=8"),
        *("-C", "a=1", "-C", "a=2", "-C", "b=x=y"),
    )
    (request,) = builds
    assert request.source == "x"
    assert request.outdir == tmp_path / "out"
    assert request.test_commands == ("pytest {project}", "true")
    assert request.test_requires == ("pytest>=8",)
    assert (request.test, request.jobs) == (True, 3)
    assert request.config_settings == {"a": ["1", "2"], "b": "x=y"}
    assert (request.log_dir, request.fail_fast) == (cli.cwd / "logs", True)


def test_build_defaults(inside, cli, builds: list[BuildRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTOOL_TARGET", "ppc64le")
    monkeypatch.setenv("XTOOL_NO_TEST", "1")
    assert inside("build").code == 0
    (request,) = builds
    assert (request.source, request.outdir) == (".", cli.cwd / "wheelhouse")
    assert (request.test, request.test_commands, request.config_settings) == (False, (), {})
    assert (request.fail_fast, request.log_dir) == (False, None)
    assert request.setups[0].pythons == ()


def test_a_failed_build(inside, builds: list[BuildRequest], tmp_path: Path) -> None:
    done = inside("build", "bad", "--target", "ppc64le", "--output", "json")
    assert done.code == 1
    document = done.document
    assert set(document) == TOP
    log = str(tmp_path / "bad-ppc64le-3.13.log")
    assert document["status"] == "error"
    assert document["data"] == {
        "wheels": [],
        "failed": [
            {
                "target": "ppc64le",
                "python": "3.13",
                "step": "compile",
                "code": "failed",
                "message": "the build of bad failed",
                "log": log,
            }
        ],
        "not_run": [],
        "warnings": [],
    }
    # One wheel alone needs neither its name nor a table.
    facts = ["line", f"log: {log}"]
    assert document["errors"] == [
        {"code": "failed", "message": "the build of bad failed", "facts": facts, "hint": "look"}
    ]
    assert "TARGET" not in done.stderr


def test_one_target_of_two_that_fails_is_a_partial_success(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure_kits(ctx: Context, requests: Sequence[Request]) -> tuple[Kit | XtoolError, ...]:
        return make_kit(requests[0]), IntegrityError("checksum mismatch", facts=["expected sha256 ab"])

    monkeypatch.setattr(setup, "ensure_kits", ensure_kits)
    # A target that goes by two names is one target.
    done = inside("setup", "ppc64le", "ppc64el", "s390x", "--output", "json")
    document = done.document
    assert (document["status"], done.code) == ("partial", 4)
    assert [kit["target"] for kit in document["data"]["kits"]] == ["ppc64le"]
    (error,) = document["errors"]
    assert (error["code"], error["facts"]) == ("integrity", ["target: s390x", "expected sha256 ab"])
    assert "error: checksum mismatch" in done.stderr


def test_all_stands_for_every_target_that_has_a_lock(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ensure_kits(ctx: Context, requests: Sequence[Request]) -> tuple[Kit, ...]:
        asked.extend(request.target.name for request in requests)
        return tuple(map(make_kit, requests))

    monkeypatch.setattr(setup, "ensure_kits", ensure_kits)
    done = inside("setup", "s390x", "all", "--output", "json")
    assert done.code == 0
    catalog, host = Catalog(), current_host()
    there = [name for name, target in catalog.targets.items() if catalog.lock_path(host, target).is_file()]
    assert len(there) >= 8
    assert asked == ["s390x", *(name for name in there if name != "s390x")]
    assert f"{len(there)} targets are ready" in done.stderr


class FakeEnv:
    """A target environment that runs commands of the host."""

    installed: tuple[list[Path], list[str]] | None = None

    @classmethod
    def create(
        cls, ctx: Context, kit: Kit, version: str, folder: Path, *, desktop: Callable[[], Path]
    ) -> FakeEnv:
        return cls()

    def install(self, wheels: list[Path], requirements: list[str]) -> None:
        FakeEnv.installed = (wheels, requirements)

    def command(self, argv: list[str]) -> tuple[list[str], dict[str, str]]:
        return argv, {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def target_env(monkeypatch: pytest.MonkeyPatch) -> type[FakeEnv]:
    from xtool import targetenv

    monkeypatch.setattr(targetenv, "TargetEnv", FakeEnv)
    FakeEnv.installed = None
    return FakeEnv


def test_run(inside, kits: list[Request], target_env: type[FakeEnv]) -> None:
    script = "echo out; echo err >&2; exit 6"
    done = inside("run", "--target", "ppc64le", "--output", "json", "--", "sh", "-c", script)
    assert done.code == 6
    document = done.document
    assert set(document) == TOP
    assert (document["command"], document["status"], document["errors"]) == ("run", "error", [])
    seconds = document["data"].pop("seconds")
    assert isinstance(seconds, float)
    assert document["data"] == {
        "target": "ppc64le",
        "python": "3.13",
        "command": ["sh", "-c", script],
        "stdout": "out\n",
        "stderr": "err\n",
        "warnings": [],
    }


def test_run_gives_the_childs_code(inside, kits: list[Request], target_env: type[FakeEnv]) -> None:
    assert inside("run", "--target", "ppc64le", "--", "sh", "-c", "exit 42").code == 42
    assert inside("run", "--target", "ppc64le", "--", "sh", "-c", "kill -TERM $$").code == 143
    assert target_env.installed is None


def test_run_installs_wheels_and_requirements(
    inside, cli, kits: list[Request], target_env: type[FakeEnv]
) -> None:
    (cli.cwd / "x-1-py3-none-any.whl").write_bytes(b"")
    words = ["--with", "x-1-py3-none-any.whl", "--with", "six>=1.16", "--python", "3.11", "--output", "json"]
    assert inside("run", "--target", "ppc64le", *words, "true").code == 0
    assert target_env.installed == ([cli.cwd / "x-1-py3-none-any.whl"], ["six>=1.16"])
    assert kits[0].pythons == ("3.11",)


def test_env(inside, kits: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    from xtool import crossenv

    def env_for_user(ctx: Context, kit: Kit, version: str, form: str) -> object:
        return {"CC": "gcc"} if form == "json" else f"{form} for {version}"

    monkeypatch.setattr(crossenv, "env_for_user", env_for_user)
    assert inside("env", "--target", "ppc64le").stdout == "shell for 3.13\n"
    assert inside("env", "--target", "ppc64le", "--format", "meson").stdout == "meson for 3.13\n"
    assert inside("env", "--target", "ppc64le", "--format", "json").stdout == '{\n  "CC": "gcc"\n}\n'
    document = inside("env", "--target", "ppc64le", "--format", "json", "--output", "json").document
    assert success(document, "env") == {
        "target": "ppc64le",
        "python": "3.13",
        "format": "json",
        "content": {"CC": "gcc"},
    }


def test_inspect(inside, monkeypatch: pytest.MonkeyPatch, cli) -> None:
    from xtool.wheel import report

    class Shown:
        def as_data(self) -> dict[str, str]:
            return {"path": "x"}

        def as_text(self, *, color: bool, details: bool) -> str:
            return f"a table, coloured: {color}, each file: {details}"

    monkeypatch.setattr(report, "inspect", lambda path: Shown())
    (cli.cwd / "x.so").write_bytes(b"")
    document = inside("inspect", "x.so", "--output", "json").document
    assert success(document, "inspect") == {"files": [{"path": "x"}]}
    assert inside("inspect", "x.so").stdout == "a table, coloured: False, each file: False\n"
    coloured = inside("inspect", "x.so", "--color", "always", "-v")
    assert coloured.stdout == "a table, coloured: True, each file: True\n"


def test_inspect_two_and_write_a_page(inside, cli) -> None:
    for name, exported in (("a.so", "f"), ("b.so", "g")):
        (cli.cwd / name).write_bytes(elf(exports=[exported]))
    done = inside("inspect", "--diff", "a.so", "b.so", "--html", "page.html", "--output", "json")
    assert done.code == 0
    data = success(done.document, "inspect")
    assert set(data) == {"diff", "html"}
    assert set(data["diff"]) == {"a", "b", "changes", "files", "only", "members", "changed"}
    assert data["diff"]["files"][0]["exports"] == {"removed": ["f"], "added": ["g"]}
    assert data["html"] == "page.html"
    assert (cli.cwd / "page.html").read_text().startswith("<!doctype html>")
    data = success(inside("inspect", "a.so", "--html", "page.html", "--output", "json").document, "inspect")
    assert set(data) == {"files", "html"}
    text = inside("inspect", "--diff", "a.so", "b.so").stdout
    assert "exports, only a, 1: f" in text
    assert "\033" not in text


def test_inspect_tells_of_the_files_that_it_can_read(inside, cli) -> None:
    (cli.cwd / "a.so").write_bytes(elf())
    (cli.cwd / "b.so").write_bytes(b"no")
    done = inside("inspect", "b.so", "a.so", "--html", "page.html", "--output", "json")
    assert (done.code, done.document["status"]) == (2, "partial")
    assert [file["path"] for file in done.document["data"]["files"]] == ["a.so"]
    assert (cli.cwd / "page.html").is_file()
    lone = inside("inspect", "--diff", "a.so", "b.so", "--output", "json")
    assert (lone.code, lone.document["status"]) == (2, "error")


def test_a_page_that_cannot_be_written(inside, cli) -> None:
    (cli.cwd / "a.so").write_bytes(elf())
    done = inside("inspect", "a.so", "--html", "absent/page.html")
    assert done.code == 5
    assert done.stdout == ""
    assert done.stderr.startswith("error: cannot write absent/page.html: ")
    assert "hint: name a file in a folder that is there" in done.stderr


EMPTY_CACHE: dict[str, tuple[str, set[str]]] = {
    "list": ("list", {"components", "size"}),
    "list --available": ("list", {"targets"}),
    "show ppc64le": (
        "show",
        {
            *("target", "host", "pythons", "python_sources", "python_prereleases"),
            *("glibc", "sysroots", "lock", "installed", "setup"),
        },
    ),
    "doctor --offline": ("doctor", {"checks"}),
    "verify": ("verify", {"components"}),
    "lock": ("lock", {"locks"}),
    "prune": ("prune", {"dry_run", "removed", "kept_in_use", "size"}),
    "cache dir": ("cache dir", {"path", "exists"}),
    "cache size": ("cache size", {"path", "components", "downloads", "partial", "other", "total"}),
    "cache key": ("cache key", {"key"}),
    "cache export x.tar.zst": ("cache export", {"path", "size", "components"}),
    "cache clean": ("cache clean", {"freed", "kept_in_use"}),
}


@pytest.mark.parametrize(("words", "command", "keys"), [(k, *v) for k, v in EMPTY_CACHE.items()])
def test_on_an_empty_cache(inside, words: str, command: str, keys: set[str]) -> None:
    done = inside(*words.split(), "--output", "json")
    assert done.code == 0, done.stderr
    assert set(success(done.document, command)) == keys


def test_import(inside, cli, tmp_path: Path) -> None:
    assert inside("cache", "export", "x.tar.zst").code == 0
    done = inside("cache", "import", "x.tar.zst", "--cache-dir", tmp_path / "new", "--output", "json")
    assert success(done.document, "cache import") == {
        "path": str(tmp_path / "new"),
        "installed": [],
        "present": [],
    }


def test_available_tells_targets_pythons_and_floors(inside) -> None:
    targets = inside("list", "--available", "--output", "json").document["data"]["targets"]
    (target,) = (each for each in targets if each["target"] == "ppc64le")
    assert set(target) == {
        *("target", "triplet", "host", "gcc", "fortran", "pythons", "glibc", "sysroots"),
    }
    assert {"aarch64", "ppc64le"} <= {each["target"] for each in targets}
    pythons = {python["version"]: python for python in target["pythons"]}
    assert [v for v, one in pythons.items() if "debian" in one["sources"]] == ["3.11", "3.13", "3.14", "3.15"]
    assert set(pythons["3.13"]) == {"version", "sources", "prerelease"}
    assert target["glibc"]["lowest"] == "2.17"


def test_show_says_what_a_set_up_would_download(inside) -> None:
    data = inside("show", "ppc64le", "--output", "json").document["data"]
    assert data["target"]["triplet"] == "powerpc64le-linux-gnu"
    assert data["setup"]["download_bytes"] > 50_000_000
    assert not any(component["installed"] for component in data["setup"]["components"])
    text = inside("show", "ppc64le").stdout
    assert "powerpc64le-linux-gnu" in text
    assert "`xtool setup ppc64le` would make" in text


def test_show_says_how_many_sizes_no_lock_knows(inside) -> None:
    words = ("show", "ppc64le", "--sysroot", "centos7")
    setup = inside(*words, "--output", "json").document["data"]["setup"]
    assert setup["download_files_of_unknown_size"] == 7
    assert f"{setup['download_files']} files (" in inside(*words).stdout
    assert "and 7 of unknown size)" in inside(*words).stdout


def test_sysroots_stand_in_the_declared_order_with_their_floors(inside) -> None:
    kinds = (
        "derived, debian 2.41, centos7 2.17, almalinux8 2.28, almalinux9 2.34, almalinux10 2.39, rocky10 2.39"
    )
    for words in (("list", "--available"), ("show", "ppc64le")):
        lines = inside(*words).stdout.partition("\n\n")[0].splitlines()
        (line,) = (line for line in lines if line.startswith(("ppc64le ", "sysroots ")))
        assert line.endswith(f"  {kinds}")


@pytest.mark.parametrize("name", ["libffi-dev zlib1g-dev", "libffi-dev:arm64", "libffi-dev=3.4", "a;b", "-x"])
def test_a_package_is_named_without_version_and_architecture(inside, name: str) -> None:
    done = inside("setup", "ppc64le", f"--sysroot-package={name}")
    assert done.code == 2
    assert f"`{name}` is no name of a package" in done.stderr
    assert "can be repeated" in done.stderr


def test_a_package_that_is_left_out_is_named(inside) -> None:
    done = inside("show", "ppc64le", "--sysroot-package", "python3-numpy")
    assert done.code == 0
    assert "python3-numpy: left out" in done.stderr


def test_keys_of_a_vault_do_not_change_what_comes_with_xtool(inside, tmp_path: Path) -> None:
    done = inside("lock", "--update", "--sysroot", "centos7", "ppc64le", "--key", str(tmp_path / "key.asc"))
    assert done.code == 2
    assert "does not take the place of the one that comes with xtool" in done.stderr
    assert "XTOOL_TOOLCHAINS_DIR" in done.stderr


def test_every_verb_is_pinned() -> None:
    pinned = {words.split()[0] for words in EMPTY_CACHE} | {"setup", "build", "run", "env", "inspect"}
    assert pinned == set(VERBS)


@pytest.mark.parametrize(
    ("raised", "code", "name"),
    [
        (StoreError("no", code="special"), 5, "special"),
        (PermissionError(errno.EACCES, "Permission denied", "/somewhere"), 5, "disk"),
        (OSError(errno.ENOSPC, "No space left on device"), 5, "disk-full"),
        (ValueError("oops"), 1, "internal"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 1, "internal"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_whatever_is_raised_becomes_a_document_and_words(
    inside, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, name: str
) -> None:
    def ensure_kit(ctx: Context, request: Request) -> Kit:
        raise raised

    monkeypatch.setattr(setup, "ensure_kit", ensure_kit)
    done = inside("setup", "ppc64le", "--output", "json")
    assert done.code == code
    (error,) = done.document["errors"]
    assert error["code"] == name
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "Traceback" in inside("setup", "ppc64le", "-vv").stderr


def test_a_bug_is_called_one(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure_kit(ctx: Context, request: Request) -> Kit:
        raise ValueError("oops")

    monkeypatch.setattr(setup, "ensure_kit", ensure_kit)
    assert inside("setup", "ppc64le").stderr == (
        "error: unexpected ValueError: oops\n"
        "\n"
        "  this is a bug in xtool\n"
        "\n"
        "hint: run it again with `-vv` and report it with the traceback\n"
    )


def test_no_space_says_how_much_there_is(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure_kit(ctx: Context, request: Request) -> Kit:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(setup, "ensure_kit", ensure_kit)
    text = inside("setup", "ppc64le").stderr
    assert "free on the disk of" in text
    assert "XTOOL_CACHE_DIR" in text


def test_errors_keep_their_code_and_hint(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    error = XtoolError("message", facts=["fact"], hint="hint", code="code")

    def fail(*_: object) -> Callable[..., Kit]:
        raise error

    monkeypatch.setattr(setup, "ensure_kit", fail)
    document = inside("setup", "ppc64le", "--output", "json").document
    assert document["errors"] == [{"code": "code", "message": "message", "facts": ["fact"], "hint": "hint"}]
