/* The IEEE 128-bit long double functions of ppc64le (glibc 2.32) that libgfortran serves real(16) with, by GCC's own
   libquadmath, which is linked in. On a newer glibc its functions are found first. */

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

#define ONE(name) \
  __float128 __##name##ieee128 (__float128 x) { return name##q (x); }
#define TWO(name) \
  __float128 __##name##ieee128 (__float128 x, __float128 y) { return name##q (x, y); }
#define COMPLEX(name) \
  __complex128 __##name##ieee128 (__complex128 x) { return name##q (x); }

ONE (acos) ONE (acosh) ONE (asin) ONE (asinh) ONE (atan) ONE (atanh) ONE (cos) ONE (cosh) ONE (erfc) ONE (exp)
ONE (fabs) ONE (log) ONE (log10) ONE (round) ONE (sin) ONE (sinh) ONE (sqrt) ONE (tan) ONE (tanh) ONE (trunc)
TWO (atan2) TWO (copysign) TWO (fmod)
COMPLEX (ccos) COMPLEX (cexp) COMPLEX (clog) COMPLEX (csin) COMPLEX (csqrt)

__float128
__cabsieee128 (__complex128 x)
{
  return cabsq (x);
}

__float128
__fmaieee128 (__float128 x, __float128 y, __float128 z)
{
  return fmaq (x, y, z);
}

__float128
__jnieee128 (int order, __float128 x)
{
  return jnq (order, x);
}

__float128
__ynieee128 (int order, __float128 x)
{
  return ynq (order, x);
}

__float128
__strtoieee128 (const char *text, char **end)
{
  return strtoflt128 (text, end);
}

/* libgfortran formats one number a call, with a precision given beside it: "%+-#.*Le", or "%#.*Lf" and the like.
   quadmath_snprintf says Q where printf says L. */
int
__snprintfieee128 (char *into, size_t size, const char *format, ...)
{
  char changed[32];
  size_t length = strlen (format);
  const char *mark = strstr (format, ".*L");
  if (mark == NULL || length >= sizeof changed || format[0] != '%' || strchr (format + 1, '%') != NULL
      || mark + 4 != format + length)
    stop ("__snprintfieee128: a format that libgfortran does not use needs glibc 2.32\n");
  memcpy (changed, format, length + 1);
  changed[mark - format + 2] = 'Q';
  va_list arguments;
  va_start (arguments, format);
  int precision = va_arg (arguments, int);
  __float128 number = va_arg (arguments, __float128);
  va_end (arguments);
  return quadmath_snprintf (into, size, changed, precision, number);
}
