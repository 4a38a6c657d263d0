"""The page of targets is what the records say, and the table of builds says what came of them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xtool.catalog import Catalog

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The two scripts as modules; the one imports the other."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return {name: importlib.import_module(name) for name in ("target_facts", "target_table")}


def test_the_page_says_what_the_records_say() -> None:
    """`scripts/target_facts.py` writes it anew."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "target_facts.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "targets.md: unchanged\n", "")


def test_every_target_is_in_the_table_and_nothing_in_it_failed() -> None:
    """`scripts/target_table.py --write` makes it anew."""
    page = (SCRIPTS.parent / "docs" / "targets.md").read_text(encoding="utf-8")
    table = page.partition("<!-- table:")[2].partition("<!-- end of table")[0]
    rows = [line.split(" | ") for line in table.splitlines() if ", passed" in line]
    assert {row[0].removeprefix("| ") for row in rows} == set(Catalog().targets)
    assert "failed" not in table


def test_one_part_of_a_page_is_replaced(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    replace = scripts["target_facts"].replace_part
    page = tmp_path / "page.md"
    form = "before\n\n<!-- a: made -->\n{}\n<!-- end of a -->\n<!-- b: made -->\n{}\n<!-- end of b -->\n"
    page.write_text(form.format("\nold\n", ""))
    assert replace(page, "a", r"new \1", write=False)
    assert "old" in page.read_text()
    assert replace(page, "a", r"new \1")
    assert replace(page, "b", "filled")
    assert not replace(page, "b", "filled")
    assert page.read_text() == form.format("\nnew \\1\n", "\nfilled\n")
    with pytest.raises(ValueError, match="not one part `c`"):
        replace(page, "c", "")


TAG = "manylinux2014_s390x.manylinux_2_17_s390x"


def _wheel(**changed: Any) -> dict[str, Any]:
    passed = {"status": "passed"}
    made = {"target": "s390x", "python": "3.13", "platform_tag": TAG, "smoke": passed}
    return {**made, "tested": [{"python": "3.13", **passed}], "serves": [], **changed}


def _failed(code: str | None, step: str = "compile") -> dict[str, Any]:
    return {"target": "s390x", "python": "3.13", "step": step, "code": code, "message": "m", "log": None}


@pytest.mark.parametrize(
    ("data", "text", "right"),
    [
        ({"wheels": [_wheel()]}, "2_17, passed", True),
        ({"wheels": [_wheel(smoke={"status": "skipped"})]}, "**2_17, skipped**", False),
        ({"wheels": [_wheel(platform_tag="linux_s390x")]}, "**linux_s390x, passed**", False),
        ({"wheels": [], "failed": [_failed("smoke-test", "smoke")]}, "**failed: smoke smoke-test**", False),
        ({"failed": [_failed("host-leak")]}, "**failed: compile host-leak**", False),
        (None, "**failed: no wheel**", False),
        ({"failed": [_failed("requires-python", "setup")]}, "not for this Python", True),
        # A wheel for another machine does not count for this one.
        ({"wheels": [_wheel(target="i686")]}, "**failed: no wheel**", False),
    ],
)
def test_a_cell_says_what_came_of_a_build(
    scripts: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    data: dict[str, Any] | None,
    text: str,
    right: bool,
) -> None:
    table = scripts["target_table"]
    asked: list[str] = []
    document = {"data": data, "errors": []}
    monkeypatch.setattr(table, "_xtool", lambda *words: asked.extend(words) or document)
    project = table.Project("demo", "demo==1.0", "demo --test")
    (cell,) = table.build(project, ["s390x"], ["3.13"], tmp_path, 2).values()
    assert cell.text == text
    assert (cell.problem == "") == right
    words = " ".join(asked)
    assert words.startswith("build demo==1.0 --outdir ")
    assert words.endswith("--test-command demo --test --target s390x --python 3.13 --jobs 2")


def test_a_wheel_for_the_stable_abi_stands_in_the_cells_that_it_serves(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = scripts["target_table"]
    tested = [{"python": version, "status": "passed"} for version in ("3.11", "3.14")]
    serves = [{"target": "s390x", "python": version} for version in ("3.13", "3.14")]
    wheel = _wheel(python="3.11", tested=tested, serves=serves)
    monkeypatch.setattr(table, "_xtool", lambda *_: {"data": {"wheels": [wheel]}, "errors": []})
    cells = table.build(table.Project("a", "a", "t"), ["s390x"], ["3.11", "3.13", "3.14"], tmp_path, 1)
    assert [cell.text for cell in cells.values()] == [
        "2_17, passed",
        "2_17, as 3.11",
        "2_17, passed",
    ]
    assert not any(cell.problem for cell in cells.values())


def test_targets_with_the_same_pythons_share_a_matrix(scripts: dict[str, ModuleType]) -> None:
    table = scripts["target_table"]
    kits = [table.Kit("a", ("3.11", "3.13")), table.Kit("b", ("3.13",)), table.Kit("c", ("3.11", "3.13"))]
    assert table._alike(kits) == {("3.11", "3.13"): ["a", "c"], ("3.13",): ["b"]}
