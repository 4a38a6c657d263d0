"""Where a setting comes from, and what is said about one that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from xtool import config, paths
from xtool.errors import StoreError, UsageError


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "user" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setattr(paths, "user_config_file", lambda: path)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def load(project: Path, given: Mapping[str, Any] | None = None, **environ: str) -> config.Config:
    return config.load(given or {}, environ, project=project)


def test_the_stronger_place_wins(user_file: Path, project: Path) -> None:
    user_file.write_text('debian-mirror = "http://user"\n')
    assert load(project).value("debian-mirror") == "http://user"
    (project / "pyproject.toml").write_text('[tool.xtool]\ndebian-mirror = "http://project"\n')
    assert load(project).value("debian-mirror") == "http://project"
    variable = {"XTOOL_DEBIAN_MIRROR": "http://variable"}
    assert load(project, **variable).value("debian-mirror") == "http://variable"
    option = {"debian-mirror": "http://option"}
    assert load(project, option, **variable).value("debian-mirror") == "http://option"
    assert load(project, option, **variable).settings().debian_mirror == "http://option"


def test_defaults_hold_where_nothing_is_set(user_file: Path, project: Path) -> None:
    settings = load(project).settings()
    assert settings.cache_dir == paths.default_cache_dir()
    assert (settings.offline, settings.frozen, settings.use_apt_sources) == (False, False, True)
    assert settings.jobs >= 1


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("XTOOL_OFFLINE", "1", "offline", True),
        ("XTOOL_OFFLINE", "no", "offline", False),
        ("XTOOL_JOBS", "3", "jobs", 3),
        ("XTOOL_LOCK_TIMEOUT", "2.5", "lock_timeout", 2.5),
        ("XTOOL_RETRIES", "0", "retries", 0),
        ("XTOOL_STALL_TIMEOUT", "7", "stall_timeout", 7.0),
        ("XTOOL_CONNECT_TIMEOUT", "8", "connect_timeout", 8.0),
        ("XTOOL_FROZEN", "yes", "frozen", True),
        ("XTOOL_APT_SOURCES", "off", "use_apt_sources", False),
        ("XTOOL_INDEX_URL", "http://index/simple", "index_url", "http://index/simple"),
        ("XTOOL_PYTHON_MIRROR", "http://pythons", "python_mirror", "http://pythons"),
        ("XTOOL_SNAPSHOT_MIRROR", "http://old", "snapshot_mirror", "http://old"),
        ("XTOOL_CACHE_DIR", "/some/where", "cache_dir", Path("/some/where")),
        ("XTOOL_TOOLCHAINS_DIR", "/data", "toolchains_dir", Path("/data")),
    ],
)
def test_every_setting_has_a_variable(
    user_file: Path, project: Path, variable: str, text: str, field: str, value: object
) -> None:
    assert getattr(load(project, **{variable: text}).settings(), field) == value


def test_lists_in_variables(user_file: Path, project: Path) -> None:
    merged = load(
        project,
        XTOOL_TARGET="ppc64le, s390x",
        XTOOL_TEST_REQUIRES="pytest>=8,<9 'hypothesis == 6.100'",
        XTOOL_TEST_COMMAND="pytest -x {project}/tests",
    )
    assert merged.value("target") == ("ppc64le", "s390x")
    assert merged.value("test-requires") == ("pytest>=8,<9", "hypothesis == 6.100")
    assert merged.value("test-command") == ("pytest -x {project}/tests",)


def test_lists_and_tables_in_files(user_file: Path, project: Path) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.xtool]\n"
        'target = ["ppc64le"]\n'
        'test-command = "pytest"\n'
        'config-setting = { setup-args = ["-Da=b", "-Dc=d"], fast = true }\n'
    )
    merged = load(project)
    assert merged.value("target") == ("ppc64le",)
    assert merged.value("test-command") == ("pytest",)
    assert merged.value("config-setting") == ("setup-args=-Da=b", "setup-args=-Dc=d", "fast=true")


def test_an_empty_variable_is_unset(user_file: Path, project: Path) -> None:
    assert load(project, XTOOL_JOBS="").value("jobs") is None


def test_paths_in_a_file_start_at_the_file(user_file: Path, project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.xtool]\ncache-dir = "cache"\n')
    assert load(project).settings().cache_dir == project / "cache"


def test_paths_in_options_start_at_the_working_folder(
    user_file: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert load(project, {"cache-dir": "c"}).settings().cache_dir == project / "c"


@pytest.mark.parametrize(
    ("variable", "text", "wanted"),
    [
        ("XTOOL_OFFLINE", "maybe", "true or false"),
        ("XTOOL_JOBS", "many", "a whole number"),
        ("XTOOL_JOBS", "-1", "a whole number"),
        ("XTOOL_LOCK_TIMEOUT", "0", "a number of seconds"),
        ("XTOOL_LOCK_TIMEOUT", "nan", "a number of seconds"),
        ("XTOOL_COLOR", "blue", "one of auto, always, never"),
        ("XTOOL_CONFIG_SETTING", "novalue", "KEY=VALUE"),
        ("XTOOL_TEST_REQUIRES", "'unbalanced", "a list of words"),
        ("XTOOL_SYSROOT", " , ", "a name or a list of names"),
    ],
)
def test_a_wrong_value_is_named(
    user_file: Path, project: Path, variable: str, text: str, wanted: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(project, **{variable: text})
    assert caught.value.message.startswith(f"{variable} is {text!r}; it must be {wanted}")


def test_an_unknown_key_names_file_and_nearest_key(user_file: Path, project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text('[tool.xtool]\ncache_dir = "x"\n')
    with pytest.raises(UsageError) as caught:
        load(project)
    assert str(path) in caught.value.message
    assert "`cache_dir`" in caught.value.message
    assert caught.value.hint == "did you mean `cache-dir`?"


@pytest.mark.parametrize("text", ["[tool.xtool\n", '[tool]\nxtool = "word"\n'])
def test_a_broken_file_is_named(user_file: Path, project: Path, text: str) -> None:
    path = project / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=str(path)):
        load(project)


def test_other_tools_settings_are_not_read(user_file: Path, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.other]\nanything = 1\n[project]\nname = 'x'\n")
    assert len(load(project).layers) == 2


def test_a_misspelt_variable_is_found() -> None:
    environ = {"XTOOL_CACHDIR": "/x", "XTOOL_CACHE_DIR": "/y", "XTOOL_TEST_CHECKPOINT": "z", "HOME": "/"}
    assert config.misspelt_variables(environ) == [("XTOOL_CACHDIR", "XTOOL_CACHE_DIR")]


def test_no_home_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(StoreError) as caught:
        paths.default_cache_dir()
    assert "XTOOL_CACHE_DIR" in (caught.value.hint or "")


def test_names_are_separated_by_commas_wherever_they_stand(user_file: Path, project: Path) -> None:
    assert load(project, {"python": ("3.11,3.13", "3.14")}).value("python") == ("3.11", "3.13", "3.14")
    assert load(project, XTOOL_PYTHON="3.11, 3.13").value("python") == ("3.11", "3.13")


@pytest.mark.parametrize("text", ['["centos7", "derived"]', '"centos7, derived"', '"centos7,derived"'])
def test_sysroots_keep_their_order(user_file: Path, project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.xtool]\nsysroot = {text}\n")
    assert load(project).value("sysroot") == "centos7,derived"


@pytest.mark.parametrize("text", ["[]", "3", '["centos7", 3]', '""'])
def test_no_sysroot_at_all_is_an_error(user_file: Path, project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.xtool]\nsysroot = {text}\n")
    with pytest.raises(UsageError, match="it must be a name or a list of names"):
        load(project)
