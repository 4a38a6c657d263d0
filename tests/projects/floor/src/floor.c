/* An extension that needs the very glibc that its headers say: it calls something of that version, or of the
   nearest older one that is listed here. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <features.h>
#if __GLIBC_PREREQ (2, 28)
# include <threads.h>
#endif
#include <math.h>
#include <pthread.h>

#if __GLIBC_PREREQ (2, 41)
# define USED 241
# define CALL() (sinpi (0.5) == 1)
#elif __GLIBC_PREREQ (2, 34)
# define USED 234
static void *nothing (void *unused) { return unused; }
static int
call (void)
{
  pthread_t thread;
  return pthread_create (&thread, NULL, nothing, NULL) == 0 && pthread_join (thread, NULL) == 0;
}
# define CALL() call ()
#elif __GLIBC_PREREQ (2, 31)
# define USED 231
static int
call (void)
{
  static void *volatile function = (void *) pthread_clockjoin_np;
  return function != NULL;
}
# define CALL() call ()
#elif __GLIBC_PREREQ (2, 28)
# define USED 228
static int nothing (void *unused) { (void) unused; return 7; }
static int
call (void)
{
  thrd_t thread;
  int result = 0;
  return thrd_create (&thread, nothing, NULL) == thrd_success && thrd_join (thread, &result) == thrd_success
         && result == 7;
}
# define CALL() call ()
#else
# define USED 217
# define CALL() (pow (2, 0.5) > 1.4)
#endif

static PyObject *
used (PyObject *self, PyObject *arguments)
{
  (void) self;
  (void) arguments;
  return PyLong_FromLong (CALL () ? USED : 0);
}

static PyMethodDef methods[] = {
  { "used", used, METH_NOARGS, "The glibc whose function was called and gave the right result; 0 for a wrong one." },
  { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition
  = { PyModuleDef_HEAD_INIT, "_floor", NULL, 0, methods, NULL, NULL, NULL, NULL };

PyMODINIT_FUNC
PyInit__floor (void)
{
  return PyModule_Create (&definition);
}
