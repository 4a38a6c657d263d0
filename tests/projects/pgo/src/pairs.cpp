#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "pairs.hpp"

static PyObject *best(PyObject *, PyObject *args) {
  long n;
  if (!PyArg_ParseTuple(args, "l", &n)) return nullptr;
  std::vector<long> values;
  for (long i = 0; i < 20; i++) values.push_back((n * (i + 3)) % 101);
  return PyLong_FromLong(largest(values) + more(n));
}

static PyMethodDef methods[] = {{"best", best, METH_VARARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_pairs", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__pairs(void) { return PyModule_Create(&module); }
