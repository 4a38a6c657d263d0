from setuptools import Extension, setup

setup(
    py_modules=[],
    ext_modules=[Extension("xt_cpp", ["src/xt_cpp.cpp"], language="c++", extra_compile_args=["-std=c++20"])],
)
