#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern void multiply (int, double *, char *);
extern void files (const char *, int, double *);
extern void quad (char *);
extern double dice (int);

static PyObject *
call_multiply (PyObject *self, PyObject *number)
{
  double trace;
  char text[80];
  (void) self;
  multiply ((int) PyLong_AsLong (number), &trace, text);
  return Py_BuildValue ("ds#", trace, text, (Py_ssize_t) sizeof text);
}

static PyObject *
call_files (PyObject *self, PyObject *path)
{
  double total;
  Py_ssize_t length;
  const char *text = PyUnicode_AsUTF8AndSize (path, &length);
  (void) self;
  if (text == NULL)
    return NULL;
  files (text, (int) length, &total);
  return PyFloat_FromDouble (total);
}

static PyObject *
call_quad (PyObject *self, PyObject *nothing)
{
  char text[80];
  (void) self;
  (void) nothing;
  quad (text);
  return PyUnicode_FromStringAndSize (text, sizeof text);
}

static PyObject *
call_dice (PyObject *self, PyObject *number)
{
  (void) self;
  return PyFloat_FromDouble (dice ((int) PyLong_AsLong (number)));
}

static PyMethodDef methods[] = { { "multiply", call_multiply, METH_O, "" },
                                 { "files", call_files, METH_O, "" },
                                 { "quad", call_quad, METH_NOARGS, "" },
                                 { "dice", call_dice, METH_O, "" },
                                 { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_fortran", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_fortran (void)
{
  return PyModule_Create (&module);
}
