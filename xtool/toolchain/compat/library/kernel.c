/* Functions that hand a system call through. A kernel without the call says ENOSYS, which callers have to expect
   of a new C library on an old kernel, too. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "../syscalls.h"

struct statx;

/* glibc 2.27. */
int
memfd_create (const char *name, unsigned int flags)
{
  return syscall (SYS_memfd_create, name, flags);
}

/* glibc 2.27. */
ssize_t
copy_file_range (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned int flags)
{
  return syscall (SYS_copy_file_range, from, from_at, to, to_at, size, flags);
}

/* glibc 2.28. */
int
renameat2 (int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
  return syscall (SYS_renameat2, from_folder, from, to_folder, to, flags);
}

/* glibc 2.28. */
int
statx (int folder, const char *restrict path, int flags, unsigned int mask, struct statx *restrict into)
{
  return syscall (SYS_statx, folder, path, flags, mask, into);
}

/* glibc 2.30. */
pid_t
gettid (void)
{
  return syscall (SYS_gettid);
}

/* glibc 2.30. */
int
tgkill (pid_t process, pid_t thread, int signal)
{
  return syscall (SYS_tgkill, process, thread, signal);
}

/* glibc 2.34. */
int
close_range (unsigned int first, unsigned int last, int flags)
{
  return syscall (SYS_close_range, first, last, flags);
}

/* glibc 2.34. */
void
closefrom (int first)
{
  if (first < 0)
    first = 0;
  if (close_range (first, ~0u, 0) == 0)
    return;
  int limit = sysconf (_SC_OPEN_MAX);
  for (int fd = first; fd < limit; fd++)
    close (fd);
}
