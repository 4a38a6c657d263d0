"""The text of a lock: what `Catalog.lock` reads, in an order that makes for readable differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from xtool.artifacts import Artifact
from xtool.catalog import SuiteEvidence
from xtool.records import SCHEMA
from xtool.sysroots import Distribution, RepositoryEvidence, declaration_digest

_HEADER = """\
# Made by scripts/update_locks.py from components.toml through the signed chain: InRelease, Packages, package.
# unpacked_size is the exact size of each package's decompressed data.tar.
"""

_SYSROOT_HEADER = """\
# Made by `xtool lock --update` from sysroots.toml: repomd.xml, primary, package. Where packages_fingerprint
# names a key, every package's signature was checked. unpacked_size is the exact size of each cpio archive.
"""


def render(
    *,
    host: str,
    target: str,
    declaration: str,
    evidence: Iterable[SuiteEvidence],
    components: Mapping[str, Sequence[Artifact]],
) -> str:
    """Write a lock as TOML: suites sorted, components in the order given, artifacts sorted by name."""
    lines = [_HEADER, f"schema = {SCHEMA}"]
    lines += [f"{key} = {toml_text(value)}" for key, value in (("host", host), ("target", target))]
    lines.append(f"declaration = {toml_text(declaration)}")
    for suite in sorted(evidence, key=lambda entry: entry.suite):
        lines += ["", "[[suite]]", *_fields(suite, ("suite", "date", "fingerprint", "snapshot"))]
        if suite.earlier:
            lines.append(f"earlier = [{', '.join(map(toml_text, suite.earlier))}]")
    for name, artifacts in components.items():
        lines += ["", "[[component]]", f"name = {toml_text(name)}"]
        for artifact in sorted(artifacts, key=lambda item: (item.name, item.arch)):
            lines += ["", "[[component.artifact]]", *_fields(artifact, Artifact.__dataclass_fields__)]
    return "\n".join(lines) + "\n"


def render_sysroot(
    distribution: Distribution,
    evidence: Iterable[RepositoryEvidence],
    artifacts: Iterable[Artifact],
    *,
    header: str = _SYSROOT_HEADER,
) -> str:
    """Write a sysroot's lock as TOML: repositories sorted by path, artifacts by name."""
    lines = [header, f"schema = {SCHEMA}"]
    for key, value in (
        ("sysroot", distribution.name),
        ("target", distribution.target),
        ("declaration", declaration_digest(distribution)),
    ):
        lines.append(f"{key} = {toml_text(value)}")
    for one in sorted(evidence, key=lambda entry: entry.repository):
        lines += ["", "[[repository]]", *_fields(one, RepositoryEvidence.__dataclass_fields__)]
    for artifact in sorted(artifacts, key=lambda item: (item.name, item.arch)):
        lines += ["", "[[artifact]]", *_fields(artifact, Artifact.__dataclass_fields__)]
    return "\n".join(lines) + "\n"


def _fields(record: object, names: Iterable[str]) -> list[str]:
    values = [(name, getattr(record, name)) for name in names]
    return [f"{name} = {toml_text(value) if isinstance(value, str) else value}" for name, value in values]


def toml_text(value: str) -> str:
    """A text as TOML writes it."""
    # JSON's strings are TOML basic strings as long as nothing outside the basic plane is escaped.
    return json.dumps(value, ensure_ascii=False)
