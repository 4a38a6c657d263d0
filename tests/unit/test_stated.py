"""What a project says of itself before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtool.build import stated
from xtool.python.versions import PythonVersion


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "pythons"),
    [
        ({"pyproject__toml": "[project]\nname = 'a'\nrequires-python = '>=3.11'\n"}, ">=3.11"),
        ({"setup__cfg": "[options]\npython_requires = >=3.10\n"}, ">=3.10"),
        ({"setup__cfg": "[options]\npython-requires = >=3.10\n"}, ">=3.10"),
        ({"setup__py": "from setuptools import setup\nsetup(python_requires='>=3.9')\n"}, ">=3.9"),
        ({"setup__py": "NEED = '>=3.12'\nimport x\nx.setup(python_requires=NEED)\n"}, ">=3.12"),
        ({"setup__py": "setup(python_requires='>=3.' + minor)\n"}, None),
        ({"setup__py": "setup(python_requires=\n"}, None),
        ({"setup__py": "print 'python 2'\n"}, None),
        ({"setup__cfg": "[options\n"}, None),
        ({"pyproject__toml": "[project]\nrequires-python = ''\n"}, None),
        ({"pyproject__toml": "not toml ["}, None),
        ({}, None),
    ],
)
def test_the_pythons_of_a_folder(tmp_path: Path, files: dict[str, str], pythons: str | None) -> None:
    found = stated.of_folder(write(tmp_path, **files)).requires_python
    assert (None if found is None else str(found)) == pythons


def test_pyproject_wins_over_setup_cfg_and_that_over_setup_py(tmp_path: Path) -> None:
    write(
        tmp_path, setup__py="setup(python_requires='>=3.1')", setup__cfg="[options]\npython_requires=>=3.2\n"
    )
    assert str(stated.of_folder(tmp_path).requires_python) == ">=3.2"
    write(tmp_path, pyproject__toml="[project]\nname = 'A_b'\nversion = '1'\nrequires-python = '>=3.3'\n")
    assert stated.of_folder(tmp_path) == stated.Stated("a-b", "1", stated.of_folder(tmp_path).requires_python)
    assert str(stated.of_folder(tmp_path).requires_python) == ">=3.3"


def test_setup_py_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, setup__py=f"open({str(tmp_path / 'ran')!r}, 'w')\nsetup(python_requires='>=3.9')\n")
    assert str(stated.of_folder(tmp_path).requires_python) == ">=3.9"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "hinted", "since"),
    [
        ({"setup__cfg": "[bdist_wheel]\npy_limited_api = cp311\n"}, True, PythonVersion(3, 11)),
        (
            {"pyproject__toml": "[tool.distutils.bdist_wheel]\npy-limited-api = 'cp39'"},
            True,
            PythonVersion(3, 9),
        ),
        ({"setup__py": "options={'bdist_wheel': {'py_limited_api': 'cp312'}}"}, True, PythonVersion(3, 12)),
        ({"setup__py": "define_macros=[('Py_LIMITED_API', '0x030B0000')]"}, True, None),
        ({"setup__py": "a = {'py_limited_api': 'cp39'}", "setup__cfg": "py_limited_api = cp311"}, True, None),
        ({"setup__py": "setup()", "README": "about abi3"}, False, None),
    ],
)
def test_hints_at_the_stable_abi(
    tmp_path: Path, files: dict[str, str], hinted: bool, since: PythonVersion | None
) -> None:
    found = stated.hints(write(tmp_path, **files))
    assert (found.stable_abi, found.stable_since) == (hinted, since)


@pytest.mark.parametrize(
    ("names", "pure"),
    [
        (["a.py", "setup.py", "docs/Makefile"], True),
        (["a.py", ".git/hooks/x.c"], True),
        (["a.py", "src/deep/x.pyx"], False),
        (["a.py", "x.CPP"], False),
        (["a.py", "Cargo.toml"], False),
        (["a.py", "meson.build"], False),
        (["a.f90"], False),
    ],
)
def test_whether_there_is_anything_to_compile(tmp_path: Path, names: list[str], pure: bool) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert stated.hints(tmp_path).pure is pure
