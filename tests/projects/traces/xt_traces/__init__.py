from xt_traces._main import traces

__all__ = ["traces"]
