/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry r0 is the function for atexit (glibc's sysdeps/arm/start.S). The stack is aligned to 8 bytes at calls
   (Procedure Call Standard for the Arm Architecture, section 6.2.1.2). */

	.syntax unified
	.arm
	.text
	.globl _start
	.type _start, %function
_start:
	.fnstart
	.cantunwind
	mov	fp, #0
	mov	lr, #0
	mov	r1, r0
	mov	r0, sp
	bic	sp, sp, #7
	bl	__xtool_start
	.fnend
	.size _start, . - _start

	.section .note.GNU-stack, "", %progbits
