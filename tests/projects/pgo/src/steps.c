#include "steps.h"

/* The steps that a number takes to 1 by Collatz's rule. */
long xt_steps(long n) {
  long steps = 0;
  while (n > 1) {
    n = n % 2 ? 3 * n + 1 : n / 2;
    steps++;
  }
  return steps;
}
