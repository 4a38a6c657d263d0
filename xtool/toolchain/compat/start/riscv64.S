/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry a0 is the function for atexit (glibc's sysdeps/riscv/start.S). A program that the linker has relaxed
   reads its data by gp, and its constructors are not the first to do so: those of libraries may call into it. */

	.text
	.globl _start
	.type _start, %function
_start:
	call	.Lset_gp
	mv	a1, a0
	mv	a0, sp
	andi	sp, sp, -16
	call	__xtool_start
	.size _start, . - _start

	.type .Lset_gp, %function
.Lset_gp:
	.option push
	.option norelax
	lla	gp, __global_pointer$
	.option pop
	ret
	.size .Lset_gp, . - .Lset_gp

	.section .preinit_array, "aw", %preinit_array
	.balign 8
	.dword	.Lset_gp

	.section .note.GNU-stack, "", %progbits
