from xt_c._sum import total
from xt_c._where import where

__all__ = ["total", "where"]
