from xt_cython.fast import lengths

__all__ = ["lengths"]
