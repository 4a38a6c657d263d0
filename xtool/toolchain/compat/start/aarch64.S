/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry x0 is the function for atexit (glibc's sysdeps/aarch64/start.S). No frame is above this one. */

	.text
	.globl _start
	.type _start, %function
_start:
	mov	x29, 0
	mov	x30, 0
	mov	x1, x0
	mov	x0, sp
	bl	__xtool_start
	.size _start, . - _start

	.section .note.GNU-stack, "", %progbits
