from xt_machine._machine import machine

__all__ = ["machine"]
