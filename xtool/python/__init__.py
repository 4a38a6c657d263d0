"""Interpreters: of the target, and of the host for build back ends."""
