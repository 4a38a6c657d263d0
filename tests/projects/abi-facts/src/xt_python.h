/* Python's headers, the header that setup.py has made, and whether both are right by the compiler's own word. */

#define PY_SSIZE_T_CLEAN
#ifdef XT_PYCONFIG_FIRST
#include "pyconfig.h"
#endif
#include <Python.h>
#if PY_VERSION_HEX < 0x030B0000
#include <longintrepr.h>
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <wchar.h>

#include "xt_config.h"

/* One member of each kind that is laid out differently somewhere; "@cdhqclP" for Python's struct module. */
struct xt_mixed {
    char a;
    double b;
    short c;
    long long d;
    char e;
    long f;
    void *g;
};

#ifndef XT_TRUSTING
#define XT_HOLDS(what, is) _Static_assert((what) == (is), #what " is not " #is)

XT_HOLDS(XT_SIZEOF_SHORT, sizeof(short));
XT_HOLDS(XT_SIZEOF_INT, sizeof(int));
XT_HOLDS(XT_SIZEOF_LONG, sizeof(long));
XT_HOLDS(XT_SIZEOF_LONG_LONG, sizeof(long long));
XT_HOLDS(XT_SIZEOF_VOID_P, sizeof(void *));
XT_HOLDS(XT_SIZEOF_SIZE_T, sizeof(size_t));
XT_HOLDS(XT_SIZEOF_OFF_T, sizeof(off_t));
XT_HOLDS(XT_SIZEOF_TIME_T, sizeof(time_t));
XT_HOLDS(XT_SIZEOF_WCHAR_T, sizeof(wchar_t));
XT_HOLDS(XT_SIZEOF_FLOAT, sizeof(float));
XT_HOLDS(XT_SIZEOF_DOUBLE, sizeof(double));
XT_HOLDS(XT_SIZEOF_LONG_DOUBLE, sizeof(long double));
XT_HOLDS(XT_SIZEOF_STRUCT, offsetof(struct xt_mixed, g) + sizeof(void *));
XT_HOLDS(XT_BIGENDIAN, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);

/* pyconfig.h, which CPython's configure has written. */
XT_HOLDS(SIZEOF_SHORT, sizeof(short));
XT_HOLDS(SIZEOF_INT, sizeof(int));
XT_HOLDS(SIZEOF_LONG, sizeof(long));
XT_HOLDS(SIZEOF_LONG_LONG, sizeof(long long));
XT_HOLDS(SIZEOF_VOID_P, sizeof(void *));
XT_HOLDS(SIZEOF_SIZE_T, sizeof(size_t));
XT_HOLDS(SIZEOF_UINTPTR_T, sizeof(uintptr_t));
XT_HOLDS(SIZEOF_OFF_T, sizeof(off_t));
XT_HOLDS(SIZEOF_TIME_T, sizeof(time_t));
XT_HOLDS(SIZEOF_PID_T, sizeof(pid_t));
XT_HOLDS(SIZEOF_WCHAR_T, sizeof(wchar_t));
XT_HOLDS(SIZEOF_FLOAT, sizeof(float));
XT_HOLDS(SIZEOF_DOUBLE, sizeof(double));
XT_HOLDS(SIZEOF_LONG_DOUBLE, sizeof(long double));
XT_HOLDS(SIZEOF_PTHREAD_T, sizeof(pthread_t));
XT_HOLDS(SIZEOF__BOOL, sizeof(_Bool));
XT_HOLDS(PY_BIG_ENDIAN, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
#if defined(WORDS_BIGENDIAN) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#error "pyconfig.h is wrong about the order of bytes"
#endif
#if defined(HAVE_GCC_ASM_FOR_X87) != (defined(__i386__) || defined(__x86_64__))
#error "pyconfig.h is of another kind of processor"
#endif
#endif
