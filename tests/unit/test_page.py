"""`inspect --html`: one page that needs nothing else, harmless whatever a file holds, whole or not there."""

from __future__ import annotations

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.elfforge import SUFFIX, Want, elf, extension, wheel
from support.profiles import compiled, function, profile

from xtool.errors import StoreError
from xtool.pgo import archive
from xtool.wheel.compare import compare
from xtool.wheel.page import write_comparison, write_page
from xtool.wheel.picture import draw
from xtool.wheel.report import inspect
from xtool.wheel.style import CSS

ROOT = Path(__file__).parents[2]
TAG = "cp313-cp313-manylinux2014_ppc64le.manylinux_2_17_ppc64le"
RANDOM = Want("getrandom", "GLIBC_2.25", "libc.so.6")
VOID = {"meta", "br", "rect", "path"}


class Page(HTMLParser):
    """The tags of a page, all of them closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or (tag == "path" and self.get_starttag_text()[-2:] != "/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def many(folder: Path, count: int) -> Path:
    files = {}
    for number in range(count):
        wants = [Want("memcpy", "GLIBC_2.17", "libc.so.6")] + ([RANDOM] if number % 3 == 0 else [])
        needed = ["libc.so.6", *(["libnowhere.so.3"] if number == 1 else [])]
        files[f"demo/m{number}{SUFFIX}"] = extension(f"m{number}", imports=wants, needed=needed)
    return wheel(folder, files, tag=TAG)


def test_the_page_needs_nothing_else_and_tells_all(tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", [inspect(many(tmp_path, 4))])
    text = path.read_text()
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not [a for _, attrs in page.tags for a in attrs if a in {"src", "srcset", "onload", "onclick"}]
    assert "url(" not in text
    assert "//" not in re.sub(r"<!--.*?-->", "", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "libnowhere.so.3" in text
    assert "getrandom@GLIBC_2.25" in text
    assert list(tmp_path.glob(".*.partial")) == []


@pytest.mark.parametrize("count", [1, 30, 200])
def test_the_picture_has_a_row_for_each_file_and_marks_within_it(tmp_path: Path, count: int) -> None:
    report = inspect(many(tmp_path, count))
    svg = draw(report)
    Page(svg)
    assert svg.count('class="row"') == count
    assert svg.count('class="mark glibc"') == count
    assert svg.count('class="cross"') == (1 if count > 1 else 0)
    width, height = (float(n) for n in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
    assert all(0 <= float(x) <= width for x in re.findall(r' x="([\d.-]+)"', svg))
    assert all(0 <= float(y) <= height for y in re.findall(r' y="([\d.-]+)"', svg))
    assert svg.count(">2.17</text>") == (2 if count > 25 else 1)


def test_the_lines_stand_where_the_tags_are(tmp_path: Path) -> None:
    svg = draw(inspect(wheel(tmp_path, {f"x{SUFFIX}": extension("x", imports=[RANDOM])}, tag=TAG)))
    places = dict(re.findall(r'class="limit (\w+)[^"]*" d="M([\d.]+) ', svg))
    axis = {name: float(x) for x, name in re.findall(r'class="axis" x="([\d.]+)".*?</title>([\d.]+)<', svg)}
    assert axis["2.17"] < float(places["claimed"]) < axis["2.24"]
    assert axis["2.26"] < float(places["earned"]) < axis["2.27"]
    mark = float(re.search(r'class="mark glibc" d="M([\d.]+) ', svg)[1]) + 5  # type: ignore[index]
    assert mark == pytest.approx(axis["2.26"])


def test_what_is_in_a_file_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)<&.so"
    evil = "lib<img src=x onerror=alert(1)>\"'&\u202e.so"
    path.write_bytes(elf(needed=[evil], soname=evil, imports=[Want("<b>", "GLIBC_2.25", "libc.so.6")]))
    text = write_page(tmp_path / "page.html", [inspect(path)]).read_text()
    page = Page(text)
    assert not {"script", "img", "b"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
    assert "\u202e" not in text
    assert "&lt;img" in text


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme: int) -> None:
    roots = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    assert len(roots) == 2
    colors = dict(re.findall(r"--([\w-]+): (#\w{6});", roots[scheme]))
    for name, background in (
        *[(name, "back") for name in ("text", "soft", "good", "bad", "glibc", "glibcxx", "cxxabi", "gcc")],
        *[(name, "band") for name in ("text", "soft", "good", "bad")],
        *[(name, f"{name}-back") for name in ("good", "bad", "warn")],
    ):
        assert contrast(colors[name], colors[background]) >= 4.5, (name, background)


def test_several_files_share_a_page(tmp_path: Path) -> None:
    pure = wheel(tmp_path, {"x.py": b""}, tag="py3-none-any", purelib=True, name="pure")
    text = write_page(tmp_path / "page.html", [inspect(many(tmp_path, 2)), inspect(pure)]).read_text()
    Page(text)
    assert 'href="#r1"' in text
    assert 'id="r1"' in text
    assert text.count("<svg role") == 1


def test_a_comparison_has_a_page_too(tmp_path: Path) -> None:
    one, other = inspect(many(tmp_path, 2)), inspect(many(tmp_path, 3))
    text = write_comparison(tmp_path / "diff.html", compare(one, other)).read_text()
    Page(text)
    assert f"machine code of b alone, 1:</span> <code>demo/m2{SUFFIX}</code>" in text


def test_a_page_that_cannot_be_written_is_explained_and_leaves_nothing(tmp_path: Path) -> None:
    report = inspect(many(tmp_path, 1))
    for place in (tmp_path / "absent" / "page.html", tmp_path, Path("/dev/null")):
        with pytest.raises(StoreError, match="cannot write") as caught:
            write_page(place, [report])
        assert "--html report.html" in (caught.value.hint or "")
    assert list(tmp_path.glob("**/*.partial")) == []
    assert Path("/dev/null").is_char_device()


def test_a_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = inspect(many(tmp_path, 1))
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        write_page(page, [report])
    assert page.read_text() == "old"
    assert list(tmp_path.glob(".*.partial")) == []


# The documents that `--output json` prints, against the schema that is published.


def schema_script() -> Any:
    spec = importlib.util.spec_from_file_location("inspect_schema", ROOT / "scripts" / "inspect_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(value: Any, schema: dict[str, Any], place: str = "data") -> None:
    """As much of JSON Schema as the published one uses; anything else in it is an error here."""
    assert set(schema) <= {
        *("$schema", "title", "description", "type", "enum", "properties", "required"),
        *("additionalProperties", "items"),
    }
    if "enum" in schema:
        assert value in schema["enum"], place
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": float,
        "boolean": bool,
        "null": type(None),
    }
    assert any(type(value) is types[kind] for kind in kinds), f"{place} is {value!r}"
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value), place
        assert set(value) <= set(schema["properties"]), (
            f"{place} has {set(value) - set(schema['properties'])}"
        )
        for key, item in value.items():
            check(item, schema["properties"][key], f"{place}.{key}")
    elif isinstance(value, list):
        for item in value:
            check(item, schema["items"], f"{place}[]")


def test_the_published_schema_is_the_code_s() -> None:
    """`scripts/inspect_schema.py` makes it anew."""
    assert (ROOT / "docs" / "inspect.schema.json").read_text() == schema_script().document()


def test_documents_fit_the_published_schema(inside, cli, tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "inspect.schema.json").read_text())
    one, other = many(tmp_path, 3), tmp_path / "libx.so.1"
    other.write_bytes(elf(soname="libx.so.1", interpreter="/lib64/ld64.so.2", rpath="/usr/lib"))
    pure = wheel(tmp_path, {"x.py": b""}, tag="py3-none-any", purelib=True, name="pure")
    saved = archive.write(tmp_path / "a.zip", [profile(compiled("a", function("f", 3), function("g")))])
    for words in (
        [one, other, pure],
        ["--html", "p.html", one],
        ["--diff", one, pure],
        ["--diff", other, other],
        [saved, one],
        ["--diff", saved, archive.write(tmp_path / "b.zip", [profile(compiled("a", function("f", 4)))])],
    ):
        done = inside("inspect", *words, "--output", "json")
        assert done.code == 0, done.stderr
        check(done.document["data"], schema)
