/* The training's library for Python: `dump` writes and empties all counters of the process, `begin` says that it has
   some. A module of its own, so that neither a signal's handler nor the end of the interpreter has to import more. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern void xtool_training_begin(void);
extern void xtool_training_dump(void);

static PyObject *dump(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  xtool_training_dump();
  Py_RETURN_NONE;
}

static PyObject *begin(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  xtool_training_begin();
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"dump", dump, METH_NOARGS, NULL}, {"begin", begin, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_xtool_training", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__xtool_training(void) { return PyModuleDef_Init(&module); }
