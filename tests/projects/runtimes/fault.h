/* What the two modules throw and catch: a type of their own, as well as the library's. */

#include <stdexcept>

struct Fault : std::runtime_error
{
  int number;
  Fault (const char *text, int given) : std::runtime_error (text), number (given) {}
};

extern "C" void fail (int how);
extern "C" const char *call (void (*fail) (int), int how);
extern "C" void threads (int *made, int *gone);
