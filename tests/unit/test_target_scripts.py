"""The page of targets is what the records say, and the table of builds says what came of them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


def _wheel(**changed: Any) -> dict[str, Any]:
    tag = "manylinux2014_s390x.manylinux_2_17_s390x"
    return {
        "target": "s390x",
        "python": "3.13",
        "platform_tag": tag,
        "smoke": {"status": "passed"},
        **changed,
    }


@pytest.mark.parametrize(
    ("document", "text", "right"),
    [
        ({"data": {"wheels": [_wheel()]}, "errors": []}, "manylinux_2_17, passed", True),
        ({"data": {"wheels": [_wheel(smoke={"status": "skipped"})]}, "errors": []}, "skipped**", False),
        ({"data": {"wheels": [_wheel(platform_tag="linux_s390x")]}, "errors": []}, "**linux_s390x, ", False),
        ({"data": {"wheels": []}, "errors": [{"code": "smoke-test"}]}, "**failed: smoke-test**", False),
        ({"data": None, "errors": [{"code": "host-leak"}]}, "**failed: host-leak**", False),
        ({"data": None, "errors": []}, "**failed: no wheel**", False),
        ({"data": None, "errors": [{"code": "requires-python"}]}, "not for this Python", True),
        # A wheel for another machine does not count for this one.
        ({"data": {"wheels": [_wheel(target="i686")]}, "errors": []}, "**failed: no wheel**", False),
    ],
)
def test_a_cell_says_what_came_of_a_build(
    scripts: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    document: dict[str, Any],
    text: str,
    right: bool,
) -> None:
    table = scripts["target_table"]
    asked: list[str] = []
    monkeypatch.setattr(table, "_xtool", lambda *words: asked.extend(words) or document)
    project = table.Project("demo", "demo==1.0", "demo --test")
    cells = table.build(project, ["s390x"], ["3.13"], tmp_path, 1)
    (cell,) = cells.values()
    assert text in cell.text
    assert (cell.problem == "") == right
    assert asked[:2] == ["build", "demo==1.0"]
    assert [asked[asked.index(word) + 1] for word in ("--target", "--python", "--test-command")] == [
        "s390x",
        "3.13",
        "demo --test",
    ]
