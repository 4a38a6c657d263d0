/* The entry point of programs for glibc below 2.34, which wants to be told where the program's own
   constructors are (glibc 2.34 finds them by itself, and its start file passes null pointers: with it, an older
   glibc would run a program without its constructors).

   At entry r12 is this address (64-bit ELF V2 ABI, section 4.1.2.2) and r3 to r7 hold argc, argv, envp, auxv
   and the function for atexit. glibc's __libc_start_main takes them as they are, and in r8 the address of
   the start record, in r9 the stack pointer at entry (sysdeps/unix/sysv/linux/powerpc/libc-start.c). */

	.abiversion 2
	.section .data.rel.ro.local, "aw", %progbits
	.balign 8
.Lrecord:
	.quad 0			/* unused on 64 bits */
	.quad main
	.quad __xtool_csu_init
	.quad __xtool_csu_fini

	.section .toc, "aw", %progbits
.Lpointer:
	.quad .Lrecord

	.text
	.globl _start
	.type _start, %function
_start:
	addis	2, 12, .TOC. - _start@ha
	addi	2, 2, .TOC. - _start@l
	mr	9, 1
	clrrdi	1, 1, 4
	li	0, 0
	stdu	1, -128(1)
	mtlr	0
	std	0, 0(1)
	addis	8, 2, .Lpointer@toc@ha
	ld	8, .Lpointer@toc@l(8)
	bl	__libc_start_main
	nop
	trap
	.size _start, . - _start

	.section .note.GNU-stack, "", %progbits
