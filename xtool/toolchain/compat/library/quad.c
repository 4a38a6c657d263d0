/* The functions of IEEE quad precision that libgfortran serves real(16) with, by GCC's own libquadmath, which is
   linked in: __sinieee128 and so on of ppc64le (glibc 2.32), sinf128 and so on of x86 (glibc 2.26). On a newer glibc
   its functions are found first. */

#include <quadmath.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "../unavailable.h"

/* libquadmath's constructor teaches printf the letter Q, for the whole process and past a dlclose. Nothing here
   needs that, and with this answer to its first call it leaves printf alone. */
int
register_printf_type (void (*reader) (void *, va_list *))
{
  (void) reader;
  return -1;
}

#ifdef __powerpc64__
# define NAME(name) __##name##ieee128
#else
# define NAME(name) name##f128
#endif
#define ONE(name) \
  __float128 NAME (name) (__float128 x) { return name##q (x); }
#define TWO(name) \
  __float128 NAME (name) (__float128 x, __float128 y) { return name##q (x, y); }
#define COMPLEX(name) \
  __complex128 NAME (name) (__complex128 x) { return name##q (x); }

ONE (acos) ONE (acosh) ONE (asin) ONE (asinh) ONE (atan) ONE (atanh) ONE (cos) ONE (cosh) ONE (erfc) ONE (exp)
ONE (fabs) ONE (log) ONE (log10) ONE (round) ONE (sin) ONE (sinh) ONE (sqrt) ONE (tan) ONE (tanh) ONE (trunc)
TWO (atan2) TWO (copysign) TWO (fmod)
COMPLEX (ccos) COMPLEX (cexp) COMPLEX (clog) COMPLEX (csin) COMPLEX (csqrt)

__float128
NAME (cabs) (__complex128 x)
{
  return cabsq (x);
}

__float128
NAME (fma) (__float128 x, __float128 y, __float128 z)
{
  return fmaq (x, y, z);
}

__float128
NAME (jn) (int order, __float128 x)
{
  return jnq (order, x);
}

__float128
NAME (yn) (int order, __float128 x)
{
  return ynq (order, x);
}

long
NAME (lround) (__float128 x)
{
  return lroundq (x);
}

/* The format with libquadmath's Q before the letter, in place of what may stand there. */
static void
put_q (char *changed, size_t room, const char *format, char modifier)
{
  size_t length = strlen (format);
  size_t before = length - (modifier != 0 && length > 1 && format[length - 2] == modifier) - 1;
  if (length < 2 || before + 3 > room || format[0] != '%' || strchr (format + 1, '%') != NULL
      || strchr ("aAeEfFgG", format[length - 1]) == NULL)
    stop ("libxtool-floor: a format of quad precision that only a newer C library reads\n");
  memcpy (changed, format, before);
  changed[before] = 'Q';
  changed[before + 1] = format[length - 1];
  changed[before + 2] = 0;
}

#ifdef __powerpc64__

__float128
__strtoieee128 (const char *text, char **end)
{
  return strtoflt128 (text, end);
}

/* libgfortran formats one number a call, with a precision given beside it: "%+-#.*Le", or "%#.*Lf" and the like. */
int
__snprintfieee128 (char *into, size_t size, const char *format, ...)
{
  char changed[32];
  if (strstr (format, ".*L") == NULL)
    stop ("__snprintfieee128: a format that libgfortran does not use needs glibc 2.32\n");
  put_q (changed, sizeof changed, format, 'L');
  va_list arguments;
  va_start (arguments, format);
  int precision = va_arg (arguments, int);
  __float128 number = va_arg (arguments, __float128);
  va_end (arguments);
  return quadmath_snprintf (into, size, changed, precision, number);
}

#else

__float128
strtof128 (const char *text, char **end)
{
  return strtoflt128 (text, end);
}

/* "%.20e", "%.3f", "%a": precision and letter, and nothing else. */
int
strfromf128 (char *into, size_t size, const char *format, __float128 number)
{
  char changed[32];
  if (strpbrk (format, "*+-# 'L") != NULL)
    stop ("strfromf128: not a format of strfrom\n");
  put_q (changed, sizeof changed, format, 0);
  return quadmath_snprintf (into, size, changed, number);
}

#endif
