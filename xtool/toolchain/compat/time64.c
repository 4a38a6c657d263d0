/* The functions for 64-bit times of glibc 2.34 on 32-bit machines. Debian's GCC for armhf has its runtime libraries
   compiled for them; at an older floor the times of everything else have 32 bits, as they had then. A time that does
   not fit is EOVERFLOW, glibc's own answer where the kernel knows 32-bit times only. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

/* glibc's include/struct___timespec64.h, struct___timeval64.h, struct___timespec64.h and struct_stat_time64_helper.h,
   for a little-endian machine. */
typedef long long time64;

struct timespec64
{
  time64 tv_sec;
  long tv_nsec;
  int padding;
};

struct timeval64
{
  time64 tv_sec;
  long long tv_usec;
};

struct stat64_time64
{
  unsigned long long st_dev;
  unsigned long long st_ino;
  unsigned int st_mode;
  unsigned int st_nlink;
  unsigned int st_uid;
  unsigned int st_gid;
  unsigned long long st_rdev;
  long long st_size;
  long st_blksize;
  long long st_blocks;
  struct timespec64 st_atim;
  struct timespec64 st_mtim;
  struct timespec64 st_ctim;
};

struct rusage64
{
  struct timeval64 ru_utime;
  struct timeval64 ru_stime;
  long counts[14];
};

_Static_assert (sizeof (time_t) == 4, "made for 32-bit times");
_Static_assert (sizeof (struct rusage) == 4 * sizeof (time_t) + sizeof ((struct rusage64 *) 0)->counts, "14 counts");

static int
fits (time64 seconds)
{
  if (seconds == (time_t) seconds)
    return 1;
  errno = EOVERFLOW;
  return 0;
}

static struct timespec64
longer (struct timespec from)
{
  return (struct timespec64) { from.tv_sec, from.tv_nsec, 0 };
}

int
__clock_gettime64 (clockid_t clock, struct timespec64 *into)
{
  struct timespec time;
  int result = clock_gettime (clock, &time);
  if (result == 0)
    *into = longer (time);
  return result;
}

int
__clock_getres64 (clockid_t clock, struct timespec64 *into)
{
  struct timespec time;
  int result = clock_getres (clock, &time);
  if (result == 0 && into != NULL)
    *into = longer (time);
  return result;
}

int
__gettimeofday64 (struct timeval64 *restrict into, void *restrict zone)
{
  struct timeval time;
  int result = gettimeofday (&time, zone);
  if (result == 0 && into != NULL)
    *into = (struct timeval64) { time.tv_sec, time.tv_usec };
  return result;
}

time64
__time64 (time64 *into)
{
  time64 now = time (NULL);
  if (into != NULL)
    *into = now;
  return now;
}

int
__nanosleep64 (const struct timespec64 *wanted, struct timespec64 *left)
{
  if (!fits (wanted->tv_sec))
    return -1;
  struct timespec time = { wanted->tv_sec, wanted->tv_nsec }, rest;
  int result = nanosleep (&time, &rest);
  if (result != 0 && errno == EINTR && left != NULL)
    *left = longer (rest);
  return result;
}

struct tm *
__gmtime64_r (const time64 *restrict time, struct tm *restrict into)
{
  time_t shorter = *time;
  return fits (*time) ? gmtime_r (&shorter, into) : NULL;
}

struct tm *
__localtime64_r (const time64 *restrict time, struct tm *restrict into)
{
  time_t shorter = *time;
  return fits (*time) ? localtime_r (&shorter, into) : NULL;
}

static int
told (int result, const struct stat64 *from, struct stat64_time64 *into)
{
  if (result == 0)
    *into = (struct stat64_time64) {
      .st_dev = from->st_dev,
      .st_ino = from->st_ino,
      .st_mode = from->st_mode,
      .st_nlink = from->st_nlink,
      .st_uid = from->st_uid,
      .st_gid = from->st_gid,
      .st_rdev = from->st_rdev,
      .st_size = from->st_size,
      .st_blksize = from->st_blksize,
      .st_blocks = from->st_blocks,
      .st_atim = longer (from->st_atim),
      .st_mtim = longer (from->st_mtim),
      .st_ctim = longer (from->st_ctim),
    };
  return result;
}

int
__stat64_time64 (const char *path, struct stat64_time64 *into)
{
  struct stat64 found;
  return told (stat64 (path, &found), &found, into);
}

int
__lstat64_time64 (const char *path, struct stat64_time64 *into)
{
  struct stat64 found;
  return told (lstat64 (path, &found), &found, into);
}

int
__fstat64_time64 (int fd, struct stat64_time64 *into)
{
  struct stat64 found;
  return told (fstat64 (fd, &found), &found, into);
}

int
__utimensat64 (int folder, const char *path, const struct timespec64 times[2], int flags)
{
  struct timespec shorter[2];
  for (int number = 0; times != NULL && number < 2; number++)
    {
      if (!fits (times[number].tv_sec))
        return -1;
      shorter[number].tv_sec = times[number].tv_sec;
      shorter[number].tv_nsec = times[number].tv_nsec;
    }
  return utimensat (folder, path, times == NULL ? NULL : shorter, flags);
}

int
__getrusage64 (int who, struct rusage64 *into)
{
  struct rusage usage;
  int result = getrusage (who, &usage);
  if (result == 0)
    {
      into->ru_utime = (struct timeval64) { usage.ru_utime.tv_sec, usage.ru_utime.tv_usec };
      into->ru_stime = (struct timeval64) { usage.ru_stime.tv_sec, usage.ru_stime.tv_usec };
      __builtin_memcpy (into->counts, (char *) &usage + 2 * sizeof usage.ru_utime, sizeof into->counts);
    }
  return result;
}

/* These two only differ from their elders in requests whose arguments hold times (SIOCGSTAMP and the like), which
   the libraries do not make. */
int
__ioctl_time64 (int fd, unsigned long request, ...)
{
  va_list arguments;
  va_start (arguments, request);
  void *argument = va_arg (arguments, void *);
  va_end (arguments);
  return ioctl (fd, request, argument);
}

int
__fcntl_time64 (int fd, int command, ...)
{
  va_list arguments;
  va_start (arguments, command);
  void *argument = va_arg (arguments, void *);
  va_end (arguments);
  return fcntl (fd, command, argument);
}
