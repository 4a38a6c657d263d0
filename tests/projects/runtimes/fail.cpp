#include <vector>

#include "fault.h"

void
fail (int how)
{
  std::vector<int> unwound (16, how);
  if (how == 0)
    throw Fault ("thrown in another module", 42);
  if (how == 1)
    unwound.at (99) = 0;
  throw how;
}
