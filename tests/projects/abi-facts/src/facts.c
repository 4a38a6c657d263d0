/* What the compiler makes of the target's C ABI: sizes, alignments, layouts, representations. */

#include "xt_python.h"

#include <float.h>
#include <string.h>

static int set(PyObject *dict, const char *name, PyObject *value) {
    int failed = value == NULL || PyDict_SetItemString(dict, name, value) < 0;
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

#define SIZE(type) \
    if (set(sizes, #type, PyLong_FromSize_t(sizeof(type))) < 0) goto failed
#define ALIGNMENT(type)                                                                     \
    do {                                                                                    \
        struct member {                                                                     \
            char before;                                                                    \
            type here;                                                                      \
        };                                                                                  \
        if (set(alignments, #type, PyLong_FromSize_t(offsetof(struct member, here))) < 0) { \
            goto failed;                                                                    \
        }                                                                                   \
    } while (0)

/* Sizes in bytes, and alignments of members of a struct. */
static PyObject *layout(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    PyObject *sizes = PyDict_New(), *alignments = PyDict_New();
    if (sizes == NULL || alignments == NULL) goto failed;
    SIZE(short);
    SIZE(int);
    SIZE(long);
    SIZE(long long);
    SIZE(void *);
    SIZE(size_t);
    SIZE(ptrdiff_t);
    SIZE(off_t);
    SIZE(time_t);
    SIZE(wchar_t);
    SIZE(float);
    SIZE(double);
    SIZE(long double);
    SIZE(double _Complex);
    SIZE(_Bool);
    SIZE(int_fast16_t);
    SIZE(intmax_t);
    SIZE(Py_ssize_t);
    SIZE(Py_hash_t);
    SIZE(Py_UCS4);
#ifdef __SIZEOF_INT128__
    SIZE(__int128);
    ALIGNMENT(__int128);
#endif
    ALIGNMENT(short);
    ALIGNMENT(int);
    ALIGNMENT(long);
    ALIGNMENT(long long);
    ALIGNMENT(int64_t);
    ALIGNMENT(void *);
    ALIGNMENT(float);
    ALIGNMENT(double);
    ALIGNMENT(long double);
    ALIGNMENT(double _Complex);
    return Py_BuildValue("NN", sizes, alignments);
failed:
    Py_XDECREF(sizes);
    Py_XDECREF(alignments);
    return NULL;
}

/* Where the members of struct xt_mixed lie, and how large it is. */
static PyObject *mixed_offsets(PyObject *self, PyObject *none) {
    (void)self, (void)none;
#define AT(member) (Py_ssize_t) offsetof(struct xt_mixed, member)
    return Py_BuildValue("[nnnnnnnn]", AT(a), AT(b), AT(c), AT(d), AT(e), AT(f), AT(g),
                         (Py_ssize_t)sizeof(struct xt_mixed));
}

/* The bytes of numbers in memory. */
static PyObject *representations(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    const unsigned int whole = 0x01020304u;
    const long long wide = 0x0102030405060708LL;
    const double real = -1.5;
    union {
        long double value;
        unsigned char bytes[sizeof(long double)];
    } one, some;
    struct {
        unsigned int low : 3, high : 29;
    } bits = {1, 0};
    unsigned char first;
    /* What x87 does not write stays zero. */
    memset(&one, 0, sizeof one);
    memset(&some, 0, sizeof some);
    one.value = 1.0L;
    some.value = -2.5L;
    memcpy(&first, &bits, 1);
    return Py_BuildValue("{s:y#,s:y#,s:y#,s:y#,s:y#,s:i}", "unsigned int", &whole, (Py_ssize_t)sizeof whole,
                         "long long", &wide, (Py_ssize_t)sizeof wide, "double", &real, (Py_ssize_t)sizeof real,
                         "long double 1", one.bytes, (Py_ssize_t)sizeof one.bytes, "long double -2.5", some.bytes,
                         (Py_ssize_t)sizeof some.bytes, "first bit field", (int)first);
}

/* Signs, formats and limits. */
static PyObject *kinds(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    const char below = (char)-1;
    const wchar_t wide_below = (wchar_t)-1;
    return Py_BuildValue(
        "{s:O,s:O,s:i,s:i,s:i,s:i,s:i,s:n,s:O}", "char signed", below < 0 ? Py_True : Py_False, "wchar_t signed",
        wide_below < 0 ? Py_True : Py_False, "long double digits", LDBL_MANT_DIG, "long double exponent",
        LDBL_MAX_EXP, "double digits", DBL_MANT_DIG, "bits of an int's digit", PyLong_SHIFT, "int digit", (int)sizeof(digit),
        "largest Py_ssize_t", PY_SSIZE_T_MAX, "big-endian", PY_BIG_ENDIAN ? Py_True : Py_False);
}

/* What setup.py and pyconfig.h said when this file was compiled. */
static PyObject *configured(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    return Py_BuildValue("{s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "SIZEOF_LONG", SIZEOF_LONG, "SIZEOF_VOID_P",
                         SIZEOF_VOID_P, "SIZEOF_TIME_T", SIZEOF_TIME_T, "XT_SIZEOF_LONG", XT_SIZEOF_LONG,
                         "XT_SIZEOF_VOID_P", XT_SIZEOF_VOID_P, "XT_BIGENDIAN", XT_BIGENDIAN,
                         "XT_SIZEOF_LONG_DOUBLE", XT_SIZEOF_LONG_DOUBLE);
}

static PyMethodDef methods[] = {
    {"layout", layout, METH_NOARGS, NULL},
    {"mixed_offsets", mixed_offsets, METH_NOARGS, NULL},
    {"representations", representations, METH_NOARGS, NULL},
    {"kinds", kinds, METH_NOARGS, NULL},
    {"configured", configured, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_facts", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__facts(void) { return PyModule_Create(&module); }
