#include <Python.h>
#define PASTE(a, b) a##b
#define NAME(n) PASTE(PyInit__more, n)
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_more", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC NAME(XT_MORE)(void) { return PyModule_Create(&module); }
