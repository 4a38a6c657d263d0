/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry edx is the function for atexit (System V ABI, Intel386 supplement, "Process Initialization"). The stack
   is aligned to 16 bytes at calls, before the return address. */

	.text
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp
	movl	%esp, %eax
	andl	$-16, %esp
	subl	$8, %esp
	pushl	%edx
	pushl	%eax
	call	__xtool_start
	hlt
	.size _start, . - _start

	.section .note.GNU-stack, "", @progbits
