/* The training's library for Python: `dump` writes and empties all counters of the process, `begin` says that it has
   some. A module of its own, so that neither a signal's handler nor the end of the interpreter has to import more.

   `insist` is called once Python handles SIGTERM, and in each child. Python's own handler only notes the signal; where
   that happens just before the process waits for a lock, it would wait for ever. So the signal comes again and again
   until the process has ended. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <signal.h>
#include <string.h>
#include <time.h>

extern void xtool_training_begin(void);
extern void xtool_training_dump(void);

static PyObject *dump(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  xtool_training_dump();
  Py_RETURN_NONE;
}

static PyObject *begin(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  xtool_training_begin();
  Py_RETURN_NONE;
}

static void (*noted)(int);
static timer_t timer;

static void again(int number) {
  struct itimerspec often = {{0, 100000000}, {0, 100000000}};
  timer_settime(timer, 0, &often, NULL);
  noted(number);
}

static PyObject *insist(PyObject *self, PyObject *unused) {
  struct sigaction action;
  struct sigevent event;
  (void)self;
  (void)unused;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGTERM;
  if (sigaction(SIGTERM, NULL, &action) != 0 || action.sa_flags & SA_SIGINFO) Py_RETURN_NONE;
  /* A child has no timers of its parent's. */
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) Py_RETURN_NONE;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) Py_RETURN_NONE;
  if (action.sa_handler != again) {
    noted = action.sa_handler;
    action.sa_handler = again;
    sigaction(SIGTERM, &action, NULL);
  }
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"dump", dump, METH_NOARGS, NULL},
                                {"begin", begin, METH_NOARGS, NULL},
                                {"insist", insist, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_xtool_training", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__xtool_training(void) { return PyModuleDef_Init(&module); }
