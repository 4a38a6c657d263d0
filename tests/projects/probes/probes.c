/* What the probes found, and calls that need libraries which nobody names. XT_USE makes it call what is newer. */
#define _GNU_SOURCE
#include <Python.h>
#include <dlfcn.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef USE_GETRANDOM
#include <sys/random.h>
static long use(void) { char bytes[8]; return getrandom(bytes, sizeof bytes, 0); }
#elif defined USE_MEMFD_CREATE
static long use(void) { return memfd_create("x", 0) > 0; }
#elif defined USE_UNDECLARED
ssize_t getrandom(void *, size_t, unsigned);
static long use(void) { char bytes[8]; return getrandom(bytes, sizeof bytes, 0); }
#else
static long use(void) { return 0; }
#endif

static void *identity(void *argument) { return argument; }

static PyObject *found(PyObject *self, PyObject *unused) {
    pthread_t thread;
    void *result = NULL;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    int master, slave;
    (void)unused;
    if (pthread_create(&thread, NULL, identity, self) != 0) return PyErr_SetFromErrno(PyExc_OSError);
    pthread_join(thread, &result);
    if (timer_create(CLOCK_REALTIME, &event, &timer) == 0) timer_delete(timer);
    if (openpty(&master, &slave, NULL, NULL, NULL) == 0) close(master), close(slave);
    if (result != self || dlopen(NULL, RTLD_NOW) == NULL) Py_RETURN_NONE;
    return Py_BuildValue("sl", FOUND, use());
}

static PyMethodDef methods[] = {{"found", found, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "xt_probes", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_xt_probes(void) { return PyModule_Create(&module); }
