"""What of the target's C ABI shows in C code and in the interpreter."""
