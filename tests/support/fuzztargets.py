"""All parsers that are fuzzed, by name."""

from __future__ import annotations

from support import (
    fuzzarchives,
    fuzzindexes,
    fuzzlibraries,
    fuzzprofiles,
    fuzzrepos,
    fuzzrpm,
    fuzzstore,
    fuzzwheels,
)
from support.fuzztarget import Target


def targets() -> dict[str, Target]:
    """In the order of reports."""
    modules = (
        fuzzarchives,
        fuzzrpm,
        fuzzindexes,
        fuzzrepos,
        fuzzwheels,
        fuzzlibraries,
        fuzzprofiles,
        fuzzstore,
    )
    return {target.name: target for module in modules for target in module.targets()}
