"""Says which glibc the wheel was linked for."""

from xt_floor._floor import used as used
