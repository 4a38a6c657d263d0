#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "newest.h"

extern void compute (int, const char *, int, double *, char *);

static PyObject *
call_compute (PyObject *self, PyObject *arguments)
{
  int n;
  const char *path;
  Py_ssize_t length;
  double trace;
  char text[80];
  (void) self;
  if (!PyArg_ParseTuple (arguments, "is#", &n, &path, &length))
    return NULL;
  compute (n, path, (int) length, &trace, text);
  return Py_BuildValue ("ds#", trace, text, (Py_ssize_t) sizeof text);
}

static PyObject *
newest (PyObject *self, PyObject *nothing)
{
  (void) self;
  (void) nothing;
  return PyLong_FromLong (xt_newest ());
}

static PyMethodDef methods[] = { { "newest", newest, METH_NOARGS, "" },
                                 { "compute", call_compute, METH_VARARGS, "" },
                                 { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_floors_fortran", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_floors_fortran (void)
{
  return PyModule_Create (&module);
}
