/* Numbers, text and memory on their way between Python and C: both sides must be of one mind about the ABI. */

#include "xt_python.h"

#include <structmember.h>
#include <string.h>

/* An int through C's types, as the bytes that C has then. */
static PyObject *as_c(PyObject *self, PyObject *args) {
    const char *type;
    PyObject *number;
    (void)self;
    if (!PyArg_ParseTuple(args, "sO!", &type, &PyLong_Type, &number)) return NULL;
#define THROUGH(name, kind, convert)                                            \
    if (strcmp(type, name) == 0) {                                              \
        kind value = convert;                                                   \
        if (PyErr_Occurred()) return NULL;                                      \
        return PyBytes_FromStringAndSize((const char *)&value, sizeof value);   \
    }
    THROUGH("long", long, PyLong_AsLong(number))
    THROUGH("unsigned long", unsigned long, PyLong_AsUnsignedLong(number))
    THROUGH("long long", long long, PyLong_AsLongLong(number))
    THROUGH("unsigned long long", unsigned long long, PyLong_AsUnsignedLongLong(number))
    THROUGH("Py_ssize_t", Py_ssize_t, PyLong_AsSsize_t(number))
    THROUGH("size_t", size_t, PyLong_AsSize_t(number))
    THROUGH("void *", void *, PyLong_AsVoidPtr(number))
    return PyErr_Format(PyExc_ValueError, "%s", type);
}

/* Numbers of C's, as Python sees them. */
static PyObject *from_c(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    return Py_BuildValue("(lkLKnNdfc)", -0x12345678L, 0xFEDCBA98UL, -0x123456789ABCDEFLL, 0xFEDCBA9876543210ULL,
                         (Py_ssize_t)-2, PyLong_FromSize_t((size_t)0xFFFFFFFEu), -1.5, 0.25, 'c');
}

/* An int as 16 bytes, the most significant one first or last. */
static PyObject *as_bytes(PyObject *self, PyObject *args) {
    PyObject *number;
    int little;
    unsigned char bytes[16];
    (void)self;
    if (!PyArg_ParseTuple(args, "O!p", &PyLong_Type, &number, &little)) return NULL;
#if PY_VERSION_HEX >= 0x030D0000
    int failed = _PyLong_AsByteArray((PyLongObject *)number, bytes, sizeof bytes, little, 1, 1);
#else
    int failed = _PyLong_AsByteArray((PyLongObject *)number, bytes, sizeof bytes, little, 1);
#endif
    return failed ? NULL : PyBytes_FromStringAndSize((const char *)bytes, sizeof bytes);
}

/* Text as the bytes of its code points: as Python holds them, as UCS-4, as C's wide characters. */
static PyObject *text_bytes(PyObject *self, PyObject *text) {
    (void)self;
    if (!PyUnicode_Check(text)) return PyErr_Format(PyExc_TypeError, "not text");
    Py_UCS4 *points = PyUnicode_AsUCS4Copy(text);
    if (points == NULL) return NULL;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), wide_length;
    wchar_t *wide = PyUnicode_AsWideCharString(text, &wide_length);
    if (wide == NULL) {
        PyMem_Free(points);
        return NULL;
    }
    PyObject *made =
        Py_BuildValue("{s:i,s:y#,s:y#,s:y#}", "kind", (int)PyUnicode_KIND(text), "held", (char *)PyUnicode_DATA(text),
                      length * (Py_ssize_t)PyUnicode_KIND(text), "UCS-4", (char *)points,
                      length * (Py_ssize_t)sizeof(Py_UCS4), "wide", (char *)wide, wide_length * (Py_ssize_t)sizeof(wchar_t));
    PyMem_Free(points);
    PyMem_Free(wide);
    return made;
}

static struct {
    long longs[2];
    unsigned long unsigned_longs[2];
    long long wides[2];
    unsigned long long unsigned_wides[2];
    Py_ssize_t sizes[2];
    size_t unsigned_sizes[2];
    double doubles[2];
    float floats[2];
    short shorts[2];
    _Bool bools[2];
} numbers = {{-1, 2},    {1, 3},       {-5, 1LL << 40}, {5, 1ULL << 63},  {-7, 8},
             {7, 9},     {-0.5, 1e300}, {0.5f, -2.0f},   {-300, 300},      {0, 1}};

/* A view of C's memory; its format is what the buffer protocol calls C's type (PEP 3118). */
static PyObject *view(PyObject *self, PyObject *args) {
    const char *format;
    (void)self;
    if (!PyArg_ParseTuple(args, "s", &format)) return NULL;
    static const struct {
        char code[2];
        void *start;
        Py_ssize_t itemsize;
    } known[] = {
        {"l", numbers.longs, sizeof(long)},
        {"L", numbers.unsigned_longs, sizeof(long)},
        {"q", numbers.wides, sizeof(long long)},
        {"Q", numbers.unsigned_wides, sizeof(long long)},
        {"n", numbers.sizes, sizeof(Py_ssize_t)},
        {"N", numbers.unsigned_sizes, sizeof(size_t)},
        {"d", numbers.doubles, sizeof(double)},
        {"f", numbers.floats, sizeof(float)},
        {"h", numbers.shorts, sizeof(short)},
        {"?", numbers.bools, sizeof(_Bool)},
    };
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        if (strcmp(known[index].code, format) != 0) continue;
        Py_ssize_t shape = 2;
        Py_buffer buffer = {.buf = known[index].start,
                            .len = 2 * known[index].itemsize,
                            .itemsize = known[index].itemsize,
                            .readonly = 1,
                            .ndim = 1,
                            .format = (char *)known[index].code,
                            .shape = &shape,
                            .strides = (Py_ssize_t *)&known[index].itemsize};
        return PyMemoryView_FromBuffer(&buffer);
    }
    return PyErr_Format(PyExc_ValueError, "%s", format);
}

/* The sum of a buffer of C longs. */
static PyObject *sum_of_longs(PyObject *self, PyObject *exporter) {
    Py_buffer buffer;
    (void)self;
    if (PyObject_GetBuffer(exporter, &buffer, PyBUF_FORMAT | PyBUF_ND) < 0) return NULL;
    PyObject *made = NULL;
    if (strcmp(buffer.format, "l") != 0 || buffer.itemsize != (Py_ssize_t)sizeof(long)) {
        PyErr_Format(PyExc_ValueError, "%s of %zd bytes", buffer.format, buffer.itemsize);
    } else {
        long long sum = 0;
        for (Py_ssize_t index = 0; index < buffer.shape[0]; index++) sum += ((long *)buffer.buf)[index];
        made = PyLong_FromLongLong(sum);
    }
    PyBuffer_Release(&buffer);
    return made;
}

static const struct xt_mixed sample = {'a', -1.5, -2, 0x102030405060708LL, 'e', -3, NULL};

/* The memory of a struct with known members. */
static PyObject *mixed(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    struct xt_mixed copy;
    memset(&copy, 0, sizeof copy);
    copy.a = sample.a, copy.b = sample.b, copy.c = sample.c, copy.d = sample.d, copy.e = sample.e, copy.f = sample.f;
    return PyBytes_FromStringAndSize((const char *)&copy, sizeof copy);
}

/* The same members of an object, which the interpreter reads by their offsets. */
typedef struct {
    PyObject_HEAD
    struct xt_mixed mixed;
} Object;

static PyMemberDef members[] = {
    {"a", T_CHAR, offsetof(Object, mixed.a), READONLY, NULL},
    {"b", T_DOUBLE, offsetof(Object, mixed.b), READONLY, NULL},
    {"c", T_SHORT, offsetof(Object, mixed.c), READONLY, NULL},
    {"d", T_LONGLONG, offsetof(Object, mixed.d), READONLY, NULL},
    {"e", T_CHAR, offsetof(Object, mixed.e), READONLY, NULL},
    {"f", T_LONG, offsetof(Object, mixed.f), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *object_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    (void)args, (void)named;
    Object *made = (Object *)type->tp_alloc(type, 0);
    if (made != NULL) made->mixed = sample;
    return (PyObject *)made;
}

static PyTypeObject object_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "xt_abi._interface.Mixed",
    .tp_basicsize = sizeof(Object),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_members = members,
    .tp_new = object_new,
};

static PyMethodDef methods[] = {
    {"as_c", as_c, METH_VARARGS, NULL},
    {"from_c", from_c, METH_NOARGS, NULL},
    {"as_bytes", as_bytes, METH_VARARGS, NULL},
    {"text_bytes", text_bytes, METH_O, NULL},
    {"view", view, METH_VARARGS, NULL},
    {"sum_of_longs", sum_of_longs, METH_O, NULL},
    {"mixed", mixed, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_interface", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__interface(void) {
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || PyType_Ready(&object_type) < 0) return NULL;
    if (PyModule_AddObjectRef(made, "Mixed", (PyObject *)&object_type) < 0) Py_CLEAR(made);
    return made;
}
