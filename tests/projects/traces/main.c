#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <assert.h>
#include "order.h"
#include "where.h"

/* Names that the preprocessor gives: of this file, of a header named by an absolute path, and of dates. */
const char *xt_parts[8];
int xt_count;
void xt_register(const char *name) { assert(xt_count < 8); xt_parts[xt_count++] = name; }

#ifndef XT_LTO
const char *xt_library(int index);
int xt_static(void);
#else
static const char *xt_library(int index) { return index < 0 ? "" : "none"; }
static int xt_static(void) { return 0; }
#endif

static PyObject *traces(PyObject *self, PyObject *args) {
    PyObject *parts = PyList_New(0);
    (void)self;
    (void)args;
    for (int i = 0; parts && i < xt_count; i++) {
        PyObject *name = PyUnicode_FromString(xt_parts[i]);
        if (!name || PyList_Append(parts, name) < 0) return NULL;
        Py_DECREF(name);
    }
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:N}", "file", __FILE__, "header", xt_where(), "date", __DATE__,
                         "time", __TIME__, "timestamp", __TIMESTAMP__, "order", XT_ORDER, "library", xt_library(3), "static",
                         xt_static(), "parts", parts);
}

static PyMethodDef methods[] = {{"traces", traces, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
#define NAMED(name) PyMODINIT_FUNC PyInit_##name(void) { return PyModule_Create(&module); }
#ifdef XT_LTO
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lto", NULL, -1, methods, NULL, NULL, NULL, NULL};
NAMED(_lto)
#else
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_main", NULL, -1, methods, NULL, NULL, NULL, NULL};
NAMED(_main)
#endif
