/* The number readers that objects compiled against glibc 2.38 or later call (libstdc++.a, libgcov.a). They differ
   from strtol and so on in that C23 has a prefix 0b for base 2, which base 0 recognises too. Our headers call the
   old ones below 2.38, as that glibc's headers do. */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Where the digits behind a prefix 0b begin, or NULL when there is none. */
static const char *
binary_digits (const char *text, int base, int *negative)
{
  if (base != 0 && base != 2)
    return NULL;
  while (isspace ((unsigned char) *text))
    text++;
  *negative = *text == '-';
  if (*text == '-' || *text == '+')
    text++;
  if (text[0] != '0' || (text[1] != 'b' && text[1] != 'B') || (text[2] != '0' && text[2] != '1'))
    return NULL;
  return text + 2;
}

unsigned long long
__isoc23_strtoull (const char *text, char **end, int base)
{
  int negative;
  const char *digits = binary_digits (text, base, &negative);
  if (digits == NULL)
    return strtoull (text, end, base);
  int saved = errno;
  errno = 0;
  unsigned long long value = strtoull (digits, end, 2);
  if (errno == ERANGE)
    return value;
  errno = saved;
  return negative ? -value : value;
}

long long
__isoc23_strtoll (const char *text, char **end, int base)
{
  int negative;
  const char *digits = binary_digits (text, base, &negative);
  if (digits == NULL)
    return strtoll (text, end, base);
  int saved = errno;
  errno = 0;
  unsigned long long value = strtoull (digits, end, 2);
  unsigned long long most = negative ? (unsigned long long) LLONG_MAX + 1 : LLONG_MAX;
  if (errno == ERANGE || value > most)
    {
      errno = ERANGE;
      return negative ? LLONG_MIN : LLONG_MAX;
    }
  errno = saved;
  return negative ? (long long) -value : (long long) value;
}

unsigned long
__isoc23_strtoul (const char *text, char **end, int base)
{
#if ULONG_MAX == ULLONG_MAX
  return __isoc23_strtoull (text, end, base);
#else
  int negative;
  const char *digits = binary_digits (text, base, &negative);
  if (digits == NULL)
    return strtoul (text, end, base);
  /* 32 bits: the range is that of unsigned long, and it saturates before the sign is applied. */
  int saved = errno;
  errno = 0;
  unsigned long value = strtoul (digits, end, 2);
  if (errno == ERANGE)
    return value;
  errno = saved;
  return negative ? -value : value;
#endif
}

long
__isoc23_strtol (const char *text, char **end, int base)
{
#if LONG_MAX == LLONG_MAX
  return __isoc23_strtoll (text, end, base);
#else
  int negative;
  const char *digits = binary_digits (text, base, &negative);
  if (digits == NULL)
    return strtol (text, end, base);
  int saved = errno;
  errno = 0;
  unsigned long value = strtoul (digits, end, 2);
  unsigned long most = negative ? (unsigned long) LONG_MAX + 1 : LONG_MAX;
  if (errno == ERANGE || value > most)
    {
      errno = ERANGE;
      return negative ? LONG_MIN : LONG_MAX;
    }
  errno = saved;
  return negative ? (long) -value : (long) value;
#endif
}
