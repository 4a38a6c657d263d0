#pragma once
#include <vector>

template <typename T>
__attribute__((noinline)) T largest(const std::vector<T> &values) {
  T found = values.front();
  for (const T &value : values)
    if (value > found) found = value;
  return found;
}

long more(long n);
