#include "pairs.hpp"

long more(long n) {
  std::vector<long> values{n % 11, n % 13, n % 17};
  return largest(values);
}
