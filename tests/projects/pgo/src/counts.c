#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "steps.h"

typedef long (*rule)(long);

static long twice(long n) { return 2 * n; }
static long next(long n) { return n + 1; }
static rule rules[] = {twice, next, next, next, next};

/* Never called by the training. */
static PyObject *unused(PyObject *self, PyObject *args) {
  long n, total = 0;
  (void)self;
  if (!PyArg_ParseTuple(args, "l", &n)) return NULL;
  for (long i = 0; i < n; i++) total += i % 7 ? i : -i;
  return PyLong_FromLong(total);
}

static PyObject *steps(PyObject *self, PyObject *args) {
  long n;
  (void)self;
  if (!PyArg_ParseTuple(args, "l", &n)) return NULL;
  for (int i = 0; i < 5; i++) n = rules[i](n);
  return PyLong_FromLong(xt_steps(n));
}

static PyMethodDef methods[] = {
    {"steps", steps, METH_VARARGS, NULL}, {"unused", unused, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_counts", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__counts(void) { return PyModule_Create(&module); }
