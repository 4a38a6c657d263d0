"""Which index uv is told of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from xtool import index
from xtool.context import Context
from xtool.errors import UsageError

MakeContext = Callable[..., Context]
A, B = "https://a.example/simple", "https://b.example/simple"


@pytest.fixture
def told(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, str]]:
    """`told({...})` gives uv's environment for a user's; the machine's own files do not count."""
    monkeypatch.setattr(
        index, "SYSTEM_FILES", {"uv": tmp_path / "etc-uv.toml", "pip": tmp_path / "etc-pip.conf"}
    )

    def run(environ: Mapping[str, str] | None = None, *, index_url: str | None = None) -> dict[str, str]:
        base = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}
        return index.uv_environment(make_context(index_url=index_url, environ={**base, **(environ or {})}))

    return run


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_settings_nothing_is_named(told: Callable[..., dict[str, str]]) -> None:
    assert not [name for name in told() if name.startswith("UV_")]


def test_xtools_own_setting_wins(told: Callable[..., dict[str, str]]) -> None:
    made = told({"UV_INDEX_URL": B, "PIP_INDEX_URL": B}, index_url=A)
    assert made["UV_DEFAULT_INDEX"] == A
    assert "UV_INDEX_URL" not in made


def test_uvs_settings_pass_and_pips_are_not_mixed_in(told: Callable[..., dict[str, str]]) -> None:
    made = told({"UV_INDEX": A, "UV_KEYRING_PROVIDER": "subprocess", "PIP_INDEX_URL": B})
    assert (made["UV_INDEX"], made["UV_KEYRING_PROVIDER"]) == (A, "subprocess")
    assert "UV_DEFAULT_INDEX" not in made


def test_pips_no_index_reaches_uv(told: Callable[..., dict[str, str]]) -> None:
    import uv

    done = subprocess.run(
        [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--python", sys.executable],
        input="six",
        env=told({"PIP_NO_INDEX": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "not found in the provided package locations" in done.stderr


@pytest.mark.parametrize(
    "text",
    ['[[index]]\nurl = "x"\n', 'index-url = "x"\n', '[pip]\nfind-links = ["x"]\n', "no-index = true\n"],
)
def test_uvs_configuration_file_is_enough(
    told: Callable[..., dict[str, str]], tmp_path: Path, text: str
) -> None:
    _write(tmp_path / "home/.config/uv/uv.toml", text)
    assert "UV_DEFAULT_INDEX" not in told({"PIP_INDEX_URL": B})
    assert told({"PIP_INDEX_URL": B, "UV_NO_CONFIG": "1"})["UV_DEFAULT_INDEX"] == B


def test_a_uv_file_without_an_index_does_not_hide_pips(
    told: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    _write(tmp_path / "home/.config/uv/uv.toml", 'python-preference = "managed"\n')
    assert told({"PIP_INDEX_URL": B})["UV_DEFAULT_INDEX"] == B


def test_pips_variables_become_uvs(told: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    made = told(
        {
            "PIP_INDEX_URL": A,
            "PIP_EXTRA_INDEX_URL": f"{B} file://{tmp_path}/nowhere",
            "PIP_FIND_LINKS": f"{tmp_path}/wheels {tmp_path}/nowhere",
            "PIP_TRUSTED_HOST": "a.example",
        }
    )
    assert made["UV_DEFAULT_INDEX"] == A
    assert made["UV_INDEX"] == B
    assert made["UV_FIND_LINKS"] == f"{tmp_path}/wheels"
    assert made["UV_INSECURE_HOST"] == "a.example"
    assert made["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_pips_files_are_read_in_pips_order(told: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    _write(
        tmp_path / "xdg/pip/pip.conf", f"[global]\nindex-url = {A}\nextra-index-url =\n  {A}/one\n  {A}/two\n"
    )
    made = told()
    assert made["UV_DEFAULT_INDEX"] == A
    assert made["UV_INDEX"] == f"{A}/one {A}/two"
    _write(tmp_path / "home/.config/pip/pip.conf", f"[global]\nindex_url = {B}\n")
    assert told()["UV_DEFAULT_INDEX"] == B
    _write(
        tmp_path / "home/.config/pip/pip.conf", f"[global]\nindex-url = {B}\n[install]\nindex-url = {B}/i\n"
    )
    assert told()["UV_DEFAULT_INDEX"] == f"{B}/i"
    named = _write(tmp_path / "named.conf", "[global]\ntimeout = 5\n")
    assert told({"PIP_CONFIG_FILE": str(named)})["UV_DEFAULT_INDEX"] == A
    assert "UV_DEFAULT_INDEX" not in told({"PIP_CONFIG_FILE": "/dev/null"})
    assert told({"PIP_INDEX_URL": A + "/env"})["UV_DEFAULT_INDEX"] == A + "/env"


def test_a_malformed_file_of_pip_is_named(told: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    path = _write(tmp_path / "home/.config/pip/pip.conf", "index-url = x\n")
    with pytest.raises(UsageError) as caught:
        told()
    assert str(path) in caught.value.message


def test_certificates_of_other_tools_are_taken_where_uv_has_none(
    told: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    bundle = str(_write(tmp_path / "ca.pem", ""))
    assert told({"REQUESTS_CA_BUNDLE": bundle})["SSL_CERT_FILE"] == bundle
    assert told({"PIP_CERT": bundle})["SSL_CERT_FILE"] == bundle
    assert told({"PIP_CERT": bundle, "SSL_CERT_FILE": "/mine"})["SSL_CERT_FILE"] == "/mine"
    assert "SSL_CERT_FILE" not in told({"PIP_CERT": "/nowhere/ca.pem"})


def test_a_cross_build_or_an_activated_environment_does_not_reach_uv(
    told: Callable[..., dict[str, str]],
) -> None:
    made = told(
        {
            "VIRTUAL_ENV": "/e",
            "UV_SYSTEM_PYTHON": "1",
            "_PYTHON_SYSCONFIGDATA_NAME": "x",
            "UV_CACHE_DIR": "/c",
        }
    )
    assert "UV_CACHE_DIR" in made
    assert not {"VIRTUAL_ENV", "UV_SYSTEM_PYTHON", "_PYTHON_SYSCONFIGDATA_NAME"} & made.keys()
