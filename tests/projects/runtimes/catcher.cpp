#include <Python.h>

#include "fault.h"

static PyObject *
catch_from (PyObject *, PyObject *arguments)
{
  PyObject *capsule;
  int how;
  if (!PyArg_ParseTuple (arguments, "Oi", &capsule, &how))
    return nullptr;
  auto thrower = reinterpret_cast<void (*) (int)> (PyCapsule_GetPointer (capsule, "xt.thrower"));
  return PyUnicode_FromString (call (thrower, how));
}

static PyObject *
run_threads (PyObject *, PyObject *)
{
  int made, gone;
  threads (&made, &gone);
  return Py_BuildValue ("ii", made, gone);
}

static PyMethodDef methods[] = { { "call", catch_from, METH_VARARGS, "" },
                                 { "threads", run_threads, METH_NOARGS, "" },
                                 {} };
static PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_catcher", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_catcher (void)
{
  return PyModule_Create (&module);
}
