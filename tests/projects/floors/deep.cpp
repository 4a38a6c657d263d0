// C++ that reaches into libstdc++ where it leans on the C library: locales, streams, files, threads, unwinding.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "newest.h"

#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <locale>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fs = std::filesystem;
namespace {

std::atomic<int> gone{0};

struct Counted {
    int value = 0;
    ~Counted() { gone += value; }
};
thread_local Counted counted;

struct Unwound {
    std::string &trace;
    ~Unwound() { trace += "unwound "; }
};

[[gnu::noinline]] void thrower(std::string &trace, int depth) {
    Unwound here{trace};
    if (depth == 0) throw std::out_of_range("deep");
    thrower(trace, depth - 1);
}

std::string files(const fs::path &root) {
    fs::create_directories(root / "a" / "b");
    std::ofstream(root / "a" / "text") << "hello " << std::setprecision(12) << 1.5L << '\n';
    fs::copy_file(root / "a" / "text", root / "copy");
    fs::create_symlink("copy", root / "link");
    fs::last_write_time(root / "copy", fs::file_time_type::clock::now());
    fs::permissions(root / "copy", fs::perms::owner_read | fs::perms::owner_write);
    std::ifstream in(fs::canonical(root / "link"));
    std::string word;
    long double number;
    in >> word >> number;
    int entries = 0;
    for (auto &entry : fs::recursive_directory_iterator(root)) entries += entry.exists();
    std::ostringstream out;
    out << word << ' ' << number << ' ' << entries << ' ' << fs::file_size(root / "copy") << ' ' << fs::remove_all(root);
    return out.str();
}

std::string numbers() {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << std::put_money("1234") << ' ' << std::hexfloat << 10.0 << ' ' << std::defaultfloat << std::stold("1.25") << ' ';
    double parsed = 0;
    const std::string digits = "2.5e3";
    std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
    char buffer[64];
    out << parsed << ' ' << std::string(buffer, std::to_chars(buffer, buffer + 64, 0.1L).ptr) << ' ';
    std::mt19937_64 engine(5489u);
    engine.discard(9999);
    out << engine() << ' ' << std::legendre(2, 0.5);
    return out.str();
}

std::string threads() {
    gone = 0;
    std::shared_mutex lock;
    int sum = 0;
    std::vector<std::thread> pool;
    for (int i = 1; i <= 4; i++)
        pool.emplace_back([&, i] {
            counted.value = i;
            std::unique_lock held(lock);
            sum += counted.value;
        });
    for (auto &thread : pool) thread.join();
    auto value = std::async(std::launch::async, []() -> int { throw std::runtime_error("thrown in a thread"); });
    std::ostringstream out;
    try {
        value.get();
    } catch (const std::runtime_error &error) {
        out << error.what() << ' ';
    }
    std::mutex mutex;
    std::condition_variable condition;
    std::unique_lock held(mutex);
    const auto waited = condition.wait_for(held, std::chrono::milliseconds(5));
    std::once_flag flag;
    std::call_once(flag, [&] { out << "once "; });
    out << sum << ' ' << gone << ' ' << (waited == std::cv_status::timeout);
    return out.str();
}

PyObject *all(PyObject *, PyObject *folder) try {
    std::string trace;
    try {
        thrower(trace, 2);
    } catch (const std::logic_error &error) {
        trace += error.what();
    }
    std::random_device device;
    const bool random = device() != device() || device() != device();
    std::smatch match;
    const std::string text = "key=value";
    std::regex_match(text, match, std::regex("(\\w+)=(\\w+)"));
    std::cout << "to stdout" << std::endl;
    return Py_BuildValue("sssssO", trace.c_str(), files(fs::path(PyUnicode_AsUTF8(folder)) / "tree").c_str(),
                         numbers().c_str(), threads().c_str(), match[2].str().c_str(), random ? Py_True : Py_False);
} catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
}

PyObject *newest(PyObject *, PyObject *) { return PyLong_FromLong(xt_newest()); }

PyMethodDef methods[] = {
    {"newest", newest, METH_NOARGS, nullptr}, {"all", all, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "xt_floors_cpp", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_xt_floors_cpp() { return PyModule_Create(&module); }
