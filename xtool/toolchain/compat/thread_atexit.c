/* __cxa_thread_atexit_impl (glibc 2.18): runs the destructors of a thread's thread_local objects. libstdc++.a calls
   it for every thread_local with a destructor. Where the C library at run time has it, it is used: only the library
   can keep a shared object loaded while its destructors are pending. Elsewhere a thread-specific key does the
   work, and the main thread's objects, whose keys nobody destroys, go at the process's exit. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

typedef void destructor (void *);
typedef int registrar (destructor *, void *, void *);

struct pending
{
  destructor *call;
  void *object;
  struct pending *next;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made;
static registrar *library;

static void
run_pending (void *list)
{
  struct pending *first = list;
  while (first != NULL)
    {
      /* A destructor may register another one; it goes to the front of a list of its own, and next. */
      struct pending *rest = first->next;
      pthread_setspecific (key, NULL);
      first->call (first->object);
      free (first);
      struct pending *added = pthread_getspecific (key);
      first = rest;
      if (added != NULL)
        {
          struct pending *last = added;
          while (last->next != NULL)
            last = last->next;
          last->next = rest;
          first = added;
        }
    }
  pthread_setspecific (key, NULL);
}

static void
run_at_exit (void)
{
  run_pending (pthread_getspecific (key));
}

static void
prepare (void)
{
  /* By its version: without one, this very function could be found, where the compat library exports it. Converting an
     object pointer to a function's is what POSIX says dlsym is for. */
  *(void **) &library = dlvsym (RTLD_DEFAULT, "__cxa_thread_atexit_impl", "GLIBC_2.18");
  if (library == NULL && pthread_key_create (&key, run_pending) == 0)
    key_made = atexit (run_at_exit) == 0;
}

int
__cxa_thread_atexit_impl (destructor *call, void *object, void *dso_handle)
{
  pthread_once (&once, prepare);
  if (library != NULL)
    return library (call, object, dso_handle);
  struct pending *entry = key_made ? malloc (sizeof *entry) : NULL;
  if (entry == NULL)
    return -1;
  entry->call = call;
  entry->object = object;
  entry->next = pthread_getspecific (key);
  if (pthread_setspecific (key, entry) == 0)
    return 0;
  free (entry);
  return -1;
}
