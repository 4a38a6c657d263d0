/* Asked for an element that is not there, libstdc++ says in which header of the compiler it noticed. */
#define _GLIBCXX_ASSERTIONS 1
#include <string>
#include <vector>
namespace {
std::vector<std::string> names{"one", "two", "three", "four"};
}
extern "C" const char *xt_library(int index) { return names[index].c_str(); }
