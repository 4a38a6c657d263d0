/* C that must work at every floor: what glibc gave new versions, moved between libraries or redirects. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "newest.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <gnu/libc-version.h>
#include <iconv.h>
#include <inttypes.h>
#include <pty.h>
#include <regex.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/stat.h>

#define NEEDS(what) \
  do if (!(what)) { PyErr_Format (PyExc_AssertionError, "%s (errno %d)", #what, errno); return NULL; } while (0)

static PyObject *
newest (PyObject *self, PyObject *nothing)
{
  (void) self;
  (void) nothing;
  return PyLong_FromLong (xt_newest ());
}

static PyObject *
files (PyObject *self, PyObject *folder)
{
  struct stat one, two;
  char path[4096];
  (void) self;
  snprintf (path, sizeof path, "%s/file", PyUnicode_AsUTF8 (folder));
  int file = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  NEEDS (file >= 0 && pwrite (file, "12345", 5, 0) == 5);
  NEEDS (fcntl (file, F_GETFD) == FD_CLOEXEC);
  NEEDS (stat (path, &one) == 0 && fstat (file, &two) == 0);
  NEEDS (one.st_size == 5 && one.st_ino == two.st_ino && S_ISREG (one.st_mode));
  NEEDS (lstat (path, &two) == 0 && fstatat (AT_FDCWD, path, &one, 0) == 0 && one.st_ino == two.st_ino);
  NEEDS (posix_fallocate (file, 0, 100) == 0 && ftruncate (file, 3) == 0 && close (file) == 0);
  strcat (path, ".fifo");
  NEEDS (mknod (path, S_IFIFO | 0600, 0) == 0 && unlink (path) == 0);
  int pipes[2];
  NEEDS (pipe2 (pipes, O_CLOEXEC) == 0 && close (pipes[0]) == 0 && close (pipes[1]) == 0);
  Py_RETURN_NONE;
}

static PyObject *
numbers (PyObject *self, PyObject *nothing)
{
  volatile double two = 2, ten = 10, big = 1000;
  volatile float half = 0.5f;
  volatile long double wide = 1.25L;
  char text[64], *end;
  uintmax_t number = 0;
  (void) self;
  (void) nothing;
  NEEDS (pow (two, ten) == 1024 && exp2 (ten) == 1024 && log2 (1024 * two) == 11);
  NEEDS (fabs (exp (log (ten)) - 10) < 1e-12 && fabs (hypot (two, ten) * hypot (two, ten) - 104) < 1e-12);
  NEEDS (powf (half, 2) == 0.25f && fabsf (expf (logf (half)) - half) < 1e-6f && fmod (ten, 3 * two) == 4);
  errno = 0;
  NEEDS (isinf (exp (big)) && errno == ERANGE);
  NEEDS (fegetround () == FE_TONEAREST && lrint (two + half) == 2 && llround (two + half) == 3);
  snprintf (text, sizeof text, "%.2Lf %a", wide, ten);
  NEEDS (strcmp (text, "1.25 0x1.4p+3") == 0);
  NEEDS (strtold ("1.25", NULL) == wide && strtod ("0x1.4p+3", &end) == 10 && *end == 0);
  NEEDS (strtol ("-77", NULL, 8) == -63 && strtoimax ("12z", &end, 10) == 12 && *end == 'z');
  NEEDS (sscanf ("7 x", "%" SCNuMAX " %2s", &number, text) == 2 && number == 7 && strcmp (text, "x") == 0);
  Py_RETURN_NONE;
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static sem_t done;
static int count, gone;
static __thread int own;

static void
leave (void *value)
{
  (void) value;
  __atomic_add_fetch (&gone, 1, __ATOMIC_SEQ_CST);
}

static void
prepare (void)
{
  pthread_key_create (&key, leave);
}

static void *
work (void *number)
{
  pthread_once (&once, prepare);
  pthread_setspecific (key, number);
  own += *(int *) number;
  pthread_mutex_lock (&mutex);
  count += own;
  pthread_cond_broadcast (&arrived);
  pthread_mutex_unlock (&mutex);
  sem_post (&done);
  return number;
}

static PyObject *
threads (PyObject *self, PyObject *nothing)
{
  pthread_t pool[4];
  int given[4] = { 1, 2, 3, 4 };
  void *result;
  (void) self;
  (void) nothing;
  count = gone = 0;
  NEEDS (sem_init (&done, 0, 0) == 0);
  for (int i = 0; i < 4; i++)
    NEEDS (pthread_create (&pool[i], NULL, work, &given[i]) == 0);
  pthread_mutex_lock (&mutex);
  while (count < 10)
    pthread_cond_wait (&arrived, &mutex);
  pthread_mutex_unlock (&mutex);
  for (int i = 0; i < 4; i++)
    NEEDS (sem_wait (&done) == 0 && pthread_join (pool[i], &result) == 0 && result == &given[i]);
  NEEDS (gone == 4 && own == 0 && sem_destroy (&done) == 0);
  timer_t timer;
  struct sigevent quiet = { .sigev_notify = SIGEV_NONE };
  NEEDS (timer_create (CLOCK_MONOTONIC, &quiet, &timer) == 0 && timer_delete (timer) == 0);
  Py_RETURN_NONE;
}

static PyObject *
others (PyObject *self, PyObject *nothing)
{
  char from[] = "\x82\xa0", to[8] = "", *in = from, *out = to;
  size_t left = 2, room = sizeof to;
  regex_t expression;
  jmp_buf back;
  int leader, follower;
  (void) self;
  (void) nothing;
  NEEDS (dlsym (RTLD_DEFAULT, "malloc") != NULL && dlsym (RTLD_DEFAULT, "xt_absent") == NULL && dlerror () != NULL);
  iconv_t converter = iconv_open ("UTF-16BE", "SHIFT_JIS");
  NEEDS (converter != (iconv_t) -1 && iconv (converter, &in, &left, &out, &room) == 0 && iconv_close (converter) == 0);
  NEEDS (memcmp (to, "\x30\x42", 3) == 0);
  NEEDS (regcomp (&expression, "^a(b+)c$", REG_EXTENDED) == 0 && regexec (&expression, "abbc", 0, NULL, 0) == 0);
  regfree (&expression);
  if (setjmp (back) == 0)
    longjmp (back, 1);
  NEEDS (openpty (&leader, &follower, NULL, NULL, NULL) == 0 && close (leader) == 0 && close (follower) == 0);
  int shared = shm_open ("/xt-floors-absent", O_RDWR, 0600);
  NEEDS (shared == -1 && errno == ENOENT);
  return PyUnicode_FromString (gnu_get_libc_version ());
}

static PyMethodDef methods[] = { { "newest", newest, METH_NOARGS, "" },   { "files", files, METH_O, "" },
                                 { "numbers", numbers, METH_NOARGS, "" }, { "threads", threads, METH_NOARGS, "" },
                                 { "others", others, METH_NOARGS, "" },   { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "xt_floors_c", "", 0, methods, 0, 0, 0, 0 };

PyMODINIT_FUNC
PyInit_xt_floors_c (void)
{
  return PyModule_Create (&module);
}
