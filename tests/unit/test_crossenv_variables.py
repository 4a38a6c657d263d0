"""What of the user's environment reaches a build."""

from __future__ import annotations

import pytest

from xtool.crossenv.variables import base_environment, build_environment, target_flags, timestamp

HOST = {
    "CC": "clang",
    "CFLAGS": "-march=native -I/usr/include",
    "CXXFLAGS": "-O0",
    "LDFLAGS": "-L/usr/lib",
    "CPATH": "/usr/include",
    "C_INCLUDE_PATH": "/usr/include",
    "CPLUS_INCLUDE_PATH": "/usr/include",
    "LIBRARY_PATH": "/usr/lib",
    "COMPILER_PATH": "/usr/bin",
    "GCC_EXEC_PREFIX": "/usr/lib/gcc/",
    "LD_RUN_PATH": "/usr/lib",
    "PKG_CONFIG_PATH": "/usr/lib/pkgconfig",
    "PKG_CONFIG_LIBDIR": "/usr/lib/pkgconfig",
    "PYTHONPATH": "/home/me/lib",
    "PYTHONHOME": "/usr",
    "_PYTHON_HOST_PLATFORM": "linux-x86_64",
    "VIRTUAL_ENV": "/home/me/env",
    "CONDA_PREFIX": "/opt/conda",
    "_CONDA_PYTHON_SYSCONFIGDATA_NAME": "x",
    "CMAKE_PREFIX_PATH": "/usr/local",
    "MAKEFLAGS": " --jobserver-auth=3,4 -j",
    "RUSTFLAGS": "-Ctarget-cpu=native",
    "XTOOL_CFLAGS": "-O1",
}
OWN = {
    "HOME": "/home/me",
    "PATH": "/usr/bin",
    "TERM": "dumb",
    "HTTPS_PROXY": "http://proxy:3128",
    "SSL_CERT_FILE": "/etc/ca.pem",
    "CI": "true",
    "PSUTIL_SKIP_IT": "1",
    "SETUPTOOLS_SCM_PRETEND_VERSION": "1.0",
    "LD_LIBRARY_PATH": "/opt/hostedtoolcache/Python/lib",
    "CIBUILDWHEEL": "1",
}


@pytest.mark.parametrize("name", sorted(HOST))
def test_what_speaks_of_the_host_does_not_pass(name: str) -> None:
    assert name not in base_environment(HOST | OWN)


def test_a_projects_own_variables_pass() -> None:
    assert base_environment(HOST | OWN) == OWN


def test_a_build_has_a_fixed_time_locale_and_hash_seed_unless_the_user_sets_the_time() -> None:
    assert build_environment({})["SOURCE_DATE_EPOCH"] == "315532800"
    assert build_environment({"SOURCE_DATE_EPOCH": "1700000000"})["SOURCE_DATE_EPOCH"] == "1700000000"
    made = build_environment({"LC_ALL": "de_DE.UTF-8", "TZ": "Europe/Berlin"})
    assert (made["LC_ALL"], made["TZ"], made["PYTHONHASHSEED"]) == ("C.UTF-8", "UTC", "0")


def test_flags_for_targets_come_from_variables_of_their_own() -> None:
    environ = {"CFLAGS": "-O0", "XTOOL_CFLAGS": "-O1", "XTOOL_CFLAGS_PPC64LE": "-mcpu=power9"}
    assert target_flags(environ, "CFLAGS", "ppc64le") == "-O1 -mcpu=power9"
    assert target_flags(environ, "CFLAGS", "s390x") == "-O1"
    assert target_flags(environ, "LDFLAGS", "ppc64le") == ""


def test_files_are_dated_as_the_build_is() -> None:
    assert timestamp(build_environment({})) == "Tue Jan  1 00:00:00 1980"
    assert timestamp({"SOURCE_DATE_EPOCH": "1700000000"}) == "Tue Nov 14 22:13:20 2023"
    assert timestamp({"SOURCE_DATE_EPOCH": "yesterday"}) is None
