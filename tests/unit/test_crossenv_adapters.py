"""Which back ends are built, and which are refused rather than built wrong."""

from __future__ import annotations

import pytest

from xtool.crossenv.adapters import BuildSystem, adapter_for
from xtool.errors import UsageError


@pytest.mark.parametrize(
    "system",
    [
        BuildSystem("setuptools.build_meta", ("setuptools>=61", "Cython")),
        BuildSystem("setuptools.build_meta:__legacy__", ("setuptools",)),
        BuildSystem("backend", ("setuptools",), ("_custom",)),
        BuildSystem("hatchling.build", ("hatchling",)),
        BuildSystem("poetry.core.masonry.api", ("poetry-core", "not a requirement ///")),
    ],
)
def test_setuptools_and_unknown_back_ends_are_built(system: BuildSystem) -> None:
    assert adapter_for(system, what="demo").name == "setuptools"


@pytest.mark.parametrize(
    ("system", "named"),
    [
        (BuildSystem("scikit_build_core.build", ("scikit-build-core>=0.10",)), "scikit-build-core"),
        (BuildSystem("mesonpy", ("meson-python",)), "meson-python"),
        (BuildSystem("maturin", ("maturin>=1,<2",)), "maturin"),
        (BuildSystem("setuptools.build_meta", ("setuptools", "Setuptools_Rust")), "setuptools-rust"),
        (BuildSystem("setuptools.build_meta", ("setuptools", "scikit-build[x]==0.18")), "scikit-build"),
        (BuildSystem("wrapper", ("meson_python",), (".",)), "meson-python"),
    ],
)
def test_back_ends_that_need_more_are_refused_by_name(system: BuildSystem, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        adapter_for(system, what="demo 1.0")
    assert caught.value.message.startswith(f"demo 1.0 is built with {named},")
    assert caught.value.code == "unsupported-backend"
