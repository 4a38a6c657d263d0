#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <random>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> destroyed{0};

struct Counted {
    int value = 1;
    ~Counted() { destroyed += value; }
};

/* Threads, thread-locals with destructors, and an exception that crosses a thread by exception_ptr. */
PyObject *work(PyObject *, PyObject *args) {
    int threads;
    if (!PyArg_ParseTuple(args, "i", &threads)) return nullptr;
    destroyed = 0;
    std::atomic<int> sum{0};
    std::exception_ptr thrown;
    {
        std::vector<std::jthread> pool;
        for (int number : std::views::iota(0, threads)) {
            pool.emplace_back([number, &sum, &thrown] {
                thread_local Counted local;
                auto shared = std::make_shared<int>(number * local.value);
                try {
                    if (number == 0) throw std::runtime_error("thrown in a thread");
                    sum += *shared;
                } catch (...) {
                    thrown = std::current_exception();
                }
            });
        }
    }
    std::ostringstream text;
    try {
        if (thrown) std::rethrow_exception(thrown);
    } catch (const std::runtime_error &error) {
        text << error.what();
    }
    std::random_device device;
    const bool random = device() != device() || device() != device();
    return Py_BuildValue("iisO", sum.load(), destroyed.load(), text.str().c_str(), random ? Py_True : Py_False);
}

PyMethodDef methods[] = {{"work", work, METH_VARARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "xt_cpp", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_xt_cpp() { return PyModule_Create(&module); }
