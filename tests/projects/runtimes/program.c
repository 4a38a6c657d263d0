/* The same routines without Python, for a C library that no Python at hand runs on. */

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

extern void multiply (int, double *, char *);
extern void files (const char *, int, double *);
extern void quad (char *);
extern double dice (int);

static void
loops (void)
{
  long long total = 0;
  int team = 0, taking_part = 0;
  omp_set_num_threads (3);
#pragma omp parallel reduction(+ : taking_part)
  {
    taking_part = 1;
#pragma omp single
    team = omp_get_num_threads ();
#pragma omp for schedule(dynamic, 10) reduction(+ : total)
    for (long long i = 1; i <= 100000; i++)
      total += i;
  }
  printf ("loops %lld %d %d\n", total, team, taking_part);
}

int
main (int count, char **words)
{
  double number;
  char text[81] = "";
  if (count != 4)
    return 2;
  printf ("glibc %s\n", gnu_get_libc_version ());
  multiply (40, &number, text);
  printf ("%s\n", text);
  files (words[1], (int) strlen (words[1]), &number);
  printf ("files %.2f\n", number);
  quad (text);
  printf ("%s\n", text);
  number = dice (10000);
  printf ("dice %d\n", number > 0.4 && number < 0.6);
  loops ();
  void *thrower = dlopen (words[2], RTLD_NOW), *catcher = dlopen (words[3], RTLD_NOW);
  if (thrower == NULL || catcher == NULL)
    {
      puts (dlerror ());
      return 3;
    }
  void (*fail) (int);
  const char *(*call) (void (*) (int), int);
  void (*threads) (int *, int *);
  *(void **) &fail = dlsym (thrower, "fail");
  *(void **) &call = dlsym (catcher, "call");
  *(void **) &threads = dlsym (catcher, "threads");
  for (int how = 0; how < 3; how++)
    printf ("caught %s\n", call (fail, how));
  int made, gone;
  threads (&made, &gone);
  printf ("threads %d %d\n", made, gone);
  return 0;
}
