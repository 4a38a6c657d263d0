#include <Python.h>

#include "fault.h"

static PyObject *
address (PyObject *, PyObject *)
{
  return PyCapsule_New (reinterpret_cast<void *> (fail), "xt.thrower", nullptr);
}

static PyMethodDef methods[] = { { "address", address, METH_NOARGS, "" }, {} };
static PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_thrower", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_thrower (void)
{
  return PyModule_Create (&module);
}
