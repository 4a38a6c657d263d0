/* The same as stat.c for the names with 64, which need _LARGEFILE64_SOURCE. */

#include "stat_version.h"
#include <sys/stat.h>

extern int __xstat64 (int, const char *, struct stat64 *);
extern int __lxstat64 (int, const char *, struct stat64 *);
extern int __fxstat64 (int, int, struct stat64 *);
extern int __fxstatat64 (int, int, const char *, struct stat64 *, int);

int
stat64 (const char *path, struct stat64 *into)
{
  return __xstat64 (STAT_VER, path, into);
}

int
lstat64 (const char *path, struct stat64 *into)
{
  return __lxstat64 (STAT_VER, path, into);
}

int
fstat64 (int fd, struct stat64 *into)
{
  return __fxstat64 (STAT_VER, fd, into);
}

int
fstatat64 (int fd, const char *path, struct stat64 *into, int flags)
{
  return __fxstatat64 (STAT_VER, fd, path, into, flags);
}
