"""The command line: one thin module per verb (parse, call, render).

`app` holds what all verbs share at the top (the group, signals, errors); `base` what a verb is made with.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    from xtool.cli.app import run

    sys.exit(run(sys.argv[1:] if argv is None else argv))
