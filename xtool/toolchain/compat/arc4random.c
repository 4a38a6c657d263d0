/* arc4random (glibc 2.36), wanted by libstdc++'s random_device. Like glibc's own it asks the kernel each time, and
   ends the process rather than return a number that is not random. */

#include "entropy.h"
#include <stdint.h>
#include <stdlib.h>

uint32_t
arc4random (void)
{
  uint32_t number;
  if (xtool_entropy ((unsigned char *) &number, sizeof number) != 0)
    {
      static const char message[] = "arc4random: the kernel gives no random bytes\n";
      if (write (STDERR_FILENO, message, sizeof message - 1) < 0)
        abort ();
      abort ();
    }
  return number;
}
