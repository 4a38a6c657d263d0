"""The page of a profile: one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xtool.pgo.report import PgoReport


def write_page(path: Path, reports: Sequence[PgoReport]) -> Path:
    """Write the page of some wheels' profiles.

    Raises:
        StoreError: it cannot be written.
    """
    from xtool.wheel.page import write_document

    return write_document(path, "Profiles", [f"<h1>{report.profile.label}</h1>" for report in reports])
