"""Cross-compilation toolchain manager for Python wheels."""

__version__ = "0.1.0"
