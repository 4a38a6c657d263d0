/* getrandom (glibc 2.25), arc4random_buf and arc4random_uniform (2.36). */

#include "../entropy.h"
#include <stdint.h>
#include <stdlib.h>

#define NONBLOCKING 1

ssize_t
getrandom (void *into, size_t wanted, unsigned int flags)
{
  ssize_t got = syscall (SYS_getrandom, into, wanted, flags);
  if (got >= 0 || errno != ENOSYS)
    return got;
  /* A kernel before 3.17. Its /dev/urandom never blocks and never says that it is not seeded yet; /dev/random, of
     which a flag of 2 speaks, would give a few bytes at a time. */
  if (flags & ~(NONBLOCKING | 2u))
    {
      errno = EINVAL;
      return -1;
    }
  return xtool_entropy (into, wanted) == 0 ? (ssize_t) wanted : -1;
}

void
arc4random_buf (void *into, size_t wanted)
{
  static const char message[] = "arc4random: the kernel gives no random bytes\n";
  if (xtool_entropy (into, wanted) == 0)
    return;
  if (write (STDERR_FILENO, message, sizeof message - 1) < 0)
    abort ();
  abort ();
}

uint32_t
arc4random_uniform (uint32_t bound)
{
  uint32_t number;
  if (bound < 2)
    return 0;
  /* The numbers below this one would make small remainders likelier than others. */
  uint32_t least = -bound % bound;
  do
    arc4random_buf (&number, sizeof number);
  while (number < least);
  return number % bound;
}
