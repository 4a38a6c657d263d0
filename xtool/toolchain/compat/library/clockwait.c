/* Waiting until a time on a chosen clock (glibc 2.30). What is older waits on CLOCK_REALTIME: the deadline is
   carried over to it, and looked at again on the chosen clock when the wait says that it is over.

   pthread_cond_clockwait stands for a condition variable with the default clock, as std::condition_variable has. */

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define SECOND 1000000000L

static int
usable (clockid_t clock, const struct timespec *until)
{
  if (until->tv_nsec < 0 || until->tv_nsec >= SECOND)
    return 0;
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

/* What is left until a deadline; 0 when it has passed. */
static int
left (clockid_t clock, const struct timespec *until, struct timespec *rest)
{
  struct timespec now;
  clock_gettime (clock, &now);
  rest->tv_sec = until->tv_sec - now.tv_sec;
  rest->tv_nsec = until->tv_nsec - now.tv_nsec;
  if (rest->tv_nsec < 0)
    {
      rest->tv_sec--;
      rest->tv_nsec += SECOND;
    }
  return rest->tv_sec >= 0 && (rest->tv_sec > 0 || rest->tv_nsec > 0);
}

/* The deadline as CLOCK_REALTIME will show it. */
static struct timespec
carried (clockid_t clock, const struct timespec *until)
{
  struct timespec rest, now;
  if (clock == CLOCK_REALTIME)
    return *until;
  clock_gettime (CLOCK_REALTIME, &now);
  if (!left (clock, until, &rest))
    return now;
  now.tv_sec += rest.tv_sec;
  now.tv_nsec += rest.tv_nsec;
  if (now.tv_nsec >= SECOND)
    {
      now.tv_sec++;
      now.tv_nsec -= SECOND;
    }
  return now;
}

#define WAIT(name, type, timed)                                               \
  int name (type *object, clockid_t clock, const struct timespec *until)      \
  {                                                                           \
    struct timespec deadline, rest;                                           \
    int result;                                                               \
    if (!usable (clock, until))                                               \
      return EINVAL;                                                          \
    do                                                                        \
      {                                                                       \
        deadline = carried (clock, until);                                    \
        result = timed (object, &deadline);                                   \
      }                                                                       \
    while (result == ETIMEDOUT && left (clock, until, &rest));                \
    return result;                                                            \
  }

WAIT (pthread_mutex_clocklock, pthread_mutex_t, pthread_mutex_timedlock)
WAIT (pthread_rwlock_clockrdlock, pthread_rwlock_t, pthread_rwlock_timedrdlock)
WAIT (pthread_rwlock_clockwrlock, pthread_rwlock_t, pthread_rwlock_timedwrlock)

int
pthread_cond_clockwait (pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until)
{
  struct timespec deadline, rest;
  if (!usable (clock, until))
    return EINVAL;
  deadline = carried (clock, until);
  int result = pthread_cond_timedwait (condition, mutex, &deadline);
  /* Callers must expect to be woken for nothing; a signal may have come while the mutex was free. */
  return result == ETIMEDOUT && left (clock, until, &rest) ? 0 : result;
}

int
sem_clockwait (sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
  struct timespec deadline, rest;
  if (!usable (clock, until))
    {
      errno = EINVAL;
      return -1;
    }
  int result;
  do
    {
      deadline = carried (clock, until);
      result = sem_timedwait (semaphore, &deadline);
    }
  while (result != 0 && errno == ETIMEDOUT && left (clock, until, &rest));
  return result;
}
