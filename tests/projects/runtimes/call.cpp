#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "fault.h"

static std::string seen;

const char *
call (void (*fail) (int), int how)
{
  seen = "nothing";
  try
    {
      fail (how);
    }
  catch (const Fault &fault)
    {
      seen = std::string (fault.what ()) + " " + std::to_string (fault.number);
    }
  catch (const std::out_of_range &)
    {
      seen = "out of range";
    }
  catch (int number)
    {
      seen = "int " + std::to_string (number);
    }
  return seen.c_str ();
}

static std::atomic<int> constructed, destroyed;

struct Counted
{
  std::vector<int> own;
  Counted () { constructed++; }
  ~Counted () { destroyed++; }
};

static thread_local Counted counted;

/* Threads that use a thread_local object; how many objects were made and destroyed when the threads are over. */
void
threads (int *made, int *gone)
{
  constructed = destroyed = 0;
  std::vector<std::thread> running;
  for (int i = 0; i < 5; i++)
    running.emplace_back ([i] { counted.own.assign (100, i); });
  for (auto &thread : running)
    thread.join ();
  *made = constructed;
  *gone = destroyed;
}
