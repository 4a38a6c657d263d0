#include <Python.h>

/* join(a, b): two texts with a dot between them. */
static PyObject *
join(PyObject *module, PyObject *args)
{
    PyObject *a, *b;
    (void)module;
    if (!PyArg_ParseTuple(args, "UU", &a, &b))
        return NULL;
#ifdef Py_LIMITED_API
    return PyUnicode_FromFormat("%U.%U", a, b);
#else
    /* PyUnicode_New is no part of the stable ABI. */
    PyObject *dot = PyUnicode_New(1, 127);
    if (dot == NULL || PyUnicode_WriteChar(dot, 0, '.') < 0)
        return NULL;
    PyObject *left = PyUnicode_Concat(a, dot);
    Py_DECREF(dot);
    if (left == NULL)
        return NULL;
    PyObject *joined = PyUnicode_Concat(left, b);
    Py_DECREF(left);
    return joined;
#endif
}

static PyMethodDef methods[] = {
    {"join", join, METH_VARARGS, "Two texts with a dot between them."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_names", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__names(void)
{
    return PyModule_Create(&module);
}
