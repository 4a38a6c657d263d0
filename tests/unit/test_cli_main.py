"""The command line as a user meets it: help, mistakes, exit codes, streams that go away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xtool import __version__
from xtool.cli.app import VERBS

SUBCOMMANDS = [f"cache {name}" for name in ("dir", "size", "key", "export", "import", "clean")]


def test_version(cli) -> None:
    done = cli("--version")
    assert (done.code, done.stdout, done.stderr) == (0, f"xtool {__version__}\n", "")


def test_version_as_json(cli) -> None:
    assert cli("--output", "json", "--version").document["data"] == {"version": __version__}


def test_help_shows_the_quick_start_and_every_verb(cli) -> None:
    done = cli("--help")
    assert done.code == 0
    assert "xtool setup ppc64le" in done.stdout
    assert "xtool build markupsafe --target ppc64le" in done.stdout
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", [*VERBS, *SUBCOMMANDS])
def test_every_verb_explains_itself(inside, verb: str) -> None:
    done = inside(*verb.split(), "--help")
    assert done.code == 0
    if verb != "cache":
        assert (
            f"Example:\n    xtool {verb}" in done.stdout
            or f"xtool {verb}" in done.stdout.split("Example:")[1]
        )
    for option in (
        "--quiet",
        "--verbose",
        "--offline",
        "--cache-dir",
        "--no-progress",
        "--color",
        "--output",
    ):
        assert option in done.stdout


def test_no_command_shows_help_and_fails(cli) -> None:
    done = cli()
    assert done.code == 2
    assert done.stdout == ""
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["biuld"], "there is no command `xtool biuld`", "did you mean `xtool build`?"),
        (["zzz"], "there is no command `xtool zzz`", "`xtool --help` lists the commands"),
        (["cache", "exprt"], "there is no command `xtool cache exprt`", "did you mean `xtool cache export`?"),
        (["build", "--targte", "x"], "no such option `--targte`", "did you mean `--target`?"),
        (["build", "--color", "blue"], "invalid value for `--color`", "`xtool build --help` explains it"),
        (["inspect"], "missing argument `FILE...`", "`xtool inspect --help` explains it"),
        (["build"], "no `--target` given", "XTOOL_TARGET"),
        (["setup"], "no target given", "xtool setup ppc64le"),
        (["setup", "ppc64"], "there is no target `ppc64`", "did you mean `ppc64le`?"),
        (["setup", "ppc64le", "--glibc", "new"], "not a glibc version: 'new'", "--glibc 2.17"),
        (["build", "--target", "ppc64le", "-j", "many"], "--jobs is 'many'", "mend or remove --jobs"),
        (["run", "--target", "ppc64le"], "missing argument", "`xtool run --help` explains it"),
        (["run", "--target", "ppc64le,s390x", "--", "x"], "one target at a time", "pass one `--target`"),
        (["run", "--target", "ppc64le", "--with", "no.whl", "--", "x"], "there is no wheel no.whl", "--with"),
        (["inspect", "nothing.whl"], "there is no file nothing.whl", "name a wheel"),
        (["inspect", "/"], "/ is a folder", "name a wheel"),
        (["inspect", "--diff", "nothing.whl"], "`--diff` compares two files, not 1", "--diff OURS.whl"),
        (["inspect", "--diff", "x", "y", "z"], "`--diff` compares two files, not 3", "--diff OURS.whl"),
        (["inspect", "--diff", "no.whl", "no.so"], "there is no file no.whl", "name a wheel"),
        (["cache", "import", "nothing"], "there is no file", "xtool cache export"),
        (["cache", "import", "/"], "cannot read /", "xtool cache export"),
        (["cache", "export", "/no-such-folder/x"], "there is no folder /no-such-folder", "make it"),
        (["setup", "ppc64le", "--python", "2.7"], "there is no Python 2.7 for ppc64le", "--available"),
        (["setup", "ppc64le", "--glibc", "2.5"], "there is no glibc 2.5 sysroot", "--glibc 2.17"),
        (["setup", "ppc64le", "--glibc", "9.9"], "there is no glibc 9.9 sysroot", "--glibc 2.41"),
        (["build", "--target", "ppc64le", "--html", "x"], "`--html` is about a profile", "--pgo-load FILE"),
        (["build", "--target", "ppc64le", "--pgo-save", "x"], "`--pgo-save` is about a profile", "--pgo CMD"),
        (["build", "--target", "ppc64le", "--pgo-load", "no.zip"], "there is no profile", "--pgo-save FILE"),
        (
            ["build", "--target", "ppc64le", "--pgo-load", "a", "--pgo-save", "b"],
            "`--pgo-load` and `--pgo-save` contradict each other",
            "leave one of them out",
        ),
        (["build", "--target", "ppc64le", "--pgo", "x", "--pgo-timeout", "0"], "--pgo-timeout is", "mend"),
        (["setup", "ppc64le", "--sysroot", "centos9"], "there is no sysroot `centos9`", "auto, derived"),
    ],
)
def test_mistakes_are_explained(inside, words: list[str], message: str, hint: str) -> None:
    done = inside(*words)
    assert done.code == 2
    assert done.stdout == ""
    first, *_, last = done.stderr.strip().splitlines()
    assert first.startswith(f"error: {message}")
    assert last.startswith("hint: ")
    assert hint in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["inspect"], ["cache", "import"]])
@pytest.mark.parametrize("name", ["x-1.0-py3-none-any.whl", "cache.tar.zst"])
def test_files_of_another_kind_are_explained(inside, cli, words: list[str], name: str) -> None:
    (cli.cwd / name).write_text("not what the name says")
    done = inside(*words, name)
    assert done.code == (2 if words == ["inspect"] and name == "cache.tar.zst" else 4)
    assert done.stderr.startswith(f"error: {name} is ")
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["bogus"], ["build", "--bogus"], ["inspect"], [], ["setup", "ppc64"], ["build"]]
)
@pytest.mark.parametrize("how", ["before", "variable"])
def test_mistakes_are_one_document_too(
    inside, monkeypatch: pytest.MonkeyPatch, words: list[str], how: str
) -> None:
    if how == "variable":
        monkeypatch.setenv("XTOOL_OUTPUT", "json")
    done = inside(*words) if how == "variable" else inside("--output", "json", *words)
    document = done.document
    assert (document["status"], done.code) == ("error", 2)
    assert document["errors"][0]["message"]
    assert document["errors"][0]["hint"]


def test_options_work_before_and_after_the_verb(cli, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert cli("--cache-dir", one, "cache", "dir").stdout == f"{one}\n"
    assert cli("cache", "--cache-dir", one, "dir").stdout == f"{one}\n"
    assert cli("cache", "dir", "--cache-dir", one).stdout == f"{one}\n"
    assert cli("--cache-dir", other, "cache", "dir", "--cache-dir", one).stdout == f"{one}\n"


def test_a_flag_can_be_switched_off_by_a_variable_only_where_the_option_is_absent(cli) -> None:
    assert cli("show", "ppc64le", "--offline", env={"XTOOL_OFFLINE": "0"}).code == 0


def test_run_leaves_the_commands_own_words_alone(cli) -> None:
    done = cli("--offline", "run", "--target", "ppc64le", "--", "python", "--output", "json", "--bogus")
    assert done.code == 3
    assert done.stdout == ""


def test_offline_names_what_is_missing(cli) -> None:
    done = cli("setup", "ppc64le", "--offline")
    assert done.code == 3
    assert "error: " in done.stderr
    assert ".deb" in done.stderr
    assert "hint: " in done.stderr


def test_verbosity_adds_up_and_quiet_silences(cli) -> None:
    assert "nothing is installed" in cli("list").stderr
    assert cli("list", "-q").stderr == ""
    assert cli("-q", "list").stderr == ""
    assert "nothing is installed" in cli("-q", "list", "-v").stderr


def test_the_projects_settings_count(cli) -> None:
    (cli.cwd / "pyproject.toml").write_text('[tool.xtool]\noutput = "json"\n')
    assert cli("list").document["command"] == "list"
    assert cli("list", "--output", "human").stdout == ""


def test_the_projects_settings_are_those_of_the_source(cli, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[tool.xtool]\ntarget = "no-such-target"\n')
    assert "there is no target `no-such-target`" in cli("build", project).stderr


def test_a_broken_setting_names_file_and_key(cli) -> None:
    (cli.cwd / "pyproject.toml").write_text('[tool.xtool]\ntargets = "ppc64le"\n')
    done = cli("list")
    assert done.code == 2
    assert str(cli.cwd / "pyproject.toml") in done.stderr
    assert "did you mean `target`?" in done.stderr


def test_the_users_file_is_read(cli) -> None:
    folder = cli.home / ".config" / "xtool"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('cache-dir = "/from/the/file"\n')
    assert cli("cache", "dir", env={"XTOOL_CACHE_DIR": None}).stdout == "/from/the/file\n"


def test_a_misspelt_variable_is_pointed_out(cli) -> None:
    done = cli("list", env={"XTOOL_CACHEDIR": "/x"})
    assert "warning: XTOOL_CACHEDIR is not a variable of xtool" in done.stderr
    assert "did you mean XTOOL_CACHE_DIR?" in done.stderr


def test_warnings_are_in_the_document(cli) -> None:
    found = cli("list", "--output", "json", env={"XTOOL_CACHEDIR": "/x"}).document["data"]["warnings"]
    assert found == [
        {"message": "XTOOL_CACHEDIR is not a variable of xtool", "hint": "did you mean XTOOL_CACHE_DIR?"}
    ]


def test_a_reader_that_leaves_is_no_error(cli) -> None:
    process = subprocess.Popen(
        cli.command("show", "ppc64le"), env=cli.environ({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate()
    assert process.returncode == 0
    assert stderr == b""


def test_a_full_disk_behind_stdout_is_an_error(cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command("show", "ppc64le"),
            env=cli.environ({}),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 5
    assert b"error: cannot write to stdout: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_full_disk_behind_help_is_an_error(cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            cli.command("--help"), env=cli.environ({}), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 5
    assert done.stderr == b"error: cannot write to stdout: No space left on device\n"


def test_a_reader_of_messages_that_leaves_does_not_end_the_work(cli) -> None:
    process = subprocess.Popen(
        cli.command("list", "--available", "-v"),
        env=cli.environ({"XTOOL_CACHEDIR": "x"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    process.stderr.close()
    stdout, _ = process.communicate()
    assert process.returncode == 0
    assert b"ppc64le" in stdout


def test_closed_streams_are_survived(cli) -> None:
    command = " ".join([*cli.command("list", "--available"), ">&-", "2>&-"])
    assert subprocess.run(["/bin/sh", "-c", command], env=cli.environ({}), check=False).returncode == 0


def test_no_escapes_outside_a_terminal(cli) -> None:
    done = cli("setup", "nonsense", env={"TERM": "xterm-256color"})
    assert "\x1b" not in done.stderr
    assert "\x1b[1;31merror" in cli("setup", "nonsense", "--color", "always").stderr


def test_a_cache_below_a_file_is_explained(cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("setup", "ppc64le", "--offline", "--cache-dir", tmp_path / "file" / "cache")
    assert done.code == 5
    assert "XTOOL_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_spaces_and_other_alphabets_in_the_cache_path(cli, tmp_path: Path) -> None:
    folder = tmp_path / "a cache für 目标"
    assert cli("cache", "dir", "--cache-dir", folder).stdout == f"{folder}\n"
    assert cli("doctor", "--offline", "--cache-dir", folder).code == 0
    assert (folder / "CACHEDIR.TAG").is_file()


def test_clean_refuses_what_is_no_cache(cli, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = cli("cache", "clean", "--cache-dir", tmp_path)
    assert done.code == 5
    assert "is not a cache of xtool" in done.stderr
    assert (tmp_path / "precious").read_text() == "data"


def test_clean_empties_what_is_one(cli) -> None:
    assert cli("doctor", "--offline").code == 0
    stray = cli.cache / "v1" / "downloads" / "ab" / "abcd"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(bytes(1000))
    assert "downloads" in cli("cache", "size").stdout
    remembered = sum(path.stat().st_size for path in (cli.cache / "v1" / "state").iterdir())
    assert cli("cache", "clean", "--output", "json").document["data"]["freed"] == 1000 + remembered
    assert not stray.exists()
    assert (cli.cache / "CACHEDIR.TAG").is_file()


def test_prune_removes_downloads_that_no_lock_names(cli) -> None:
    assert cli("doctor", "--offline").code == 0
    stray = cli.cache / "v1" / "downloads" / "ab" / ("ab" * 32)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(bytes(1000))
    assert "would remove download" in cli("prune", "--dry-run").stderr
    assert stray.exists()
    (removed,) = cli("prune", "--output", "json").document["data"]["removed"]
    assert (removed["kind"], removed["size"]) == ("download", 1000)
    assert not stray.exists()


def test_prune_counts_what_there_is_much_of(cli) -> None:
    assert cli("doctor", "--offline").code == 0
    folder = cli.cache / "v1" / "downloads" / "ab"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"ab{number:062d}").write_bytes(bytes(100))
    said = cli("prune", "--dry-run").stderr
    assert "would remove 30 of kind download (3.0 kB)" in said
    assert "would remove download" not in said
    assert cli("prune", "--dry-run", "-v").stderr.count("would remove download") == 30


def test_a_damaged_component_is_found(cli) -> None:
    broken = cli.cache / "v1" / "store" / "gcc-ppc64le-0123456789abcdef"
    (broken / "bin").mkdir(parents=True)
    done = cli("verify")
    assert done.code == 6
    assert "gcc-ppc64le-0123456789abcdef" in done.stderr
    assert "hint: `xtool doctor --fix` makes them anew" in done.stderr
    assert cli("doctor", "--offline").code == 6
    assert cli("doctor", "--offline", "--fix").code == 0
    assert not broken.exists()
    assert cli("verify").code == 0


def _loaded_by(cli, *words: str) -> set[str]:
    code = (
        "import sys; from xtool.cli.app import run; code = run(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=cli.environ({}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["build", "--help"]])
def test_help_loads_nothing_heavy(cli, words: list[str]) -> None:
    heavy = {
        "requests",
        "elftools",
        "auditwheel",
        "tqdm",
        "platformdirs",
        "zstandard",
        "pysequoia",
        "subprocess",
    }
    # Python 3.10's `platform`, which click loads, brings `subprocess` along; that is not ours to mend.
    clicks = subprocess.run(
        [sys.executable, "-c", "import click, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy -= set(clicks.stdout.split())
    loaded = _loaded_by(cli, *words)
    assert "click" in loaded
    assert not loaded & heavy
    others = {name for name in loaded if name.startswith("xtool.cli.")} - {"xtool.cli.app", "xtool.cli.base"}
    # The options of a verb may be a module of their own.
    assert others == ({"xtool.cli.build", "xtool.cli.profiles"} if words[0] == "build" else set())
