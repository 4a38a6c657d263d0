/* explicit_bzero (glibc 2.25) and reallocarray (2.26). */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

extern void __chk_fail (void) __attribute__ ((noreturn));

void
explicit_bzero (void *memory, size_t size)
{
  memset (memory, 0, size);
  /* Whoever reads memory next must find the zeros, as far as the compiler knows. */
  __asm__ volatile ("" : : "r" (memory) : "memory");
}

void
__explicit_bzero_chk (void *memory, size_t size, size_t room)
{
  if (room < size)
    __chk_fail ();
  explicit_bzero (memory, size);
}

void *
reallocarray (void *memory, size_t count, size_t size)
{
  size_t bytes;
  if (__builtin_mul_overflow (count, size, &bytes))
    {
      errno = ENOMEM;
      return NULL;
    }
  return realloc (memory, bytes);
}
