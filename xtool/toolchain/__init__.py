"""The compiler and the C library that a target's code is built with."""
