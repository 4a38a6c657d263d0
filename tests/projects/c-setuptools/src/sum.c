#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "sum.h"

static PyObject *total(PyObject *self, PyObject *args) {
    long long left, right;
    (void)self;
    if (!PyArg_ParseTuple(args, "LL", &left, &right)) return NULL;
    return PyLong_FromLongLong(xt_add(left, right));
}

static PyMethodDef methods[] = {{"total", total, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_sum", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__sum(void) { return PyModule_Create(&module); }
