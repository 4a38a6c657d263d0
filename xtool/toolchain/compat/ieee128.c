/* libstdc++.a can format and read IEEE 128-bit long doubles with functions that glibc has since 2.32 (ppc64le
   only). Code compiled with -mabi=ibmlongdouble, which every ppc64le wheel is, does not get there; should
   something get there, it stops: a wrong number would be worse. */

#include <stdlib.h>
#include <unistd.h>

#define MESSAGE(name) name ": IEEE 128-bit long double needs glibc 2.32; this program was linked for an older one\n"

#define UNAVAILABLE(name)                                                     \
  __attribute__ ((noreturn)) void name (void)                                 \
  {                                                                           \
    static const char message[] = MESSAGE (#name);                            \
    if (write (STDERR_FILENO, message, sizeof message - 1) < 0)               \
      abort ();                                                               \
    abort ();                                                                 \
  }

UNAVAILABLE (__frexpieee128)
UNAVAILABLE (__sprintfieee128)
UNAVAILABLE (__vsnprintfieee128)
UNAVAILABLE (__strtoieee128)
UNAVAILABLE (__strtoieee128_l)
