"""The cross environment: what turns a native Python build into one for a target."""

from __future__ import annotations

from xtool.crossenv.environment import CrossEnv
from xtool.crossenv.trace import BuildTrace
from xtool.crossenv.user import FORMATS, env_for_user

__all__ = ["FORMATS", "BuildTrace", "CrossEnv", "env_for_user"]
