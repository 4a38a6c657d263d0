from xt_abi3._names import join

__all__ = ["join"]
