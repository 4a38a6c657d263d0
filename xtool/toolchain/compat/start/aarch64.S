/* The entry point of programs for glibc below 2.34; powerpc64le.S says why there is one.

   At entry x0 is the function for atexit, and sp points to argc, followed by argv (ELF for the Arm 64-bit
   Architecture, and glibc's sysdeps/aarch64/start.S). __libc_start_main takes main, argc, argv, the two
   functions for before and after main, the one for atexit and the stack's end in x0 to x6. */

	.text
	.globl _start
	.type _start, %function
_start:
	mov	x29, 0
	mov	x30, 0
	mov	x5, x0
	ldr	x1, [sp]
	add	x2, sp, 8
	mov	x6, sp
	adrp	x0, :got:main
	ldr	x0, [x0, :got_lo12:main]
	adrp	x3, __xtool_csu_init
	add	x3, x3, :lo12:__xtool_csu_init
	adrp	x4, __xtool_csu_fini
	add	x4, x4, :lo12:__xtool_csu_fini
	bl	__libc_start_main
	brk	0
	.size _start, . - _start

	.section .note.GNU-stack, "", %progbits
