"""Builds with a profile through the command line: real compilers and Pythons, counters from qemu-user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.commandline import xtool

from xtool.pgo import archive
from xtool.pgo.notes import ARCS
from xtool.pgo.profile import Profile
from xtool.pgo.translate import translate

PROJECTS = Path(__file__).parent.parent / "projects"
ROUNDS = 200
WAYS = {"plain": 1, "threads": 4, "fork": 4, "spawn": 4, "process": 1, "child": 1, "replace": 1}
"""By how processes are run (`xt_pgo.train`), how often the work is done."""

QUICK = ("--target", "ppc64le", "--no-test")
SUMS = "from xt_c import total; [total(n, 1) for n in range(50)]"


@pytest.fixture(scope="module")
def both(cache: Path) -> Path:
    """The shared cache with a little-endian and a big-endian target."""
    done = xtool(cache, "setup", "s390x")
    assert done.returncode == 0, done.stderr
    return cache


def copy_project(name: str, into: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / name, into / name))


def built(cache: Path, *words: str, **environ: str) -> dict[str, Any]:
    """The document of a build that must succeed."""
    done = xtool(cache, "build", *words, "--output", "json", **environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def by_file(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["file"]: each for each in report["files"]}


def hot(report: dict[str, Any], name: str) -> int:
    """How often the training called a function."""
    (found,) = [each["entered"] for each in report["hottest"] if each["name"].startswith(name)]
    return int(found)


def machine_code(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist() if name.endswith(".so")}


def assert_clean(wheel: Path) -> None:
    """No counter, no name of libgcov's and no file of profiles is in a wheel."""
    code = machine_code(wheel)
    assert code
    for data in code.values():
        for trace in (b"__gcov_", b"GCOV_PREFIX", b".gcda", b"libxtool-training"):
            assert trace not in data
    with zipfile.ZipFile(wheel) as opened:
        assert not [name for name in opened.namelist() if name.endswith((".gcda", ".gcno"))]


def assert_alike_in_each_other_s_graphs(one: Profile, other: Profile) -> None:
    """What one target counted, told in the graphs of the other, is what that one counted."""
    for source, graphs in ((one, other), (other, one)):
        bare = [
            replace(each, functions=tuple(replace(f, counters={}) for f in each.functions))
            for each in graphs.objects
        ]
        told, different = translate(source, bare)
        assert len([name for names in different.values() for name in names]) < 10
        trained = {each.key: {f.ident: f.counters for f in each.functions} for each in graphs.objects}
        compared = 0
        for each in told.objects:
            for function in each.functions:
                # What the collector of garbage calls depends on when it runs.
                if function.file.startswith("src/"):
                    assert function.counters[ARCS] == trained[each.key][function.ident][ARCS], function.name
                    compared += 1
        assert compared > 5


def test_every_way_of_running_is_counted_on_both_byte_orders(both: Path, tmp_path: Path) -> None:
    project = copy_project("pgo", tmp_path)
    ways = list(WAYS)
    commands = [
        f"python -m xt_pgo.train {' '.join(ways[:3])}",
        f"python -m xt_pgo.train {' '.join(ways[3:])}",
    ]
    saved, page, out = tmp_path / "profile.zip", tmp_path / "page.html", tmp_path / "out"
    found = built(
        both,
        *(str(project), "--target", "ppc64le", "--target", "s390x", "--outdir", str(out), "--jobs", "2"),
        *(word for command in commands for word in ("--pgo", command)),
        *("--pgo-save", str(saved), "--html", str(page)),
    )
    wheels = found["data"]["wheels"]
    assert [wheel["target"] for wheel in wheels] == ["ppc64le", "s390x"]
    work = ROUNDS * sum(WAYS.values())
    for wheel in wheels:
        assert wheel["smoke"]["status"] == "passed"
        assert wheel["platform_tag"].startswith("manylinux2014_")
        assert_clean(Path(wheel["path"]))
        report = wheel["pgo"]
        # Threads, worker processes, a child without an environment, and a process that became another: all
        # of it is in the profile, and nothing of it twice.
        assert hot(report, "xt_steps") == work
        # The linker kept one copy of the template that two objects have.
        assert hot(report, "long largest<long>") == 2 * work
        files = by_file(report)
        assert files["src/counts.c"]["functions_covered"] == files["src/counts.c"]["functions"] - 1
        assert files["src/steps.c"]["arcs_covered"] == files["src/steps.c"]["arcs"]
        assert files["build/cython/src/sums.c"]["functions_covered"] > 10
        used = report["used"]
        assert used["objects"] == 5
        assert not used["unused"]
        assert not used["objects_without_profile"]
        assert not [use for use in used["each"] if use["mismatched"] or use["missing"]]
        assert report["training"]["lost"] == 0
        assert len(report["training"]["each"]) == 2
        assert not report["findings"]
        assert not wheel["warnings"]
        assert {"instrument", "train", "build"} <= set(wheel["timings"])
    assert "xt_steps" in page.read_text(encoding="utf-8")
    assert_alike_in_each_other_s_graphs(*archive.read(saved))
    # The same bytes come of the saved profile, from another copy of the source, in another temporary folder.
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    again = built(
        both,
        *(str(copy_project("pgo", elsewhere)), "--target", "s390x", "--outdir", str(elsewhere / "out")),
        *("--pgo-load", str(saved), "--jobs", "1"),
        TMPDIR=str(elsewhere),
    )
    (wheel,) = again["data"]["wheels"]
    assert Path(wheel["path"]).read_bytes() == Path(wheels[1]["path"]).read_bytes()
    assert wheel["pgo"]["origin"] == str(saved)
    assert wheel["pgo"]["training"] is None
    assert "train" not in wheel["timings"]


def test_a_profile_changes_the_code(cache: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    plain = built(cache, str(project), *QUICK, "--outdir", str(tmp_path / "plain"))
    trained = built(
        cache, str(project), *QUICK, "--outdir", str(tmp_path / "out"), "--pgo", f'python -c "{SUMS}"'
    )
    a, b = (Path(found["data"]["wheels"][0]["path"]) for found in (plain, trained))
    assert plain["data"]["wheels"][0]["pgo"] is None
    assert machine_code(a).keys() == machine_code(b).keys()
    assert machine_code(a) != machine_code(b)


def test_counters_of_the_emulator_are_those_of_the_machine(cache: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    words = (str(project), "--target", "x86_64", "--no-test", "--pgo", f'python -c "{SUMS}"')
    wheels = []
    for place, more in (("emulated", ()), ("native", ("--pgo-native",))):
        found = built(
            cache,
            *words,
            *more,
            "--outdir",
            str(tmp_path / place),
            "--pgo-save",
            str(tmp_path / f"{place}.zip"),
        )
        (wheel,) = found["data"]["wheels"]
        assert wheel["pgo"]["training"]["where"] == ("native" if more else "qemu-user")
        wheels.append(Path(wheel["path"]).read_bytes())
    assert wheels[0] == wheels[1]
    refused = xtool(cache, "build", str(project), *QUICK, "--pgo", "true", "--pgo-native")
    assert refused.returncode == 2
    assert "cannot run code for ppc64le" in refused.stderr


FAILURES = {
    "it fails": ('python -c "import xt_c; raise SystemExit(7)"', "exited with code 7", "training-failed"),
    "it writes no profile": ('python -c "pass"', "the training wrote no profile", "no-profile"),
    "it is killed": (
        'python -c "import os, xt_c; os.kill(os.getpid(), 9)"',
        "was ended by SIGKILL",
        "training-failed",
    ),
    "it takes too long": (
        'python -c "import time, xt_c; time.sleep(600)"',
        "took longer than 2 s",
        "timeout",
    ),
    "the other one fails": (
        f'python -c "{SUMS}" && sleep 600',
        "exited with code 7",
        "training-failed",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_training_that_goes_wrong(cache: Path, tmp_path: Path, case: str) -> None:
    project = copy_project("c-setuptools", tmp_path)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    command, message, code = FAILURES[case]
    more = ("--pgo", 'python -c "raise SystemExit(7)"') if case == "the other one fails" else ()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    out, saved = tmp_path / "out", tmp_path / "profile.zip"
    limit = ("--pgo-timeout", "2") if case == "it takes too long" else ()
    done = xtool(
        cache,
        *("build", str(project), *QUICK, "--outdir", str(out), "--pgo", command, *more, *limit),
        *("--pgo-save", str(saved), "--output", "json"),
        TMPDIR=str(temporary),
    )
    assert done.returncode == 1, done.stderr
    (error,) = json.loads(done.stdout)["errors"]
    assert message in error["message"]
    assert error["code"] == code
    assert error["hint"]
    # Nothing half-built is left anywhere.
    assert not saved.exists()
    assert not list(out.glob("*"))
    assert not list(temporary.iterdir())
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_what_a_killed_process_has_counted_is_missed(cache: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    script = tmp_path / "train.py"
    script.write_text(
        f"import os\n{SUMS}\nchild = os.fork()\nif child == 0:\n    os.kill(os.getpid(), 9)\n"
        "os.waitpid(child, 0)\n"
    )
    found = built(cache, str(project), *QUICK, "--outdir", str(tmp_path / "out"), "--pgo", f"python {script}")
    (wheel,) = found["data"]["wheels"]
    assert wheel["pgo"]["training"]["lost"] == 1
    codes = {finding["code"]: finding for finding in wheel["pgo"]["findings"]}
    assert "1 process of the training" in codes["lost-profile"]["message"]
    assert any("1 process of the training" in warning for warning in wheel["warnings"])


def test_profiles_that_do_not_belong(both: Path, tmp_path: Path) -> None:
    project = copy_project("pgo", tmp_path)
    saved, out = tmp_path / "profile.zip", tmp_path / "out"
    train = ("--pgo", "python -m xt_pgo.train", "--pgo-save", str(saved))
    built(both, str(project), *QUICK, "--outdir", str(out), *train)
    load = ("--pgo-load", str(saved), "--outdir", str(tmp_path / "loaded"))

    # Of another compiler: refused before anything is compiled.
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(saved) as opened, zipfile.ZipFile(other, "w") as changed:
        for name in opened.namelist():
            changed.writestr(name, opened.read(name).replace(b'"compiler":"14', b'"compiler":"13'))
    done = xtool(both, "build", str(project), *QUICK, "--pgo-load", str(other))
    assert done.returncode == 2
    assert "is of another compiler" in done.stderr
    assert "GCC 13" in done.stderr
    assert "hint: train again" in done.stderr

    # Of another target: what fits is used, the rest is named.
    found = built(both, str(project), "--target", "s390x", "--no-test", *load)
    (wheel,) = found["data"]["wheels"]
    assert wheel["pgo"]["profile"]["target"] == "ppc64le"
    assert wheel["pgo"]["used"]["objects"] == 5
    assert wheel["pgo"]["used"]["functions"] > 60

    # Of other sources: of one that is there, and of one that the build makes.
    steps = project / "src" / "steps.c"
    kept = steps.read_text()
    steps.write_text(kept.replace("n > 1)", "n > 1 && n != 27)"))
    done = xtool(both, "build", str(project), *QUICK, *load)
    assert done.returncode == 2
    assert "is of other sources" in done.stderr
    assert "src/steps.c" in done.stderr
    assert "--pgo-stale" in done.stderr
    found = built(both, str(project), *QUICK, *load, "--pgo-stale")
    (wheel,) = found["data"]["wheels"]
    (finding,) = [each for each in wheel["pgo"]["findings"] if each["code"] == "coverage-mismatch"]
    assert finding["file"] == "src/steps.c"
    assert "`xt_steps`" in finding["message"]
    assert_clean(Path(wheel["path"]))
    steps.write_text(kept)
    pyx = project / "src" / "sums.pyx"
    pyx.write_text(pyx.read_text().replace("i % 3", "i % 5 == 2"))
    done = xtool(both, "build", str(project), *QUICK, *load)
    assert done.returncode == 2
    assert "build/cython/src/sums.c" in done.stderr


READ_ONLY = """
mount --bind "$PROJECT" "$PROJECT"
mount -o remount,ro,bind "$PROJECT"
touch "$PROJECT/probe" 2>/dev/null && exit 77
exec "$@"
"""


def test_a_read_only_source(cache: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    settings = project / "pyproject.toml"
    wish = f"\n[tool.xtool]\npgo-command = ['python -c \"{SUMS}\"']\n"
    settings.write_text(settings.read_text() + wish)
    asroot = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    environ = {**os.environ, "PROJECT": str(project), "XTOOL_CACHE_DIR": str(cache), "XTOOL_PYTHON": "3.13"}
    words = ["build", str(project), *QUICK, "--outdir", str(tmp_path / "out"), "--output", "json"]
    done = subprocess.run(
        ["unshare", "--mount", *asroot, "sh", "-c", READ_ONLY, "sh", "python", "-m", "xtool", *words],
        env={**environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = json.loads(done.stdout)["data"]["wheels"]
    assert wheel["pgo"]["training"]["seconds"] > 0
    # The project's own wish can be set aside.
    plain = built(cache, str(project), *QUICK, "--outdir", str(tmp_path / "plain"), "--no-pgo")
    assert plain["data"]["wheels"][0]["pgo"] is None


def test_a_project_without_machine_code(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "pure").mkdir()
    (tmp_path / "pure" / "pyproject.toml").write_text('[project]\nname = "pure"\nversion = "1"\n')
    (tmp_path / "pure" / "pure.py").write_text("")
    done = xtool(cache, "build", str(tmp_path / "pure"), *QUICK, "--pgo", "python -c 'import pure'")
    assert done.returncode == 1
    assert "has nothing that a profile could be made of" in done.stderr


def test_instrumented_code_is_not_shipped(cache: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    words = ("build", str(project), *QUICK, "--outdir", str(tmp_path / "out"))
    done = xtool(cache, *words, XTOOL_CFLAGS="--coverage", XTOOL_LDFLAGS="--coverage")
    assert done.returncode == 1
    assert "is instrumented: it writes profile or coverage files wherever it runs" in done.stderr
    assert not list((tmp_path / "out").glob("*"))


def test_training_on_another_machine(cache: Path, tmp_path: Path) -> None:
    """The target's Python stands in for that machine: it is given the wheel and GCOV_PREFIX, nothing else."""
    project = copy_project("c-setuptools", tmp_path)
    kept, out = tmp_path / "instrumented", tmp_path / "out"
    made = built(cache, str(project), *QUICK, "--pgo-instrument", str(kept))
    (wheel,) = made["data"]["instrumented"]
    assert not out.exists()
    words = (str(project), *QUICK, "--outdir", str(out), "--pgo-collect", str(kept))
    done = xtool(cache, "build", *words)
    assert done.returncode == 1
    assert "nothing was counted" in done.stderr
    for number in range(2):
        brought = kept / "ppc64le-3.13" / "counters" / f"run {number}"
        ran = xtool(
            cache,
            *("run", "--target", "ppc64le", "--with", wheel, "--", "python", "-c", SUMS),
            GCOV_PREFIX=str(brought),
        )
        assert ran.returncode == 0, ran.stderr
    found = built(cache, *words, "--pgo-save", str(tmp_path / "profile.zip"))
    (optimised,) = found["data"]["wheels"]
    assert_clean(Path(optimised["path"]))
    assert optimised["pgo"]["profile"]["trained"] == "elsewhere"
    # Fifty calls in each of two runs.
    assert hot(optimised["pgo"], "total") == 100
    assert (tmp_path / "profile.zip").is_file()
    moved = kept.rename(tmp_path / "moved")
    done = xtool(cache, "build", *words[:-1], str(moved))
    assert done.returncode == 2
    assert "move it back there" in done.stderr
