#!/usr/bin/env python3
"""The shape of what `xtool inspect --output json` puts under `data`, as JSON Schema (draft 2020-12).

Made from the types themselves, so that it cannot say anything else than they do. Running this writes
`docs/inspect.schema.json`; a test holds that file, and real output, against it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

from xtool.pgo.compare import FunctionChange, KindCounts, ObjectCounts
from xtool.pgo.inspection import ObjectFacts
from xtool.pgo.report import FileCoverage, HotFunction
from xtool.wheel.compare import Change, FileChange, Names
from xtool.wheel.explain import Claim, Step
from xtool.wheel.findings import Finding, Reason
from xtool.wheel.report import FileReport

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema() -> dict[str, Any]:
    """The schema of `data`."""
    text: dict[str, Any] = {"type": "string"}
    maybe: dict[str, Any] = {"type": ["string", "null"]}
    report = {
        "path": text,
        "kind": {"enum": ["wheel", "elf"]},
        "machine": maybe,
        "libc": {"enum": ["glibc", "musl", None]},
        "pythons": text,
        "claimed_tags": _list(text),
        "earned_tag": text,
        "glibc_required": maybe,
        "claim": _of(Claim),
        "ladder": _list(_of(Step)),
        "reasons": _list(_of(Reason)),
        "files": _list(_of(FileReport)),
        "findings": _list(_of(Finding)),
    }
    difference = {
        "a": text,
        "b": text,
        "changes": _list(_of(Change)),
        "files": _list(_of(FileChange)),
        "only": _of(Names),
        "members": _of(Names),
        "changed": _list(text),
    }
    warning = _object({"message": text, "hint": maybe})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "data of xtool inspect",
        "type": "object",
        "properties": {
            "files": _list(_object(report)),
            "diff": _object(difference),
            "profiles": _list(_object(_profile())),
            "profile_diff": _object(_profile_difference()),
            "html": text,
            "warnings": _list(warning),
        },
        "required": ["warnings"],
        "additionalProperties": False,
    }


def _profile() -> dict[str, Any]:
    """One profile of a file of `--pgo-save`."""
    text: dict[str, Any] = {"type": "string"}
    header = ("path", "project", "target", "python", "compiler", "format", "trained")
    return {
        **dict.fromkeys(header, text),
        "commands": _list(text),
        "files": _list(_of(FileCoverage)),
        "hottest": _list(_of(HotFunction)),
        "objects": _list(_of(ObjectFacts)),
    }


def _profile_difference() -> dict[str, Any]:
    """Two such files."""
    text: dict[str, Any] = {"type": "string"}
    pair = {
        "a": text,
        "b": text,
        "same": {"type": "boolean"},
        "functions": _object(
            {key: {"type": "integer"} for key in ("same", "counters", "graph", "only_a", "only_b")}
        ),
        "kinds": _list(_of(KindCounts)),
        "objects": _list(_of(ObjectCounts)),
        "differing": _list(_of(FunctionChange)),
        "only_a": _list(text),
        "only_b": _list(text),
        "sources": _list(text),
    }
    names = {"only_a": _list(text), "only_b": _list(text)}
    return {"a": text, "b": text, "pairs": _list(_object(pair)), **names}


def document() -> str:
    """The text of `docs/inspect.schema.json`."""
    return json.dumps(schema(), indent=1) + "\n"


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _of(kind: type[Any]) -> dict[str, Any]:
    """The schema of a dataclass, each field with the words of its docstring."""
    hints = typing.get_type_hints(kind)
    words = _arguments(kind.__doc__ or "")
    return _object(
        {
            field.name: {**_type(hints[field.name]), "description": words[field.name]}
            for field in dataclasses.fields(kind)
        }
    )


def _type(hint: Any) -> dict[str, Any]:
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _of(hint)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return {"enum": list(arguments)}
    if typing.get_origin(hint) is tuple:
        return _list(_type(arguments[0]))
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return {"type": [_SIMPLE[each] for each in arguments]}
    raise TypeError(f"no JSON type for {hint}")


def _arguments(text: str) -> dict[str, str]:
    """What a docstring says about each argument."""
    _, _, section = text.partition("Args:\n")
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", section, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "inspect.schema.json").write_text(document())
