#include <Python.h>
long helper(long);
static PyObject *f(PyObject *s, PyObject *a) { return PyLong_FromLong(helper(7)); }
static PyMethodDef m[] = {{"f", f, METH_NOARGS, 0}, {0}};
static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "xt_byhand", 0, -1, m};
PyMODINIT_FUNC PyInit_xt_byhand(void) { return PyModule_Create(&d); }
