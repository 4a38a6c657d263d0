/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry rdx is the function for atexit (System V ABI, AMD64 supplement, section 3.4.1). */

	.text
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	movq	%rdx, %rsi
	andq	$-16, %rsp
	call	__xtool_start
	hlt
	.size _start, . - _start

	.section .note.GNU-stack, "", @progbits
