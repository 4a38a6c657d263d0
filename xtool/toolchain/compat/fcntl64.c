/* fcntl64 (glibc 2.28), wanted by libbacktrace.a and libgcov.a of 32-bit machines, which were compiled for files
   larger than 2 GiB. Before, fcntl itself understood the requests with 64-bit offsets. */

#include <fcntl.h>
#include <stdarg.h>

int
fcntl64 (int fd, int command, ...)
{
  va_list arguments;
  va_start (arguments, command);
  void *argument = va_arg (arguments, void *);
  va_end (arguments);
  return fcntl (fd, command, argument);
}
