/* libstdc++.a can read and write __float128 on x86 with functions that glibc has since 2.26, in the same objects as
   float and double. Should something get there at an older floor, it stops: a wrong number would be worse. */

#include "unavailable.h"

#define UNAVAILABLE(name)                                                                                     \
  __attribute__ ((noreturn)) void name (void)                                                                 \
  {                                                                                                           \
    stop (#name ": reading and writing __float128 needs glibc 2.26; this program was linked for an older one\n"); \
  }

UNAVAILABLE (strtof128)
UNAVAILABLE (strfromf128)
