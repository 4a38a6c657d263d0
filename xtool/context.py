"""What every operation is given: settings, where to talk to, the environment it was started in.

Nothing in xtool reads `os.environ` at import time; what a function needs of the environment it takes from
here, so that tests and callers can give another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xtool.config import Settings
from xtool.log import Log


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, log and environment of one run.

    Args:
        settings: what options, variables and configuration files say, already merged.
        log: receiver of messages and progress.
        environ: the environment of the process that started xtool.
    """

    settings: Settings
    log: Log
    environ: Mapping[str, str]
