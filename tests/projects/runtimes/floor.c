/* Calls what the compat library offers, by its own version; says what went wrong, or nothing. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *library;
static int failed;

static void *
function (const char *name)
{
  void *found = dlvsym (library, name, "XTOOL_FLOOR_1");
  if (found == NULL)
    {
      printf ("no %s\n", name);
      exit (2);
    }
  return found;
}

#define CHECK(what) \
  do if (!(what)) { printf ("%s\n", #what); failed = 1; } while (0)
#define CALL(result, name, ...) ((result (*) (__VA_ARGS__)) function (name))

static int
dies (void (*call) (void))
{
  int status;
  pid_t child = fork ();
  if (child == 0)
    {
      close (STDERR_FILENO);
      call ();
      _exit (0);
    }
  return waitpid (child, &status, 0) == child && WIFSIGNALED (status) && WTERMSIG (status) == SIGABRT;
}

static char small[4];

static void
overrun_copy (void)
{
  CALL (size_t, "__strlcpy_chk", char *, const char *, size_t, size_t) (small, "x", 5, sizeof small);
}

static void
overrun_clear (void)
{
  CALL (void, "__explicit_bzero_chk", void *, size_t, size_t) (small, 5, sizeof small);
}

static void
strings (void)
{
  char text[8];
  CHECK (CALL (size_t, "strlcpy", char *, const char *, size_t) (text, "abc", sizeof text) == 3);
  CHECK (strcmp (text, "abc") == 0);
  CHECK (CALL (size_t, "strlcat", char *, const char *, size_t) (text, "defghi", sizeof text) == 9);
  CHECK (strcmp (text, "abcdefg") == 0);
  CHECK (CALL (size_t, "strlcpy", char *, const char *, size_t) (text, "12", 0) == 2 && text[0] == 'a');
  CHECK (CALL (size_t, "strlcpy", char *, const char *, size_t) (text, "123", 1) == 3 && text[0] == 0);
  memset (text, 'x', sizeof text);
  CHECK (CALL (size_t, "strlcat", char *, const char *, size_t) (text, "12", sizeof text) == sizeof text + 2);
  CHECK (CALL (size_t, "__strlcat_chk", char *, const char *, size_t, size_t) (strcpy (text, "a"), "b", 8, 8) == 2);
  CALL (void, "explicit_bzero", void *, size_t) (text, 3);
  CHECK (memcmp (text, "\0\0\0", 3) == 0);
  CHECK (dies (overrun_copy) && dies (overrun_clear));
}

static void
memory (void)
{
  void *(*array) (void *, size_t, size_t) = CALL (void *, "reallocarray", void *, size_t, size_t);
  char *block = array (NULL, 10, 10);
  CHECK (block != NULL && (block = array (block, 20, 10)) != NULL);
  free (block);
  errno = 0;
  CHECK (array (NULL, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
}

static void
entropy (void)
{
  unsigned char one[16] = { 0 }, two[16] = { 0 };
  CHECK (CALL (ssize_t, "getrandom", void *, size_t, unsigned) (one, 16, 0) == 16);
  CHECK (CALL (ssize_t, "getrandom", void *, size_t, unsigned) (two, 16, 1) == 16);
  CHECK (memcmp (one, two, 16) != 0);
  errno = 0;
  CHECK (CALL (ssize_t, "getrandom", void *, size_t, unsigned) (one, 16, 0xff00) == -1 && errno == EINVAL);
  CALL (void, "arc4random_buf", void *, size_t) (one, 16);
  CHECK (memcmp (one, two, 16) != 0);
  unsigned seen = 0;
  for (int i = 0; i < 200; i++)
    seen |= 1u << CALL (uint32_t, "arc4random_uniform", uint32_t) (5);
  CHECK (seen == 31);
  CHECK (CALL (uint32_t, "arc4random_uniform", uint32_t) (1) == 0);
  CHECK (CALL (int, "getentropy", void *, size_t) (one, 257) == -1);
}

static struct timespec
after (clockid_t clock, long nanoseconds)
{
  struct timespec until;
  clock_gettime (clock, &until);
  until.tv_nsec += nanoseconds;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  return until;
}

static int
passed (clockid_t clock, const struct timespec *until)
{
  struct timespec now;
  clock_gettime (clock, &now);
  return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *
try_mutex (void *clock)
{
  struct timespec until = after (*(clockid_t *) clock, 20000000);
  int got = CALL (int, "pthread_mutex_clocklock", pthread_mutex_t *, clockid_t, const struct timespec *) (
      &mutex, *(clockid_t *) clock, &until);
  CHECK (got == ETIMEDOUT && passed (*(clockid_t *) clock, &until));
  return NULL;
}

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void *
try_lock (void *clock)
{
  const char *const names[] = { "pthread_rwlock_clockrdlock", "pthread_rwlock_clockwrlock" };
  for (int i = 0; i < 2; i++)
    {
      struct timespec until = after (*(clockid_t *) clock, 20000000);
      int got = CALL (int, names[i], pthread_rwlock_t *, clockid_t, const struct timespec *) (
          &lock, *(clockid_t *) clock, &until);
      CHECK (got == ETIMEDOUT && passed (*(clockid_t *) clock, &until));
    }
  return NULL;
}

static void
clocks (void)
{
  const clockid_t each[] = { CLOCK_MONOTONIC, CLOCK_REALTIME };
  int (*wait) (pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *)
      = CALL (int, "pthread_cond_clockwait", pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
  int (*down) (sem_t *, clockid_t, const struct timespec *)
      = CALL (int, "sem_clockwait", sem_t *, clockid_t, const struct timespec *);
  for (int i = 0; i < 2; i++)
    {
      clockid_t clock = each[i];
      pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
      sem_t semaphore;
      pthread_t thread;
      struct timespec until = after (clock, 20000000);
      int result;
      pthread_mutex_lock (&mutex);
      while ((result = wait (&condition, &mutex, clock, &until)) == 0)
        ;
      CHECK (result == ETIMEDOUT && passed (clock, &until));
      pthread_create (&thread, NULL, try_mutex, &clock);
      pthread_join (thread, NULL);
      pthread_mutex_unlock (&mutex);
      pthread_rwlock_wrlock (&lock);
      pthread_create (&thread, NULL, try_lock, &clock);
      pthread_join (thread, NULL);
      pthread_rwlock_unlock (&lock);
      sem_init (&semaphore, 0, 1);
      until = after (clock, 20000000);
      CHECK (down (&semaphore, clock, &until) == 0);
      errno = 0;
      CHECK (down (&semaphore, clock, &until) == -1 && errno == ETIMEDOUT && passed (clock, &until));
    }
  struct timespec bad = { 0, -1 };
  CHECK (wait (NULL, NULL, CLOCK_MONOTONIC, &bad) == EINVAL);
  bad.tv_nsec = 0;
  CHECK (wait (NULL, NULL, CLOCK_PROCESS_CPUTIME_ID, &bad) == EINVAL);
}

static void
kernel (void)
{
  CHECK (CALL (pid_t, "gettid", void) () == getpid ());
  CHECK (CALL (int, "tgkill", pid_t, pid_t, int) (getpid (), getpid (), 0) == 0);
  int fd = CALL (int, "memfd_create", const char *, unsigned) ("x", 0);
  CHECK (fd >= 0 && write (fd, "abc", 3) == 3);
  struct stat facts;
  CHECK (CALL (int, "fstat", int, struct stat *) (fd, &facts) == 0 && facts.st_size == 3);
  CHECK (CALL (int, "stat", const char *, struct stat *) ("/", &facts) == 0 && S_ISDIR (facts.st_mode));
  char copied[3] = "";
  int other = CALL (int, "memfd_create", const char *, unsigned) ("y", 0);
  off64_t start = 0;
  errno = 0;
  ssize_t moved = CALL (ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned) (
      fd, &start, other, NULL, 3, 0);
  CHECK ((moved == 3 && pread (other, copied, 3, 0) == 3 && memcmp (copied, "abc", 3) == 0) || errno == ENOSYS
         || errno == EXDEV);
  errno = 0;
  CHECK (CALL (int, "renameat2", int, const char *, int, const char *, unsigned) (-100, "", -100, "", 0) == -1
         && (errno == ENOENT || errno == ENOSYS));
  char status[256];
  CHECK (CALL (int, "statx", int, const char *, int, unsigned, void *) (-100, "/", 0, 1, status) == 0
         || errno == ENOSYS);
  errno = 0;
  CHECK (CALL (int, "close_range", unsigned, unsigned, int) (fd, fd, 0) == 0 || errno == ENOSYS);
  fd = dup (STDOUT_FILENO);
  fd = dup2 (fd, 100);
  CALL (void, "closefrom", int) (50);
  CHECK (fd == 100 && write (100, "", 0) == -1 && errno == EBADF);
}

int
main (int count, char **words)
{
  library = count > 1 ? dlopen (words[1], RTLD_NOW) : NULL;
  if (library == NULL)
    {
      puts (dlerror ());
      return 2;
    }
  strings ();
  memory ();
  entropy ();
  clocks ();
  kernel ();
  puts (failed ? "failed" : "all of it works");
  return failed;
}
