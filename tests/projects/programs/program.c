/* What a C program asks of a C library, old or new: prints `ok` and the library's version. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what)                                                            \
  do                                                                           \
    if (!(what))                                                               \
      {                                                                        \
        printf ("line %d: %s, errno %d\n", __LINE__, #what, errno);            \
        return 1;                                                              \
      }                                                                        \
  while (0)

static int constructed;
static _Thread_local int mine = 7;
static sem_t ready;

__attribute__ ((constructor)) static void
construct (void)
{
  constructed++;
}

static void *
root_of (void *number)
{
  mine++;
  sem_post (&ready);
  *(double *) number = pow (*(double *) number, 0.5);
  return mine == 8 ? number : NULL;
}

static int
files (const char *program)
{
  struct stat found;
  char name[] = "/tmp/xtool-floor-XXXXXX";
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };
  struct timespec times[2] = { { 1000000000, 0 }, { 1234567890, 5000 } };
  CHECK (stat (program, &found) == 0 && S_ISREG (found.st_mode) && found.st_size > 1000);
  CHECK (stat ("/no/such/file", &found) == -1 && errno == ENOENT);
  int fd = mkstemp (name);
  CHECK (fd >= 0 && write (fd, "0123456789", 10) == 10 && lseek (fd, 3, SEEK_SET) == 3);
  CHECK (futimens (fd, times) == 0 && fstat (fd, &found) == 0);
  CHECK (found.st_size == 10 && found.st_mtime == 1234567890 && found.st_nlink == 1);
  CHECK (fcntl (fd, F_SETLK, &lock) == 0 && fcntl (fd, F_GETFL) != -1);
  CHECK (fcntl (fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl (fd, F_GETFD) == FD_CLOEXEC);
  CHECK (lstat (name, &found) == 0 && unlink (name) == 0);
  char fifo[] = "/tmp/xtool-floor-XXXXXX";
  CHECK (mkdtemp (fifo) != NULL && rmdir (fifo) == 0 && mknod (fifo, S_IFIFO | 0600, 0) == 0);
  CHECK (stat (fifo, &found) == 0 && S_ISFIFO (found.st_mode) && unlink (fifo) == 0);
  return close (fd);
}

int
main (int argc, char **argv)
{
  pthread_t thread;
  double number = argc + 1;
  void *result = NULL;
  struct tm date;
  time_t when = 1234567890;
  jmp_buf place;
  sigset_t none;
  char *end, text[40];

  CHECK (constructed == 1 && argv[0] != NULL && getenv ("PATH") != NULL);
  CHECK (sem_init (&ready, 0, 0) == 0 && pthread_create (&thread, NULL, root_of, &number) == 0);
  CHECK (sem_wait (&ready) == 0 && pthread_join (thread, &result) == 0 && result == &number && mine == 7);
  CHECK (fabs (number - 1.41421356237) < 1e-9);
  CHECK (snprintf (text, sizeof text, "%.3Lf %lld", 2.5L, 1LL << 40) == 19);
  CHECK (strcmp (text, "2.500 1099511627776") == 0);
  CHECK (strtol ("-0x1f", &end, 0) == -31 && *end == 0);
  CHECK (strtoul ("99999999999999999999", &end, 10) == (unsigned long) -1 && errno == ERANGE);
  CHECK (gmtime_r (&when, &date) != NULL && date.tm_year == 109 && date.tm_sec == 30);
  CHECK (sigemptyset (&none) == 0 && raise (0) == 0);
  if (setjmp (place) == 0)
    longjmp (place, 1);
  pid_t child = fork ();
  int status = 0;
  if (child == 0)
    _exit (7);
  CHECK (waitpid (child, &status, 0) == child && WIFEXITED (status) && WEXITSTATUS (status) == 7);
  if (files (argv[0]) != 0)
    return 1;
  printf ("ok %s\n", gnu_get_libc_version ());
  return 0;
}
