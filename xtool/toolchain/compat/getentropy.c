/* getentropy (glibc 2.25), wanted by libstdc++'s random_device. */

#include "entropy.h"

int
getentropy (void *into, size_t wanted)
{
  if (wanted > 256)
    {
      errno = EIO;
      return -1;
    }
  return xtool_entropy (into, wanted);
}
