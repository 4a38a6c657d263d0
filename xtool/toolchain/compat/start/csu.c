/* What glibc below 2.34 is told to call before and after main, and on most machines the telling itself; see the
   start files beside this one. */

/* RISC-V came without _init. */
#ifdef __riscv
# define CALL_INIT() ((void) 0)
#else
extern void _init (void);
# define CALL_INIT() _init ()
#endif

extern void (*__init_array_start[]) (int, char **, char **) __attribute__ ((visibility ("hidden")));
extern void (*__init_array_end[]) (int, char **, char **) __attribute__ ((visibility ("hidden")));

__attribute__ ((visibility ("hidden"))) void
__xtool_csu_init (int argc, char **argv, char **envp)
{
  CALL_INIT ();
  for (void (**entry) (int, char **, char **) = __init_array_start; entry < __init_array_end; entry++)
    (*entry) (argc, argv, envp);
}

/* The dynamic loader runs the destructors. */
__attribute__ ((visibility ("hidden"))) void
__xtool_csu_fini (void)
{
}

#ifndef __powerpc64__
extern int main (int, char **, char **);
extern int __libc_start_main (int (*) (int, char **, char **), int, char **, void (*) (int, char **, char **),
                              void (*) (void), void (*) (void), void *);

/* Where _start goes at once, with what the kernel left on the stack (argc, argv, a null, the environment: System V
   ABI, "Process Initialization") and the function for atexit that the loader left in a register. */
__attribute__ ((visibility ("hidden"), noreturn)) void
__xtool_start (long *stack, void (*at_exit) (void))
{
  __libc_start_main (main, (int) *stack, (char **) (stack + 1), __xtool_csu_init, __xtool_csu_fini, at_exit, stack);
  __builtin_trap ();
}
#endif

/* Programs linked against glibc say with this symbol that they use its stdio as it is since 2.1. */
const int _IO_stdin_used = 0x20001;

int __data_start = 0;
extern int data_start __attribute__ ((weak, alias ("__data_start")));
