/* stat and its relatives became functions of libc in glibc 2.33. Before, programs got them from
   libc_nonshared.a, where they called __xstat and so on with a number that says what struct stat looks like:
   this is that archive's place, and these are those functions. */

#include "stat_version.h"
#include <sys/stat.h>

extern int __xstat (int, const char *, struct stat *);
extern int __lxstat (int, const char *, struct stat *);
extern int __fxstat (int, int, struct stat *);
extern int __fxstatat (int, int, const char *, struct stat *, int);

int
stat (const char *path, struct stat *into)
{
  return __xstat (STAT_VER, path, into);
}

int
lstat (const char *path, struct stat *into)
{
  return __lxstat (STAT_VER, path, into);
}

int
fstat (int fd, struct stat *into)
{
  return __fxstat (STAT_VER, fd, into);
}

int
fstatat (int fd, const char *path, struct stat *into, int flags)
{
  return __fxstatat (STAT_VER, fd, path, into, flags);
}
