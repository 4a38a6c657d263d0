/* glibc had this header until 2.25; programs that ask for a glibc version include it below that. */
#ifndef _XLOCALE_H
#define _XLOCALE_H 1

#include <bits/types/__locale_t.h>
#include <bits/types/locale_t.h>

#endif
