/* One function of each glibc that brought some: what a project uses that asks __GLIBC_PREREQ what there is.
   So the glibc that its symbols need is the newest one below that is not newer than the floor. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <features.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/cdefs.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if __GLIBC_PREREQ (2, 25)
#include <sys/random.h>
#endif
#if __GLIBC_PREREQ (2, 39)
/* It does not say by itself that its functions are C. */
__BEGIN_DECLS
#include <sys/pidfd.h>
__END_DECLS
#endif

#define WORKS(minor, what) \
  do { if (!(what)) return -(minor); newest = (minor); } while (0)

static inline void *
xt_nothing (void *unused)
{
  return unused;
}

/* The minor version of the newest glibc that something was used of; negative where that did not work. */
static inline int
xt_newest (void)
{
  int newest = 0;
#if __GLIBC_PREREQ (2, 17)
  WORKS (17, secure_getenv ("XT_NOT_SET") == NULL);
#endif
#if __GLIBC_PREREQ (2, 24)
  pid_t child = fork ();
  if (child == 0)
    quick_exit (7);
  int status = 0;
  WORKS (24, waitpid (child, &status, 0) == child && WIFEXITED (status) && WEXITSTATUS (status) == 7);
#endif
#if __GLIBC_PREREQ (2, 25)
  char bytes[8];
  WORKS (25, getrandom (bytes, sizeof bytes, 0) == (ssize_t) sizeof bytes);
#endif
#if __GLIBC_PREREQ (2, 26)
  void *volatile block = reallocarray (NULL, 3, 5);
  WORKS (26, block != NULL);
  free (block);
#endif
#if __GLIBC_PREREQ (2, 27)
  int file = memfd_create ("xt", 0);
  WORKS (27, file >= 0 && close (file) == 0);
#endif
#if __GLIBC_PREREQ (2, 28)
  WORKS (28, renameat2 (-1, "a", -1, "b", 0) == -1 && (errno == EBADF || errno == ENOSYS));
#endif
#if __GLIBC_PREREQ (2, 29)
  unsigned cpu, node;
  WORKS (29, getcpu (&cpu, &node) == 0);
#endif
#if __GLIBC_PREREQ (2, 30)
  WORKS (30, gettid () > 0);
#endif
#if __GLIBC_PREREQ (2, 31)
  pthread_t thread;
  struct timespec until;
  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += 60;
  WORKS (31, pthread_create (&thread, NULL, xt_nothing, NULL) == 0
                 && pthread_clockjoin_np (thread, NULL, CLOCK_MONOTONIC, &until) == 0);
#endif
#if __GLIBC_PREREQ (2, 32)
  WORKS (32, strcmp (sigabbrev_np (SIGHUP), "HUP") == 0);
#endif
#if __GLIBC_PREREQ (2, 33)
  WORKS (33, mallinfo2 ().uordblks > 0);
#endif
#if __GLIBC_PREREQ (2, 34)
  struct timespec resolution;
  WORKS (34, timespec_getres (&resolution, TIME_UTC) == TIME_UTC);
#endif
#if __GLIBC_PREREQ (2, 35)
  posix_spawn_file_actions_t actions;
  WORKS (35, posix_spawn_file_actions_init (&actions) == 0
                 && posix_spawn_file_actions_addtcsetpgrp_np (&actions, 0) == 0
                 && posix_spawn_file_actions_destroy (&actions) == 0);
#endif
#if __GLIBC_PREREQ (2, 36)
  WORKS (36, arc4random_uniform (1) == 0);
#endif
#if __GLIBC_PREREQ (2, 38)
  char text[4];
  const char *volatile given = "abcdef";
  WORKS (38, strlcpy (text, given, sizeof text) == 6 && strcmp (text, "abc") == 0);
#endif
#if __GLIBC_PREREQ (2, 39)
  WORKS (39, pidfd_getpid (-1) == -1 && errno == EBADF);
#endif
#if __GLIBC_PREREQ (2, 40)
  volatile double one = 1;
  WORKS (40, exp10m1 (one) == 9);
#endif
#if __GLIBC_PREREQ (2, 41)
  volatile double zero = 0;
  WORKS (41, cospi (zero) == 1);
#endif
  return newest;
}
