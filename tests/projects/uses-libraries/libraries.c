#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <ffi.h>
#include <math.h>
#include <zlib.h>

/* pow(base, exponent), called through libffi. */
static PyObject *power(PyObject *self, PyObject *args)
{
    double base, exponent, result;
    void *values[] = {&base, &exponent};
    ffi_type *types[] = {&ffi_type_double, &ffi_type_double};
    ffi_cif cif;
    (void)self;
    if (!PyArg_ParseTuple(args, "dd", &base, &exponent))
        return NULL;
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 2, &ffi_type_double, types) != FFI_OK)
        return PyErr_Format(PyExc_RuntimeError, "ffi_prep_cif");
    ffi_call(&cif, FFI_FN(pow), &result, values);
    return PyFloat_FromDouble(result);
}

static void twice(ffi_cif *cif, void *result, void **values, void *data)
{
    (void)cif;
    *(ffi_arg *)result = (ffi_arg)(*(int *)values[0] * *(int *)data);
}

/* A number through code that libffi makes at run time, which takes memory that may be executed. */
static PyObject *closure(PyObject *self, PyObject *args)
{
    int value, factor, result;
    void *code;
    ffi_cif cif;
    ffi_type *types[] = {&ffi_type_sint};
    ffi_closure *made;
    (void)self;
    if (!PyArg_ParseTuple(args, "ii", &value, &factor))
        return NULL;
    made = ffi_closure_alloc(sizeof *made, &code);
    if (made == NULL || ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1, &ffi_type_sint, types) != FFI_OK ||
        ffi_prep_closure_loc(made, &cif, twice, &factor, code) != FFI_OK)
        return PyErr_Format(PyExc_RuntimeError, "no closure");
    result = ((int (*)(int))code)(value);
    ffi_closure_free(made);
    return PyLong_FromLong(result);
}

static PyObject *checksum(PyObject *self, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#", &data, &size))
        return NULL;
    return PyLong_FromUnsignedLong(crc32(0L, (const Bytef *)data, (uInt)size));
}

static PyMethodDef methods[] = {
    {"power", power, METH_VARARGS, NULL},
    {"closure", closure, METH_VARARGS, NULL},
    {"checksum", checksum, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "xt_libraries", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_xt_libraries(void)
{
    return PyModule_Create(&module);
}
