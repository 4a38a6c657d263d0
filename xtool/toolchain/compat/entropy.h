/* Random bytes from the kernel, for glibc versions without getrandom (2.25). */

#ifndef XTOOL_ENTROPY_H
#define XTOOL_ENTROPY_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "syscalls.h"

/* Fill a buffer; 0, or -1 with errno set. */
static int
xtool_entropy (unsigned char *into, size_t wanted)
{
  int device = -1;
  int saved = errno;
  while (wanted > 0)
    {
      ssize_t got;
      if (device < 0)
        {
          got = syscall (SYS_getrandom, into, wanted, 0);
          /* ENOSYS: a kernel before 3.17 (EL7 has 3.10); EPERM: a sandbox that does not know the call. */
          if (got < 0 && (errno == ENOSYS || errno == EPERM))
            {
              device = open ("/dev/urandom", O_RDONLY | O_CLOEXEC);
              if (device < 0)
                return -1;
              continue;
            }
        }
      else
        got = read (device, into, wanted);
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        {
          if (device >= 0)
            close (device);
          if (got == 0)
            errno = EIO;
          return -1;
        }
      into += got;
      wanted -= (size_t) got;
    }
  if (device >= 0)
    close (device);
  errno = saved;
  return 0;
}

#endif
