/* The toolchain's libgcc.a refers to __xtool_hwcap_in_tcb where GCC's own refers to
   __parse_hwcap_and_convert_at_platform@GLIBC_2.23. GCC never calls it: the reference is there so that a program
   which asks for the processor's abilities does not start on a glibc that does not keep them in the thread
   control block. See docs/decisions/0001-derived-floor.md for what happens on one. */

#ifdef XTOOL_HWCAP_IN_TCB
extern void __parse_hwcap_and_convert_at_platform (void);
void *const __xtool_hwcap_in_tcb = (void *) __parse_hwcap_and_convert_at_platform;
#else
void *const __xtool_hwcap_in_tcb = (void *) 0;
#endif
