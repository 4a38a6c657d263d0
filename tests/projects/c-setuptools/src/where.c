#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

/* The compiler's path of this file is part of the binary: it must not tell where the build ran. */
static PyObject *where(PyObject *self, PyObject *args) {
    double number;
    (void)self;
    if (!PyArg_ParseTuple(args, "d", &number)) return NULL;
    return Py_BuildValue("sd", __FILE__, cbrt(number));
}

static PyMethodDef methods[] = {{"where", where, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_where", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__where(void) { return PyModule_Create(&module); }
