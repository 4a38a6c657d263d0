/* Stopping the process and saying why. */

#ifndef XTOOL_UNAVAILABLE_H
#define XTOOL_UNAVAILABLE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void __attribute__ ((noreturn))
stop (const char *message)
{
  if (write (STDERR_FILENO, message, strlen (message)) < 0)
    abort ();
  abort ();
}

#endif
