/* mknod and mknodat: like stat (see stat.c), inline calls of __xmknod and __xmknodat before glibc 2.33. */

#include <sys/stat.h>
#include <sys/types.h>

/* _MKNOD_VER of each processor's bits/stat.h; another one is answered with EINVAL. */
#if defined __i386__ || defined __arm__ || defined __powerpc__
# define MKNOD_VER 1
#else
# define MKNOD_VER 0
#endif

extern int __xmknod (int, const char *, mode_t, dev_t *);
extern int __xmknodat (int, int, const char *, mode_t, dev_t *);

int
mknod (const char *path, mode_t mode, dev_t device)
{
  return __xmknod (MKNOD_VER, path, mode, &device);
}

int
mknodat (int fd, const char *path, mode_t mode, dev_t device)
{
  return __xmknodat (MKNOD_VER, fd, path, mode, &device);
}
