/* strlcpy and strlcat (glibc 2.38), with what _FORTIFY_SOURCE makes of them. */

#include <stddef.h>
#include <string.h>

extern void __chk_fail (void) __attribute__ ((noreturn));

size_t
strlcpy (char *restrict to, const char *restrict from, size_t size)
{
  size_t length = strlen (from);
  if (size > 0)
    {
      size_t fits = length < size ? length : size - 1;
      memcpy (to, from, fits);
      to[fits] = 0;
    }
  return length;
}

size_t
strlcat (char *restrict to, const char *restrict from, size_t size)
{
  size_t before = strnlen (to, size);
  return before + strlcpy (to + before, from, size - before);
}

size_t
__strlcpy_chk (char *restrict to, const char *restrict from, size_t size, size_t room)
{
  if (room < size)
    __chk_fail ();
  return strlcpy (to, from, size);
}

size_t
__strlcat_chk (char *restrict to, const char *restrict from, size_t size, size_t room)
{
  if (room < size)
    __chk_fail ();
  return strlcat (to, from, size);
}
