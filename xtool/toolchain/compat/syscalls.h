/* Numbers of system calls that are younger than the kernel headers of an old distribution (Linux 3.10 for CentOS 7).
   Source: the kernel's syscall tables (arch/x86/entry/syscalls/syscall_64.tbl, arch/powerpc/kernel/syscalls/syscall.tbl,
   arch/s390/kernel/syscalls/syscall.tbl, include/uapi/asm-generic/unistd.h); a number never changes.  */

#include <sys/syscall.h>

#if defined __x86_64__
enum { newer_renameat2 = 316, newer_getrandom = 318, newer_memfd_create = 319, newer_copy_file_range = 326,
       newer_statx = 332 };
#elif defined __i386__
enum { newer_renameat2 = 353, newer_getrandom = 355, newer_memfd_create = 356, newer_copy_file_range = 377,
       newer_statx = 383 };
#elif defined __arm__
enum { newer_renameat2 = 382, newer_getrandom = 384, newer_memfd_create = 385, newer_copy_file_range = 391,
       newer_statx = 397 };
#elif defined __powerpc__
enum { newer_renameat2 = 357, newer_getrandom = 359, newer_memfd_create = 360, newer_copy_file_range = 379,
       newer_statx = 383 };
#elif defined __s390__
enum { newer_renameat2 = 347, newer_getrandom = 349, newer_memfd_create = 350, newer_copy_file_range = 375,
       newer_statx = 379 };
#elif defined __aarch64__ || defined __riscv || defined __loongarch__
enum { newer_renameat2 = 276, newer_getrandom = 278, newer_memfd_create = 279, newer_copy_file_range = 285,
       newer_statx = 291 };
#endif

#ifndef SYS_renameat2
# define SYS_renameat2 newer_renameat2
#endif
#ifndef SYS_getrandom
# define SYS_getrandom newer_getrandom
#endif
#ifndef SYS_memfd_create
# define SYS_memfd_create newer_memfd_create
#endif
#ifndef SYS_copy_file_range
# define SYS_copy_file_range newer_copy_file_range
#endif
#ifndef SYS_statx
# define SYS_statx newer_statx
#endif
#ifndef SYS_close_range
# define SYS_close_range 436
#endif
