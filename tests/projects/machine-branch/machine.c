#include <Python.h>

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_machine", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__machine(void) {
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddStringConstant(made, "machine", MACHINE) < 0) Py_CLEAR(made);
    return made;
}
