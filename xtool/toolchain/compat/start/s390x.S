/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry r14 is the function for atexit (glibc's sysdeps/s390/s390-64/start.S). A function may store 160 bytes
   above its stack pointer (zSeries ELF ABI supplement, "Register Save Area"); the null is the end of the back
   chain. */

	.text
	.globl _start
	.type _start, %function
_start:
	lgr	%r2, %r15
	lgr	%r3, %r14
	nill	%r15, 0xfff0
	aghi	%r15, -160
	xc	0(8, %r15), 0(%r15)
	brasl	%r14, __xtool_start
	.size _start, . - _start

	.section .note.GNU-stack, "", %progbits
