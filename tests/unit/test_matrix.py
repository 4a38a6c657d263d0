"""Several targets and Pythons side by side, with builds that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from xtool import proc
from xtool.build import matrix, pythons, runner
from xtool.build.pipeline import Asked, BuildRequest, BuiltWheel, Cell, Product
from xtool.build.report import BuildReport, Outcome, Quiet
from xtool.build.schedule import State
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import (
    CommandFailed,
    IntegrityError,
    NetworkError,
    StoreError,
    UsageError,
    WheelRejected,
    XtoolError,
)
from xtool.kit import BuildPython, Emulator, Kit, Sysroot, TargetPython, Toolchain
from xtool.log import SilentLog
from xtool.setup import Request
from xtool.targets import current_host
from xtool.wheel.wheelfile import WheelName

PATIENCE = 60.0
"""Seconds that a loaded machine may take for what should be instant."""


def make_kit(request: Request) -> Kit:
    """A kit whose files do not exist."""
    target, root = request.target, Path("/store")
    return Kit(
        host=current_host(),
        target=target,
        toolchain=Toolchain(root / "gcc", root / "gcc" / "bin", target.triplet, "14.2.0", ("c",)),
        sysroot=Sysroot(root / "sysroot", request.floor, "derived"),
        emulator=Emulator(root / "qemu", target.qemu_cpu),
        pythons={
            v: TargetPython(root, root / "python", v, f"{v}.5", "debian", (root,), {}, (2, 41), ".so")
            for v in request.versions
        },
        build_pythons={v: BuildPython(Path("/usr/bin/python"), v, "host") for v in request.versions},
        lock_digest="0" * 64,
    )


@dataclass
class Builds:
    """What builds come to: by `TARGET-PYTHON`, something to do instead of the usual; what was done."""

    act: dict[str, Callable[[Context, Path], str | None]] = field(default_factory=dict)
    setup_errors: dict[str, XtoolError] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)
    tested: dict[str, list[str]] = field(default_factory=dict)
    sources: set[Path] = field(default_factory=set)
    setups: list[Request] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    most: int = 0
    content: Callable[[str], str] = field(default=lambda cell: "")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ensure_kits(self, ctx: Context, requests: Sequence[Request]) -> tuple[Kit | XtoolError, ...]:
        self.setups += requests
        return tuple(self.setup_errors.get(one.target.name) or make_kit(one) for one in requests)

    def ensure_kit(self, ctx: Context, request: Request) -> Kit:
        (kit,) = self.ensure_kits(ctx, [request])
        assert isinstance(kit, Kit)
        return kit

    def build_wheel(
        self, ctx: Context, cell: Cell, product: Product, place: Path, *, jobs: int, asked: Asked
    ) -> BuiltWheel:
        key = f"{cell.target}-{cell.version}"
        with self.lock:
            self.ran[key] = jobs
            self.sources.add(product.source.path)
            self.running.add(key)
            self.most = max(self.most, len(self.running))
        try:
            ctx.log.info(f"this is {key}")
            asked.step("requirements")
            asked.step("compile")
            tag = self.act.get(key, lambda ctx, place: None)(ctx, place)
        finally:
            with self.lock:
                self.running.discard(key)
        nodot = cell.version.replace(".", "")
        tag = tag or f"cp{nodot}-cp{nodot}-manylinux_2_17_{cell.target}"
        wheel = place / f"x-1-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("x.py", self.content(key))
            archive.writestr("x-1.dist-info/WHEEL", f"Wheel-Version: 1.0\nGenerator: tool ({key})\n")
        asked.step("smoke")
        self.tested[key] = list(asked.tested_on(WheelName.parse(wheel.name)))
        tests = [
            {"python": v, "status": "passed", "glibc": asked.kit_with(v).host.name} for v in self.tested[key]
        ]
        return BuiltWheel(
            wheel, cell.target, cell.version, tag.split("-")[-1], "2.17", {"status": "passed"}, {},
            tested=tuple(tests),
        )  # fmt: skip


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    fake = Builds()
    monkeypatch.setattr(matrix, "ensure_kits", fake.ensure_kits)
    monkeypatch.setattr(runner, "ensure_kit", fake.ensure_kit)
    monkeypatch.setattr(runner, "build_wheel", fake.build_wheel)
    return fake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    (folder / "x.c").write_text("")
    return folder


@dataclass
class Make:
    """Builds the project for some targets and Pythons."""

    ctx: Context
    project: Path
    outdir: Path
    told: list[tuple[str, str, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def __call__(self, targets: str, versions: str = "", **options) -> BuildReport:
        catalog = Catalog()
        setups = tuple(
            Request(catalog.target(name), pythons=tuple(versions.split())) for name in targets.split()
        )
        options.setdefault("jobs", 2)
        request = BuildRequest(str(self.project), setups, self.outdir, **options)
        return matrix.build(self.ctx, request, Watching(self.told, self.steps))

    @property
    def delivered(self) -> list[str]:
        return sorted(path.name for path in self.outdir.iterdir()) if self.outdir.is_dir() else []


class Watching(Quiet):
    """Writes down what it is told."""

    def __init__(self, told: list[tuple[str, str, str]], steps: list[str]) -> None:
        self.told, self.steps = told, steps

    def step(self, cell: Cell, step: str) -> None:
        self.steps.append(step)

    def started(self, cell: Cell) -> None:
        self.told.append(("started", cell.label, ""))

    def warning(self, cell: Cell, message: str, *, hint: str | None = None) -> None:
        self.told.append(("warning", cell.label, message))

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        self.told.append(("ended", cell.label, outcome.state.value))

    def end(self) -> None:
        self.told.append(("end", "", ""))


@pytest.fixture
def make(ctx: Context, project: Path, tmp_path: Path) -> Make:
    return Make(ctx, project, tmp_path / "out")


def cells(report: BuildReport) -> dict[str, str]:
    return {f"{cell.target}-{cell.python}": cell.state.value for cell in report.cells}


def fail(ctx: Context, place: Path) -> str | None:
    raise CommandFailed("no such luck", facts=["line 1", "line 2"], hint="try again")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_product_in_the_users_order_from_one_source(make: Make, builds: Builds) -> None:
    report = make("s390x ppc64le", "3.13 3.11")
    assert list(cells(report)) == ["s390x-3.13", "s390x-3.11", "ppc64le-3.13", "ppc64le-3.11"]
    assert set(cells(report).values()) == {"built"}
    assert [wheel.path.parent for wheel in report.wheels] == [make.outdir] * 4
    assert len(make.delivered) == 4
    assert len(builds.sources) == 1
    # All targets are set up with one call.
    assert [setup.target.name for setup in builds.setups] == ["s390x", "ppc64le"]
    assert not any(path.exists() for path in builds.sources)


def test_as_many_at_once_as_there_are_jobs(make: Make, builds: Builds) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    for key in ("ppc64le-3.11", "ppc64le-3.13", "s390x-3.11", "s390x-3.13"):
        # Each waits until another one is there: with one at a time none would get on.
        builds.act[key] = lambda ctx, place: both.wait() and None
    make("ppc64le s390x", "3.11 3.13", jobs=2)
    assert builds.most == 2
    builds.act.clear()
    builds.most = 0
    make("ppc64le s390x", "3.11 3.13", jobs=1)
    assert builds.most == 1


def test_the_last_cells_get_the_processors_that_are_left(make: Make, builds: Builds) -> None:
    make("ppc64le s390x riscv64", "3.13", jobs=4)
    assert builds.ran == {"ppc64le-3.13": 2, "s390x-3.13": 1, "riscv64-3.13": 1}
    make("ppc64le", "3.13", jobs=4)
    assert builds.ran["ppc64le-3.13"] == 4


def test_a_failure_keeps_nobody_else_from_a_wheel(make: Make, builds: Builds) -> None:
    builds.act["ppc64le-3.13"] = fail
    report = make("ppc64le s390x", "3.13 3.11")
    assert cells(report) == {
        "ppc64le-3.13": "failed",
        "ppc64le-3.11": "built",
        "s390x-3.13": "built",
        "s390x-3.11": "built",
    }
    (failure,) = report.failures
    assert (failure.step, failure.error and failure.error.message) == ("compile", "no such luck")
    assert len(make.delivered) == 3
    assert ("ended", "ppc64le, Python 3.13", "failed") in make.told
    assert make.told[-1] == ("end", "", "")


def test_fail_fast_ends_what_runs_and_starts_nothing_more(make: Make, builds: Builds, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def slow(ctx: Context, place: Path) -> str | None:
        proc.run(["sh", "-c", f"sleep 300 & echo $! > {begun}; wait"], log=ctx.log, env={"PATH": os.defpath})
        return None

    def fail_later(ctx: Context, place: Path) -> str | None:
        wait_for(lambda: begun.is_file() and begun.read_text().strip() != "")
        return fail(ctx, place)

    builds.act |= {"ppc64le-3.11": slow, "ppc64le-3.13": fail_later}
    started = time.monotonic()
    report = make("ppc64le s390x", "3.11 3.13", fail_fast=True)
    assert time.monotonic() - started < PATIENCE
    assert cells(report) == {
        "ppc64le-3.11": "stopped",
        "ppc64le-3.13": "failed",
        "s390x-3.11": "not run",
        "s390x-3.13": "not run",
    }
    assert [cell.state for cell in report.left_out] == [State.STOPPED, State.NOT_RUN, State.NOT_RUN]
    child = int(begun.read_text())
    wait_for(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())
    assert make.delivered == []


def test_a_target_that_cannot_be_set_up_fails_alone(make: Make, builds: Builds) -> None:
    builds.setup_errors["ppc64le"] = IntegrityError("checksum mismatch")
    report = make("ppc64le s390x", "3.13 3.11")
    assert cells(report) == {
        "ppc64le-3.13": "failed",
        "ppc64le-3.11": "failed",
        "s390x-3.13": "built",
        "s390x-3.11": "built",
    }
    assert {cell.step for cell in report.failures} == {"setup"}
    assert all(cell.log is None for cell in report.failures)
    # The one cell that is left is watched like several.
    steps: list[str] = []
    make.steps = steps
    make("ppc64le s390x", "3.13")
    assert steps == ["requirements", "compile", "smoke"]
    again = make("ppc64le s390x", "3.13 3.11", fail_fast=True)
    assert [cell.state for cell in again.left_out] == [State.NOT_RUN] * 2


def test_one_cell_fails_like_any(make: Make, builds: Builds) -> None:
    builds.setup_errors["ppc64le"] = NetworkError("no network")
    (cell,) = make("ppc64le", "3.13").cells
    assert (cell.state, cell.step) == (State.FAILED, "setup")
    del builds.setup_errors["ppc64le"]
    builds.act["ppc64le-3.13"] = fail
    (cell,) = make("ppc64le", "3.13").cells
    assert (cell.state, cell.step) == (State.FAILED, "compile")
    # Nobody watches a wheel that is built alone, and what failed leaves no folder.
    assert make.told == []
    assert not make.outdir.exists()


def test_each_cell_has_a_log(make: Make, builds: Builds, tmp_path: Path) -> None:
    def noisy(ctx: Context, place: Path) -> str | None:
        with ctx.log.step("doing"):
            proc.run([sys.executable, "-c", "print('from the process')"], log=ctx.log)
        ctx.log.warning("careful", hint="do so")
        return fail(ctx, place)

    builds.act["ppc64le-3.13"] = noisy
    report = make("ppc64le", "3.13 3.11", log_dir=tmp_path / "logs")
    logs = [cell.log for cell in report.cells]
    assert logs == [tmp_path / "logs" / f"x-ppc64le-{v}.log" for v in ("3.13", "3.11")]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == sorted(
        log.name for log in logs if log
    )
    text = (tmp_path / "logs" / "x-ppc64le-3.13.log").read_text()
    lines = text.splitlines()
    assert lines[0] == "this is ppc64le-3.13"
    assert lines[1] == "doing ..."
    assert lines[2].startswith(f"$ {sys.executable} -c")
    assert lines[3] == "from the process"
    assert lines[4].startswith("doing: done in ")
    assert lines[5:] == [
        "warning: careful", "hint: do so", "error: no such luck", "  line 1", "  line 2", "hint: try again",
    ]  # fmt: skip
    other = (tmp_path / "logs" / "x-ppc64le-3.11.log").read_text()
    assert "from the process" not in other
    assert other.splitlines()[-1].startswith("made x-1-cp311-cp311-manylinux_2_17_ppc64le.whl in ")
    assert make.told.count(("warning", "ppc64le, Python 3.13", "careful")) == 1


def test_logs_lie_in_the_cache_a_folder_for_each_run(make: Make, builds: Builds) -> None:
    first, second = make("ppc64le", "3.13"), make("ppc64le", "3.13")
    logs = [report.wheels[0].log for report in (first, second)]
    assert all(log is not None and log.is_file() for log in logs)
    assert len({log and log.parent for log in logs}) == 2
    assert {log and log.parent.parent for log in logs} == {
        make.ctx.settings.cache_dir / "v1" / "state" / "logs"
    }


def test_a_bug_in_one_cell_is_that_cells_own(make: Make, builds: Builds) -> None:
    def bug(ctx: Context, place: Path) -> str | None:
        raise ZeroDivisionError("oh")

    def full(ctx: Context, place: Path) -> str | None:
        raise OSError(28, "No space left on device", "/tmp/somewhere")

    builds.act |= {"ppc64le-3.13": bug, "ppc64le-3.11": full}
    report = make("ppc64le s390x", "3.13 3.11")
    first, second = report.failures
    assert first.error is not None
    assert first.error.code == "internal"
    assert "ZeroDivisionError: oh" in first.error.message
    assert first.log is not None
    assert "in bug" in first.log.read_text()
    assert isinstance(second.error, StoreError)
    assert second.error.exit_code == 5
    assert len(report.wheels) == 2


def test_a_wheel_for_the_stable_abi_is_built_once_a_target(make: Make, builds: Builds) -> None:
    (make.project / "setup.cfg").write_text("[bdist_wheel]\npy_limited_api = cp311\n")
    for target in ("ppc64le", "s390x"):
        builds.act[f"{target}-3.11"] = lambda ctx, place, t=target: f"cp311-abi3-manylinux_2_17_{t}"
    report = make("ppc64le s390x", "3.13 3.11 3.14")
    assert sorted(builds.ran) == ["ppc64le-3.11", "s390x-3.11"]
    assert builds.tested == {"ppc64le-3.11": ["3.11", "3.14"], "s390x-3.11": ["3.11", "3.14"]}
    assert [cell.state.value for cell in report.cells] == ["served", "built", "served"] * 2
    wheel = report.wheels[0]
    assert wheel.serves == ({"target": "ppc64le", "python": "3.13"}, {"target": "ppc64le", "python": "3.14"})
    assert report.cells[0].wheel == wheel
    assert make.delivered == [f"x-1-cp311-abi3-manylinux_2_17_{t}.whl" for t in ("ppc64le", "s390x")]


def test_without_a_hint_the_oldest_pythons_wheel_is_kept_and_the_others_are_ended(
    make: Make, builds: Builds
) -> None:
    newer = threading.Event()

    def first(ctx: Context, place: Path) -> str | None:
        assert newer.wait(PATIENCE)
        return "cp311-abi3-manylinux_2_17_ppc64le"

    def second(ctx: Context, place: Path) -> str | None:
        newer.set()
        proc.run(["sleep", "300"], log=ctx.log)
        return "cp311-abi3-manylinux_2_17_ppc64le"

    builds.act |= {"ppc64le-3.11": first, "ppc64le-3.13": second}
    report = make("ppc64le", "3.11 3.13")
    assert cells(report) == {"ppc64le-3.11": "built", "ppc64le-3.13": "served"}


def test_a_newer_pythons_wheel_waits_for_the_older_ones(make: Make, builds: Builds) -> None:
    made = threading.Event()

    def older(ctx: Context, place: Path) -> str | None:
        wait_for(lambda: ("ended", "ppc64le, Python 3.13", "made") in make.told)
        assert make.delivered == []
        made.set()
        return "cp311-abi3-manylinux_2_17_ppc64le"

    builds.content = lambda cell: cell
    builds.act |= {
        "ppc64le-3.13": lambda ctx, place: "cp311-abi3-manylinux_2_17_ppc64le",
        "ppc64le-3.11": older,
    }
    report = make("ppc64le", "3.13 3.11")
    assert made.is_set()
    assert cells(report) == {"ppc64le-3.13": "served", "ppc64le-3.11": "built"}
    (path,) = make.outdir.iterdir()
    with zipfile.ZipFile(path) as archive:
        assert archive.read("x.py") == b"ppc64le-3.11"


def test_where_nobody_names_a_python_the_stable_abi_is_tested_on_the_ends_of_what_there_is(
    make: Make, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "final_releases", lambda ctx, setup: ("3.10", "3.11", "3.13", "3.14"))
    builds.act["ppc64le-3.13"] = lambda ctx, place: "cp311-abi3-manylinux_2_17_ppc64le"
    report = make("ppc64le")
    assert builds.tested == {"ppc64le-3.13": ["3.13", "3.11", "3.14"]}
    # Two more Pythons are set up to test on.
    assert [setup.pythons for setup in builds.setups] == [("3.13",), ("3.11",), ("3.14",)]
    assert [test["python"] for test in report.wheels[0].tested] == ["3.13", "3.11", "3.14"]
    make("ppc64le", "3.13")
    assert builds.tested == {"ppc64le-3.13": ["3.13"]}
    builds.setups.clear()
    make("ppc64le", test=False)
    assert builds.tested == {"ppc64le-3.13": ["3.13"]}
    assert len(builds.setups) == 1


def test_a_pure_project_gives_one_wheel(make: Make, builds: Builds) -> None:
    (make.project / "x.c").unlink()
    builds.act["ppc64le-3.13"] = lambda ctx, place: "py3-none-any"
    report = make("ppc64le s390x", "3.13 3.11")
    assert sorted(builds.ran) == ["ppc64le-3.13"]
    assert builds.tested == {"ppc64le-3.13": ["3.13", "3.11"]}
    assert [cell.state.value for cell in report.cells] == ["built", "served", "served", "served"]
    assert make.delivered == ["x-1-py3-none-any.whl"]


def test_the_same_wheel_twice_is_one(make: Make, builds: Builds) -> None:
    for key in ("ppc64le-3.13", "ppc64le-3.11"):
        builds.act[key] = lambda ctx, place: "py3-none-manylinux_2_17_ppc64le"
    report = make("ppc64le", "3.13 3.11")
    assert cells(report) == {"ppc64le-3.13": "built", "ppc64le-3.11": "served"}
    # Whichever was ready first, the one of the first cell is there.
    (path,) = make.outdir.iterdir()
    with zipfile.ZipFile(path) as archive:
        assert b"(ppc64le-3.13)" in archive.read("x-1.dist-info/WHEEL")


def test_two_wheels_of_one_name_that_differ_are_an_error(make: Make, builds: Builds) -> None:
    builds.content = lambda cell: cell
    for key in ("ppc64le-3.13", "ppc64le-3.11"):
        builds.act[key] = lambda ctx, place: "py3-none-manylinux_2_17_ppc64le"
    for jobs in (1, 2):
        report = make("ppc64le", "3.13 3.11", jobs=jobs)
        assert cells(report) == {"ppc64le-3.13": "built", "ppc64le-3.11": "failed"}
        (failure,) = report.failures
        assert isinstance(failure.error, WheelRejected)
        assert (failure.error.code, failure.step) == ("same-name", "deliver")
        (path,) = make.outdir.iterdir()
        with zipfile.ZipFile(path) as archive:
            assert archive.read("x.py") == b"ppc64le-3.13"


def test_an_output_folder_that_cannot_be_written_is_found_before_anything_is_done(
    make: Make, builds: Builds, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    make.outdir = tmp_path / "file" / "out"
    with pytest.raises(StoreError, match="cannot write") as caught:
        make("ppc64le", "3.13")
    assert "--outdir" in (caught.value.hint or "")
    assert builds.setups == []
    make.outdir = tmp_path / "out"
    with pytest.raises(StoreError) as caught:
        make("ppc64le", "3.13", log_dir=tmp_path / "file" / "logs")
    assert "--log-dir" in (caught.value.hint or "")


WITHOUT_ROOM = """
import signal, sys
from pathlib import Path
from xtool.build.deliver import usable
from xtool.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with usable(Path(sys.argv[1]), hint="make room"):
        print("usable")
except StoreError as error:
    print(error.message, error.exit_code)
"""


def test_a_folder_without_room_is_found_before_anything_is_done(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f "$0"; exec "$@"']
    for blocks, said in (("100", f"cannot write {tmp_path}/new: File too large 5\n"), ("9999", "usable\n")):
        command = [*limited, blocks, sys.executable, "-c", WITHOUT_ROOM, str(tmp_path / "new")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == said
        assert not (tmp_path / "new").exists()


def test_a_python_that_a_target_lacks_is_an_error_before_anything_is_done(make: Make, builds: Builds) -> None:
    with pytest.raises(UsageError, match=r"there is no Python 3\.7 for ppc64le") as caught:
        make("ppc64le", "3.13 3.7")
    assert "3.13" in caught.value.facts[0]
    assert builds.setups == []


def test_a_python_that_the_project_excludes_is_an_error_before_the_set_up(make: Make, builds: Builds) -> None:
    requires(make.project, ">=3.12")
    with pytest.raises(UsageError, match=r"x 1 does not support Python 3\.11") as caught:
        make("ppc64le", "3.13 3.11")
    assert caught.value.code == "requires-python"
    assert "`--python 3.13`" in (caught.value.hint or "")
    assert builds.setups == []


def test_a_back_end_that_is_not_supported_is_found_before_the_set_up(make: Make, builds: Builds) -> None:
    table = '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'
    (make.project / "pyproject.toml").write_text(table)
    with pytest.raises(UsageError, match="built with maturin"):
        make("ppc64le s390x", "3.13")
    (make.project / "pyproject.toml").write_text("[build-system]\nrequires = 1\n")
    with pytest.raises(UsageError, match="a list `requires`"):
        make("ppc64le s390x", "3.13")
    assert builds.setups == []


def test_a_patch_release_that_the_project_excludes_is_known_after_the_set_up(
    make: Make, builds: Builds
) -> None:
    requires(make.project, ">=3.11, !=3.13.5")
    report = make("ppc64le", "3.13 3.11")
    assert cells(report) == {"ppc64le-3.13": "failed", "ppc64le-3.11": "built"}
    assert (report.failures[0].step, report.failures[0].error and report.failures[0].error.code) == (
        "setup",
        "requires-python",
    )


def requires(project: Path, pythons: str) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write(f'requires-python = "{pythons}"\n')


def test_an_interrupt_ends_everything_and_leaves_nothing(
    make: Make, builds: Builds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def slow(ctx: Context, place: Path) -> str | None:
        (place / "half").write_text("half a wheel")
        proc.run(["sh", "-c", f"echo $$ >> {begun}; exec sleep 300"], log=ctx.log, env={"PATH": os.defpath})
        return None

    builds.act |= dict.fromkeys(("ppc64le-3.11", "ppc64le-3.13"), slow)

    class Interrupting(Watching):
        def step(self, cell: Cell, step: str) -> None:
            if step == "compile":
                threading.Thread(target=interrupt, daemon=True).start()

    def interrupt() -> None:
        wait_for(lambda: begun.is_file() and len(begun.read_text().split()) == 2)
        with lock:
            if not sent:
                sent.append(True)
                os.kill(os.getpid(), 2)

    lock, sent = threading.Lock(), []
    request = BuildRequest(
        str(make.project),
        (Request(Catalog().target("ppc64le"), pythons=("3.11", "3.13")),),
        make.outdir,
        jobs=2,
        log_dir=tmp_path / "logs",
    )
    with pytest.raises(KeyboardInterrupt):
        matrix.build(make.ctx, request, Interrupting(make.told, []))
    for child in map(int, begun.read_text().split()):
        assert not Path(f"/proc/{child}").exists()
    assert not make.outdir.exists()
    assert list(temporary.iterdir()) == []
    # The logs are whole: each says how it ended.
    logs = sorted((tmp_path / "logs").iterdir())
    assert [log.name for log in logs] == ["x-ppc64le-3.11.log", "x-ppc64le-3.13.log"]
    assert all(log.read_text().splitlines()[-1] == "error: stopped" for log in logs)
    assert make.told[-1][0] == "end"


def test_warnings_filters_of_python_are_as_before(make: Make, builds: Builds) -> None:
    import warnings

    before = list(warnings.filters)
    make("ppc64le s390x", "3.11 3.13")
    assert warnings.filters == before


def test_a_folder_of_a_cell_is_gone_as_soon_as_the_cell_is(make: Make, builds: Builds) -> None:
    places: list[Path] = []

    def note(ctx: Context, place: Path) -> str | None:
        assert not any(path.exists() for path in places)
        places.append(place)
        return None

    builds.act |= dict.fromkeys(("ppc64le-3.11", "ppc64le-3.13"), note)
    make("ppc64le", "3.11 3.13", jobs=1)
    assert len(places) == 2


def test_a_log_that_cannot_be_written_does_not_stop_a_build(ctx: Context, tmp_path: Path) -> None:
    from xtool.build.celllog import CellLog

    log = CellLog(tmp_path / "absent" / "x.log", plain=SilentLog())
    log.info("hello")
    with log.step("step"):
        pass
    assert log.close(last="bye") is None


def test_retold_errors_keep_what_they_are() -> None:
    from xtool.fetch.fetcher import Vanished

    error = Vanished([], ["looked there"])
    told = error.retold("ppc64le: gone", ["a fact"])
    assert (type(told), told.message, told.facts, told.exit_code) == (
        Vanished,
        "ppc64le: gone",
        ("a fact",),
        3,
    )
    assert (told.hint, told.code, str(told)) == (error.hint, error.code, "ppc64le: gone")
    assert replace(Outcome("a", "3.13", State.BUILT), error=told).label == "a, Python 3.13"
