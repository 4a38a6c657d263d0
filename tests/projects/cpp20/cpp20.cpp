#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <format>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <latch>
#include <locale>
#include <memory_resource>
#include <mutex>
#include <random>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <thread>
#include <charconv>
#include <cmath>
#include <map>
#include <any>
#include <optional>
#include <variant>
namespace fs = std::filesystem;
namespace {
struct Error : std::runtime_error { using std::runtime_error::runtime_error; };
std::atomic<int> gone{0};
struct Local { ~Local() { ++gone; } int n = 0; };
thread_local Local local;
PyObject *all(PyObject *, PyObject *) try {
    std::ostringstream out;
    out << std::format("{:>6.2f}|{:#x}|{}", 3.14159, 255, "fmt");
    std::smatch match; std::string text = "key=value";
    if (std::regex_match(text, match, std::regex("(\\w+)=(\\w+)"))) out << '|' << match[2];
    fs::path dir = fs::temp_directory_path() / std::format("xt{}", std::random_device{}());
    fs::create_directories(dir / "a" / "b");
    { std::ofstream(dir / "a" / "f.txt") << "hello " << std::setprecision(12) << 1.5L << '\n'; }
    int files = 0; for (auto &entry : fs::recursive_directory_iterator(dir)) { (void)entry; ++files; }
    std::ifstream in(dir / "a" / "f.txt"); std::string word; long double number; in >> word >> number;
    out << '|' << files << word << number << fs::file_size(dir / "a" / "f.txt");
    fs::last_write_time(dir / "a" / "f.txt"); fs::copy_file(dir / "a" / "f.txt", dir / "g.txt"); fs::remove_all(dir);
    std::latch ready(3); std::barrier turn(3); std::shared_mutex lock;
    std::vector<std::jthread> pool; std::atomic<int> sum = 0;
    for (int i = 0; i < 3; i++) pool.emplace_back([&, i] { local.n = i; ready.count_down(); turn.arrive_and_wait(); { std::unique_lock held(lock); sum += local.n; } });
    pool.clear();
    auto value = std::async(std::launch::async, [] { if (true) throw Error("async"); return 1; });
    try { value.get(); } catch (const Error &error) { out << '|' << error.what(); }
    std::condition_variable cv; std::mutex m; std::unique_lock held(m);
    out << '|' << (cv.wait_for(held, std::chrono::milliseconds(5)) == std::cv_status::timeout) << sum << gone;
    std::pmr::monotonic_buffer_resource pool2; std::pmr::vector<int> v(&pool2); v.assign(100, 1);
    double parsed = 0; std::string digits = "2.5e3"; std::from_chars(digits.data(), digits.data() + 5, parsed);
    char buffer[64]; auto end = std::to_chars(buffer, buffer + 64, 0.1L).ptr;
    out << '|' << parsed << std::string(buffer, end) << std::legendre(2, 0.5) << std::stold("1.25");
    auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()); (void)today;
    std::call_once(*std::make_unique<std::once_flag>(), [&] { out << "|once"; });
    std::cerr << "to stderr\n";
    return PyUnicode_FromString(out.str().c_str());
} catch (const std::exception &error) { PyErr_SetString(PyExc_RuntimeError, error.what()); return nullptr; }
PyObject *thrower(PyObject *, PyObject *arg) try {
    PyObject *result = PyObject_CallNoArgs(arg);
    if (!result) throw Error("the callback failed");
    throw std::make_pair(1, result);
} catch (const Error &error) { PyErr_Clear(); PyErr_SetString(PyExc_ValueError, error.what()); return nullptr;
} catch (const std::pair<int, PyObject *> &p) { return p.second; }
PyObject *get_any(PyObject *, PyObject *) { std::any a = 5; try { return PyLong_FromLong(long(std::any_cast<double>(a))); } catch (const std::bad_any_cast &) { return PyUnicode_FromString("bad cast"); } }
PyMethodDef methods[] = {{"all", all, METH_NOARGS, nullptr}, {"thrower", thrower, METH_O, nullptr}, {"any", get_any, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "xt_cpp20", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};
}
PyMODINIT_FUNC PyInit_xt_cpp20() { return PyModule_Create(&module); }
