#include <Python.h>
#include <omp.h>

/* 1 + ... + n in parallel; with the team's size and the number of threads that took part. */
static PyObject *
sum (PyObject *self, PyObject *number)
{
  long long n = PyLong_AsLong (number), total = 0;
  int team = 0, taking_part = 0;
  (void) self;
  omp_set_dynamic (0);
  omp_set_num_threads (3);
#pragma omp parallel reduction(+ : taking_part)
  {
    taking_part = 1;
#pragma omp single
    team = omp_get_num_threads ();
#pragma omp for schedule(dynamic, 10) reduction(+ : total)
    for (long long i = 1; i <= n; i++)
      total += i;
  }
  return Py_BuildValue ("Lii", total, team, taking_part);
}

static PyMethodDef methods[] = { { "sum", sum, METH_O, "" }, { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_loops", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_loops (void)
{
  return PyModule_Create (&module);
}
