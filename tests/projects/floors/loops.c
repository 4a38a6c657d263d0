#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "newest.h"

#include <omp.h>

static long
fibonacci (int n)
{
  long one, two;
  if (n < 2)
    return n;
#pragma omp task shared(one)
  one = fibonacci (n - 1);
#pragma omp task shared(two)
  two = fibonacci (n - 2);
#pragma omp taskwait
  return one + two;
}

/* A sum in parallel, tasks, a lock, and how many threads took part. */
static PyObject *
parallel (PyObject *self, PyObject *number)
{
  long n = PyLong_AsLong (number), tasks = 0, locked = 0;
  long long total = 0;
  int taking_part = 0;
  omp_lock_t lock;
  (void) self;
  double started = omp_get_wtime ();
  omp_init_lock (&lock);
  omp_set_dynamic (0);
  omp_set_num_threads (3);
#pragma omp parallel reduction(+ : taking_part)
  {
    taking_part = 1;
#pragma omp for schedule(dynamic, 10) reduction(+ : total)
    for (long i = 1; i <= n; i++)
      total += i;
#pragma omp single
    tasks = fibonacci (10);
    omp_set_lock (&lock);
    locked++;
    omp_unset_lock (&lock);
  }
  omp_destroy_lock (&lock);
  return Py_BuildValue ("LlliO", total, tasks, locked, taking_part,
                        omp_get_wtime () >= started && omp_get_num_procs () > 0 ? Py_True : Py_False);
}

static PyObject *
newest (PyObject *self, PyObject *nothing)
{
  (void) self;
  (void) nothing;
  return PyLong_FromLong (xt_newest ());
}

static PyMethodDef methods[] = { { "newest", newest, METH_NOARGS, "" },
                                 { "parallel", parallel, METH_O, "" },
                                 { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_floors_openmp", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_floors_openmp (void)
{
  return PyModule_Create (&module);
}
