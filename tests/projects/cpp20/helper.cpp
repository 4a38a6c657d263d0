#include <string>
#include <vector>
#include <stdexcept>
#include <iostream>
extern "C" long helper(long n) { std::vector<std::string> v; for (long i = 0; i < n; i++) v.push_back(std::to_string(i)); 
 try { v.at(n + 1); } catch (const std::out_of_range &) { return (long)v.size(); } return -1; }
